//! An app as it was accepted: complete, normalised, valid. The API's `App` becomes one of these or is refused. A pod is
//! an app whose instances are groups of containers.

pub mod check;
pub mod environment;
pub mod id;
pub mod network;
pub mod pod;
pub mod resource;
pub mod volume;

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::container::{ContainerInfo, Family, Scheme, Uri};
use model::id::Role;
use model::limits::Limits;
use model::resources::Scalar;
use placement::Constraint;

use check::Check;
use environment::EnvValue;
pub use id::{AppId, BadAppId};
use network::{Network, PortMapping};
use pod::{PodSpec, VolumeSource};
use resource::{Amounts, LinuxInfo};
use volume::{AppVolume, AppVolumeSource, PersistentVolume};

use crate::autoscale::Autoscale;

/// Every field that this release knows; the defaults are filled in. `id`, `version` and what depends on other apps
/// (service ports, role) are settled when it is deployed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct AppSpec {
    #[n(0)]
    pub id: AppId,
    #[n(1)]
    pub process: Process,
    #[n(2)]
    pub user: Option<String>,
    #[n(3)]
    pub env: BTreeMap<String, EnvValue>,
    #[n(4)]
    pub labels: BTreeMap<String, String>,
    #[n(5)]
    pub cpus: Scalar,
    /// MiB.
    #[n(6)]
    pub mem: Scalar,
    /// MiB.
    #[n(7)]
    pub disk: Scalar,
    #[n(8)]
    pub gpus: u32,
    #[n(9)]
    pub instances: u32,
    #[n(10)]
    pub container: Option<ContainerInfo>,
    #[n(11)]
    pub ports: Vec<PortDefinition>,
    #[n(12)]
    pub require_ports: bool,
    #[n(13)]
    pub constraints: Vec<Constraint>,
    #[n(14)]
    pub health_checks: Vec<AppHealthCheck>,
    #[n(15)]
    pub upgrade: UpgradeStrategy,
    #[n(16)]
    pub backoff: Backoff,
    #[n(17)]
    pub kill_selection: KillSelection,
    #[n(18)]
    pub unreachable: UnreachableStrategy,
    #[n(19)]
    pub kill_grace: Option<Duration>,
    #[n(20)]
    pub fetch: Vec<Uri>,
    #[n(21)]
    pub dependencies: Vec<AppId>,
    /// Resources of which roles it takes; unset, the configuration says.
    #[n(22)]
    pub accepted_roles: Option<Vec<Role>>,
    /// Unset on input: the default role, or the top group's name where groups enforce their role.
    #[n(23)]
    pub role: Option<Role>,
    /// As given: empty, `//cmd`, or a program of the user's own.
    #[n(24)]
    pub executor: String,
    #[n(25)]
    pub tty: Option<bool>,
    #[n(26)]
    pub readiness: Option<ReadinessCheck>,
    /// A pod: what its instances run, instead of `process`, `container`, `fetch`, `env` and `health_checks`, which are
    /// empty. `cpus` to `gpus` and `ports` are the sums of what its members and its executor need.
    #[n(27)]
    pub pod: Option<PodSpec>,
    /// None named: the agent's own.
    #[cbor(n(28), default)]
    pub networks: Vec<Network>,
    /// By the name that the rest of the spec uses: where the secret store has it.
    #[cbor(n(29), default)]
    pub secrets: BTreeMap<String, String>,
    /// Those that are more than a path of the agent, which are the container's.
    #[cbor(n(30), default)]
    pub volumes: Vec<AppVolume>,
    /// The secret with the credentials for the image's registry.
    #[n(31)]
    pub pull_secret: Option<String>,
    #[n(32)]
    pub linux: Option<LinuxInfo>,
    #[n(33)]
    pub limits: Option<Limits>,
    /// For an executor of the user's own.
    #[n(34)]
    pub executor_resources: Option<Amounts>,
    #[n(35)]
    pub check: Option<Check>,
    #[n(36)]
    pub autoscale: Option<Autoscale>,
    /// A deployment that changes the app and takes longer is rolled back. Unset: it may take for ever.
    #[n(37)]
    pub deployment_timeout: Option<Duration>,
}

impl AppSpec {
    /// An app of which nothing else is said, with Marathon's defaults; it has no ports.
    pub fn new(id: AppId, process: Process) -> Self {
        Self {
            id,
            process,
            user: None,
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
            cpus: Scalar::whole(1),
            mem: Scalar::whole(128),
            disk: Scalar::default(),
            gpus: 0,
            instances: 1,
            container: None,
            ports: Vec::new(),
            require_ports: false,
            constraints: Vec::new(),
            health_checks: Vec::new(),
            upgrade: UpgradeStrategy::default(),
            backoff: Backoff::default(),
            kill_selection: KillSelection::YoungestFirst,
            unreachable: UnreachableStrategy::default(),
            kill_grace: None,
            fetch: Vec::new(),
            dependencies: Vec::new(),
            accepted_roles: None,
            role: None,
            executor: String::new(),
            tty: None,
            readiness: None,
            pod: None,
            networks: Vec::new(),
            secrets: BTreeMap::new(),
            volumes: Vec::new(),
            pull_secret: None,
            linux: None,
            limits: None,
            executor_resources: None,
            check: None,
            autoscale: None,
            deployment_timeout: None,
        }
    }

    /// Whether its instances stay where their volumes lie.
    pub fn is_resident(&self) -> bool {
        self.persistent_volumes().next().is_some()
    }

    /// Those that outlive the tasks of their instance, and where they are seen; a pod's are known by their names.
    pub fn persistent_volumes(&self) -> impl Iterator<Item = (&str, &PersistentVolume)> {
        let of_app = self.volumes.iter().filter_map(|one| match &one.source {
            AppVolumeSource::Persistent(volume) => Some((one.container_path.as_str(), volume)),
            AppVolumeSource::Dvdi(_) | AppVolumeSource::Csi(_) | AppVolumeSource::Secret(_) => None,
        });
        let of_pod = self.pod.iter().flat_map(|pod| &pod.volumes);
        of_app.chain(of_pod.filter_map(|one| match &one.source {
            VolumeSource::Persistent(volume) => Some((one.name.as_str(), volume)),
            VolumeSource::Ephemeral | VolumeSource::Host(_) | VolumeSource::Secret(_) => None,
        }))
    }

    /// What they take of the agent's own disk, besides `disk`.
    pub fn volume_space(&self) -> Scalar {
        let all = self.persistent_volumes().filter(|(_, volume)| !volume.is_apart());
        Scalar::whole(all.map(|(_, volume)| volume.size).sum())
    }

    /// Those that are on other disks of the agent.
    pub fn volumes_apart(&self) -> impl Iterator<Item = (&str, &PersistentVolume)> {
        self.persistent_volumes().filter(|(_, volume)| volume.is_apart())
    }
}

impl AppSpec {
    /// The ports under which load balancers know it. A required host port of 0 is chosen anew for each instance, so
    /// nobody can know it before; and a pod's ports are the agents', and nobody's but an instance's.
    pub(crate) fn service_ports(&self) -> impl Iterator<Item = u16> {
        let all = self.ports.iter().filter(|_| self.pod.is_none());
        all.map(|port| port.port).filter(|port| *port != 0)
    }
}

/// What an instance runs.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Process {
    /// `/bin/sh -c <cmd>`.
    #[n(0)]
    Cmd(#[n(0)] String),
    /// With an image: arguments of its entrypoint. Without: program and arguments.
    #[n(1)]
    Args(#[n(0)] Vec<String>),
    /// The image's own entrypoint and command.
    #[n(2)]
    Image,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PortDefinition {
    /// With `requirePorts` the host port, else the service port; 0: chosen by us. Of a mapped port the service port.
    #[n(0)]
    pub port: u16,
    #[n(1)]
    pub name: Option<String>,
    /// `tcp`, `udp` or `udp,tcp`.
    #[n(2)]
    pub protocol: String,
    #[n(3)]
    pub labels: BTreeMap<String, String>,
    /// Unless the app is on the agent's own network.
    #[n(4)]
    pub mapping: Option<PortMapping>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AppHealthCheck {
    #[n(0)]
    pub kind: CheckKind,
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
    #[n(6)]
    pub ignore_http_1xx: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CheckKind {
    #[n(0)]
    Http {
        #[n(0)]
        scheme: Scheme,
        #[n(1)]
        path: Option<String>,
        #[n(2)]
        port: CheckPort,
        #[n(3)]
        family: Family,
        /// Spelled `MESOS_HTTP` instead of `HTTP`.
        #[n(4)]
        mesos: bool,
    },
    #[n(1)]
    Tcp {
        #[n(0)]
        port: CheckPort,
        #[n(1)]
        family: Family,
        #[n(2)]
        mesos: bool,
    },
    #[n(2)]
    Command(#[n(0)] String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum CheckPort {
    /// The nth of the app's ports.
    #[n(0)]
    Index(#[n(0)] u16),
    #[n(1)]
    Number(#[n(0)] u16),
}

/// As fractions of the instance count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct UpgradeStrategy {
    /// At least so many healthy ones at any time.
    #[n(0)]
    pub minimum_health_capacity: Scalar,
    /// At most so many more than wanted.
    #[n(1)]
    pub maximum_over_capacity: Scalar,
}

/// Everything at once: all old instances stay until their replacements are there.
impl Default for UpgradeStrategy {
    fn default() -> Self {
        let all = Scalar::whole(1);
        Self { minimum_health_capacity: all, maximum_over_capacity: all }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Backoff {
    #[n(0)]
    pub initial: Duration,
    /// At least 1.
    #[n(1)]
    pub factor: Scalar,
    #[n(2)]
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { initial: seconds(1), factor: Scalar(1150), max: seconds(300) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KillSelection {
    #[n(0)]
    YoungestFirst,
    #[n(1)]
    OldestFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum UnreachableStrategy {
    /// Instances of lost agents are waited for as long as it takes.
    #[n(0)]
    Disabled,
    #[n(1)]
    Enabled {
        /// Then a replacement is launched.
        #[n(0)]
        inactive_after: Duration,
        /// Then the instance is given up, and killed if it comes back.
        #[n(1)]
        expunge_after: Duration,
    },
}

/// Replaced and given up at once, as DC/OS does.
impl Default for UnreachableStrategy {
    fn default() -> Self {
        Self::Enabled { inactive_after: Duration::ZERO, expunge_after: Duration::ZERO }
    }
}

/// Gates a deployment: an instance counts once this endpoint has said yes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReadinessCheck {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub scheme: Scheme,
    #[n(2)]
    pub path: String,
    #[n(3)]
    pub port_name: String,
    #[n(4)]
    pub interval: Duration,
    #[n(5)]
    pub timeout: Duration,
    #[n(6)]
    pub statuses: Vec<u16>,
    #[n(7)]
    pub preserve_last_response: bool,
}
