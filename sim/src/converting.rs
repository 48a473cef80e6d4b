//! The framework of somebody else reserves a little of agents, makes volumes of it, uses them and undoes it all; now and
//! then what it wants is wrong.

use model::container::VolumeMode;
use model::id::OperationId;
use model::operation::{Conversion, OperationStatus};
use model::resources::{
    Amount, DiskInfo, DiskVolume, Labels, Persistence, Reservation, ReservationKind, Resource,
    ResourceName, Resources, Scalar,
};
use model::scheduler::{Call, Offer, Operation};

use crate::world::World;

/// So little that the apps hardly miss it.
const DISK_MIB: u64 = 8;

fn space(offer: &Offer) -> Resource {
    let (kind, role, labels) = (ReservationKind::Dynamic, offer.role.clone(), Labels::new());
    let reservations = vec![Reservation { kind, role, principal: None, labels }];
    let amount = Amount::Scalar(Scalar::whole(DISK_MIB));
    Resource { reservations, ..Resource::plain(ResourceName::Disk, amount) }
}

fn volume(space: &Resource, id: String) -> Resource {
    let persistence = Some(Persistence { id, principal: None });
    let (container_path, mode) = ("data".to_owned(), VolumeMode::ReadWrite);
    let volume = Some(DiskVolume { container_path, mode, host_path: None });
    let disk = Some(Box::new(DiskInfo { persistence, volume, source: None }));
    Resource { disk, ..space.clone() }
}

impl World {
    /// The next step from what the offer shows of earlier ones, or a wrong one. Nothing is reserved twice of one agent.
    pub fn conversions(&mut self, offer: &Offer) -> Vec<Operation> {
        let claims = offer.resources.claims();
        let is_wrong = self.dice.chance(100);
        let conversion = match claims.iter().next().cloned() {
            Some(held) if is_wrong => {
                let subtract = Scalar(held.scalar().0 * 2);
                Conversion::ShrinkVolume { volume: held, subtract }
            }
            None if is_wrong => Conversion::Unreserve { resources: vec![space(offer)] },
            None => Conversion::Reserve { source: vec![], resources: vec![space(offer)] },
            Some(held) if held.is_persistent_volume() => {
                Conversion::Destroy { volumes: vec![held] }
            }
            Some(held) if self.dice.chance(700) => {
                let id = format!("v{}", self.dice.between(0, 3));
                Conversion::Create { volumes: vec![volume(&held, id)] }
            }
            Some(held) => Conversion::Unreserve { resources: vec![held] },
        };
        let id = format!("o{}", self.dice.between(0, 1_000_000));
        let id = self.dice.chance(700).then(|| OperationId::new(id));
        vec![Operation::Convert { id, conversion }]
    }

    /// The volumes that an offer shows, if a task is to use them.
    pub fn volumes(&mut self, offer: &Offer) -> Resources {
        match self.dice.chance(500) {
            true => offer.resources.only(Resource::is_persistent_volume),
            false => Resources::default(),
        }
    }

    pub fn hear_of_operation(&mut self, status: OperationStatus) {
        let (Some(operation), Some(uuid)) = (status.operation, status.uuid) else { return };
        // Told again until it is acknowledged.
        if self.dice.chance(800) || self.weather.loss_permille == 0 {
            let agent = status.agent;
            self.foreign_calls(Call::AcknowledgeOperation { agent, operation, uuid });
        }
    }
}
