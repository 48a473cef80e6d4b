//! Tasks and their states.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::check::{CheckInfo, CheckStatus, ReadinessCheck};
use crate::confinement::Namespaces;
use crate::container::{CommandInfo, ContainerInfo, DiscoveryInfo, HealthCheck};
use crate::executor::{Given, Program};
use crate::id::{AgentId, ContainerId, ExecutorId, FrameworkId, Role, TaskId, Uuid};
use crate::limits::Limits;
use crate::resources::Resources;
use crate::time::Time;
use crate::told::{Earlier, StatusMore, TaskMore};

/// Every state of Mesos v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum TaskState {
    #[n(0)]
    Staging,
    #[n(1)]
    Starting,
    #[n(2)]
    Running,
    #[n(3)]
    Killing,
    #[n(4)]
    Finished,
    #[n(5)]
    Failed,
    #[n(6)]
    Killed,
    /// The description of the task is at fault.
    #[n(7)]
    Error,
    /// For frameworks that are not partition-aware: dropped, unreachable, gone or unknown.
    #[n(8)]
    Lost,
    /// Never reached its agent.
    #[n(9)]
    Dropped,
    /// Its agent does not answer. The task may come back.
    #[n(10)]
    Unreachable,
    #[n(11)]
    Gone,
    #[n(12)]
    GoneByOperator,
    #[n(13)]
    Unknown,
}

impl TaskState {
    /// No later state follows. Unreachable and unknown tasks may come back.
    pub fn is_terminal(self) -> bool {
        match self {
            TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator => true,
            TaskState::Staging
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Killing
            | TaskState::Unreachable
            | TaskState::Unknown => false,
        }
    }
}

/// What to run, as a framework describes it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TaskInfo {
    #[n(0)]
    pub id: TaskId,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub agent: AgentId,
    #[n(3)]
    pub resources: Resources,
    /// The framework's role that the resources are charged to.
    #[n(4)]
    pub role: Role,
    #[n(5)]
    pub command: CommandInfo,
    #[n(6)]
    pub container: Option<ContainerInfo>,
    #[n(7)]
    pub health_checks: Vec<HealthCheck>,
    /// From SIGTERM to SIGKILL.
    #[n(8)]
    pub kill_grace: Option<Duration>,
    #[n(9)]
    pub labels: Vec<(String, String)>,
    #[n(10)]
    pub discovery: Option<DiscoveryInfo>,
    /// Its agent tells its framework how much it uses.
    #[cbor(n(11), default)]
    pub measured: bool,
    #[cbor(n(12), default)]
    pub limits: Limits,
    #[n(13)]
    pub check: Option<CheckInfo>,
    /// A word of our own, not of Mesos.
    #[n(14)]
    pub readiness: Option<ReadinessCheck>,
    /// The whole of it, for an executor that is a program. Unset for all others.
    #[n(16)]
    pub given: Option<Given>,
    /// From the moment at which it runs: it has failed if it has not ended by then.
    #[n(17)]
    pub completes_within: Option<Duration>,
}

impl TaskInfo {
    /// A task that is called what its id says, with nothing that may be left out.
    pub fn plain(
        id: TaskId,
        agent: AgentId,
        role: Role,
        resources: Resources,
        command: CommandInfo,
    ) -> Self {
        Self {
            name: id.as_str().to_owned(),
            id,
            agent,
            resources,
            role,
            command,
            container: None,
            health_checks: Vec::new(),
            kill_grace: None,
            labels: Vec::new(),
            discovery: None,
            measured: false,
            limits: Limits::default(),
            check: None,
            readiness: None,
            given: None,
            completes_within: None,
        }
    }
}

/// What the tasks of a group share, as their framework describes it. It lives as long as one of its tasks does, and a
/// later group that names it again, word for word, joins those tasks.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ExecutorInfo {
    #[n(0)]
    pub id: ExecutorId,
    /// On top of what its tasks use, charged to their role once while any of them lives.
    #[n(1)]
    pub resources: Resources,
    #[n(2)]
    pub labels: Vec<(String, String)>,
    /// Set if it is its framework's own program. It lives until it ends, with tasks or without, and decides itself what
    /// becomes of them.
    #[cbor(n(3), with = "crate::shared::option", has_nil)]
    pub program: Option<Arc<Program>>,
    /// What else its framework says of it, to be shown. Unset if that is nothing, and for a program, which keeps its own.
    #[n(4)]
    pub given: Option<Given>,
    /// Where the tasks of a group are limited.
    #[cbor(n(5), default)]
    pub cgroups: Cgroups,
    /// Of the parent of the tasks of a group.
    #[cbor(n(6), default)]
    pub namespaces: Namespaces,
}

/// Whose control groups limit the tasks of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Cgroups {
    /// Each task has its own. Also of a program, and of all that was launched by releases that knew nothing else.
    #[default]
    #[n(0)]
    Own,
    /// One for all of them and their executor, with the sum of what they may use.
    #[n(1)]
    Shared,
}

impl ExecutorInfo {
    /// An executor for groups, of which nothing else is said.
    pub fn plain(id: ExecutorId, resources: Resources) -> Self {
        Self {
            id,
            resources,
            labels: Vec::new(),
            program: None,
            given: None,
            cgroups: Cgroups::Own,
            namespaces: Namespaces::default(),
        }
    }

    /// What its framework says of it, of whatever kind it is.
    pub fn described(&self) -> Option<&Given> {
        let program = self.program.as_ref().map(|program| &program.given);
        program.or(self.given.as_ref())
    }
}

/// What the kernel keeps of a task: all but how to run it, and no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Task {
    #[n(0)]
    pub id: TaskId,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub framework: FrameworkId,
    #[n(3)]
    pub agent: AgentId,
    #[n(4)]
    pub resources: Resources,
    #[n(5)]
    pub role: Role,
    #[n(6)]
    pub state: TaskState,
    /// The latest status; `None` until the agent has said anything.
    #[n(7)]
    pub status: Option<TaskStatus>,
    #[n(8)]
    pub labels: Vec<(String, String)>,
    #[n(9)]
    pub discovery: Option<DiscoveryInfo>,
    #[n(10)]
    pub container: Option<Box<ContainerInfo>>,
    #[n(11)]
    pub user: Option<String>,
    /// Set if it was launched in a group.
    #[n(12)]
    pub executor: Option<Box<ExecutorInfo>>,
    #[cbor(n(13), default)]
    pub limits: Limits,
    /// What was told before the latest status, oldest first.
    #[cbor(n(14), default)]
    pub earlier: Vec<Earlier>,
    #[cbor(n(15), with = "crate::shared::option", has_nil)]
    pub more: Option<Arc<TaskMore>>,
}

impl Task {
    /// A task that was just launched.
    pub fn staged(
        framework: FrameworkId,
        info: &TaskInfo,
        executor: Option<&ExecutorInfo>,
    ) -> Self {
        let health_check = info.health_checks.first().cloned();
        let more = TaskMore { health_check, kill_grace: info.kill_grace };
        Self {
            id: info.id.clone(),
            name: info.name.clone(),
            framework,
            agent: info.agent.clone(),
            resources: info.resources.clone(),
            role: info.role.clone(),
            state: TaskState::Staging,
            status: None,
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            container: info.container.clone().map(|one| Box::new(one.without_secrets())),
            user: info.command.user.clone(),
            executor: executor.cloned().map(Box::new),
            limits: info.limits,
            earlier: Vec::new(),
            more: (more != TaskMore::default()).then(|| Arc::new(more)),
        }
    }
}

/// One change of a task, told to its framework until acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TaskStatus {
    #[n(0)]
    pub task: TaskId,
    #[n(1)]
    pub state: TaskState,
    /// Unset only for a task whose agent is not known.
    #[n(2)]
    pub agent: Option<AgentId>,
    #[n(3)]
    pub source: Source,
    #[n(4)]
    pub reason: Option<Reason>,
    #[n(5)]
    pub message: Option<String>,
    #[n(6)]
    pub at: Time,
    /// Names this very update. Unset for what the kernel itself says, which wants no acknowledgement.
    #[n(7)]
    pub uuid: Option<Uuid>,
    /// Unset while no health check has decided.
    #[n(8)]
    pub healthy: Option<bool>,
    #[n(9)]
    pub container: Option<ContainerStatus>,
    #[n(10)]
    pub executor: Option<ExecutorId>,
    /// The process's exit status, where it has ended: what `wait` returned.
    #[n(11)]
    pub wait_status: Option<i32>,
    /// Set if the task has a check.
    #[n(12)]
    pub check: Option<CheckStatus>,
    /// Set if the task has a readiness check: whether it ever said yes.
    #[n(13)]
    pub ready: Option<bool>,
    /// The whole of it, where an executor that is a program said it.
    #[n(16)]
    pub given: Option<Given>,
    #[n(17)]
    pub more: Option<Box<StatusMore>>,
}

impl TaskStatus {
    /// A status that tells nothing else, and wants no acknowledgement.
    pub fn plain(task: TaskId, state: TaskState, source: Source, at: Time) -> Self {
        Self {
            task,
            state,
            agent: None,
            source,
            reason: None,
            message: None,
            at,
            uuid: None,
            healthy: None,
            container: None,
            executor: None,
            wait_status: None,
            check: None,
            ready: None,
            given: None,
            more: None,
        }
    }
}

/// Where a task's container is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ContainerStatus {
    #[n(0)]
    pub id: ContainerId,
    #[n(1)]
    pub addresses: Vec<Address>,
    #[n(2)]
    pub pid: Option<u32>,
    /// The container of the executor that this one is nested in.
    #[n(3)]
    pub parent: Option<ContainerId>,
}

/// An address under which a task can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub IpAddr);

impl<C> Encode<C> for Address {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Address {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?
            .parse()
            .map(Self)
            .map_err(|_| minicbor::decode::Error::message("not an IP address"))
    }
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Source {
    #[n(0)]
    Master,
    #[n(1)]
    Agent,
    #[n(2)]
    Executor,
}

/// Why: the reasons of Mesos v1 (`mesos.proto`, `TaskStatus.Reason`). The CBOR numbers are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Reason {
    #[n(0)]
    CommandExecutorFailed,
    #[n(1)]
    ContainerLaunchFailed,
    #[n(2)]
    ContainerLimitation,
    #[n(3)]
    ContainerLimitationDisk,
    #[n(4)]
    ContainerLimitationMemory,
    #[n(5)]
    ContainerPreempted,
    #[n(6)]
    ContainerUpdateFailed,
    #[n(7)]
    MaxCompletionTimeReached,
    #[n(8)]
    ExecutorRegistrationTimeout,
    #[n(9)]
    ExecutorReregistrationTimeout,
    #[n(10)]
    ExecutorTerminated,
    #[n(11)]
    ExecutorUnregistered,
    #[n(12)]
    FrameworkRemoved,
    #[n(13)]
    GcError,
    #[n(14)]
    InvalidFrameworkid,
    #[n(15)]
    InvalidOffers,
    #[n(16)]
    IoSwitchboardExited,
    #[n(17)]
    MasterDisconnected,
    #[n(18)]
    Reconciliation,
    #[n(19)]
    ResourcesUnknown,
    #[n(20)]
    AgentDisconnected,
    #[n(21)]
    AgentDraining,
    #[n(22)]
    AgentRemoved,
    #[n(23)]
    AgentRemovedByOperator,
    #[n(24)]
    AgentReregistered,
    #[n(25)]
    AgentRestarted,
    #[n(26)]
    AgentUnknown,
    #[n(27)]
    TaskCheckStatusUpdated,
    #[n(28)]
    TaskGroupInvalid,
    #[n(29)]
    TaskGroupUnauthorized,
    #[n(30)]
    TaskHealthCheckStatusUpdated,
    #[n(31)]
    TaskInvalid,
    #[n(32)]
    TaskKilledDuringLaunch,
    #[n(33)]
    TaskUnauthorized,
    #[n(34)]
    TaskUnknown,
}
