//! What is wrong with resources and with what is to become of them, as strictly as Mesos' master judges. Each fault
//! names the field.

use model::framework::{Capability, FrameworkInfo};
use model::id::Role;
use model::operation::Conversion;
use model::resources::{
    Amount, DiskInfo, DiskKind, Reservation, ReservationKind, Resource, ResourceName, Resources,
    Scalar,
};

use crate::accept::id_fault;
use crate::disks;
use crate::frameworks::is_role;

/// Who wants a conversion, and what is known of the agent.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) applicant: Applicant<'a>,
    pub(crate) claims: &'a Resources,
    /// By tasks, whoever's they are.
    pub(crate) in_use: &'a Resources,
}

#[derive(Debug)]
pub(crate) enum Applicant<'a> {
    /// The role is that of the offers it accepts.
    Framework {
        info: &'a FrameworkInfo,
        role: &'a Role,
    },
    Operator {
        principal: Option<&'a str>,
    },
}

impl Applicant<'_> {
    fn principal(&self) -> Option<&str> {
        match self {
            Applicant::Framework { info, .. } => info.principal.as_deref(),
            Applicant::Operator { principal } => *principal,
        }
    }
}

pub(crate) type Judgement = Result<(), String>;

pub(crate) fn judge(is_good: bool, fault: impl FnOnce() -> String) -> Judgement {
    if is_good { Ok(()) } else { Err(fault()) }
}

/// What is wrong with a conversion, if anything. Whether what it uses up is there is asked afterwards.
pub(crate) fn conversion(conversion: &Conversion, case: &Case<'_>) -> Judgement {
    match conversion {
        Conversion::Reserve { source, resources } => reserve(source, resources, case),
        Conversion::Unreserve { resources } => unreserve(resources),
        Conversion::Create { volumes } => create(volumes, case),
        Conversion::Destroy { volumes } => destroy(volumes, case),
        Conversion::GrowVolume { volume, addition } => grow(volume, addition),
        Conversion::ShrinkVolume { volume, subtract } => shrink(volume, *subtract),
        Conversion::CreateDisk { source, target, profile } => {
            disks::create(source, *target, profile.as_deref())
        }
        Conversion::DestroyDisk { source } => disks::destroy(source),
    }
}

/// Each of a list, with the field and its number before its fault.
fn all(field: &str, resources: &[Resource]) -> Judgement {
    each(field, resources, one)
}

fn each(field: &str, of: &[Resource], judge: impl Fn(&Resource) -> Judgement) -> Judgement {
    let mut all = of.iter().enumerate();
    all.try_for_each(|(at, one)| judge(one).map_err(|fault| format!("{field}[{at}].{fault}")))
}

/// What can be wrong with any resource.
pub(crate) fn one(one: &Resource) -> Judgement {
    judge(!one.name.as_str().is_empty(), || "name: it is empty".to_owned())?;
    let is_whole =
        one.name != ResourceName::Gpus || one.scalar().0.is_multiple_of(Scalar::whole(1).0);
    judge(is_whole, || format!("scalar: {} gpus are not a whole number", one.scalar()))?;
    if let Some(info) = &one.disk {
        disk(one, info)?;
    }
    stack(&one.reservations)?;
    let is_revocable_reservation = one.revocable && one.is_dynamically_reserved();
    judge(!is_revocable_reservation, || {
        "revocable: what may be taken away cannot be reserved".to_owned()
    })?;
    judge(!one.shared || one.is_persistent_volume(), || {
        "shared: only a persistent volume can be shared".to_owned()
    })
}

fn disk(one: &Resource, info: &DiskInfo) -> Judgement {
    judge(one.name == ResourceName::Disk, || {
        format!("disk: it is given for {}, which is not the disk", one.name)
    })?;
    if let Some(source) = &info.source {
        let is_place = source.root.is_some();
        let without_place = match source.kind {
            DiskKind::Unknown => return Err("disk.source.type: it is not known".to_owned()),
            DiskKind::Path | DiskKind::Mount => false,
            DiskKind::Block | DiskKind::Raw => true,
        };
        judge(!(is_place && without_place), || {
            "disk.source: a block or raw disk has neither mount nor path".to_owned()
        })?;
    }
    let Some(persistence) = &info.persistence else {
        judge(info.volume.is_none(), || {
            "disk.volume: only a persistent one is supported, and disk.persistence is not set"
                .to_owned()
        })?;
        return judge(info.source.is_some(), || "disk: it is set but empty".to_owned());
    };
    judge(!one.revocable, || {
        "disk.persistence: what may be taken away cannot be made a persistent volume".to_owned()
    })?;
    judge(!one.reservations.is_empty(), || {
        "disk.persistence: what is not reserved cannot be made a persistent volume".to_owned()
    })?;
    let volume = info.volume.as_ref();
    let volume = volume.ok_or("disk.volume: a persistent volume needs it")?;
    judge(volume.host_path.is_none(), || {
        "disk.volume.host_path: a persistent volume has none of its own".to_owned()
    })?;
    match id_fault("volume", &persistence.id) {
        Some(fault) => Err(format!("disk.persistence.id: {fault}")),
        None => Ok(()),
    }
}

/// Each reservation refines the one before it.
fn stack(stack: &[Reservation]) -> Judgement {
    for (at, reservation) in stack.iter().enumerate() {
        let role = &reservation.role;
        let fault = |why: String| format!("reservations[{at}].{why}");
        judge(is_role(role), || fault(format!("role: {:?} is not a role", role.as_str())))?;
        judge(*role != Role::star(), || fault("role: nothing is reserved for \"*\"".to_owned()))?;
        let Some(outer) = at.checked_sub(1).map(|before| &stack[before].role) else { continue };
        judge(reservation.kind == ReservationKind::Dynamic, || {
            fault("type: only the first can be STATIC".to_owned())
        })?;
        judge(role != outer && role.is_within(outer), || {
            fault(format!("role: {role} is not below {outer}, which it is to refine"))
        })?;
    }
    Ok(())
}

fn reserve(source: &[Resource], resources: &[Resource], case: &Case<'_>) -> Judgement {
    all("resources", resources)?;
    all("source", source)?;
    disks::of_one_provider("resources", resources)?;
    if !source.is_empty() {
        reserve_from(source, resources)?;
    }
    each("resources", resources, |one| {
        judge(one.is_dynamically_reserved(), || {
            "reservations: the last is to be DYNAMIC".to_owned()
        })?;
        let last = one.reservations.last().expect("it is dynamically reserved");
        if let Some(principal) = case.applicant.principal() {
            judge(last.principal.as_deref() == Some(principal), || {
                format!(
                    "reservations: the last names principal {}, but {principal} reserves it",
                    last.principal.as_deref().unwrap_or("none")
                )
            })?;
        }
        let Applicant::Framework { role, .. } = &case.applicant else { return Ok(()) };
        judge(last.role == **role, || {
            format!("reservations: the last is for role {}, but the offer is to {role}", last.role)
        })
    })?;
    // What is reserved again must stay one thing.
    each("resources", resources, |one| {
        judge(source.is_empty() || !one.is_persistent_volume(), || {
            "disk.persistence: a volume keeps its reservation".to_owned()
        })
    })
}

/// One stack becomes another.
fn reserve_from(source: &[Resource], resources: &[Resource]) -> Judgement {
    for (field, all) in [("source", source), ("resources", resources)] {
        let first = all.first().ok_or_else(|| format!("{field}: it is empty"))?;
        judge(all.iter().all(|one| one.reservations == first.reservations), || {
            format!("{field}: all are to have the same reservations")
        })?;
    }
    let unreserved = |all: &[Resource]| {
        Resources::new(all.iter().map(|one| Resource { reservations: vec![], ..one.clone() }))
    };
    let (before, after) = (unreserved(source), unreserved(resources));
    judge(before == after, || {
        format!(
            "source: it is {before}, and resources are {after}: they are to be the same but for reservations"
        )
    })
}

fn unreserve(resources: &[Resource]) -> Judgement {
    all("resources", resources)?;
    disks::of_one_provider("resources", resources)?;
    each("resources", resources, |one| {
        judge(one.is_dynamically_reserved(), || {
            "reservations: the last is not DYNAMIC, and only such a one can be taken back"
                .to_owned()
        })?;
        judge(!one.is_persistent_volume(), || {
            "disk.persistence: destroy the volume first".to_owned()
        })
    })
}

fn create(volumes: &[Resource], case: &Case<'_>) -> Judgement {
    all("volumes", volumes)?;
    disks::of_one_provider("volumes", volumes)?;
    each("volumes", volumes, is_persistent)?;
    let mut taken = case.claims.clone();
    taken.add(&Resources::new(volumes.iter().map(|one| Resource { shared: false, ..one.clone() })));
    judge_unique(&taken).map_err(|fault| format!("volumes: {fault}"))?;
    each("volumes", volumes, |one| {
        if let Applicant::Framework { info, .. } = &case.applicant {
            judge(!one.shared || info.can(Capability::SharedResources), || {
                "shared: the framework lacks the capability SHARED_RESOURCES".to_owned()
            })?;
        }
        let Some(principal) = case.applicant.principal() else { return Ok(()) };
        let named = one.persistence().and_then(|persistence| persistence.principal.as_deref());
        judge(named == Some(principal), || {
            format!(
                "disk.persistence.principal: it is {}, but {principal} creates it",
                named.unwrap_or("none")
            )
        })
    })
}

fn destroy(volumes: &[Resource], case: &Case<'_>) -> Judgement {
    all("volumes", volumes)?;
    disks::of_one_provider("volumes", volumes)?;
    each("volumes", volumes, |one| {
        is_persistent(one)?;
        let this = Resources::new([one.clone()]);
        judge(case.claims.contains(&this), || {
            format!("disk.persistence.id: the agent has no volume {this}")
        })?;
        judge(!case.in_use.contains(&this), || {
            format!("disk.persistence.id: the volume {this} is in use")
        })
    })
}

fn grow(volume: &Resource, addition: &Resource) -> Judgement {
    one(volume).map_err(|fault| format!("volume.{fault}"))?;
    one(addition).map_err(|fault| format!("addition.{fault}"))?;
    judge(!addition.scalar().is_zero(), || {
        "addition.scalar: it is to be greater than zero".to_owned()
    })?;
    disks::is_own("volume", volume)?;
    is_persistent(volume).map_err(|fault| format!("volume.{fault}"))?;
    judge(!volume.shared, || "volume.shared: a shared volume cannot grow".to_owned())?;
    let space = volume.without_volume();
    judge(!space.is_whole() && space.sized(addition.scalar()) == *addition, || {
        "addition: it is not of the same disk, with the same reservations, as the volume".to_owned()
    })
}

fn shrink(volume: &Resource, subtract: Scalar) -> Judgement {
    one(volume).map_err(|fault| format!("volume.{fault}"))?;
    judge(!subtract.is_zero(), || "subtract: it is to be greater than zero".to_owned())?;
    judge(subtract < volume.scalar(), || {
        format!("subtract: it is to be less than the {} that the volume has", volume.scalar())
    })?;
    disks::is_own("volume", volume)?;
    let is_mount = volume.source().is_some_and(|source| source.kind == DiskKind::Mount);
    judge(!is_mount, || "volume.disk.source.type: a MOUNT disk cannot shrink".to_owned())?;
    is_persistent(volume).map_err(|fault| format!("volume.{fault}"))?;
    judge(!volume.shared, || "volume.shared: a shared volume cannot shrink".to_owned())
}

fn is_persistent(one: &Resource) -> Judgement {
    let info = one.disk.as_ref().ok_or("disk: it is not set, and this is to be a volume")?;
    judge(info.persistence.is_some(), || "disk.persistence: it is not set".to_owned())?;
    let volume = info.volume.as_ref().ok_or("disk.volume: a persistent volume needs it")?;
    judge(volume.mode == model::container::VolumeMode::ReadWrite, || {
        "disk.volume.mode: a persistent volume is created RW".to_owned()
    })?;
    judge(matches!(one.amount, Amount::Scalar(_)), || "type: a disk is a SCALAR".to_owned())
}

/// No two volumes of a role share a name.
fn judge_unique(resources: &Resources) -> Judgement {
    let id = |one: &Resource| one.persistence().map(|named| named.id.clone()).unwrap_or_default();
    let twice = resources.volume_named_twice().map(id);
    twice.map_or(Ok(()), |id| Err(format!("the role has two volumes of the id {id:?}")))
}

/// What can be wrong with the resources of tasks, whoever offers them; each volume may be named once.
pub(crate) fn used(resources: &Resources) -> Judgement {
    resources.iter().try_for_each(one).map_err(|fault| format!("resources.{fault}"))?;
    used_together(resources)
}

/// The same of what tasks and their executor use together, each of which was judged.
pub(crate) fn used_together(resources: &Resources) -> Judgement {
    judge_unique(resources).map_err(|fault| format!("resources: {fault}"))?;
    let mixed = resources.iter().find(|one| {
        one.revocable && resources.iter().any(|other| other.name == one.name && !other.revocable)
    });
    match mixed {
        Some(one) => {
            Err(format!("resources: some {} may be taken away and some may not", one.name))
        }
        None => Ok(()),
    }
}
