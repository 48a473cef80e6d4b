//! What is told of a task beside its latest status: what few statuses say, what was said before, and what only few tasks
//! have.

use std::borrow::Cow;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::check::CheckStatus;
use crate::container::HealthCheck;
use crate::id::Uuid;
use crate::resources::{ResourceName, Resources};
use crate::task::{Reason, Source, Task, TaskState, TaskStatus};
use crate::time::Time;

/// States that a task had before its latest of which the last status is kept. One that goes to and fro loses the oldest.
const EARLIER_MAX: usize = 8;

/// What few statuses tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct StatusMore {
    /// When the master gave its agent up, by the master's clock.
    #[n(0)]
    pub unreachable_at: Option<Time>,
    /// What it may not use more of, and did.
    #[cbor(n(1), default)]
    pub limitation: Resources,
    /// By its executor.
    #[cbor(n(2), default)]
    pub labels: Vec<(String, String)>,
}

impl StatusMore {
    /// Nothing, if nothing is told.
    pub fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// Which of its resources a task has exceeded that ended for this reason.
pub fn exceeded(reason: Option<Reason>, used: &Resources) -> Resources {
    let name = match reason {
        Some(Reason::ContainerLimitationMemory) => ResourceName::Mem,
        Some(Reason::ContainerLimitationDisk) => ResourceName::Disk,
        Some(_) | None => return Resources::default(),
    };
    Resources::new(used.iter().filter(|one| one.name == name).cloned())
}

/// The last that was told of a task in a state that it has left, without what its latest status says as well.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Earlier {
    #[n(0)]
    pub state: TaskState,
    #[n(1)]
    pub source: Source,
    #[n(2)]
    pub reason: Option<Reason>,
    #[n(3)]
    pub message: Option<String>,
    #[n(4)]
    pub at: Time,
    #[n(5)]
    pub uuid: Option<Uuid>,
    #[n(6)]
    pub healthy: Option<bool>,
    #[n(7)]
    pub check: Option<CheckStatus>,
    /// It had its container by then.
    #[n(8)]
    pub contained: bool,
    #[n(9)]
    pub more: Option<Box<StatusMore>>,
}

impl Earlier {
    fn of(status: &TaskStatus) -> Self {
        Self {
            state: status.state,
            source: status.source,
            reason: status.reason,
            message: status.message.clone(),
            at: status.at,
            uuid: status.uuid,
            healthy: status.healthy,
            check: status.check,
            contained: status.container.is_some(),
            more: status.more.clone(),
        }
    }

    /// The newest replaces a status of the same state; one of another is kept.
    pub fn keep(all: &mut Vec<Self>, before: Option<&TaskStatus>, newest: TaskState) {
        let Some(before) = before.filter(|before| before.state != newest) else { return };
        if all.len() == EARLIER_MAX {
            all.remove(0);
        }
        // Most tasks have one or two, and there are very many tasks.
        all.reserve_exact(1);
        all.push(Self::of(before));
    }

    fn status(&self, latest: &TaskStatus) -> TaskStatus {
        TaskStatus {
            agent: latest.agent.clone(),
            reason: self.reason,
            message: self.message.clone(),
            uuid: self.uuid,
            healthy: self.healthy,
            container: latest.container.clone().filter(|_| self.contained),
            executor: latest.executor.clone(),
            check: self.check,
            more: self.more.clone(),
            ..TaskStatus::plain(latest.task.clone(), self.state, self.source, self.at)
        }
    }
}

/// What few tasks have, and often many of them the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct TaskMore {
    #[n(0)]
    pub health_check: Option<HealthCheck>,
    /// From SIGTERM to SIGKILL.
    #[n(1)]
    pub kill_grace: Option<Duration>,
}

impl Task {
    /// Something new is told of it.
    pub fn tell(&mut self, status: TaskStatus) {
        Earlier::keep(&mut self.earlier, self.status.as_ref(), status.state);
        self.status = Some(status);
    }

    /// The last of each state, oldest first.
    pub fn statuses(&self) -> impl Iterator<Item = Cow<'_, TaskStatus>> {
        self.status.iter().flat_map(|latest| {
            let earlier = self.earlier.iter().map(|one| Cow::Owned(one.status(latest)));
            earlier.chain([Cow::Borrowed(latest)])
        })
    }
}
