//! What a task runs in, and what it says to service discovery.

use mesos_v1::container_info::{DockerInfo, MesosInfo, Type, docker_info};
use mesos_v1::discovery_info::Visibility;
use mesos_v1::mount_propagation::Mode as PropagationMode;
use mesos_v1::volume::source::{HostPath, SandboxPath, Type as SourceType, sandbox_path};
use mesos_v1::volume::{Mode, Source};
use mesos_v1::{
    ContainerInfo as Spelled, MountPropagation, Parameter, Port, Ports, Volume as SpelledVolume,
    image,
};
use model::confinement::Sharing;
use model::container::{
    ContainerInfo, ContainerKind, DiscoveryInfo, DiscoveryPort, Image, OtherVolume, Propagation,
    SharedVolume, Volume, VolumeSource,
};

use super::labels;
use crate::mesos::v1::resource::mode;
use crate::mesos::v1::{bounds, linux, secret};

pub(super) fn container(info: &ContainerInfo) -> Spelled {
    let bounds = info.bounds.as_deref();
    let others = bounds.into_iter().flat_map(|bounds| &bounds.volumes).map(other);
    let volumes = info.volumes.iter().map(volume).chain(info.shared.iter().map(shared));
    let volumes = volumes.chain(others).collect();
    let spelled = Spelled {
        volumes,
        hostname: bounds.and_then(|bounds| bounds.hostname.clone()),
        linux_info: bounds.and_then(|bounds| linux::spell(&bounds.confinement)),
        rlimit_info: bounds.and_then(|bounds| bounds::spell(&bounds.rlimits)),
        tty_info: bounds::terminal(info),
        ..Spelled::default()
    };
    match info.kind {
        ContainerKind::Mesos => {
            Spelled { r#type: Type::Mesos.into(), mesos: Some(mesos(info)), ..spelled }
        }
        ContainerKind::Docker => {
            Spelled { r#type: Type::Docker.into(), docker: Some(docker(info)), ..spelled }
        }
    }
}

fn mesos(info: &ContainerInfo) -> MesosInfo {
    MesosInfo { image: info.image.as_ref().map(image) }
}

fn image(image: &Image) -> mesos_v1::Image {
    mesos_v1::Image {
        r#type: image::Type::Docker.into(),
        docker: Some(image::Docker {
            name: image.name.clone(),
            config: image.login.as_ref().map(|_| secret::withheld()),
            ..image::Docker::default()
        }),
        cached: Some(!image.force_pull),
        ..mesos_v1::Image::default()
    }
}

/// As it was read.
pub(crate) fn network(info: &ContainerInfo) -> docker_info::Network {
    match info.bounds.as_ref().and_then(|bounds| bounds.confinement.net) {
        Some(Sharing::Private) => docker_info::Network::None,
        Some(Sharing::Parent) | None => docker_info::Network::Host,
    }
}

fn docker(info: &ContainerInfo) -> DockerInfo {
    let image = info.image.as_ref();
    let parameter =
        |(key, value): &(String, String)| Parameter { key: key.clone(), value: value.clone() };
    DockerInfo {
        image: image.map(|image| image.name.clone()).unwrap_or_default(),
        network: Some(network(info).into()),
        privileged: Some(info.privileged),
        force_pull_image: Some(image.is_some_and(|image| image.force_pull)),
        parameters: info.parameters.iter().map(parameter).collect(),
        ..DockerInfo::default()
    }
}

fn volume(volume: &Volume) -> SpelledVolume {
    SpelledVolume {
        mode: mode(volume.mode) as i32,
        container_path: volume.container_path.clone(),
        host_path: Some(volume.host_path.clone()),
        ..SpelledVolume::default()
    }
}

fn shared(volume: &SharedVolume) -> SpelledVolume {
    let path =
        SandboxPath { r#type: Some(sandbox_path::Type::Parent.into()), path: volume.name.clone() };
    let mode: Mode = mode(volume.mode);
    SpelledVolume {
        mode: mode as i32,
        container_path: volume.container_path.clone(),
        source: Some(Source {
            r#type: Some(SourceType::SandboxPath.into()),
            sandbox_path: Some(path),
            ..Source::default()
        }),
        ..SpelledVolume::default()
    }
}

/// As it was read, but for the values of secrets.
pub(crate) fn other(volume: &OtherVolume) -> SpelledVolume {
    let OtherVolume { container_path, mode: told, source } = volume;
    let spelled = SpelledVolume {
        mode: mode(*told) as i32,
        container_path: container_path.clone(),
        ..SpelledVolume::default()
    };
    match source {
        VolumeSource::Image(of) => SpelledVolume { image: Some(image(of)), ..spelled },
        VolumeSource::HostPath { path, propagation } => {
            let mode = match propagation {
                Propagation::HostToContainer => PropagationMode::HostToContainer,
                Propagation::Bidirectional => PropagationMode::Bidirectional,
            };
            let mount_propagation = Some(MountPropagation { mode: Some(mode.into()) });
            let host_path = Some(HostPath { path: path.clone(), mount_propagation });
            let r#type = Some(SourceType::HostPath.into());
            let source = Some(Source { r#type, host_path, ..Source::default() });
            SpelledVolume { source, ..spelled }
        }
        VolumeSource::Secret(_) => {
            let (r#type, secret) = (Some(SourceType::Secret.into()), Some(secret::withheld()));
            SpelledVolume {
                source: Some(Source { r#type, secret, ..Source::default() }),
                ..spelled
            }
        }
    }
}

pub(super) fn discovery(info: &DiscoveryInfo) -> mesos_v1::DiscoveryInfo {
    let more = info.more.as_deref().cloned().unwrap_or_default();
    mesos_v1::DiscoveryInfo {
        visibility: visibility(more.visibility).into(),
        name: Some(info.name.clone()),
        environment: more.environment,
        location: more.location,
        version: more.version,
        ports: Some(Ports { ports: info.ports.iter().map(port).collect() }),
        labels: labels(&more.labels),
    }
}

fn visibility(visibility: model::container::Visibility) -> Visibility {
    match visibility {
        model::container::Visibility::Framework => Visibility::Framework,
        model::container::Visibility::Cluster => Visibility::Cluster,
        model::container::Visibility::External => Visibility::External,
    }
}

fn port(port: &DiscoveryPort) -> Port {
    Port {
        number: port.number.into(),
        name: port.name.clone(),
        protocol: Some(port.protocol.clone()),
        visibility: port.visibility.map(|one| visibility(one).into()),
        labels: labels(&port.labels),
    }
}
