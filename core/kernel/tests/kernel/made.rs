//! Reservations and volumes, as tests want them.

use model::container::VolumeMode;
use model::id::Role;
use model::resources::{
    Amount, DiskInfo, DiskVolume, Labels, Persistence, Reservation, ReservationKind, Resource,
    ResourceName, Scalar,
};

pub(crate) fn plain(name: ResourceName, size: u64) -> Resource {
    Resource::plain(name, Amount::Scalar(Scalar::whole(size)))
}

pub(crate) fn dynamic(role: &str) -> Reservation {
    let (kind, role, labels) = (ReservationKind::Dynamic, Role::new(role), Labels::new());
    Reservation { kind, role, principal: None, labels }
}

pub(crate) fn reserved(name: ResourceName, size: u64, role: &str) -> Resource {
    Resource { reservations: vec![dynamic(role)], ..plain(name, size) }
}

/// Disk space that is reserved becomes a volume.
pub(crate) fn volume(space: &Resource, id: &str) -> Resource {
    let persistence = Some(Persistence { id: id.to_owned(), principal: None });
    let (container_path, mode) = ("data".to_owned(), VolumeMode::ReadWrite);
    let volume = Some(DiskVolume { container_path, mode, host_path: None });
    let disk = Some(Box::new(DiskInfo { persistence, volume, source: None }));
    Resource { disk, ..space.clone() }
}
