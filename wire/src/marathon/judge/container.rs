//! The container: engine, image, volumes, and what confines it.

use std::collections::BTreeMap;

use model::container::{ContainerInfo, ContainerKind, Image};
use services::spec::network::{Network, NetworkMode};
use services::spec::resource::LinuxInfo;
use services::spec::volume::AppVolume;

use super::faults::Faults;
use super::{linux, mount};
use crate::marathon::app::App;
use crate::marathon::container::{Container, DockerContainer};

/// What a spec keeps of a container, in several places.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) info: Option<ContainerInfo>,
    pub(super) volumes: Vec<AppVolume>,
    pub(super) pull_secret: Option<String>,
    pub(super) linux: Option<LinuxInfo>,
}

/// What the app says elsewhere that a container must agree with.
pub(super) struct Around<'a> {
    pub(super) networks: &'a [Network],
    pub(super) secrets: &'a BTreeMap<String, String>,
}

pub(super) fn judge(app: &App, around: &Around<'_>, faults: &mut Faults) -> Judged {
    let Some(container) = &app.container else { return Judged::default() };
    let kind = kind(container, faults);
    match kind {
        ContainerKind::Docker => with_docker(app, container, around, faults),
        ContainerKind::Mesos => without_docker(container, faults),
    }
    let docker = container.docker.as_ref();
    let parameters = docker.iter().flat_map(|docker| docker.parameters.iter().flatten());
    let volumes = mount::judge(container, kind, around, faults);
    let info = ContainerInfo {
        kind,
        image: docker.map(|docker| image(docker, faults)),
        volumes: volumes.of_agent,
        // Mesos' own engine has no such thing, and nobody is told.
        privileged: kind == ContainerKind::Docker
            && docker.is_some_and(|docker| docker.privileged == Some(true)),
        tty: app.tty.unwrap_or(false),
        parameters: parameters.map(|one| (one.key.clone(), one.value.clone())).collect(),
        shared: Vec::new(),
        bounds: None,
    };
    // Only Mesos' own engine knows it.
    let linux = container.linux_info.as_ref().filter(|_| kind == ContainerKind::Mesos);
    Judged {
        info: Some(info),
        volumes: volumes.others,
        pull_secret: docker.and_then(|docker| pull_secret(docker, kind, around, faults)),
        linux: linux.map(|info| {
            faults.within("/container/linuxInfo", |faults| linux::judge_whole(info, faults))
        }),
    }
}

fn kind(container: &Container, faults: &mut Faults) -> ContainerKind {
    match container.kind.as_deref() {
        None | Some("DOCKER") => ContainerKind::Docker,
        Some("MESOS") => ContainerKind::Mesos,
        Some(_) => {
            faults.add("/container/type", "must be MESOS or DOCKER");
            ContainerKind::Mesos
        }
    }
}

fn with_docker(app: &App, container: &Container, around: &Around<'_>, faults: &mut Faults) {
    if container.docker.is_none() {
        faults.add("/container/docker", "not defined");
    }
    if app.gpus.is_some_and(|gpus| gpus.0 > 0) {
        faults.add("/", "GPU resources only work with the Mesos containerizer");
    }
    if app.check.is_some() {
        faults.add("/", "AppDefinition must not use 'checks' if using docker");
    }
    container.docker.iter().for_each(|docker| words(docker, faults));
    let containers = around.networks.iter().filter(|one| one.mode == NetworkMode::Container);
    if containers.count() > 1 {
        let message =
            "may only specify a single container network when using the Docker container engine";
        faults.add("/", message);
    }
}

/// Those of `docker run` that mean nothing here are told, with what to say instead.
fn words(docker: &DockerContainer, faults: &mut Faults) {
    let words = docker.parameters.iter().flatten();
    let words: Vec<(String, String)> =
        words.map(|one| (one.key.clone(), one.value.clone())).collect();
    for unfit in model::docker::read(&words).err().into_iter().flatten() {
        if !unfit.word.is_empty() {
            let path = format!("/container/docker/parameters({})", unfit.at);
            faults.add(path, format!("{}={}: {}", unfit.word, unfit.value, unfit.why));
        }
    }
}

/// What only the docker engine has words for.
fn without_docker(container: &Container, faults: &mut Faults) {
    let Some(docker) = &container.docker else { return };
    if docker.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        faults.add("/container/docker/parameters", "must be empty with container type MESOS");
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
    if docker.credential.is_some() {
        faults.add("/container/docker/credential", "must be empty: use pullConfig");
    }
    Image { force_pull: docker.force_pull_image.unwrap_or(false), ..Image::plain(name) }
}

fn pull_secret(
    docker: &DockerContainer,
    kind: ContainerKind,
    around: &Around<'_>,
    faults: &mut Faults,
) -> Option<String> {
    const PATH: &str = "/container/docker/pullConfig";
    let secret = docker.pull_config.as_ref()?.secret.clone().unwrap_or_default();
    match kind {
        ContainerKind::Docker => {
            faults.add(PATH, "pullConfig is not supported with Docker containerizer");
        }
        ContainerKind::Mesos if !around.secrets.contains_key(&secret) => {
            faults.add(PATH, "pullConfig.secret must refer to an existing secret");
        }
        ContainerKind::Mesos => {}
    }
    Some(secret)
}
