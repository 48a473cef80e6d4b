//! Containers: image, volumes, networks, rights.

use mesos_v1::container_info::docker_info::Network;
use mesos_v1::container_info::{DockerInfo, Type};
use mesos_v1::mount_propagation::Mode as PropagationMode;
use mesos_v1::volume::Source;
use mesos_v1::volume::source::sandbox_path::Type as SandboxType;
use mesos_v1::volume::source::{HostPath, Type as SourceType};
use mesos_v1::{
    ContainerInfo as Spelled, LinuxInfo, NetworkInfo, Volume as SpelledVolume, image, volume,
};
use model::confinement::Sharing;
use model::container::{
    ContainerInfo, ContainerKind, Image, OtherVolume, Propagation, SharedVolume, Volume,
    VolumeMode, VolumeSource,
};

use super::command::Around;
use super::{Fault, bounds, empty, secret, unset};

/// What its command runs in.
pub fn around(container: Option<&Spelled>) -> Around {
    let Some(container) = container else { return Around::Host };
    match container.r#type() {
        Type::Docker => Around::Docker,
        Type::Mesos => {
            let image = container.mesos.as_ref().and_then(|mesos| mesos.image.as_ref());
            if image.is_some() { Around::Image } else { Around::Host }
        }
    }
}

pub fn read(spelled: &Spelled) -> Result<ContainerInfo, Fault> {
    networks("container", &spelled.network_infos)?;
    let mut container = match spelled.r#type() {
        Type::Mesos => mesos(spelled)?,
        Type::Docker => docker(spelled)?,
    };
    container.tty = spelled.tty_info.is_some();
    container.bounds = bounds::read(spelled)?;
    for one in &spelled.volumes {
        volume(one, &mut container)?;
    }
    Ok(container)
}

fn blank(kind: ContainerKind, image: Option<Image>) -> ContainerInfo {
    ContainerInfo {
        kind,
        image,
        volumes: Vec::new(),
        privileged: false,
        tty: false,
        parameters: Vec::new(),
        shared: Vec::new(),
        bounds: None,
    }
}

/// The agent's own network needs no word; any other is not there yet.
pub(super) fn networks(of: &str, all: &[NetworkInfo]) -> Result<(), Fault> {
    for one in all {
        unset(&format!("{of}.network_infos.name"), one.name.as_ref())?;
        empty(&format!("{of}.network_infos.port_mappings"), &one.port_mappings)?;
        empty(&format!("{of}.network_infos.ip_addresses"), &one.ip_addresses)?;
        empty(&format!("{of}.network_infos.groups"), &one.groups)?;
        unset(&format!("{of}.network_infos.labels"), one.labels.as_ref())?;
    }
    Ok(())
}

/// The one that Docker's words ask for.
pub(super) fn net(spelled: &Spelled) -> Result<Option<Sharing>, Fault> {
    let Some(docker) = spelled.docker.as_ref().filter(|_| spelled.r#type() == Type::Docker) else {
        return Ok(None);
    };
    match docker.network() {
        Network::Host => Ok(None),
        Network::None => Ok(Some(Sharing::Private)),
        other @ (Network::Bridge | Network::User) => {
            let name = other.as_str_name();
            Err(Fault::new(format!("'container.docker.network' {name} is not supported yet")))
        }
    }
}

/// Of a container that there is none of: that of an executor which is the agent itself.
pub(super) fn linux(of: &str, spelled: Option<&LinuxInfo>) -> Result<(), Fault> {
    let Some(linux) = spelled else { return Ok(()) };
    #[expect(deprecated, reason = "it is refused like its successors")]
    let old = linux.capability_info.as_ref();
    let sets = [
        ("capability_info", old),
        ("bounding_capabilities", linux.bounding_capabilities.as_ref()),
        ("effective_capabilities", linux.effective_capabilities.as_ref()),
    ];
    for (field, set) in sets {
        unset(&format!("{of}.linux_info.{field}"), set)?;
    }
    unset(&format!("{of}.linux_info.seccomp"), linux.seccomp.as_ref())
}

fn mesos(spelled: &Spelled) -> Result<ContainerInfo, Fault> {
    let info = spelled.mesos.as_ref().and_then(|mesos| mesos.image.as_ref());
    let image = info.map(|info| read_image("container.mesos.image", info)).transpose()?;
    Ok(blank(ContainerKind::Mesos, image))
}

fn read_image(of: &str, spelled: &mesos_v1::Image) -> Result<Image, Fault> {
    if spelled.r#type() == image::Type::Appc {
        return Err(Fault::new(format!("'{of}.appc' is not supported: take a Docker image")));
    }
    let absent = || Fault::new(format!("'{of}.docker' is not set for an image of type DOCKER"));
    let docker = spelled.docker.as_ref().ok_or_else(absent)?;
    #[expect(deprecated, reason = "it is refused: its successor works")]
    unset(&format!("{of}.docker.credential"), docker.credential.as_ref())?;
    let login = docker.config.as_ref();
    let login =
        login.map(|config| secret::read(&format!("{of}.docker.config"), config)).transpose()?;
    Ok(Image { name: docker.name.clone(), force_pull: !spelled.cached(), login })
}

fn docker(spelled: &Spelled) -> Result<ContainerInfo, Fault> {
    let absent = || Fault::new("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo");
    let docker: &DockerInfo = spelled.docker.as_ref().ok_or_else(absent)?;
    empty("container.docker.port_mappings", &docker.port_mappings)?;
    #[expect(deprecated, reason = "it is refused like its successors")]
    unset("container.docker.volume_driver", docker.volume_driver.as_ref())?;
    if docker.parameters.iter().any(|parameter| parameter.key == "name") {
        return Err(Fault::new("Parameter in DockerInfo must not be 'name'"));
    }
    let name = docker.image.clone();
    let image = Image { name, force_pull: docker.force_pull_image(), login: None };
    let parameters = docker.parameters.iter();
    let parameters = parameters.map(|one| (one.key.clone(), one.value.clone())).collect::<Vec<_>>();
    if let Err(unfit) = model::docker::read(&parameters) {
        let all: Vec<String> = unfit.iter().map(ToString::to_string).collect();
        return Err(Fault::new(format!("Invalid DockerInfo: {}", all.join("; "))));
    }
    Ok(ContainerInfo {
        privileged: docker.privileged(),
        parameters,
        ..blank(ContainerKind::Docker, Some(image))
    })
}

fn volume(spelled: &SpelledVolume, container: &mut ContainerInfo) -> Result<(), Fault> {
    let bad = |why: &str| Fault::new(format!("Invalid volume: {why}"));
    let given = [spelled.host_path.is_some(), spelled.image.is_some(), spelled.source.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return Err(bad("Only one of them should be set: 'host_path', 'image' and 'source'"));
    }
    let mode = match spelled.mode() {
        volume::Mode::Ro => VolumeMode::ReadOnly,
        volume::Mode::Rw => VolumeMode::ReadWrite,
    };
    let container_path = spelled.container_path.clone();
    let host =
        |host_path: String| Volume { container_path: container_path.clone(), host_path, mode };
    if let Some(path) = &spelled.host_path {
        container.volumes.push(host(path.clone()));
        return Ok(());
    }
    if let Some(image) = &spelled.image {
        let image = read_image("container.volumes.image", image)?;
        keep(container, (container_path, mode), VolumeSource::Image(image));
        return Ok(());
    }
    let source = spelled.source.as_ref().ok_or_else(|| bad("it has no source"))?;
    sourced(source, (container_path, mode), container)
}

/// A volume that says of which type it is.
fn sourced(
    source: &Source,
    (container_path, mode): (String, VolumeMode),
    container: &mut ContainerInfo,
) -> Result<(), Fault> {
    let bad = |why: &str| Fault::new(format!("Invalid volume: {why}"));
    let host =
        |host_path: String| Volume { container_path: container_path.clone(), host_path, mode };
    match source.r#type() {
        SourceType::HostPath => {
            let path = source.host_path.as_ref();
            let path =
                path.ok_or_else(|| bad("'source.host_path' is not set for HOST_PATH volume"))?;
            match propagation(path) {
                None => container.volumes.push(host(path.path.clone())),
                Some(propagation) => {
                    let source = VolumeSource::HostPath { path: path.path.clone(), propagation };
                    keep(container, (container_path, mode), source);
                }
            }
        }
        SourceType::SandboxPath => {
            let path = source.sandbox_path.as_ref();
            let path = path
                .ok_or_else(|| bad("'source.sandbox_path' is not set for SANDBOX_PATH volume"))?;
            if path.path.starts_with('/') {
                return Err(bad("'source.sandbox_path.path' must not be absolute"));
            }
            match path.r#type() {
                SandboxType::Self_ => container.volumes.push(host(path.path.clone())),
                SandboxType::Parent => container.shared.push(SharedVolume {
                    name: path.path.clone(),
                    container_path: container_path.clone(),
                    mode,
                }),
                SandboxType::Unknown => return Err(bad("'source.sandbox_path.type' is not set")),
            }
        }
        SourceType::DockerVolume => {
            return Err(Fault::not_yet("container.volumes.source.docker_volume"));
        }
        SourceType::Secret => {
            let value = source.secret.as_ref();
            let value = value.ok_or_else(|| bad("'source.secret' is not set for SECRET volume"))?;
            let value = secret::read("container.volumes.source.secret", value)?;
            keep(container, (container_path, mode), VolumeSource::Secret(value));
        }
        SourceType::CsiVolume => return Err(Fault::not_yet("container.volumes.source.csi_volume")),
        SourceType::Unknown => return Err(bad("'source.type' is unknown")),
    }
    Ok(())
}

fn keep(container: &mut ContainerInfo, at: (String, VolumeMode), source: VolumeSource) {
    let ((container_path, mode), bounds) = (at, container.bounds.get_or_insert_default());
    bounds.volumes.push(OtherVolume { container_path, mode, source });
}

/// What is said of mounts below it, if anything.
fn propagation(path: &HostPath) -> Option<Propagation> {
    match path.mount_propagation.as_ref()?.mode() {
        PropagationMode::Unknown => None,
        PropagationMode::HostToContainer => Some(Propagation::HostToContainer),
        PropagationMode::Bidirectional => Some(Propagation::Bidirectional),
    }
}
