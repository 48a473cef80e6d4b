//! What an operator lets containers ask for, and what becomes of what one asks: decided by the daemon, once for a launch,
//! so that a shim has only to carry it out.

use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use model::confinement::{Capabilities, Device, Rights, Seccomp, Sharing};

use crate::filters::Filters;
use crate::spec::{Root, Spec};

/// What the operator of an agent says.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Of containers that do not say themselves what root may do in them.
    pub effective_capabilities: Option<Capabilities>,
    /// None has more, whatever it asks for.
    pub bounding_capabilities: Option<Capabilities>,
    /// Where named seccomp profiles lie, in Docker's format.
    pub seccomp_profiles: Option<PathBuf>,
    /// Of containers with an image that name none; our own if unset.
    pub seccomp_default: Option<String>,
    /// Devices that a container may ask for, by their paths.
    pub devices: Vec<PathBuf>,
    /// Devices that are handed out to one container at a time: nobody else opens them.
    pub handed_out: Vec<PathBuf>,
    /// Of `/dev/shm`; 64 MiB in a container with an image if unset.
    pub shm_bytes: Option<u64>,
    /// Which users of the machine those of containers are that have users of their own; none can if unset.
    pub user_ids: Option<IdMap>,
    /// Whether containers with an image have, unless they say that they do not.
    pub map_users: bool,
    /// May it see the processes of the machine?
    pub share_pid: bool,
    /// May it use the shared memory of the machine?
    pub share_ipc: bool,
}

/// What Docker leaves to root in a container.
const OF_ROOT: Capabilities = Capabilities(0xa004_25fb);

/// Of use only where the device controller says which devices may be opened, so not with version 2.
const TO_MAKE_DEVICES: Capabilities = Capabilities(1 << 27);

/// To read, to write, and to make a node of it.
const ACCESS_ALL: &str = "rwm";

/// How much of the machine a container may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Containers with an image cannot reach the host, unless they shall.
    Confined,
    /// Tasks without an image are part of the host.
    Open,
}

pub(crate) fn reach(spec: &Spec) -> Reach {
    if spec.privileged || matches!(spec.root, Root::Host) { Reach::Open } else { Reach::Confined }
}

/// What a shim is to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Granted {
    #[n(0)]
    pub(crate) effective: Capabilities,
    #[n(1)]
    pub(crate) bounding: Capabilities,
    /// Users other than root have them, too.
    #[n(2)]
    pub(crate) whoever: bool,
    #[n(3)]
    pub(crate) filter: FilterOf,
    #[n(4)]
    pub(crate) devices: Vec<Node>,
    #[n(5)]
    pub(crate) shm_bytes: Option<u64>,
    /// Devices that it may not open, though it may open others of the machine.
    #[cbor(n(6), default)]
    pub(crate) denied: Vec<Node>,
    #[n(7)]
    pub(crate) users: Option<IdMap>,
}

/// Users and groups of a container, from 0 on, as others of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct IdMap {
    /// Of the machine, the container's root.
    #[n(0)]
    pub first: u32,
    #[n(1)]
    pub count: u32,
}

impl IdMap {
    /// Of the machine.
    pub(crate) fn of(self, id: u32) -> Result<u32, String> {
        let mapped = (id < self.count).then(|| self.first.checked_add(id)).flatten();
        mapped.ok_or_else(|| {
            format!("the id {id} is none of the container's {} users and groups", self.count)
        })
    }
}

/// Which system calls are filtered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum FilterOf {
    #[n(0)]
    None,
    /// The one that the zygote has at hand.
    #[n(1)]
    Usual,
    /// A program for the kernel's filter machine.
    #[n(2)]
    Own(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

/// A device of the machine, as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Node {
    #[n(0)]
    pub(crate) path: String,
    #[n(1)]
    pub(crate) is_block: bool,
    #[n(2)]
    pub(crate) major: u32,
    #[n(3)]
    pub(crate) minor: u32,
    #[n(4)]
    pub(crate) access: String,
}

/// Of the machine, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    pub(crate) devices_are_controlled: bool,
    pub(crate) allow_privileged: bool,
}

/// What a container is granted; in words for its user, why it is not.
pub(crate) fn grant(
    spec: &Spec,
    policy: &Policy,
    ground: Ground,
    filters: &Filters,
) -> Result<Granted, String> {
    if spec.privileged && !ground.allow_privileged {
        return Err("privileged containers are not allowed on this agent".into());
    }
    shared(spec, policy)?;
    let confinement = &spec.confinement;
    let usual = match reach(spec) {
        Reach::Open => Capabilities::ALL,
        Reach::Confined if ground.devices_are_controlled => OF_ROOT.with(TO_MAKE_DEVICES),
        Reach::Confined => OF_ROOT,
    };
    let (effective, bounding) = capabilities(confinement.rights, policy, usual)?;
    let whoever = match confinement.rights {
        Rights::Exactly { effective, .. } => effective.is_some(),
        Rights::Usual => policy.effective_capabilities.is_some(),
        Rights::Changed { .. } => false,
    };
    let asked = confinement.devices.iter().map(|device| {
        may_ask_for(device, policy, spec)?;
        node(device)
    });
    let devices = asked.chain(spec.devices.iter().map(node));
    Ok(Granted {
        effective,
        bounding,
        whoever,
        filter: filter(spec, policy, bounding, filters)?,
        devices: devices.collect::<Result<_, String>>()?,
        shm_bytes: confinement.shm_bytes.or(policy.shm_bytes),
        users: users(spec, policy)?,
        denied: if spec.privileged { Vec::new() } else { denied(spec, policy) },
    })
}

/// Whether root is root outside as well.
fn users(spec: &Spec, policy: &Policy) -> Result<Option<IdMap>, String> {
    let has_image = matches!(spec.root, Root::Image { .. });
    let wanted = match spec.confinement.users {
        Some(Sharing::Parent) => false,
        Some(Sharing::Private) => true,
        None => policy.map_users && has_image && !spec.privileged,
    };
    let joins = spec.shares.as_ref().is_some_and(|shares| shares.pid || shares.ipc)
        || spec.is_nested()
            && [spec.confinement.pid, spec.confinement.ipc].contains(&Some(Sharing::Parent));
    match (wanted, policy.user_ids) {
        (false, _) => Ok(None),
        (true, Some(_)) if joins => Err(
            "users of its own do not go with process numbers or shared memory of another container: share neither"
                .into(),
        ),
        (true, None) => Err("users of its own are not there for a container of this agent; its operator can say which they \
                             are: isolation.user_namespaces"
            .into()),
        (true, Some(_)) if !has_image => Err(
            "users of its own need an image: without one the container sees the machine's files, which are the machine's \
             users'"
                .into(),
        ),
        (true, Some(_)) if spec.privileged => {
            Err("a privileged container cannot have users of its own: say userns=host".into())
        }
        (true, Some(map)) => Ok(Some(map)),
    }
}

/// Those that others have, or may have.
fn denied(spec: &Spec, policy: &Policy) -> Vec<Node> {
    let is_own = |path: &&PathBuf| {
        spec.devices.iter().any(|own| path.as_path() == Path::new(&own.host_path))
    };
    let others = policy.handed_out.iter().filter(|path| !is_own(path));
    let others = others.map(|path| path.display().to_string());
    let device = |path: String| Device {
        container_path: path.clone(),
        host_path: path,
        access: ACCESS_ALL.to_owned(),
    };
    // One that is not there cannot be opened, either.
    others.filter_map(|path| node(&device(path)).ok()).collect()
}

fn shared(spec: &Spec, policy: &Policy) -> Result<(), String> {
    let asked = [
        (spec.confinement.pid, policy.share_pid, "the processes", "pid"),
        (spec.confinement.ipc, policy.share_ipc, "the shared memory", "ipc"),
    ];
    let common = spec.shares.as_ref();
    let common = [common.is_some_and(|one| one.pid), common.is_some_and(|one| one.ipc)];
    for ((sharing, is_allowed, what, key), is_common) in asked.into_iter().zip(common) {
        let of_machine = sharing == Some(Sharing::Parent) && !spec.is_nested() && !is_common;
        if of_machine && !is_allowed {
            return Err(format!(
                "sharing {what} of the machine is not allowed on this agent; its operator can allow it: \
                 isolation.share_{key}"
            ));
        }
    }
    Ok(())
}

/// Effective and bounding, as Mesos settles them between the two who may say it.
fn capabilities(
    rights: Rights,
    policy: &Policy,
    usual: Capabilities,
) -> Result<(Capabilities, Capabilities), String> {
    let most = policy.bounding_capabilities;
    let of_operator = policy.effective_capabilities;
    let base = || match (of_operator, most) {
        (Some(effective), _) => effective,
        (None, Some(most)) => usual.within(most),
        (None, None) => usual,
    };
    let (effective, bounding) = match rights {
        Rights::Usual => (base(), most.unwrap_or_else(base)),
        Rights::Changed { add, drop } => {
            let kept = base().without(drop);
            // What is added stays even if all others are dropped.
            let kept = if drop == Capabilities::ALL { add } else { kept.with(add.without(drop)) };
            (kept, kept)
        }
        Rights::Exactly { effective: None, bounding: Some(bounding) } => {
            (base().within(bounding), bounding)
        }
        Rights::Exactly { effective, bounding } => {
            let effective = effective.unwrap_or_else(base);
            (effective, bounding.or(most).unwrap_or(effective))
        }
    };
    let most = most.unwrap_or(Capabilities::ALL);
    if !most.contains(effective.with(bounding)) {
        let asked = effective.with(bounding).without(most);
        return Err(format!(
            "the capabilities {asked} are not allowed on this agent: isolation.bounding_capabilities"
        ));
    }
    if !bounding.contains(effective) {
        let asked = effective.without(bounding);
        return Err(format!(
            "the capabilities {asked} are effective but not within the bounding ones"
        ));
    }
    Ok((effective, bounding))
}

fn filter(
    spec: &Spec,
    policy: &Policy,
    bounding: Capabilities,
    filters: &Filters,
) -> Result<FilterOf, String> {
    let named = match (&spec.confinement.seccomp, reach(spec)) {
        (Some(Seccomp::Unconfined), _) | (None, Reach::Open) => return Ok(FilterOf::None),
        (Some(Seccomp::Profile(name)), _) => Some(name),
        (None, Reach::Confined) => policy.seccomp_default.as_ref(),
    };
    match named {
        Some(name) => filters.named(policy.seccomp_profiles.as_deref(), name, bounding),
        None => filters.usual(bounding),
    }
}

/// A privileged container has them all, and only names them otherwise.
fn may_ask_for(device: &Device, policy: &Policy, spec: &Spec) -> Result<(), String> {
    let (path, named) = (Path::new(&device.host_path), &device.host_path);
    let is_in = |all: &[PathBuf]| all.iter().any(|one| one == path);
    match (spec.privileged, is_in(&policy.handed_out), is_in(&policy.devices)) {
        (true, _, _) | (false, false, true) => Ok(()),
        (false, true, _) => Err(format!(
            "the device {named} is handed out by the agent; ask for it with the task's gpus"
        )),
        (false, false, false) => Err(format!(
            "the device {named} is not allowed on this agent; its operator can allow it: isolation.devices"
        )),
    }
}

fn node(device: &Device) -> Result<Node, String> {
    let path = PathBuf::from(&device.host_path);
    let found =
        std::fs::metadata(&path).map_err(|e| format!("the device {}: {e}", device.host_path))?;
    let kind = found.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return Err(format!("{} is no device", device.host_path));
    }
    let number = found.st_rdev();
    Ok(Node {
        path: device.container_path.clone(),
        is_block: kind.is_block_device(),
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
        access: device.access.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Capabilities = Capabilities(1);
    const B: Capabilities = Capabilities(2);
    const AB: Capabilities = Capabilities(3);
    const USUAL: Capabilities = Capabilities(7);

    #[test]
    fn capabilities_are_settled_between_operator_and_task() {
        let exactly = |effective, bounding| Rights::Exactly { effective, bounding };
        let check = |operator: (Option<_>, Option<_>), rights, expected: Option<(_, _)>| {
            let policy = Policy {
                effective_capabilities: operator.0,
                bounding_capabilities: operator.1,
                ..Policy::default()
            };
            let settled = capabilities(rights, &policy, USUAL).ok();
            assert_eq!(settled, expected, "{operator:?} {rights:?}");
        };
        let none = Capabilities::NONE;
        check((None, None), Rights::Usual, Some((USUAL, USUAL)));
        check((Some(A), None), Rights::Usual, Some((A, A)));
        check((None, Some(AB)), Rights::Usual, Some((AB, AB)));
        check((Some(A), Some(AB)), Rights::Usual, Some((A, AB)));
        check((None, None), exactly(Some(A), None), Some((A, A)));
        check((Some(AB), None), exactly(Some(A), None), Some((A, A)));
        check((None, None), exactly(Some(none), Some(A)), Some((none, A)));
        check((None, None), exactly(None, Some(A)), Some((A, A)));
        check((None, Some(A)), exactly(Some(AB), None), None);
        check((None, Some(A)), exactly(None, Some(AB)), None);
        check((None, None), exactly(Some(AB), Some(A)), None);
        let changed = |add, drop| Rights::Changed { add, drop };
        check(
            (None, None),
            changed(Capabilities(8), none),
            Some((Capabilities(15), Capabilities(15))),
        );
        check((None, None), changed(none, Capabilities::ALL), Some((none, none)));
        check((None, None), changed(B, Capabilities::ALL), Some((B, B)));
        check((None, Some(A)), changed(B, none), None);
    }
}
