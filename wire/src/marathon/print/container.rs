//! The container of an app: what a spec keeps of it in several places is one thing outside.

use model::container::{ContainerInfo, ContainerKind, VolumeMode};
use serde_json::{Map, Value};
use services::spec::network::PortMapping;
use services::spec::volume::{AppVolume, AppVolumeSource, Csi, CsiAccess, CsiKind, Dvdi};
use services::spec::{AppSpec, PortDefinition};

use super::super::print_pod;
use super::unless_empty;
use crate::marathon::container::{
    Container, CsiCapability, CsiOptions, DockerContainer, ExternalVolume, Parameter, Volume,
};
use crate::marathon::network;
use crate::marathon::number::Whole;
use crate::marathon::shared::PullConfig;

pub(super) fn container(spec: &AppSpec) -> Option<Container> {
    let info = spec.container.as_ref()?;
    let kind = match info.kind {
        ContainerKind::Mesos => "MESOS",
        ContainerKind::Docker => "DOCKER",
    };
    let mappings = || spec.ports.iter().filter_map(mapping).collect();
    Some(Container {
        kind: Some(kind.to_owned()),
        docker: docker(info, spec.pull_secret.as_ref()),
        linux_info: spec.linux.as_ref().map(print_pod::linux_info),
        volumes: Some(volumes(info, &spec.volumes)),
        port_mappings: (!spec.networks.is_empty()).then(mappings),
    })
}

fn docker(info: &ContainerInfo, pull_secret: Option<&String>) -> Option<DockerContainer> {
    let parameter =
        |(key, value): &(String, String)| Parameter { key: key.clone(), value: value.clone() };
    let pull_config = |secret: &String| PullConfig { secret: Some(secret.clone()) };
    info.image.as_ref().map(|image| DockerContainer {
        pull_config: pull_secret.map(pull_config),
        force_pull_image: Some(image.force_pull),
        image: Some(image.name.clone()),
        parameters: Some(info.parameters.iter().map(parameter).collect()),
        privileged: Some(info.privileged),
        ..DockerContainer::default()
    })
}

fn mapping(port: &PortDefinition) -> Option<network::PortMapping> {
    let PortMapping { container_port, host_port, networks } = port.mapping.as_ref()?;
    Some(network::PortMapping {
        container_port: Some(Whole((*container_port).into())),
        host_port: host_port.map(|port| Whole(port.into())),
        labels: Some(port.labels.clone()),
        name: port.name.clone(),
        protocol: Some(port.protocol.clone()),
        service_port: Some(Whole(port.port.into())),
        network_names: unless_empty(networks.clone()),
    })
}

/// In the order in which they were given.
fn volumes(info: &ContainerInfo, others: &[AppVolume]) -> Vec<Volume> {
    let mut all: Vec<Volume> = info.volumes.iter().map(of_agent).collect();
    for volume in others {
        let at = usize::try_from(volume.at).unwrap_or(usize::MAX).min(all.len());
        all.insert(at, other(volume));
    }
    all
}

fn of_agent(volume: &model::container::Volume) -> Volume {
    Volume {
        container_path: Some(volume.container_path.clone()),
        host_path: Some(volume.host_path.clone()),
        mode: Some(mode(volume.mode)),
        ..Volume::default()
    }
}

fn mode(mode: VolumeMode) -> String {
    match mode {
        VolumeMode::ReadOnly => "RO",
        VolumeMode::ReadWrite => "RW",
    }
    .to_owned()
}

fn other(volume: &AppVolume) -> Volume {
    let named = Volume { container_path: Some(volume.container_path.clone()), ..Volume::default() };
    let mode = Some(mode(volume.mode));
    match &volume.source {
        AppVolumeSource::Persistent(info) => {
            let mut persistent = print_pod::persistent(info);
            persistent.constraints.get_or_insert_default();
            Volume { persistent: Some(persistent), mode, ..named }
        }
        AppVolumeSource::Dvdi(info) => Volume { external: Some(dvdi(info)), mode, ..named },
        AppVolumeSource::Csi(info) => Volume { external: Some(csi(info)), mode, ..named },
        AppVolumeSource::Secret(secret) => Volume { secret: Some(secret.clone()), ..named },
    }
}

fn dvdi(info: &Dvdi) -> ExternalVolume {
    let text = |(key, value): (&String, &String)| (key.clone(), Value::String(value.clone()));
    let options: Map<String, Value> = info.options.iter().map(text).collect();
    ExternalVolume {
        name: Some(info.name.clone()),
        provider: Some("dvdi".to_owned()),
        size: info.size.map(|gib| Whole(i64::try_from(gib).unwrap_or(i64::MAX))),
        options: Some(options),
        shared: Some(info.shared),
    }
}

fn csi(info: &Csi) -> ExternalVolume {
    let (access_type, fs_type, mount_flags) = match &info.kind {
        CsiKind::Block => ("block", None, None),
        CsiKind::Mount { file_system, flags } => {
            ("mount", Some(file_system.clone()), unless_empty(flags.clone()))
        }
    };
    let capability = CsiCapability {
        access_mode: Some(access(info.access).to_owned()),
        access_type: Some(access_type.to_owned()),
        fs_type,
        mount_flags,
    };
    let some = |texts: &std::collections::BTreeMap<String, String>| {
        (!texts.is_empty()).then(|| texts.clone())
    };
    let options = CsiOptions {
        plugin_name: Some(info.plugin.clone()),
        capability: Some(capability),
        node_stage_secret: some(&info.node_stage_secret),
        node_publish_secret: some(&info.node_publish_secret),
        volume_context: some(&info.context),
    };
    let options = serde_json::to_value(options).expect("wire types are JSON");
    ExternalVolume {
        name: Some(info.name.clone()),
        provider: Some("csi".to_owned()),
        options: options.as_object().cloned(),
        ..ExternalVolume::default()
    }
}

fn access(access: CsiAccess) -> &'static str {
    match access {
        CsiAccess::SingleNodeWriter => "SINGLE_NODE_WRITER",
        CsiAccess::SingleNodeReaderOnly => "SINGLE_NODE_READER_ONLY",
        CsiAccess::MultiNodeReaderOnly => "MULTI_NODE_READER_ONLY",
        CsiAccess::MultiNodeSingleWriter => "MULTI_NODE_SINGLE_WRITER",
        CsiAccess::MultiNodeMultiWriter => "MULTI_NODE_MULTI_WRITER",
    }
}
