//! The one language between schedulers and the kernel: Mesos' v1 scheduler API as values.
//!
//! `services` speaks it in-process, a foreign framework speaks it over HTTP; the kernel cannot tell them apart.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::AgentInfo;
use crate::framework::FrameworkInfo;
use crate::id::{AgentId, FrameworkId, OfferId, Role, TaskId, Uuid};
use crate::resources::Resources;
use crate::task::{ExecutorInfo, TaskInfo, TaskStatus};

/// Resources of one agent that one framework may use until it answers or the offer is rescinded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub id: OfferId,
    pub framework: FrameworkId,
    /// What the agent is: hostname, attributes, domain.
    pub agent: Arc<AgentInfo>,
    pub agent_id: AgentId,
    /// The framework's role that the resources are allocated to.
    pub role: Role,
    pub resources: Resources,
}

/// How long the rest of an offer is not to be offered again to the same role of the framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filters {
    pub refuse: Duration,
}

impl Default for Filters {
    /// As in Mesos: five seconds.
    fn default() -> Self {
        Self { refuse: Duration::from_secs(5) }
    }
}

/// What a scheduler asks of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Subscribe {
        info: FrameworkInfo,
    },
    Teardown,
    Accept {
        offers: Vec<OfferId>,
        operations: Vec<Operation>,
        filters: Filters,
    },
    Decline {
        offers: Vec<OfferId>,
        filters: Filters,
    },
    /// Forgets the filters and asks for offers, for these roles or for all.
    Revive {
        roles: Vec<Role>,
    },
    /// Wants no offers, for these roles or for all.
    Suppress {
        roles: Vec<Role>,
    },
    Kill {
        task: TaskId,
        agent: Option<AgentId>,
        grace: Option<Duration>,
    },
    Acknowledge {
        agent: AgentId,
        task: TaskId,
        uuid: Uuid,
    },
    /// The named tasks, or all of the framework's.
    Reconcile {
        tasks: Vec<(TaskId, Option<AgentId>)>,
    },
}

/// What is done with accepted resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Each task is launched or refused on its own.
    Launch(Vec<TaskInfo>),
    /// All of the tasks or none, in one executor: one that fails or is killed takes the others with it.
    LaunchGroup { executor: ExecutorInfo, tasks: Vec<TaskInfo> },
}

impl Operation {
    pub fn tasks(&self) -> &[TaskInfo] {
        match self {
            Operation::Launch(tasks) | Operation::LaunchGroup { tasks, .. } => tasks,
        }
    }

    pub fn into_tasks(self) -> Vec<TaskInfo> {
        match self {
            Operation::Launch(tasks) | Operation::LaunchGroup { tasks, .. } => tasks,
        }
    }
}

/// What the kernel tells a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Subscribed {
        framework: FrameworkId,
    },
    Offers(Vec<Offer>),
    Rescind(OfferId),
    Update(TaskStatus),
    /// An agent is gone for good.
    Failure {
        agent: AgentId,
    },
    /// The subscription is over; a new one may be tried unless the framework was torn down.
    Error(String),
}
