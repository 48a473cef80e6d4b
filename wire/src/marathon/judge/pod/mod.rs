//! From a pod as it was written to the spec that is kept: defaults filled in, all faults told with their paths.

mod check;
mod container;
mod endpoint;
mod scheduling;
mod volume;

use std::collections::{BTreeMap, BTreeSet};

use services::Fault;
use services::spec::network::{Network, NetworkMode};
use services::spec::pod::{PodSpec, VolumeSource};
use services::spec::resource::Amounts;
use services::spec::{AppId, AppSpec, Process};

use super::faults::Faults;
use super::quantity::{Limits, scalar};
use super::{Rules, linux, network, placement, secret};
use crate::marathon::app::App;
use crate::marathon::pod::{Pod, Resources, Scaling};
use crate::marathon::reading::ReadPod;

/// What the RAML calls `Name`.
const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const NAME_CHARS_MAX: usize = 63;
/// What the RAML calls `Path`.
const PATH_CHARS_MAX: usize = 1024;

/// The same as [`pod`] for what was read from a body, its unreadable fields told as well.
pub fn read(read: ReadPod, rules: &Rules) -> Result<AppSpec, Vec<Fault>> {
    let ReadPod { pod: readable, faults } = read;
    super::unreadable_too(faults, pod(readable, rules))
}

/// The spec that `pod` describes, or everything that is wrong with it.
pub fn pod(pod: Pod, rules: &Rules) -> Result<AppSpec, Vec<Fault>> {
    let mut faults = Faults::default();
    let id = id(&pod, &mut faults);
    if pod.user.as_deref() == Some("") {
        faults.add("/user", "must not be empty");
    }
    let networks = network::judge(pod.networks.as_deref().unwrap_or_default(), &mut faults);
    let secrets = secret::judge(pod.secrets.as_ref(), &mut faults);
    let spec = spec(&pod, &networks, &secrets, &mut faults);
    let resident = spec.volumes.iter().any(|one| matches!(one.source, VolumeSource::Persistent(_)));
    let policy = scheduling::judge(&pod, resident, &mut faults);
    let scaling = pod.scaling.as_ref();
    let instances = scaling.map_or(1, |scaling| instances(scaling, &mut faults));
    let roles = App {
        role: pod.role.clone(),
        accepted_resource_roles: policy.accepted_roles.clone(),
        ..App::default()
    };
    let role = placement::role(&roles, id.as_ref(), rules, &mut faults);
    let accepted_roles = placement::accepted_roles(&roles, id.as_ref(), rules, &mut faults);
    let (Some(id), true) = (id, faults.is_empty()) else { return Err(faults.into_vec()) };
    let Amounts { cpus, mem, disk, gpus } = spec.total();
    Ok(AppSpec {
        user: pod.user,
        labels: pod.labels.unwrap_or_default(),
        cpus,
        mem,
        disk,
        gpus,
        instances,
        ports: spec.ports(),
        constraints: policy.constraints,
        upgrade: policy.upgrade,
        backoff: policy.backoff,
        kill_selection: policy.kill_selection,
        unreachable: policy.unreachable,
        accepted_roles,
        role,
        networks,
        secrets,
        pod: Some(spec),
        ..AppSpec::new(id, Process::Image)
    })
}

fn id(pod: &Pod, faults: &mut Faults) -> Option<AppId> {
    let Some(text) = pod.id.as_deref() else {
        faults.add("/id", "undefined");
        return None;
    };
    if !text.starts_with('/') {
        faults.add("/id", "Path needs to be absolute");
    }
    super::path_id(text).map_err(|message| faults.add("/id", message)).ok()
}

fn spec(
    pod: &Pod,
    networks: &[Network],
    secrets: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> PodSpec {
    let written = pod.containers.as_deref().unwrap_or_default();
    match &pod.containers {
        None => faults.add("/containers", "undefined"),
        Some(none) if none.is_empty() => faults.add("/containers", "must not be empty"),
        Some(_) => {}
    }
    let volumes = volume::judge(pod, secrets, faults);
    let surroundings = container::Surroundings {
        networks,
        secrets,
        volumes: &volumes,
        shared_cgroups: pod.legacy_shared_cgroups == Some(true),
    };
    let containers = written.iter().enumerate();
    let containers: Vec<_> = containers
        .map(|(n, one)| {
            faults.within(&format!("/containers({n})"), |faults| surroundings.judge(one, faults))
        })
        .collect();
    distinct(containers.iter().map(|one| &one.name), "/containers", CONTAINER_NAMES, faults);
    endpoint::judge_together(&containers, faults);
    let environment =
        secret::environment("/environment", pod.environment.as_ref(), secrets, faults);
    let linux = pod.linux_info.as_ref().map(|info| {
        if info.seccomp.is_some() {
            let message = "Seccomp configuration on executor level is not supported";
            faults.add("/linuxInfo/seccomp", message);
        }
        faults.within("/linuxInfo", |faults| linux::judge(info, faults))
    });
    PodSpec {
        containers,
        volumes,
        environment,
        executor: executor(pod.executor_resources.as_ref(), faults),
        linux,
        legacy_shared_cgroups: pod.legacy_shared_cgroups.filter(|shared| *shared),
    }
}

const CONTAINER_NAMES: &str = "container names must be unique";

/// Each value at most once.
fn distinct<T: Ord>(
    values: impl Iterator<Item = T>,
    path: &str,
    message: &str,
    faults: &mut Faults,
) {
    let mut seen = BTreeSet::new();
    let mut values = values;
    if !values.all(|value| seen.insert(value)) {
        faults.add(path, message);
    }
}

pub(super) fn executor(given: Option<&Resources>, faults: &mut Faults) -> Amounts {
    let given = given.cloned().unwrap_or_default();
    let mut least = |name: &str, value, min| {
        let path = format!("/executorResources/{name}");
        scalar(&path, value, Limits { default: min, min }, faults)
    };
    Amounts {
        cpus: least("cpus", given.cpus, 0.1),
        mem: least("mem", given.mem, 32.0),
        disk: least("disk", given.disk, 10.0),
        gpus: 0,
    }
}

fn instances(scaling: &Scaling, faults: &mut Faults) -> u32 {
    match scaling.kind.as_deref() {
        None => faults.add("/scaling/kind", "undefined"),
        Some("fixed") => {}
        Some(_) => faults.add("/scaling/kind", "must be fixed"),
    }
    faults.count("/scaling/instances", scaling.instances, 1)
}

/// A name as the RAML wants it; empty where there is none.
fn name(path: &str, given: Option<&str>, faults: &mut Faults) -> String {
    let Some(text) = given else {
        faults.add(path, "undefined");
        return String::new();
    };
    if text.is_empty() || NAME_CHARS_MAX < text.len() {
        faults.add(path, format!("must have 1 to {NAME_CHARS_MAX} characters"));
    }
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if !text.bytes().all(legal) || text.starts_with('-') || text.ends_with('-') {
        faults.add(path, format!("must fully match regular expression '{NAME_PATTERN}'"));
    }
    text.to_owned()
}

/// A path as the RAML wants it.
fn path(at: &str, given: &str, faults: &mut Faults) {
    if given.is_empty() || PATH_CHARS_MAX < given.len() {
        faults.add(at, format!("must have 1 to {PATH_CHARS_MAX} characters"));
    }
}

fn is_on_host(networks: &[Network]) -> bool {
    networks.iter().all(|network| network.mode == NetworkMode::Host)
}
