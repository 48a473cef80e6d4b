//! The agent's brain: what to run, what to report, what to repeat. No process is started here.

use std::time::Duration;

use model::agent::{AgentInfo, FromAgent, ToAgent};
use model::container::Probe;
use model::id::{AgentId, ContainerId, FrameworkId, TaskId, Term, Uuid};
use model::task::{ContainerStatus, Reason, TaskInfo, TaskStatus};

pub type Out = model::machine::Out<Record, Effect>;

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// First after a start: what this agent is now (its resources may have grown) and which containers were found alive.
    Started {
        info: AgentInfo,
        alive: Vec<ContainerId>,
        seed: u64,
    },
    /// A stream to a master of this term is open: register.
    Connected {
        term: Term,
    },
    Disconnected,
    Master {
        term: Term,
        message: ToAgent,
        seed: u64,
    },
    /// The runtime speaks of a container.
    Container {
        container: ContainerId,
        happened: Happened,
        seed: u64,
    },
    /// A probe of the nth health check has ended; `Err` says why it failed.
    Probed {
        container: ContainerId,
        check: usize,
        outcome: Result<(), String>,
        seed: u64,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Fetching, pulling: slow enough to be told.
    Preparing,
    Started {
        status: ContainerStatus,
    },
    /// Never ran.
    Failed {
        reason: Reason,
        cause: String,
    },
    /// What `wait` returned, and what the runtime did to it before.
    Exited {
        wait_status: i32,
        limitation: Option<(Reason, String)>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Lost if there is no stream; repeated from state.
    ToMaster(FromAgent),
    /// Prepare and start. A container that is there already is left alone.
    Launch {
        container: ContainerId,
        framework: FrameworkId,
        task: TaskInfo,
    },
    /// SIGTERM, then SIGKILL after the grace period.
    Stop {
        container: ContainerId,
        grace: Duration,
    },
    Probe {
        container: ContainerId,
        check: usize,
        probe: Probe,
        timeout: Duration,
    },
    /// The sandbox may go after this long.
    Collect {
        container: ContainerId,
        framework: FrameworkId,
        task: TaskId,
        after: Duration,
    },
}

/// The new value of one entity; `None` says that it is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Who this agent is and which master it obeys.
    Own(Own),
    Task(ContainerId, Option<Held>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    pub agent: Option<AgentId>,
    pub info: AgentInfo,
    /// The highest term seen: an older master is not obeyed.
    pub term: Term,
}

/// A task that was accepted, until its last update is acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub framework: FrameworkId,
    pub info: TaskInfo,
    /// Updates nobody has acknowledged, oldest first; the first is being told.
    pub pending: Vec<TaskStatus>,
    pub latest: Option<TaskStatus>,
    /// Kill was asked for.
    pub killed: Option<Duration>,
}

/// Names an update: from the seed of the input that caused it.
pub fn status_uuid(seed: u64, nth: u64) -> Uuid {
    Uuid::derive(seed, nth)
}
