//! The one language between schedulers and the kernel: Mesos' v1 scheduler API as values.
//!
//! `services` speaks it in-process, a foreign framework speaks it over HTTP; the kernel cannot tell them apart.

use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::agent::{AgentInfo, CheckTally, Used};
use crate::check::Readiness;
use crate::executor::Given;
use crate::framework::FrameworkInfo;
use crate::id::{AgentId, ExecutorId, FrameworkId, OfferId, OperationId, Role, TaskId, Uuid};
use crate::operation::{Conversion, OperationStatus};
use crate::resources::Resources;
use crate::task::{ExecutorInfo, Reason, TaskInfo, TaskStatus};
use crate::time::Time;
use crate::wishes::Wishes;

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
    /// When the agent is to go down for maintenance, if that is known.
    pub unavailability: Option<Unavailability>,
    /// The framework's own on the agent, which may be given more tasks.
    pub executors: Vec<ExecutorId>,
}

/// A time in which an agent cannot be counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Unavailability {
    #[n(0)]
    pub start: Time,
    /// Without it the agent does not come back.
    #[n(1)]
    pub duration: Option<Duration>,
}

impl Unavailability {
    /// Whether it has begun, or begins within this time.
    pub fn is_near(&self, now: Time, ahead: Duration) -> bool {
        let is_over = self.duration.is_some_and(|duration| self.start + duration <= now);
        self.start <= now + ahead && !is_over
    }
}

/// Asks a framework to let go of what it holds on an agent before that goes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InverseOffer {
    pub id: OfferId,
    pub framework: FrameworkId,
    pub agent: AgentId,
    pub unavailability: Unavailability,
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
    /// Changes what the subscription says of the framework, its roles among it. Other roles' offers and filters stay.
    UpdateFramework {
        info: FrameworkInfo,
        /// If other offers are wanted from now on.
        wishes: Option<Wishes>,
    },
    Accept {
        offers: Vec<OfferId>,
        operations: Vec<Operation>,
        filters: Filters,
    },
    Decline {
        offers: Vec<OfferId>,
        filters: Filters,
    },
    /// It will have let go by then.
    AcceptInverse {
        offers: Vec<OfferId>,
        filters: Filters,
    },
    /// It cannot promise that.
    DeclineInverse {
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
    /// Ends an executor that is a program, and its tasks with it.
    Shutdown {
        agent: AgentId,
        executor: ExecutorId,
    },
    /// For an executor that is a program. Neither kept nor repeated.
    Message {
        agent: AgentId,
        executor: ExecutorId,
        data: Given,
    },
    AcknowledgeOperation {
        agent: Option<AgentId>,
        operation: OperationId,
        uuid: Uuid,
    },
    /// The named operations, or all of the framework's.
    ReconcileOperations {
        operations: Vec<(OperationId, Option<AgentId>)>,
    },
}

/// What is done with accepted resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Each task is launched or refused on its own.
    Launch(Vec<TaskInfo>),
    /// All of the tasks or none, in one executor: one that fails or is killed takes the others with it.
    LaunchGroup { executor: ExecutorInfo, tasks: Vec<TaskInfo> },
    /// Each task is launched or refused on its own, in an executor that is a program.
    LaunchIn { executor: ExecutorInfo, tasks: Vec<TaskInfo> },
    /// Tasks that cannot be what their framework described: it is told why.
    Refuse(Vec<RefusedTask>),
    /// What comes of it can be used by the operations that follow it. Its framework hears of it if it gave it an id.
    Convert { id: Option<OperationId>, conversion: Conversion },
    /// One that cannot be what its framework described: it is told why.
    NoConversion { id: Option<OperationId>, cause: String },
}

/// A task whose description cannot even be put into our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedTask {
    pub id: TaskId,
    pub agent: AgentId,
    /// Its own fault, or its group's.
    pub reason: Reason,
    pub cause: String,
}

impl Operation {
    pub fn tasks(&self) -> &[TaskInfo] {
        match self {
            Operation::Launch(tasks)
            | Operation::LaunchGroup { tasks, .. }
            | Operation::LaunchIn { tasks, .. } => tasks,
            Operation::Refuse(_) | Operation::Convert { .. } | Operation::NoConversion { .. } => {
                &[]
            }
        }
    }

    /// The name under which its framework wants to hear of it.
    pub fn feedback(&self) -> Option<OperationId> {
        match self {
            Operation::Convert { id, .. } | Operation::NoConversion { id, .. } => id.clone(),
            Operation::Launch(_)
            | Operation::LaunchGroup { .. }
            | Operation::LaunchIn { .. }
            | Operation::Refuse(_) => None,
        }
    }

    /// Every task that is named, and the agent that it was meant for.
    pub fn into_names(self) -> Vec<(TaskId, AgentId)> {
        match self {
            Operation::Launch(tasks)
            | Operation::LaunchGroup { tasks, .. }
            | Operation::LaunchIn { tasks, .. } => {
                tasks.into_iter().map(|task| (task.id, task.agent)).collect()
            }
            Operation::Refuse(tasks) => {
                tasks.into_iter().map(|task| (task.id, task.agent)).collect()
            }
            Operation::Convert { .. } | Operation::NoConversion { .. } => Vec::new(),
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
    /// Neither accepting nor declining them changes anything: operators are shown what was said.
    InverseOffers(Vec<InverseOffer>),
    RescindInverse(OfferId),
    Update(TaskStatus),
    UpdateOperation(OperationStatus),
    /// What the health checks of a task have found so far, one tally for each. Neither kept nor repeated, and not told
    /// to frameworks outside, for which Mesos has no such word.
    Checked {
        task: TaskId,
        checks: Vec<CheckTally>,
        readiness: Option<Readiness>,
    },
    /// How much its tasks use that are to be measured. Like `Checked`, a word of our own.
    Used(Vec<Used>),
    /// An agent is gone for good, or one of its executors that are programs has ended.
    Failure {
        agent: AgentId,
        executor: Option<Ended>,
    },
    /// An agent is away: it cannot be reached, or its machine is down. It may come back, with its data.
    Away(AgentId),
    /// From an executor that is a program. Neither kept nor repeated.
    Message {
        agent: AgentId,
        executor: ExecutorId,
        data: Given,
    },
    /// The subscription is over; a new one may be tried unless the framework was torn down.
    Error(String),
}

/// An executor that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub executor: ExecutorId,
    /// What `wait` returned; unset if nobody knows.
    pub wait_status: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_avoided_from_before_its_maintenance_until_after_it() {
        let check = |duration: Option<u64>, now: u64, ahead: u64, near: bool| {
            let duration = duration.map(Duration::from_millis);
            let planned = Unavailability { start: Time(100), duration };
            let found = planned.is_near(Time(now), Duration::from_millis(ahead));
            assert_eq!(found, near, "{duration:?} at {now} looking {ahead} ahead");
        };
        check(Some(50), 99, 0, false);
        check(Some(50), 100, 0, true);
        check(Some(50), 149, 0, true);
        check(Some(50), 150, 0, false);
        check(Some(50), 90, 9, false);
        check(Some(50), 90, 10, true);
        check(None, 99, 0, false);
        check(None, 1_000_000, 0, true);
    }
}
