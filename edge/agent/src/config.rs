//! What an agent must be told.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::attributes::{Attribute, FaultDomain};
use model::resources::Resources;

use crate::api::access::Access;
use crate::api::logging::Levels;
use crate::docker::DockerConfig;
use crate::door::Door;
use crate::gpus::Gpu;
use crate::host_paths::HostPaths;
use crate::logger::LogPolicy;
use crate::projects::Projects;
use crate::reconfigure::Reconfiguration;

/// One agent of this process.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// `DATA/agents/<slot>`: checkpoints and sandboxes. Belongs to this agent alone.
    pub dir: PathBuf,
    /// `host:port` where the master listens for agents.
    pub master: String,
    /// Where the agent's API listens and where its tasks are reached.
    pub ip: IpAddr,
    pub port: u16,
    pub hostname: String,
    /// What the machine has, as Mesos detects it, if unset.
    pub resources: Option<Resources>,
    /// Devices that are handed out whole, to tasks that need `gpus`.
    pub gpus: Vec<Gpu>,
    pub attributes: Vec<Attribute>,
    /// Which changes of these a restart may bring.
    pub reconfiguration: Reconfiguration,
    pub domain: Option<FaultDomain>,
    pub containers: containers::Config,
    /// May be shared by the agents of a process.
    pub images: images::Store,
    pub fetcher: images::Fetcher,
    /// Of output, for tasks that do not say it themselves.
    pub logs: LogPolicy,
    /// Which paths of the machine tasks may have as volumes.
    pub host_paths: HostPaths,
    /// Another one each time the machine is started: what ran before is gone.
    pub boot: String,
    /// Otherwise the agent starts as a new one: what it had checkpointed is put aside, and its tasks end.
    pub recover: bool,
    /// Ends all tasks when the agent is stopped; otherwise they run on.
    pub stop_tasks: bool,
    pub node: node::Config,
    /// For executors that are programs.
    pub door: Door,
    /// Of whom else its API wants to know who they are.
    pub access: Access,
    /// How much the program logs.
    pub levels: Arc<dyn Levels>,
    /// How long executors that are programs are to wait for an agent that is away, as they are told.
    pub recovery_timeout: Duration,
    /// How often it is measured what tasks leave idle, so that it can be lent to others; unset, nothing is lent.
    pub oversubscribe: Option<Duration>,
    /// How often it is looked at what containers keep on the disk, to end those that keep more than is set aside for them;
    /// unset, they may.
    pub disk_quota: Option<Duration>,
    /// Where the kernel counts what is on the disk, and whom. Shared by the agents of a machine.
    pub projects: Projects,
    /// For tasks of type DOCKER; unset, they run like all others.
    pub docker: Option<DockerConfig>,
    /// The share of the disk that is kept free: sandboxes go earlier the nearer it comes. Mesos: 0.1.
    pub gc_disk_headroom: f64,
}
