//! What an app demands of an agent, one thing after another, and what an agent lacks of it.

use model::resources::Scalar;

/// In the order in which an offer is judged: the first that is not met is the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Demand {
    /// What is set aside for a resident that waits to be launched again.
    Reservation,
    /// Resources that the app may use at all.
    Role,
    /// An agent of the home region, or of any for an app that names its region or zone.
    Region,
    /// The nth constraint.
    Constraint(u16),
    /// An agent that is not about to go down for maintenance.
    Stay,
    Cpus,
    Mem,
    Disk,
    Gpus,
    /// A disk of its own for the nth of the volumes that ask for one.
    Volume(u16),
    Ports,
    /// An agent whose gpus are not wasted on an app that needs none.
    Thrift,
}

/// A demand that is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    pub demand: Demand,
    /// So much more would do, where it is a matter of numbers. Of ports it is how many.
    pub missing: Scalar,
}

impl Lack {
    pub fn of(demand: Demand) -> Self {
        Self { demand, missing: Scalar(0) }
    }
}

/// Why an offer was not taken; Marathon's `NoOfferMatchReason`, shown in `/v2/queue` under these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Miss {
    InsufficientCpus,
    InsufficientMemory,
    InsufficientDisk,
    InsufficientGpus,
    InsufficientPorts,
    UnfulfilledRole,
    UnfulfilledConstraint,
    AgentMaintenance,
    NoCorrespondingReservationFound,
    DeclinedScarceResources,
}

impl Demand {
    /// In Marathon's words, which tell no constraint from another, nor from a region.
    pub fn miss(self) -> Miss {
        match self {
            Demand::Reservation => Miss::NoCorrespondingReservationFound,
            Demand::Role => Miss::UnfulfilledRole,
            Demand::Region | Demand::Constraint(_) => Miss::UnfulfilledConstraint,
            Demand::Stay => Miss::AgentMaintenance,
            Demand::Cpus => Miss::InsufficientCpus,
            Demand::Mem => Miss::InsufficientMemory,
            Demand::Disk | Demand::Volume(_) => Miss::InsufficientDisk,
            Demand::Gpus => Miss::InsufficientGpus,
            Demand::Ports => Miss::InsufficientPorts,
            Demand::Thrift => Miss::DeclinedScarceResources,
        }
    }
}

/// Each reason once, in the order in which the demands were judged.
pub fn misses(lacks: &[Lack]) -> Vec<Miss> {
    let mut all = Vec::new();
    for miss in lacks.iter().map(|lack| lack.demand.miss()) {
        if !all.contains(&miss) {
            all.push(miss);
        }
    }
    all
}
