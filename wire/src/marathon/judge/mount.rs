//! The volumes of an app's container: paths of the agent, and those that are more.

use model::container::{ContainerKind, Volume, VolumeMode};
use services::spec::volume::{AppVolume, AppVolumeSource, DiskKind, PersistentVolume};

use super::container::Around;
use super::faults::Faults;
use super::{external, volume};
use crate::marathon::container::{Container, Volume as Written};
use crate::marathon::shared;

/// Volumes by where a spec keeps them.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) of_agent: Vec<Volume>,
    pub(super) others: Vec<AppVolume>,
}

pub(super) fn judge(
    container: &Container,
    kind: ContainerKind,
    around: &Around<'_>,
    faults: &mut Faults,
) -> Volumes {
    let mut volumes = Volumes::default();
    for (n, written) in container.volumes.iter().flatten().enumerate() {
        let at = u32::try_from(n).unwrap_or(u32::MAX);
        faults.within(&format!("/container/volumes({n})"), |faults| {
            judge_one(at, written, (kind, around), &mut volumes, faults);
        });
    }
    external::names_differ(&volumes.others, faults);
    volumes
}

fn judge_one(
    at: u32,
    written: &Written,
    (kind, around): (ContainerKind, &Around<'_>),
    volumes: &mut Volumes,
    faults: &mut Faults,
) {
    let container_path = written.container_path.clone().unwrap_or_default();
    if container_path.is_empty() {
        faults.add("/containerPath", "must not be empty");
    }
    let mut keep = |mode, source| {
        let container_path = container_path.clone();
        volumes.others.push(AppVolume { at, container_path, mode, source });
    };
    if let Some(info) = &written.persistent {
        in_sandbox(&container_path, faults);
        if written.mode.as_deref() != Some("RW") {
            faults.add("/mode", "must be RW for a persistent volume");
        }
        let info = faults.within("/persistent", |faults| persistent(info, faults));
        keep(VolumeMode::ReadWrite, AppVolumeSource::Persistent(info));
    } else if let Some(info) = &written.external {
        let mode = mode(written, faults);
        let mount = external::Mount { path: &container_path, mode, kind };
        if let Some(source) = external::judge(info, mount, faults) {
            keep(mode, source);
        }
    } else if let Some(secret) = &written.secret {
        if !around.secrets.contains_key(secret) {
            faults.add("/", "volume.secret must refer to an existing secret");
        }
        keep(VolumeMode::ReadOnly, AppVolumeSource::Secret(secret.clone()));
    } else {
        let host_path = written.host_path.clone().unwrap_or_default();
        if host_path.is_empty() {
            faults.add("/hostPath", "must not be empty");
        }
        let mode = mode(written, faults);
        volumes.of_agent.push(Volume { container_path, host_path, mode });
    }
}

fn mode(written: &Written, faults: &mut Faults) -> VolumeMode {
    match written.mode.as_deref() {
        Some("RO") => VolumeMode::ReadOnly,
        Some("RW") => VolumeMode::ReadWrite,
        None | Some(_) => {
            faults.add("/mode", "must be RO or RW");
            VolumeMode::ReadOnly
        }
    }
}

/// A directory that lies directly in the sandbox.
fn in_sandbox(path: &str, faults: &mut Faults) {
    if path.contains('/') {
        faults.add("/containerPath", "value must not contain \"/\"");
    }
    if [".", ".."].contains(&path) {
        faults.add("/containerPath", "can not be one of (.,..)");
    }
}

fn persistent(info: &shared::PersistentVolume, faults: &mut Faults) -> PersistentVolume {
    let judged = volume::persistent(info, faults);
    if matches!(judged.kind, None | Some(DiskKind::Root)) && !judged.constraints.is_empty() {
        faults.add("/constraints", "Constraints on root volumes are not supported");
    }
    if judged.size_max.is_some_and(|max| max <= judged.size) {
        faults.add("/maxSize", "Max size must be larger than size");
    }
    let usual = if judged.profile.is_some() { DiskKind::Mount } else { DiskKind::Root };
    PersistentVolume { kind: judged.kind.or(Some(usual)), ..judged }
}
