//! The question itself: does one more task fit into what is left of an offer?

use model::agent::AgentInfo;
use model::id::Role;
use model::resources::Scalar;

use crate::Miss;
use crate::room::{Room, Scalars, Taken};
use crate::rule::{Rule, Spot, Tally};

/// What one instance of an app asks of an agent.
#[derive(Debug, Clone)]
pub struct Need {
    /// Cpus, mem, disk, gpus.
    pub scalars: Scalars,
    pub ports: Ports,
    /// Whose reservations it may use; `*` stands for what nobody has reserved.
    pub accepts: Vec<Role>,
    pub rules: Vec<Rule>,
    /// How many instances the app wants, for even spreading.
    pub instances: u32,
    pub gpus: GpuUse,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Any so many.
    Some(usize),
    /// Just these.
    Exactly(Vec<u16>),
}

/// Whether what needs no gpu may take up an agent that has some (`--gpu_scheduling_behavior`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuUse {
    Restricted,
    Unrestricted,
}

/// What it would take out of the room, or every reason why it does not fit. `tallies` belong to the rules one by one;
/// the seed spreads the ports.
pub fn fit(
    need: &Need,
    room: &Room,
    agent: &AgentInfo,
    tallies: &[Tally],
    seed: u64,
) -> Result<Taken, Vec<Miss>> {
    let usable: Vec<bool> =
        room.shelves.iter().map(|shelf| need.may_use(&shelf.reserved)).collect();
    let scalars = pick_scalars(need, room, &usable);
    let ports = pick_ports(need, room, &usable, seed);
    if let (Some(scalars), Some(ports), true) = (scalars, ports, need.suits(room, agent, tallies)) {
        return Ok(Taken { scalars, ports });
    }
    Err(misses(need, room, &usable, agent, tallies))
}

impl Need {
    fn may_use(&self, reserved: &Option<Role>) -> bool {
        self.accepts.iter().any(|role| match reserved {
            Some(owner) => owner == role,
            None => role.as_str() == "*",
        })
    }

    fn suits(&self, room: &Room, agent: &AgentInfo, tallies: &[Tally]) -> bool {
        !self.wastes_gpus(room) && self.is_allowed(agent, tallies)
    }

    fn wastes_gpus(&self, room: &Room) -> bool {
        self.gpus == GpuUse::Restricted && self.scalars[3].is_zero() && !room.total(3).is_zero()
    }

    fn is_allowed(&self, agent: &AgentInfo, tallies: &[Tally]) -> bool {
        assert_eq!(self.rules.len(), tallies.len(), "one tally for each rule");
        let mut rules = self.rules.iter().zip(tallies);
        rules.all(|(rule, tally)| rule.allows(Spot::of(agent), tally, self.instances))
    }
}

/// Each scalar from the first shelves that have it.
fn pick_scalars(need: &Need, room: &Room, usable: &[bool]) -> Option<Vec<Scalars>> {
    let mut left = need.scalars;
    let mut picked = vec![Scalars::default(); room.shelves.len()];
    for (at, shelf) in room.shelves.iter().enumerate().filter(|(at, _)| usable[*at]) {
        for (n, left) in left.iter_mut().enumerate() {
            let part = (*left).min(shelf.scalars[n]);
            picked[at][n] = part;
            left.0 -= part.0;
        }
    }
    left.iter().all(|left| left.is_zero()).then_some(picked)
}

fn pick_ports(need: &Need, room: &Room, usable: &[bool], seed: u64) -> Option<Vec<(usize, u16)>> {
    match &need.ports {
        Ports::Some(0) => Some(Vec::new()),
        Ports::Some(count) => any_ports(*count, room, usable, seed),
        Ports::Exactly(ports) => {
            let shelf_of = |port: u16| {
                let has = |at: &usize| usable[*at] && room.shelves[*at].has_port(port);
                (0..room.shelves.len()).find(has).map(|at| (at, port))
            };
            ports.iter().map(|port| shelf_of(*port)).collect()
        }
    }
}

/// Consecutive free ports from a place that the seed chooses: a port is not soon used again for something else, and the
/// ranges stay whole.
fn any_ports(count: usize, room: &Room, usable: &[bool], seed: u64) -> Option<Vec<(usize, u16)>> {
    let shelves = || (0..room.shelves.len()).filter(|at| usable[*at]);
    let total: usize = shelves().map(|at| room.shelves[at].port_count()).sum();
    if total < count {
        return None;
    }
    let start = usize::try_from(seed % u64::try_from(total).expect("ports are few")).expect("less");
    let nth = |mut nth: usize| {
        for at in shelves() {
            let here = room.shelves[at].port_count();
            if nth < here {
                return (at, room.shelves[at].port(nth));
            }
            nth -= here;
        }
        panic!("port {nth} past the last free one");
    };
    Some((0..count).map(|n| nth((start + n) % total)).collect())
}

/// Every reason, in the order in which Marathon looks.
fn misses(
    need: &Need,
    room: &Room,
    usable: &[bool],
    agent: &AgentInfo,
    tallies: &[Tally],
) -> Vec<Miss> {
    const SHORT_OF: [Miss; 4] = [
        Miss::InsufficientCpus,
        Miss::InsufficientMemory,
        Miss::InsufficientDisk,
        Miss::InsufficientGpus,
    ];
    let free = |n: usize| {
        let shelves = room.shelves.iter().zip(usable).filter(|(_, usable)| **usable);
        Scalar(shelves.map(|(shelf, _)| shelf.scalars[n].0).sum())
    };
    let mut misses: Vec<Miss> =
        (0..SHORT_OF.len()).filter(|n| free(*n) < need.scalars[*n]).map(|n| SHORT_OF[n]).collect();
    let mut note = |missed: bool, miss: Miss| misses.extend(missed.then_some(miss));
    note(!usable.contains(&true), Miss::UnfulfilledRole);
    note(!need.is_allowed(agent, tallies), Miss::UnfulfilledConstraint);
    note(need.wastes_gpus(room), Miss::DeclinedScarceResources);
    note(pick_ports(need, room, usable, 0).is_none(), Miss::InsufficientPorts);
    misses
}
