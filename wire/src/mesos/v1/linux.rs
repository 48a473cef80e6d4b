//! How Linux confines a container: capabilities, seccomp, what it shares with others.

use mesos_v1::capability_info::Capability;
use mesos_v1::linux_info::IpcMode;
use mesos_v1::{CapabilityInfo, LinuxInfo, SeccompInfo};
use model::confinement::{Capabilities, Confinement, Namespaces, Rights, Seccomp, Sharing};

use super::Fault;

/// Mesos numbers them from here, in the kernel's order.
const CAPABILITY_FIRST: i32 = 1000;

const BYTES_PER_MIB: u64 = 1 << 20;

pub(super) fn read(spelled: Option<&LinuxInfo>) -> Result<Confinement, Fault> {
    let Some(linux) = spelled else { return Ok(Confinement::default()) };
    let ipc = ipc(linux)?;
    if ipc == Some(Sharing::Parent) && linux.shm_size.is_some() {
        return Err(Fault::new(
            "'container.linux_info.shm_size' must not be set with the IPC mode SHARE_PARENT",
        ));
    }
    Ok(Confinement {
        rights: rights(linux)?,
        seccomp: linux.seccomp.as_ref().map(seccomp).transpose()?,
        ipc,
        pid: linux.share_pid_namespace.filter(|shared| *shared).map(|_| Sharing::Parent),
        shm_bytes: linux.shm_size.map(|mib| u64::from(mib) * BYTES_PER_MIB),
        ..Confinement::default()
    })
}

/// Of the executor that a group's tasks have as their parent.
pub(super) fn namespaces(spelled: Option<&LinuxInfo>) -> Result<Namespaces, Fault> {
    let Confinement { pid, ipc, shm_bytes, .. } = read(spelled)?;
    Ok(Namespaces { pid, ipc, shm_bytes })
}

fn ipc(linux: &LinuxInfo) -> Result<Option<Sharing>, Fault> {
    if linux.ipc_mode.is_none() {
        return Ok(None);
    }
    match linux.ipc_mode() {
        IpcMode::Private => Ok(Some(Sharing::Private)),
        IpcMode::ShareParent => Ok(Some(Sharing::Parent)),
        IpcMode::Unknown => Err(Fault::new("'container.linux_info.ipc_mode' is unknown")),
    }
}

fn rights(linux: &LinuxInfo) -> Result<Rights, Fault> {
    #[expect(deprecated, reason = "old frameworks say it so")]
    let old = linux.capability_info.as_ref();
    if old.is_some() && linux.effective_capabilities.is_some() {
        return Err(Fault::new(
            "Only one of 'linux_info.capability_info' and 'linux_info.effective_capabilities' may be set",
        ));
    }
    let effective = old.or(linux.effective_capabilities.as_ref()).map(capabilities).transpose()?;
    let bounding = linux.bounding_capabilities.as_ref().map(capabilities).transpose()?;
    if let (Some(effective), Some(bounding)) = (effective, bounding)
        && !bounding.contains(effective)
    {
        return Err(Fault::new(format!(
            "'linux_info.effective_capabilities' has {}, which 'linux_info.bounding_capabilities' lacks",
            effective.without(bounding)
        )));
    }
    Ok(match (effective, bounding) {
        (None, None) => Rights::Usual,
        (effective, bounding) => Rights::Exactly { effective, bounding },
    })
}

fn capabilities(spelled: &CapabilityInfo) -> Result<Capabilities, Fault> {
    spelled.capabilities.iter().try_fold(Capabilities::NONE, |all, one| {
        let number = one.checked_sub(CAPABILITY_FIRST).and_then(|one| u32::try_from(one).ok());
        let known = number.and_then(Capabilities::number);
        known.map(|one| all.with(one)).ok_or_else(|| Fault::new("Unknown capability"))
    })
}

fn seccomp(spelled: &SeccompInfo) -> Result<Seccomp, Fault> {
    match (&spelled.profile_name, spelled.unconfined()) {
        (Some(_), true) => {
            Err(Fault::new("'linux_info.seccomp' must not name a profile and be unconfined"))
        }
        (Some(name), false) => Ok(Seccomp::Profile(name.clone())),
        (None, true) => Ok(Seccomp::Unconfined),
        (None, false) => {
            Err(Fault::new("'linux_info.seccomp' must name a profile or be unconfined"))
        }
    }
}

/// As it was read.
pub(crate) fn spell(confinement: &Confinement) -> Option<LinuxInfo> {
    let (effective, bounding) = match confinement.rights {
        Rights::Exactly { effective, bounding } => (effective, bounding),
        // Said in other words.
        Rights::Usual | Rights::Changed { .. } => (None, None),
    };
    let spelled = LinuxInfo {
        effective_capabilities: effective.map(spell_capabilities),
        bounding_capabilities: bounding.map(spell_capabilities),
        seccomp: confinement.seccomp.as_ref().map(|seccomp| match seccomp {
            Seccomp::Unconfined => SeccompInfo { unconfined: Some(true), profile_name: None },
            Seccomp::Profile(name) => {
                SeccompInfo { unconfined: None, profile_name: Some(name.clone()) }
            }
        }),
        ipc_mode: confinement.ipc.map(|sharing| match sharing {
            Sharing::Private => IpcMode::Private.into(),
            Sharing::Parent => IpcMode::ShareParent.into(),
        }),
        share_pid_namespace: confinement.pid.map(|sharing| sharing == Sharing::Parent),
        shm_size: confinement.shm_bytes.and_then(|bytes| u32::try_from(bytes / BYTES_PER_MIB).ok()),
        ..LinuxInfo::default()
    };
    (spelled != LinuxInfo::default()).then_some(spelled)
}

fn spell_capabilities(all: Capabilities) -> CapabilityInfo {
    let number = |number: u32| i32::try_from(number).ok().map(|number| CAPABILITY_FIRST + number);
    let known = |number: &i32| Capability::try_from(*number).is_ok();
    CapabilityInfo { capabilities: all.numbers().filter_map(number).filter(known).collect() }
}
