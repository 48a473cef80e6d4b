//! The language between the kernel and its agents. Each letter carries the leader's term.

use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::attributes::{Attribute, FaultDomain};
use crate::check::Readiness;
use crate::executor::{Given, HeldExecutor, Together};
use crate::framework::FrameworkInfo;
use crate::id::{AgentId, ExecutorId, FrameworkId, OperationId, TaskId, Term, Uuid};
use crate::operation::{Conversion, Operated};
use crate::provider::Provided;
use crate::resources::{Resources, Scalar};
use crate::task::{ExecutorInfo, Task, TaskInfo, TaskStatus};
use crate::time::Time;

/// The version of this protocol. A master speaks to agents of its own and the previous one.
pub const PROTOCOL: u32 = 3;
/// The first version that makes readiness checks.
pub const PROTOCOL_READINESS: u32 = 3;
/// The first version that converts resources and keeps claims.
pub const PROTOCOL_CLAIMS: u32 = 3;
/// The first version that knows executors that are programs.
pub const PROTOCOL_PROGRAMS: u32 = 3;

/// What a machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AgentInfo {
    #[n(0)]
    pub hostname: String,
    /// Where tasks and the agent's own API are reached.
    #[n(1)]
    pub ip: String,
    /// Of the agent's own API: 5051.
    #[n(2)]
    pub port: u16,
    #[n(3)]
    pub resources: Resources,
    #[n(4)]
    pub attributes: Vec<Attribute>,
    #[n(5)]
    pub domain: Option<FaultDomain>,
    /// Of the program: `0.1.0`.
    #[n(6)]
    pub version: String,
    /// The directory below which the sandboxes are, as the files API shows them.
    #[n(7)]
    pub work_dir: String,
}

/// What the master says to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[expect(
    clippy::large_enum_variant,
    reason = "most letters are `Run`, and a box would be one more allocation for each"
)]
pub enum ToAgent {
    /// Admitted under this id.
    #[n(0)]
    Registered {
        #[n(0)]
        agent: AgentId,
    },
    /// Not admitted, and not to come back under this id: it was marked gone, or speaks another protocol.
    #[n(1)]
    Refused {
        #[n(0)]
        cause: String,
    },
    #[n(2)]
    Run {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        task: TaskInfo,
        #[n(2)]
        #[cbor(default)]
        killing: TellKilling,
        /// What is known of the framework, with its id. Unset by masters that do not say.
        #[cbor(n(3), with = "crate::shared::option", has_nil)]
        of: Option<Arc<FrameworkInfo>>,
    },
    #[n(3)]
    Kill {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        task: TaskId,
        /// Instead of the task's own.
        #[n(2)]
        grace: Option<Duration>,
        /// And no longer than this.
        #[n(3)]
        grace_max: Option<Duration>,
    },
    #[n(4)]
    Acknowledge {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        uuid: Uuid,
    },
    /// Answered by `Pong`.
    #[n(5)]
    Ping,
    /// The framework is gone: its tasks are killed and nobody acknowledges them any more.
    #[n(6)]
    Shutdown {
        #[n(0)]
        framework: FrameworkId,
    },
    /// All of the tasks or none.
    #[n(7)]
    RunGroup {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        executor: ExecutorInfo,
        #[n(2)]
        tasks: Vec<TaskInfo>,
        #[n(3)]
        killing: TellKilling,
        /// As in `Run`.
        #[cbor(n(4), with = "crate::shared::option", has_nil)]
        of: Option<Arc<FrameworkInfo>>,
    },
    /// Resources become others. Answered by `Operated`, again and again until that is acknowledged.
    #[n(8)]
    Convert {
        #[n(0)]
        operation: Uuid,
        /// Who wants it and how it is called there; unset for what an operator wants.
        #[n(1)]
        framework: Option<FrameworkId>,
        #[n(2)]
        id: Option<OperationId>,
        #[n(3)]
        conversion: Conversion,
        /// Of a provider's resources: in which state of theirs it was asked for.
        #[n(4)]
        version: Option<Uuid>,
    },
    #[n(9)]
    AcknowledgeOperation {
        #[n(0)]
        operation: Uuid,
        /// Of the status that was seen.
        #[n(1)]
        uuid: Uuid,
    },
    /// The executor is started if it does not run yet.
    #[n(12)]
    RunIn(#[n(0)] Box<RunIn>),
    /// Ends an executor that is a program.
    #[n(13)]
    ShutdownExecutor {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        executor: ExecutorId,
    },
    #[n(14)]
    Message {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        executor: ExecutorId,
        #[n(2)]
        data: Given,
    },
}

/// Tasks for an executor that is a program.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RunIn {
    /// With its id.
    #[n(0)]
    pub framework: FrameworkInfo,
    #[n(1)]
    pub executor: ExecutorInfo,
    #[n(2)]
    pub tasks: Vec<TaskInfo>,
    #[n(3)]
    pub together: Together,
    #[n(4)]
    pub killing: TellKilling,
}

/// Whether a framework wants to hear that a kill is being carried out, as TASK_KILLING, before it hears of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum TellKilling {
    #[default]
    #[n(0)]
    No,
    #[n(1)]
    Yes,
}

/// What an agent says to the master.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromAgent {
    /// First on every stream. Tells all the agent holds, so that the master can settle the difference.
    #[n(0)]
    Register {
        #[n(0)]
        protocol: u32,
        /// Unset on the very first registration.
        #[n(1)]
        agent: Option<AgentId>,
        #[n(2)]
        info: AgentInfo,
        #[n(3)]
        tasks: Vec<HeldTask>,
        #[cbor(n(4), default)]
        books: Books,
    },
    /// Repeated until acknowledged; one outstanding per task.
    #[n(1)]
    Update {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        status: TaskStatus,
        /// The task's newest state, which `status` may lag behind while it waits for its acknowledgement: what the task
        /// holds is free once this is terminal.
        #[n(2)]
        latest: crate::task::TaskState,
        /// How many updates of this task were acknowledged before this one. Unset by agents that do not count, and for
        /// what is said once.
        #[n(3)]
        place: Option<u64>,
    },
    #[n(2)]
    Pong,
    /// What the health checks of a task have found so far, one tally for each. Lost if nobody listens: the next one
    /// says it again.
    #[n(3)]
    Checked {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        task: TaskId,
        #[n(2)]
        checks: Vec<CheckTally>,
        /// What its readiness check found last, if it has one and this is known.
        #[n(3)]
        readiness: Option<Readiness>,
    },
    /// How much the tasks use that are to be measured. Lost if nobody listens: the next one is as good.
    #[n(4)]
    Used {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        tasks: Vec<Used>,
    },
    /// Repeated until acknowledged.
    #[n(5)]
    Operated {
        #[n(0)]
        operated: Box<Operated>,
        /// Of the agent now, by which the master settles what it thought.
        #[n(1)]
        claims: Resources,
        /// On resources of a provider: the same of that, unless it is away.
        #[n(2)]
        provided: Option<Box<Provided>>,
    },
    /// An executor that is a program has ended. Said once: if it is lost, the next registration shows that it is gone.
    #[n(8)]
    ExecutorEnded {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        executor: ExecutorId,
        /// What `wait` returned; unset if it never ran or nobody knows.
        #[n(2)]
        wait_status: Option<i32>,
    },
    #[n(9)]
    Message {
        #[n(0)]
        framework: FrameworkId,
        #[n(1)]
        executor: ExecutorId,
        #[n(2)]
        data: Given,
    },
    /// What its tasks have and do not use, in all. Lost if nobody listens: the next registration tells it again.
    #[n(30)]
    Lends {
        #[n(0)]
        revocable: Resources,
    },
    /// All providers that are there, whenever something of that is news. Lost if nobody listens: the next registration tells
    /// it again.
    #[n(31)]
    Provides {
        #[n(0)]
        providers: Vec<Provided>,
    },
}

/// What an agent knows of its resources beyond its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Books {
    #[n(0)]
    pub claims: Resources,
    /// Under way, or over with a status that nobody has acknowledged.
    #[n(1)]
    pub operations: Vec<Operated>,
    /// Executors that are programs.
    #[cbor(n(2), default)]
    pub executors: Vec<HeldExecutor>,
    /// What its tasks have and do not use.
    #[cbor(n(7), default)]
    pub revocable: Resources,
    /// Those that are there.
    #[cbor(n(8), default)]
    pub providers: Vec<Provided>,
}

/// How much one task uses of what it is allotted, since the last time: thousandths of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Used {
    #[n(0)]
    pub task: TaskId,
    #[n(1)]
    pub cpu: Scalar,
    #[n(2)]
    pub mem: Scalar,
}

/// What one health check of a task has found since the task runs, or since its agent was started anew. It is never
/// written down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct CheckTally {
    /// In a row, up to now. Those that the grace period forgives do not count.
    #[n(0)]
    pub failures: u32,
    #[n(1)]
    pub first_success: Option<Time>,
    #[n(2)]
    pub last_success: Option<Time>,
    #[n(3)]
    pub last_failure: Option<Time>,
    #[n(4)]
    pub last_cause: Option<String>,
}

impl CheckTally {
    /// Nothing that counts has happened yet.
    pub fn is_blank(&self) -> bool {
        self.last_success.is_none() && self.last_failure.is_none()
    }

    /// It has succeeded, and not failed since.
    pub fn is_alive(&self) -> bool {
        self.last_success.is_some() && self.failures == 0
    }
}

/// A task that an agent holds: running, or ended with an update that nobody has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HeldTask {
    /// With its newest state and status.
    #[n(0)]
    pub task: Task,
    /// That of the newest status, as an update will have it.
    #[n(1)]
    pub place: Option<u64>,
}

/// One batch on the stream, in either direction. The agent answers with the term it was registered in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Letter<M> {
    #[n(0)]
    pub term: Term,
    #[n(1)]
    pub messages: Vec<M>,
}
