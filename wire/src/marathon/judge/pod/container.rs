//! One container of a pod.

use std::collections::BTreeMap;
use std::time::Duration;

use model::resources::Scalar;
use services::spec::network::Network;
use services::spec::pod::{Command, Exec, PodContainer, PodImage, PodVolume, VolumeMount};
use services::spec::resource::Amounts;

use super::super::faults::{Faults, WHOLE_MAX};
use super::super::quantity::{self, scalar};
use super::super::{command, linux, secret};
use super::{check, endpoint, name, path};
use crate::marathon::number::Number;
use crate::marathon::pod::{self as written, MesosCommand};

/// The container of an app has this name in its tasks' ids.
const ANONYMOUS: &str = "_app";

/// What the rest of the pod says about its containers.
pub(super) struct Surroundings<'a> {
    pub(super) networks: &'a [Network],
    pub(super) secrets: &'a BTreeMap<String, String>,
    pub(super) volumes: &'a [PodVolume],
    pub(super) shared_cgroups: bool,
}

impl Surroundings<'_> {
    pub(super) fn judge(&self, one: &written::PodContainer, faults: &mut Faults) -> PodContainer {
        let name = container_name(one, faults);
        let resources = resources(one.resources.as_ref(), faults);
        let limits = one.resource_limits.as_ref().map(|limits| {
            if self.shared_cgroups {
                let message = "resourceLimits cannot be defined if legacySharedCgroups is enabled";
                faults.add("/resourceLimits", message);
            }
            linux::limits(limits, resources, faults)
        });
        let endpoints = endpoint::judge(one, self.networks, faults);
        let artifacts = one.artifacts.iter().flatten().enumerate();
        PodContainer {
            name,
            exec: one.exec.as_ref().and_then(|exec| judge_exec(exec, faults)),
            resources,
            limits,
            linux: one
                .linux_info
                .as_ref()
                .map(|info| faults.within("/linuxInfo", |faults| linux::judge_whole(info, faults))),
            image: one.image.as_ref().map(|image| self.image(image, faults)),
            environment: secret::environment(
                "/environment",
                one.environment.as_ref(),
                self.secrets,
                faults,
            ),
            user: one.user.clone(),
            health_check: one.health_check.as_ref().map(|written| {
                faults.within("/healthCheck", |faults| check::health(written, &endpoints, faults))
            }),
            check: one.check.as_ref().map(|written| {
                faults.within("/check", |faults| check::plain(written, &endpoints, faults))
            }),
            endpoints,
            mounts: self.mounts(one, faults),
            artifacts: artifacts
                .map(|(n, one)| command::judge_artifact(&format!("/artifacts({n})"), one, faults))
                .collect(),
            labels: one.labels.clone().unwrap_or_default(),
            kill_grace: one.lifecycle.as_ref().and_then(|one| {
                let given = one.kill_grace_period_seconds?;
                Some(seconds("/lifecycle/killGracePeriodSeconds", Some(given), 0.0, faults))
            }),
            tty: one.tty,
        }
    }

    fn image(&self, image: &written::Image, faults: &mut Faults) -> PodImage {
        match image.kind.as_deref() {
            None => faults.add("/image/kind", "undefined"),
            Some("DOCKER") => {}
            Some(_) => faults.add("/image/kind", "must be DOCKER"),
        }
        let name = image.id.clone().unwrap_or_default();
        if image.id.is_none() {
            faults.add("/image/id", "undefined");
        } else {
            path("/image/id", &name, faults);
        }
        let pull_config = image.pull_config.as_ref().map(|config| {
            let secret = config.secret.clone().unwrap_or_default();
            if !self.secrets.contains_key(&secret) {
                let message = "pullConfig.secret must refer to an existing secret";
                faults.add("/image/pullConfig", message);
            }
            secret
        });
        let labels = image.labels.clone().unwrap_or_default();
        PodImage { name, force_pull: image.force_pull, pull_config, labels }
    }

    fn mounts(&self, one: &written::PodContainer, faults: &mut Faults) -> Vec<VolumeMount> {
        let mut mounts = Vec::new();
        for (n, mount) in one.volume_mounts.iter().flatten().enumerate() {
            let at = format!("/volumeMounts({n})");
            let name = name(&format!("{at}/name"), mount.name.as_deref(), faults);
            if !self.volumes.iter().any(|volume| volume.name == name) {
                let message = "Referenced Volume in VolumeMount should exist";
                faults.add(format!("{at}/name"), message);
            }
            let mount_path = mount.mount_path.clone().unwrap_or_default();
            path(&format!("{at}/mountPath"), &mount_path, faults);
            mounts.push(VolumeMount { name, path: mount_path, read_only: mount.read_only });
        }
        mounts
    }
}

fn container_name(one: &written::PodContainer, faults: &mut Faults) -> String {
    if one.name.as_deref() == Some(ANONYMOUS) {
        faults.add("/name", format!("must not equal '{ANONYMOUS}'"));
    }
    name("/name", one.name.as_deref(), faults)
}

fn resources(given: Option<&written::Resources>, faults: &mut Faults) -> Amounts {
    let Some(given) = given else {
        faults.add("/resources", "undefined");
        return Amounts::default();
    };
    let mut amount = |name: &str, value: Option<Number>, limits| -> Scalar {
        scalar(&format!("/resources/{name}"), value, limits, faults)
    };
    // Nothing at all cannot be set aside, but Marathon took a zero, and old definitions have one.
    let from_zero = |default| quantity::Limits { default, min: 0.0 };
    Amounts {
        cpus: amount("cpus", given.cpus, from_zero(1.0)),
        mem: amount("mem", given.mem, from_zero(128.0)),
        disk: amount("disk", given.disk, from_zero(0.0)),
        gpus: faults.count("/resources/gpus", given.gpus, 0),
    }
}

fn judge_exec(exec: &written::Exec, faults: &mut Faults) -> Option<Exec> {
    let Some(command) = &exec.command else {
        faults.add("/exec/command", "undefined");
        return None;
    };
    let command = faults.within("/exec/command", |faults| judge_command(command, faults))?;
    if matches!(command, Command::Shell(_)) && exec.override_entrypoint == Some(false) {
        faults.add("/exec/overrideEntrypoint", "must not be false with a shell command");
    }
    Some(Exec { command, override_entrypoint: exec.override_entrypoint })
}

/// Either of the two, and not empty.
pub(super) fn judge_command(command: &MesosCommand, faults: &mut Faults) -> Option<Command> {
    match (&command.shell, &command.argv) {
        (Some(shell), None) if shell.is_empty() => faults.add("/shell", "must not be empty"),
        (None, Some(argv)) if argv.is_empty() => faults.add("/argv", "must not be empty"),
        (Some(shell), None) => return Some(Command::Shell(shell.clone())),
        (None, Some(argv)) => return Some(Command::Argv(argv.clone())),
        (Some(_), Some(_)) | (None, None) => {
            faults.add("/", "must have either shell or argv");
        }
    }
    None
}

/// A span of time with a fraction, to the millisecond.
pub(super) fn seconds(
    path: &str,
    given: Option<Number>,
    default: f64,
    faults: &mut Faults,
) -> Duration {
    let limits = quantity::Limits { default, min: 0.0 };
    let seconds = scalar(path, given, limits, faults).as_f64();
    if WHOLE_SECONDS_MAX < seconds {
        faults.add(path, format!("must be at most {WHOLE_MAX}"));
        return Duration::ZERO;
    }
    Duration::from_secs_f64(seconds)
}

const WHOLE_SECONDS_MAX: f64 = WHOLE_MAX as f64;
