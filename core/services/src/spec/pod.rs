//! What a pod is beyond an app: containers that live and die together on one agent and share volumes and a network.

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::container::{Scheme, Uri};
use model::limits::Limits;
use model::resources::Scalar;

use super::PortDefinition;
use super::environment::EnvValue;
use super::resource::{Amounts, LinuxInfo};
use super::volume::PersistentVolume;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PodSpec {
    /// At least one; their names differ.
    #[n(0)]
    pub containers: Vec<PodContainer>,
    #[n(1)]
    pub volumes: Vec<PodVolume>,
    /// For every container; its own variables win.
    #[n(2)]
    pub environment: BTreeMap<String, EnvValue>,
    /// What surrounds the containers takes so much; no gpus.
    #[n(3)]
    pub executor: Amounts,
    #[n(4)]
    pub linux: Option<LinuxInfo>,
    #[n(5)]
    pub legacy_shared_cgroups: Option<bool>,
}

impl PodSpec {
    /// What an instance takes of its agent: the executor and all containers.
    pub fn total(&self) -> Amounts {
        let mut total = self.executor;
        for Amounts { cpus, mem, disk, gpus } in self.containers.iter().map(|one| one.resources) {
            total.cpus = Scalar(total.cpus.0 + cpus.0);
            total.mem = Scalar(total.mem.0 + mem.0);
            total.disk = Scalar(total.disk.0 + disk.0);
            total.gpus += gpus;
        }
        total
    }

    /// The host ports that an instance needs, container by container.
    pub fn ports(&self) -> Vec<PortDefinition> {
        let endpoints = self.containers.iter().flat_map(PodContainer::exposed);
        let port = |(endpoint, port): (&Endpoint, u16)| PortDefinition {
            port,
            name: Some(endpoint.name.clone()),
            protocol: endpoint.protocols.join(","),
            labels: endpoint.labels.clone(),
            mapping: None,
        };
        endpoints.map(port).collect()
    }

    pub fn has_health_checks(&self) -> bool {
        self.containers.iter().any(|one| one.health_check.is_some())
    }
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PodContainer {
    #[n(0)]
    pub name: String,
    /// Unset: the image's own entrypoint and command.
    #[n(1)]
    pub exec: Option<Exec>,
    #[n(2)]
    pub resources: Amounts,
    #[n(3)]
    pub limits: Option<Limits>,
    #[n(4)]
    pub endpoints: Vec<Endpoint>,
    #[n(5)]
    pub linux: Option<LinuxInfo>,
    #[n(6)]
    pub image: Option<PodImage>,
    #[n(7)]
    pub environment: BTreeMap<String, EnvValue>,
    /// Unset: the pod's.
    #[n(8)]
    pub user: Option<String>,
    #[n(9)]
    pub health_check: Option<PodHealthCheck>,
    #[n(10)]
    pub check: Option<PodCheck>,
    #[n(11)]
    pub mounts: Vec<VolumeMount>,
    #[n(12)]
    pub artifacts: Vec<Uri>,
    #[n(13)]
    pub labels: BTreeMap<String, String>,
    #[n(14)]
    pub kill_grace: Option<Duration>,
    #[n(15)]
    pub tty: Option<bool>,
}

impl PodContainer {
    /// The endpoints that have a port on the agent, with that port; 0: chosen by us.
    pub fn exposed(&self) -> impl Iterator<Item = (&Endpoint, u16)> {
        self.endpoints.iter().filter_map(|one| one.host_port.map(|port| (one, port)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Exec {
    #[n(0)]
    pub command: Command,
    /// Whether the first of the arguments is a program, rather than an argument of the image's entrypoint.
    #[n(1)]
    pub override_entrypoint: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    #[n(0)]
    Shell(#[n(0)] String),
    /// At least one.
    #[n(1)]
    Argv(#[n(0)] Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PodImage {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub force_pull: Option<bool>,
    /// The secret with the registry's credentials.
    #[n(2)]
    pub pull_config: Option<String>,
    #[n(3)]
    pub labels: BTreeMap<String, String>,
}

/// Where a container accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Endpoint {
    #[n(0)]
    pub name: String,
    /// 0: the same as the host port.
    #[n(1)]
    pub container_port: Option<u16>,
    /// 0: chosen by us. Unset: it has none.
    #[n(2)]
    pub host_port: Option<u16>,
    #[n(3)]
    pub protocols: Vec<String>,
    #[n(4)]
    pub labels: BTreeMap<String, String>,
    /// Container networks that it belongs to; none named: all.
    #[n(5)]
    pub networks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PodHealthCheck {
    #[n(0)]
    pub probe: PodProbe,
    #[n(1)]
    pub grace: Duration,
    #[n(2)]
    pub interval: Duration,
    #[n(3)]
    pub timeout: Duration,
    #[n(4)]
    pub delay: Duration,
    #[n(5)]
    pub failures_max: u32,
}

/// A probe whose outcome is only shown.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PodCheck {
    #[n(0)]
    pub probe: PodProbe,
    #[n(1)]
    pub interval: Duration,
    #[n(2)]
    pub timeout: Duration,
    #[n(3)]
    pub delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum PodProbe {
    #[n(0)]
    Http {
        #[n(0)]
        endpoint: String,
        #[n(1)]
        path: Option<String>,
        #[n(2)]
        scheme: Scheme,
    },
    #[n(1)]
    Tcp {
        #[n(0)]
        endpoint: String,
    },
    #[n(2)]
    Exec(#[n(0)] Command),
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PodVolume {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub source: VolumeSource,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum VolumeSource {
    /// An empty directory that the containers of an instance share, gone with it.
    #[n(0)]
    Ephemeral,
    /// A path of the agent, or below the executor's sandbox.
    #[n(1)]
    Host(#[n(0)] String),
    /// What the secret of this name holds.
    #[n(2)]
    Secret(#[n(0)] String),
    #[n(3)]
    Persistent(#[n(0)] PersistentVolume),
}

/// Where a container sees a volume of its pod.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct VolumeMount {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub path: String,
    #[n(2)]
    pub read_only: Option<bool>,
}
