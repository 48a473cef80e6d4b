//! What an app asks for that this release cannot give it: stored and given back, and until it is there, the reason why
//! the app waits. Launched without it, the app would be something else than what was asked for.

use std::collections::BTreeMap;

use model::container::ContainerKind;

use crate::spec::AppSpec;
use crate::spec::environment::EnvValue;
use crate::spec::network::NetworkMode;
use crate::spec::pod::{PodContainer, PodSpec, VolumeSource};
use crate::spec::volume::{AppVolumeSource, CsiKind, PersistentVolume};

/// One sentence for each thing, in the order in which a user would look for it.
pub(crate) fn lacks(spec: &AppSpec) -> Vec<String> {
    let mut all = Vec::new();
    networks(spec, &mut all);
    volumes(spec, &mut all);
    environment("it", &spec.env, &mut all);
    pull("its image", spec.pull_secret.as_ref(), &mut all);
    program(spec, &mut all);
    if let Some(one) = &spec.pod {
        pod(one, &mut all);
    }
    all
}

fn networks(spec: &AppSpec, all: &mut Vec<String>) {
    for network in &spec.networks {
        match (network.mode, &network.name) {
            (NetworkMode::Host, _) => {}
            (NetworkMode::Bridge, _) => {
                all.push("it is on a bridge network: only the host network is there yet".to_owned())
            }
            (NetworkMode::Container, name) => {
                let name = name.as_deref().unwrap_or_default();
                all.push(format!(
                    "it is on the container network {name}: only the host network is there yet"
                ));
            }
        }
    }
}

fn volumes(spec: &AppSpec, all: &mut Vec<String>) {
    for volume in &spec.volumes {
        let path = &volume.container_path;
        all.push(match &volume.source {
            AppVolumeSource::Persistent(volume) => {
                persistent(path, volume, all);
                continue;
            }
            AppVolumeSource::Dvdi(dvdi) => format!(
                "its volume {path} is the external volume {}: docker volume drivers are not there yet",
                dvdi.name
            ),
            AppVolumeSource::Csi(csi) => {
                let kind = match csi.kind {
                    CsiKind::Block => "block device",
                    CsiKind::Mount { .. } => "external volume",
                };
                format!("its volume {path} is the {kind} {}: CSI is not there yet", csi.name)
            }
            AppVolumeSource::Secret(name) => secret_volume(path, name),
        });
    }
}

/// A disk with a profile may come some day, but the agent's own is none of those.
fn persistent(path: &str, volume: &PersistentVolume, all: &mut Vec<String>) {
    if let Some(profile) = volume.profile.as_ref().filter(|_| !volume.is_apart()) {
        all.push(format!(
            "its volume {path} is of type root with the profile {profile}: an agent's own disk has no profile"
        ));
    }
    if !volume.is_apart() && !volume.constraints.is_empty() {
        all.push(format!(
            "its volume {path} is of type root with constraints: only disks of type path and mount are chosen by them"
        ));
    }
}

fn secret_volume(volume: &str, secret: &str) -> String {
    format!("its volume {volume} holds the secret {secret}: secrets are not there yet")
}

fn environment(who: &str, variables: &BTreeMap<String, EnvValue>, all: &mut Vec<String>) {
    for (variable, value) in variables {
        match value {
            EnvValue::Text(_) => {}
            EnvValue::Secret(name) => all.push(format!(
                "{who} is to find the secret {name} in {variable}: secrets are not there yet"
            )),
        }
    }
}

fn pull(whose: &str, secret: Option<&String>, all: &mut Vec<String>) {
    if let Some(secret) = secret {
        all.push(format!(
            "{whose} is pulled with credentials from the secret {secret}: secrets are not there yet"
        ));
    }
}

fn program(spec: &AppSpec, all: &mut Vec<String>) {
    if !matches!(spec.executor.as_str(), "" | "//cmd") {
        all.push(format!("it brings the executor {}: only //cmd is there yet", spec.executor));
    }
    let docker = spec.container.iter().filter(|one| one.kind == ContainerKind::Docker);
    for container in docker {
        // What is accepted today is judged before; this one is of an earlier release.
        let unfit = model::docker::read(&container.parameters).err().into_iter().flatten();
        all.extend(unfit.map(|unfit| format!("it has the {unfit}")));
    }
}

fn pod(pod: &PodSpec, all: &mut Vec<String>) {
    for volume in &pod.volumes {
        match &volume.source {
            VolumeSource::Ephemeral | VolumeSource::Host(_) => {}
            VolumeSource::Secret(name) => all.push(secret_volume(&volume.name, name)),
            VolumeSource::Persistent(info) => persistent(&volume.name, info, all),
        }
    }
    environment("it", &pod.environment, all);
    pod.containers.iter().for_each(|container| member(container, all));
}

fn member(container: &PodContainer, all: &mut Vec<String>) {
    let name = format!("its container {}", container.name);
    environment(&name, &container.environment, all);
    let image = container.image.as_ref().and_then(|image| image.pull_config.as_ref());
    pull(&format!("the image of {name}"), image, all);
}
