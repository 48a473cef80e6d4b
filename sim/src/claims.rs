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

use crate::foreign::Foreigner;
use crate::world::World;

/// Whose quotas change.
const ROLES: [&str; 4] = ["foreign", "foreign/child", "group", "tree"];

impl World {
    /// One conversion of what is offered, or of what is not.
    pub fn conversion(&mut self, offer: &Offer) -> Operation {
        let claimed = offer.resources.iter().filter(|one| one.is_dynamically_reserved());
        let claimed: Vec<Resource> = claimed.cloned().collect();
        let claim = self.dice.pick(&claimed).filter(|_| self.dice.chance(700)).cloned();
        let conversion = match claim {
            None => Conversion::Reserve { source: vec![], resources: vec![self.reserved(offer)] },
            Some(volume) if volume.is_persistent_volume() => match self.dice.chance(600) {
                true => self.resized(volume),
                false => Conversion::Destroy { volumes: vec![volume] },
            },
            Some(disk) if disk.name == ResourceName::Disk && self.dice.chance(700) => {
                let (made, shared) = (self.volume(), self.dice.chance(200));
                let volume = Resource { disk: Some(Box::new(made)), shared, ..disk };
                Conversion::Create { volumes: vec![volume] }
            }
            Some(claim) => match self.dice.chance(500) {
                true => Conversion::Unreserve { resources: vec![claim] },
                false => {
                    let resources = vec![refined(claim, offer)];
                    Conversion::Reserve { source: vec![], resources }
                }
            },
        };
        let named = self.dice.chance(700);
        let id = named.then(|| OperationId::new(format!("foreign-{}", self.dice.between(0, 999))));
        Operation::Convert { id, conversion }
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

    /// By what there may or may not be, or by all of it.
    fn resized(&mut self, volume: Resource) -> Conversion {
        let by = match self.dice.chance(900) {
            true => Scalar(self.dice.between(1, 20) * 1_000),
            false => volume.scalar(),
        };
        match self.dice.chance(500) {
            true => Conversion::ShrinkVolume { volume, subtract: by },
            false => {
                let addition = Resource { disk: None, shared: false, ..volume.sized(by) };
                Conversion::GrowVolume { volume, addition }
            }
        }
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

    pub fn hear_operation(&mut self, who: Foreigner, status: OperationStatus) {
        let (Some(operation), Some(uuid)) = (status.operation, status.uuid) else { return };
        // Told again until it is.
        if self.dice.chance(800) || self.weather.loss_permille == 0 {
            let agent = status.agent;
            self.foreign_calls(who, Call::AcknowledgeOperation { agent, operation, uuid });
        }
    }

    /// An operator limits a role, or lets it be.
    pub fn change_quota(&mut self) {
        let role = Role::new(*self.dice.pick(&ROLES).expect("there are some"));
        let cpus = Scalar(self.dice.between(1, 20) * 100);
        let mem = Scalar::whole(self.dice.between(1, 20) * 100);
        let limits: Quantities = match self.dice.between(0, 9) {
            0..=4 => [(ResourceName::Cpus, cpus)].into_iter().collect(),
            5..=7 => [(ResourceName::Cpus, cpus), (ResourceName::Mem, mem)].into_iter().collect(),
            _ => Quantities::default(),
        };
        let quota = Quota { limits, guarantees: Quantities::default() };
        let force = self.dice.chance(500);
        self.trace(|| format!("operator limits {role}, force {force}: {quota:?}"));
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

/// Reserved once more, for the role that it is offered to: rightly if that is below the role that has it.
fn refined(source: Resource, offer: &Offer) -> Resource {
    let (kind, role) = (ReservationKind::Dynamic, offer.role.clone());
    let mut resource = source;
    let last = Reservation { kind, role, principal: None, labels: Labels::new() };
    resource.reservations.push(last);
    resource
}
