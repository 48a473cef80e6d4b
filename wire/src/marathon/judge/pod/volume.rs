//! The volumes of a pod: each of one kind, each used by a container.

use std::collections::BTreeMap;

use services::spec::pod::{PodVolume, VolumeSource};

use super::super::faults::Faults;
use super::super::volume::persistent;
use super::{distinct, name, path};
use crate::marathon::pod::{self as written, Pod};

pub(super) fn judge(
    pod: &Pod,
    secrets: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> Vec<PodVolume> {
    let mounts = pod.containers.iter().flatten().flat_map(|one| one.volume_mounts.iter().flatten());
    let used: Vec<_> = mounts.filter_map(|mount| mount.name.as_deref()).collect();
    let mut volumes = Vec::new();
    for (n, volume) in pod.volumes.iter().flatten().enumerate() {
        let at = format!("/volumes({n})");
        let judged = faults.within(&at, |faults| judge_one(volume, secrets, faults));
        if !used.contains(&judged.name.as_str()) {
            faults.add(at, "volume must be referenced by at least one container");
        }
        volumes.push(judged);
    }
    let names = volumes.iter().map(|volume| &volume.name);
    distinct(names, "/volumes", "volume names must be unique", faults);
    volumes
}

fn judge_one(
    volume: &written::PodVolume,
    secrets: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> PodVolume {
    let name = name("/name", volume.name.as_deref(), faults);
    let source = match (&volume.host, &volume.persistent, &volume.secret) {
        (None, None, None) => VolumeSource::Ephemeral,
        (Some(host), None, None) => {
            path("/host", host, faults);
            VolumeSource::Host(host.clone())
        }
        (None, Some(info), None) => VolumeSource::Persistent(
            faults.within("/persistent", |faults| persistent(info, faults)),
        ),
        (None, None, Some(secret)) => {
            if !secrets.contains_key(secret) {
                faults.add("/secret", "volume.secret must refer to an existing secret");
            }
            VolumeSource::Secret(secret.clone())
        }
        (_, _, _) => {
            faults.add("/", "must be one of host, persistent, secret and ephemeral");
            VolumeSource::Ephemeral
        }
    };
    PodVolume { name, source }
}
