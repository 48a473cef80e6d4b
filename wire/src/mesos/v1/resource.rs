//! Resources. How a reservation is spelled depends on what the framework says it can read.

use mesos_v1::resource as v1;
use mesos_v1::resource::disk_info::source::Type as SourceType;
use mesos_v1::resource::reservation_info::Type as ReservationType;
use mesos_v1::{Label, Resource as Spelled, Volume, value, volume};
use model::container::VolumeMode;
use model::framework::{Capability, FrameworkInfo};
use model::id::{ProviderId, Role};
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, DiskVolume, Labels, Persistence, Ranges, Reservation,
    ReservationKind, Resource, ResourceName, Resources, Scalar,
};

use super::Fault;

/// What a framework can read of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Stacks of reservations; otherwise the one that there is, as `role` and `reservation`.
    pub is_refined: bool,
    /// Each resource says which of the framework's roles it is for.
    pub is_allocated: bool,
}

impl Dialect {
    pub fn of(framework: &FrameworkInfo) -> Self {
        Self {
            is_refined: framework.can(Capability::ReservationRefinement),
            is_allocated: framework.can(Capability::MultiRole),
        }
    }
}

/// Operators are shown stacks of reservations.
pub const SHOWN: Dialect = Dialect { is_refined: true, is_allocated: true };

/// As operators are shown them: as a stack of reservations, and the last one as before stacks were invented as well.
/// `role` is the one they are allocated to.
pub fn shown(resources: &Resources, role: Option<&Role>) -> Vec<Spelled> {
    resources.iter().map(|one| shown_one(one, role)).collect()
}

pub(crate) fn shown_one(one: &Resource, role: Option<&Role>) -> Spelled {
    let mut spelled = spell_one(one, SHOWN, role);
    spell_plainly(one, &mut spelled);
    spelled
}

/// Set aside for nobody, and nothing special.
pub(crate) fn is_plain(one: &Resource) -> bool {
    let is_special = one.disk.is_some() || one.provider.is_some() || one.shared || one.revocable;
    one.reservations.is_empty() && !is_special
}

pub(crate) fn provider_id(id: &ProviderId) -> mesos_v1::ResourceProviderId {
    mesos_v1::ResourceProviderId { value: id.as_str().to_owned() }
}

/// `role` is the one they are allocated to.
pub fn spell(resources: &Resources, dialect: Dialect, role: Option<&Role>) -> Vec<Spelled> {
    resources.iter().map(|one| spell_one(one, dialect, role)).collect()
}

fn spell_one(one: &Resource, dialect: Dialect, role: Option<&Role>) -> Spelled {
    let mut spelled = Spelled {
        name: one.name.as_str().to_owned(),
        disk: one.disk.as_deref().map(spell_disk),
        revocable: one.revocable.then(v1::RevocableInfo::default),
        shared: one.shared.then(v1::SharedInfo::default),
        provider_id: one.provider().map(provider_id),
        ..Spelled::default()
    };
    match &one.amount {
        Amount::Scalar(scalar) => {
            spelled.r#type = value::Type::Scalar as i32;
            spelled.scalar = Some(value::Scalar { value: scalar.as_f64() });
        }
        Amount::Ranges(ranges) => {
            spelled.r#type = value::Type::Ranges as i32;
            spelled.ranges = Some(spell_ranges(ranges));
        }
        Amount::Set(items) => {
            spelled.r#type = value::Type::Set as i32;
            spelled.set = Some(value::Set { item: items.iter().cloned().collect() });
        }
    }
    if dialect.is_refined {
        spelled.reservations = one.reservations.iter().map(spell_reservation).collect();
    } else {
        spell_plainly(one, &mut spelled);
    }
    let role = role.filter(|_| dialect.is_allocated);
    spelled.allocation_info =
        role.map(|role| v1::AllocationInfo { role: Some(role.as_str().to_owned()) });
    spelled
}

/// As before stacks were invented.
#[expect(deprecated, reason = "those who can read no stacks are told so")]
fn spell_plainly(one: &Resource, spelled: &mut Spelled) {
    spelled.role = Some(one.role().map_or("*", Role::as_str).to_owned());
    let last = one.reservations.last();
    let dynamic = last.filter(|last| last.kind == ReservationKind::Dynamic);
    spelled.reservation = dynamic.map(|last| v1::ReservationInfo {
        principal: last.principal.clone(),
        labels: spell_labels(&last.labels),
        ..v1::ReservationInfo::default()
    });
}

pub(super) fn spell_ranges(ranges: &Ranges) -> value::Ranges {
    let range = |(begin, end): &(u64, u64)| value::Range { begin: *begin, end: *end };
    value::Ranges { range: ranges.intervals().iter().map(range).collect() }
}

fn spell_reservation(one: &Reservation) -> v1::ReservationInfo {
    let kind = match one.kind {
        ReservationKind::Static => ReservationType::Static,
        ReservationKind::Dynamic => ReservationType::Dynamic,
    };
    v1::ReservationInfo {
        r#type: Some(kind as i32),
        role: Some(one.role.as_str().to_owned()),
        principal: one.principal.clone(),
        labels: spell_labels(&one.labels),
    }
}

fn spell_labels(labels: &Labels) -> Option<mesos_v1::Labels> {
    let label =
        |(key, value): &(String, Option<String>)| Label { key: key.clone(), value: value.clone() };
    (!labels.is_empty()).then(|| mesos_v1::Labels { labels: labels.iter().map(label).collect() })
}

fn spell_disk(disk: &DiskInfo) -> v1::DiskInfo {
    let persistence = |one: &Persistence| v1::disk_info::Persistence {
        id: one.id.clone(),
        principal: one.principal.clone(),
    };
    let spell_volume = |one: &DiskVolume| Volume {
        container_path: one.container_path.clone(),
        host_path: one.host_path.clone(),
        mode: mode(one.mode) as i32,
        ..Volume::default()
    };
    v1::DiskInfo {
        persistence: disk.persistence.as_ref().map(persistence),
        volume: disk.volume.as_ref().map(spell_volume),
        source: disk.source.as_ref().map(spell_source),
    }
}

pub(crate) fn mode(mode: VolumeMode) -> volume::Mode {
    match mode {
        VolumeMode::ReadOnly => volume::Mode::Ro,
        VolumeMode::ReadWrite => volume::Mode::Rw,
    }
}

fn spell_source(source: &DiskSource) -> v1::disk_info::Source {
    let root = || source.root.clone();
    let is = |wanted: DiskKind| source.kind == wanted && source.root.is_some();
    v1::disk_info::Source {
        r#type: disk_type(source.kind) as i32,
        path: is(DiskKind::Path).then(|| v1::disk_info::source::Path { root: root() }),
        mount: is(DiskKind::Mount).then(|| v1::disk_info::source::Mount { root: root() }),
        vendor: source.vendor.clone(),
        id: source.id.clone(),
        metadata: spell_labels(&source.metadata),
        profile: source.profile.clone(),
    }
}

pub(crate) fn disk_type(kind: DiskKind) -> SourceType {
    match kind {
        DiskKind::Unknown => SourceType::Unknown,
        DiskKind::Path => SourceType::Path,
        DiskKind::Mount => SourceType::Mount,
        DiskKind::Block => SourceType::Block,
        DiskKind::Raw => SourceType::Raw,
    }
}

/// Resources as they were given, and the role that they say they are allocated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub all: Vec<Resource>,
    pub role: Option<Role>,
}

/// Judged one by one, and for whether they are all of one role.
pub fn read(spelled: &[Spelled]) -> Result<Read, Fault> {
    let mut role = None;
    for (n, one) in spelled.iter().enumerate() {
        let told = one.allocation_info.as_ref().and_then(|info| info.role.as_deref());
        if n > 0 && role != told {
            return Err(Fault::new("The resources have multiple allocation roles"));
        }
        role = told;
    }
    let all = spelled.iter().map(read_one).collect::<Result<Vec<_>, _>>()?;
    Ok(Read { all, role: role.map(Role::new) })
}

pub fn read_one(spelled: &Spelled) -> Result<Resource, Fault> {
    if spelled.name.is_empty() {
        return Err(Fault::new("Invalid resources: a resource has no name"));
    }
    let name = ResourceName::from(spelled.name.as_str());
    let bad = |why: &str| Fault::new(format!("Invalid resources: '{name}' {why}"));
    if spelled.disk.is_some() && name != ResourceName::Disk {
        return Err(bad("has DiskInfo and is no disk"));
    }
    let amount = amount(&name, spelled)?;
    let disk = spelled.disk.as_ref().map(read_disk).transpose()?;
    let provider = spelled.provider_id.as_ref();
    Ok(Resource {
        amount,
        reservations: reservations(spelled).map_err(|why| bad(&why))?,
        disk: disk.map(Box::new),
        shared: spelled.shared.is_some(),
        revocable: spelled.revocable.is_some(),
        provider: provider.map(|id| Box::new(ProviderId::new(id.value.as_str()))),
        name,
    })
}

fn amount(name: &ResourceName, spelled: &Spelled) -> Result<Amount, Fault> {
    let bad = |why: &str| Fault::new(format!("Invalid resources: '{name}' {why}"));
    let kind = value::Type::try_from(spelled.r#type).map_err(|_| bad("is of an unknown type"))?;
    let given = (spelled.scalar.is_some(), spelled.ranges.is_some(), spelled.set.is_some());
    let amount = match kind {
        value::Type::Scalar if given == (true, false, false) => {
            let number = spelled.scalar.map_or(0.0, |scalar| scalar.value);
            Amount::Scalar(Scalar::from_f64(number).ok_or_else(|| bad("is no sensible number"))?)
        }
        value::Type::Ranges if given == (false, true, false) => {
            let ranges = spelled.ranges.iter().flat_map(|ranges| &ranges.range);
            let mut whole = Ranges::default();
            for range in ranges {
                if range.end < range.begin {
                    return Err(bad("has a range that ends before it begins"));
                }
                let one = Ranges::new([(range.begin, range.end)]);
                if whole.intersects(&one) {
                    return Err(bad("has ranges that overlap"));
                }
                whole = whole.union(&one);
            }
            Amount::Ranges(whole)
        }
        value::Type::Set if given == (false, false, true) => {
            let items = spelled.set.iter().flat_map(|set| &set.item);
            let set = items.clone().cloned().collect::<std::collections::BTreeSet<_>>();
            if set.len() != items.count() {
                return Err(bad("names an item twice"));
            }
            Amount::Set(set)
        }
        value::Type::Scalar | value::Type::Ranges | value::Type::Set | value::Type::Text => {
            return Err(bad("has a value of another type than it says"));
        }
    };
    let fits = match name {
        ResourceName::Ports => matches!(amount, Amount::Ranges(_)),
        ResourceName::Cpus | ResourceName::Mem | ResourceName::Disk | ResourceName::Gpus => {
            matches!(amount, Amount::Scalar(_))
        }
        ResourceName::Other(_) => true,
    };
    if *name == ResourceName::Gpus
        && let Amount::Scalar(gpus) = &amount
        && gpus.0 % 1000 != 0
    {
        return Err(Fault::new("Invalid 'gpus' resource: it must be an unsigned integer"));
    }
    if fits { Ok(amount) } else { Err(bad("is of the wrong type")) }
}

/// Either as a stack or as `role` and `reservation`.
#[expect(deprecated, reason = "those who write no stacks write these")]
fn reservations(spelled: &Spelled) -> Result<Vec<Reservation>, String> {
    let role = spelled.role.as_deref().filter(|role| *role != "*");
    if !spelled.reservations.is_empty() {
        if role.is_some() || spelled.reservation.is_some() {
            return Err("has 'reservations' beside 'role' or 'reservation'".to_owned());
        }
        return spelled.reservations.iter().map(read_reservation).collect();
    }
    match (role, &spelled.reservation) {
        (None, None) => Ok(Vec::new()),
        (None, Some(_)) => Err("is dynamically reserved for no role".to_owned()),
        (Some(role), None) => Ok(vec![Reservation::fixed(Role::new(role))]),
        (Some(role), Some(info)) => Ok(vec![Reservation {
            kind: ReservationKind::Dynamic,
            role: Role::new(role),
            principal: info.principal.clone(),
            labels: read_labels(info.labels.as_ref()),
        }]),
    }
}

fn read_reservation(info: &v1::ReservationInfo) -> Result<Reservation, String> {
    let kind = match info.r#type() {
        ReservationType::Static => ReservationKind::Static,
        ReservationType::Dynamic => ReservationKind::Dynamic,
        ReservationType::Unknown => return Err("has a reservation of no type".to_owned()),
    };
    let role = info.role.as_deref().filter(|role| *role != "*");
    let role = role.ok_or_else(|| "has a reservation for no role".to_owned())?;
    Ok(Reservation {
        kind,
        role: Role::new(role),
        principal: info.principal.clone(),
        labels: read_labels(info.labels.as_ref()),
    })
}

fn read_labels(labels: Option<&mesos_v1::Labels>) -> Labels {
    let all = labels.into_iter().flat_map(|labels| &labels.labels);
    all.map(|label| (label.key.clone(), label.value.clone())).collect()
}

fn read_disk(disk: &v1::DiskInfo) -> Result<DiskInfo, Fault> {
    let bad = |why: &str| Fault::new(format!("Invalid DiskInfo: {why}"));
    let persistence = disk
        .persistence
        .as_ref()
        .map(|one| Persistence { id: one.id.clone(), principal: one.principal.clone() });
    let volume = disk.volume.as_ref().map(|one| {
        if one.image.is_some() || one.source.is_some() {
            return Err(bad("a volume on disk has neither an image nor a source"));
        }
        Ok(DiskVolume {
            container_path: one.container_path.clone(),
            mode: if one.mode() == volume::Mode::Ro {
                VolumeMode::ReadOnly
            } else {
                VolumeMode::ReadWrite
            },
            host_path: one.host_path.clone(),
        })
    });
    let volume = volume.transpose()?;
    let source = disk.source.as_ref().map(read_source);
    if persistence.is_some() && volume.is_none() {
        return Err(bad("Expecting 'volume' to be set for persistent volume"));
    }
    if persistence.is_none() && volume.is_some() {
        return Err(bad("Non-persistent volume not supported"));
    }
    if persistence.is_none() && source.is_none() {
        return Err(bad("DiskInfo is set but empty"));
    }
    Ok(DiskInfo { persistence, volume, source })
}

fn read_source(source: &v1::disk_info::Source) -> DiskSource {
    let path = source.path.as_ref().and_then(|path| path.root.clone());
    let mount = source.mount.as_ref().and_then(|mount| mount.root.clone());
    DiskSource {
        kind: kind(source.r#type()),
        root: path.or(mount),
        vendor: source.vendor.clone(),
        id: source.id.clone(),
        metadata: read_labels(source.metadata.as_ref()),
        profile: source.profile.clone(),
    }
}

pub(super) fn kind(kind: SourceType) -> DiskKind {
    match kind {
        SourceType::Unknown => DiskKind::Unknown,
        SourceType::Path => DiskKind::Path,
        SourceType::Mount => DiskKind::Mount,
        SourceType::Block => DiskKind::Block,
        SourceType::Raw => DiskKind::Raw,
    }
}
