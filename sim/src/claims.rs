//! What the framework of somebody else does with resources besides running tasks: it reserves, makes volumes, and takes
//! both back, rightly or wrongly. And what operators allow roles, which changes all the time.

use cluster::Input;
use kernel::operator::Order;
use kernel::quota::{Quantities, Quota};
use model::container::VolumeMode;
use model::id::{OperationId, Role};
use model::operation::{Conversion, OperationStatus};
use model::resources::{
    Amount, DiskInfo, DiskVolume, Labels, Persistence, Reservation, ReservationKind, Resource,
    ResourceName, Resources, Scalar,
};
use model::scheduler::{Call, Offer, Operation};
use model::task::TaskInfo;

use crate::world::World;

/// Whose quotas change.
const ROLES: [&str; 3] = ["foreign", "group", "tree"];

impl World {
    /// One conversion of what is offered, or of what is not.
    pub fn conversion(&mut self, offer: &Offer) -> Option<Operation> {
        let claimed: Vec<Resource> =
            offer.resources.iter().filter(|one| one.is_dynamically_reserved()).cloned().collect();
        let is_volume = |one: &&Resource| one.is_persistent_volume();
        let volumes: Vec<Resource> = claimed.iter().filter(is_volume).cloned().collect();
        let conversion = match self.dice.between(0, 5) {
            0..=2 => Conversion::Reserve { source: vec![], resources: vec![self.reserved(offer)] },
            3 => Conversion::Unreserve { resources: vec![self.dice.pick(&claimed)?.clone()] },
            4 => {
                let is_disk = |one: &&Resource| one.name == ResourceName::Disk;
                let disks: Vec<Resource> = claimed.iter().filter(is_disk).cloned().collect();
                let disk = self.dice.pick(&disks)?.clone();
                let volume = Resource { disk: Some(Box::new(self.volume())), ..disk };
                Conversion::Create { volumes: vec![volume] }
            }
            _ => Conversion::Destroy { volumes: vec![self.dice.pick(&volumes)?.clone()] },
        };
        let named = self.dice.chance(700);
        let id = named.then(|| OperationId::new(format!("foreign-{}", self.dice.between(0, 999))));
        Some(Operation::Convert { id, conversion })
    }

    /// A little of something, mostly for the role that it is offered to.
    fn reserved(&mut self, offer: &Offer) -> Resource {
        let role = if self.dice.chance(900) { offer.role.clone() } else { Role::new("group") };
        let kind = ReservationKind::Dynamic;
        let reservation = Reservation { kind, role, principal: None, labels: Labels::new() };
        let (name, milli) = match self.dice.chance(500) {
            true => (ResourceName::Cpus, 60),
            false => (ResourceName::Disk, 100_000),
        };
        let milli = if self.dice.chance(950) { milli } else { 1_000_000_000 };
        let plain = Resource::plain(name, Amount::Scalar(Scalar(milli)));
        Resource { reservations: vec![reservation], ..plain }
    }

    fn volume(&mut self) -> DiskInfo {
        let id = format!("volume-{}", self.dice.between(0, 9));
        let (container_path, mode) = ("data".to_owned(), VolumeMode::ReadWrite);
        DiskInfo {
            persistence: Some(Persistence { id, principal: None }),
            volume: Some(DiskVolume { container_path, mode, host_path: None }),
            source: None,
        }
    }

    /// Perhaps the task uses a volume, also one that is about to be made and may never be.
    pub fn with_volume(
        &mut self,
        task: TaskInfo,
        offer: &Offer,
        before: Option<&Operation>,
    ) -> TaskInfo {
        let made = match before {
            Some(Operation::Convert { conversion: Conversion::Create { volumes }, .. }) => {
                volumes.clone()
            }
            _ => offer.resources.iter().filter(|one| one.is_persistent_volume()).cloned().collect(),
        };
        let volume = self.dice.pick(&made).filter(|_| self.weather.loss_permille > 0).cloned();
        let mut task = task;
        volume.into_iter().for_each(|volume| task.resources.add(&Resources::new([volume])));
        task
    }

    /// A task's cpus, some of them reserved ones.
    pub fn some_cpus(&mut self, offer: &Offer, milli: u64) -> Resources {
        let all = offer.resources.iter().filter(|one| one.name == ResourceName::Cpus);
        let enough: Vec<Resource> =
            all.filter(|one| Scalar(milli) <= one.scalar()).cloned().collect();
        let is_any = self.dice.chance(500);
        let one = self.dice.pick(&enough).filter(|_| is_any);
        let plain = Resource::plain(ResourceName::Cpus, Amount::Scalar(Scalar(milli)));
        Resources::new([one.map_or(plain, |one| one.sized(Scalar(milli)))])
    }

    pub fn hear_operation(&mut self, status: OperationStatus) {
        let (Some(operation), Some(uuid)) = (status.operation, status.uuid) else { return };
        // Told again until it is.
        if self.dice.chance(800) || self.weather.loss_permille == 0 {
            let agent = status.agent;
            self.foreign_calls(Call::AcknowledgeOperation { agent, operation, uuid });
        }
    }

    /// An operator limits a role, or lets it be.
    pub fn change_quota(&mut self) {
        let role = Role::new(*self.dice.pick(&ROLES).expect("there are some"));
        let cpus = Scalar(self.dice.between(1, 20) * 100);
        let limits: Quantities = match self.dice.chance(700) {
            true => [(ResourceName::Cpus, cpus)].into_iter().collect(),
            false => Quantities::default(),
        };
        let quota = Quota { limits, guarantees: Quantities::default() };
        let force = self.dice.chance(500);
        self.trace(|| format!("operator limits {role} to {cpus}, force {force}: {quota:?}"));
        self.tell_operator(Order::UpdateQuota { quotas: vec![(role, quota)], force });
    }

    pub fn lift_quotas(&mut self) {
        let Some(cluster) = self.master.machine() else { return };
        let roles: Vec<Role> = cluster.view().kernel.quotas.keys().cloned().collect();
        roles.into_iter().for_each(|role| self.tell_operator(Order::RemoveQuota { role }));
    }

    pub fn tell_operator(&mut self, order: Order) {
        let seed = self.dice.roll();
        self.tell_master(None, Input::Operator { order, seed });
    }
}
