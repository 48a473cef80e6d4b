//! The container: engine, image, volumes.

use model::container::{ContainerInfo, ContainerKind, Image, Volume, VolumeMode};

use super::faults::Faults;
use crate::marathon::app::App;
use crate::marathon::container::{Container, DockerContainer, Volume as Written};

pub(super) fn judge(app: &App, faults: &mut Faults) -> Option<ContainerInfo> {
    let container = app.container.as_ref()?;
    let kind = kind(container, faults);
    match (kind, &container.docker) {
        (ContainerKind::Docker, None) => faults.add("/container/docker", "not defined"),
        (ContainerKind::Docker, Some(_)) => {
            if app.gpus.is_some_and(|gpus| gpus.0 > 0) {
                faults.add("/", "GPU resources only work with the Mesos containerizer");
            }
        }
        (ContainerKind::Mesos, _) => {}
    }
    let docker = container.docker.clone().unwrap_or_default();
    let parameters = docker.parameters.iter().flatten();
    Some(ContainerInfo {
        kind,
        image: container.docker.as_ref().map(|docker| image(docker, faults)),
        volumes: volumes(container, faults),
        privileged: docker.privileged.unwrap_or(false),
        shared: Vec::new(),
        tty: app.tty.unwrap_or(false),
        parameters: parameters.map(|one| (one.key.clone(), one.value.clone())).collect(),
    })
}

fn kind(container: &Container, faults: &mut Faults) -> ContainerKind {
    match container.kind.as_deref() {
        None | Some("DOCKER") => ContainerKind::Docker,
        Some("MESOS") => {
            mesos_only(container, faults);
            ContainerKind::Mesos
        }
        Some(_) => {
            faults.add("/container/type", "must be MESOS or DOCKER");
            ContainerKind::Mesos
        }
    }
}

/// What only the docker engine has words for.
fn mesos_only(container: &Container, faults: &mut Faults) {
    let Some(docker) = &container.docker else { return };
    if docker.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        faults.add("/container/docker/parameters", "must be empty with container type MESOS");
    }
    if docker.privileged == Some(true) {
        faults.add("/container/docker/privileged", "needs container type DOCKER");
    }
}

fn image(docker: &DockerContainer, faults: &mut Faults) -> Image {
    let name = docker.image.clone().unwrap_or_default();
    if name.is_empty() {
        faults.add("/container/docker/image", "must not be empty");
    }
    for (n, parameter) in docker.parameters.iter().flatten().enumerate() {
        if parameter.key.is_empty() {
            faults.add(format!("/container/docker/parameters({n})/key"), "must not be empty");
        }
    }
    Image { name, force_pull: docker.force_pull_image.unwrap_or(false) }
}

fn volumes(container: &Container, faults: &mut Faults) -> Vec<Volume> {
    let written = container.volumes.iter().flatten().enumerate();
    written.filter_map(|(n, volume)| judge_volume(n, volume, faults)).collect()
}

/// Host volumes; the other kinds are for a later release.
fn judge_volume(n: usize, volume: &Written, faults: &mut Faults) -> Option<Volume> {
    let path = format!("/container/volumes({n})");
    let container_path = volume.container_path.clone().unwrap_or_default();
    if container_path.is_empty() {
        faults.add(format!("{path}/containerPath"), "must not be empty");
    }
    let later = [
        ("persistent", &volume.persistent),
        ("external", &volume.external),
        ("secret", &volume.secret),
    ];
    let mut kinds = later.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name);
    if let Some(name) = kinds.next() {
        faults.add(format!("{path}/{name}"), format!("{name} volumes are not supported yet"));
        return None;
    }
    let host_path = volume.host_path.clone().unwrap_or_default();
    if host_path.is_empty() {
        faults.add(format!("{path}/hostPath"), "must not be empty");
    }
    let mode = match volume.mode.as_deref() {
        Some("RO") => VolumeMode::ReadOnly,
        Some("RW") => VolumeMode::ReadWrite,
        None | Some(_) => {
            faults.add(format!("{path}/mode"), "must be RO or RW");
            VolumeMode::ReadOnly
        }
    };
    Some(Volume { container_path, host_path, mode })
}
