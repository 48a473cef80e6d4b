//! What can be asked of an agent's brain: a snapshot whose clone costs nothing.

use std::sync::Arc;

use imbl::OrdMap;
use model::agent::HeldTask;
use model::framework::FrameworkInfo;
use model::id::{ContainerId, ExecutorId, FrameworkId, ProviderId, Uuid};
use model::operation::Operated;
use model::resources::Resources;
use model::task::{ExecutorInfo, Task, TaskState};

use crate::counts::Counts;
use crate::executor::Executor;
use crate::providers::{Admitted, Subscribed};
use crate::state::{Group, Held, Own};

/// All of it is durable once the batch that it was taken after is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Unset before the first start.
    pub own: Option<Arc<Own>>,
    /// Tasks that run or whose end nobody has acknowledged.
    pub held: OrdMap<ContainerId, Arc<Held>>,
    /// What was reserved while the cluster ran, and volumes.
    pub claims: Arc<Resources>,
    /// Operations under way, and those whose last status nobody has acknowledged.
    pub operations: OrdMap<Uuid, Arc<Operated>>,
    /// Executors that are programs and have not ended.
    pub executors: OrdMap<ContainerId, Arc<Executor>>,
    /// What a master last said of those of which anything is held, with their ids. Of a framework of which only an earlier
    /// release was told there is none.
    pub frameworks: OrdMap<FrameworkId, Arc<FrameworkInfo>>,
    /// What its tasks have and do not use, as the master knows it.
    pub lent: Resources,
    pub counts: Counts,
    /// Whom it has given an id.
    pub admitted: OrdMap<ProviderId, Arc<Admitted>>,
    /// Those of them that listen.
    pub providers: Vec<Subscribed>,
}

impl View {
    /// Without what a restart forgets.
    pub fn durable(&self) -> Self {
        let (lent, counts) = (Resources::default(), Counts::default());
        Self { lent, counts, providers: Vec::new(), ..self.clone() }
    }

    /// What providers bring, as it is by now.
    pub fn brought(&self) -> Resources {
        let mut sum = Resources::default();
        self.providers.iter().for_each(|provider| sum.add(&provider.total));
        sum
    }
}

impl Held {
    /// Staging until anything was reported.
    pub fn state(&self) -> TaskState {
        self.latest.as_ref().map_or(TaskState::Staging, |status| status.state)
    }

    /// Whether its process has been seen to run and not to end.
    pub fn is_running(&self) -> bool {
        match self.state() {
            TaskState::Running | TaskState::Killing => true,
            TaskState::Staging
            | TaskState::Starting
            | TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Unreachable
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => false,
        }
    }

    /// The executor's name: its own in a group, or else that of the task, as Mesos' command executor has it.
    pub fn executor(&self) -> ExecutorId {
        match &self.group {
            Some(group) => group.executor.id.clone(),
            None => ExecutorId::new(self.info.id.as_str()),
        }
    }

    pub(crate) fn executor_key(&self) -> Option<(FrameworkId, ExecutorId)> {
        let group = self.group.as_ref()?;
        Some((self.framework.clone(), group.executor.id.clone()))
    }

    /// Whether its process is over, though its end may not be acknowledged.
    pub fn is_ended(&self) -> bool {
        self.state().is_terminal()
    }

    /// What a master is told when the agent registers.
    pub fn told(&self) -> HeldTask {
        // A program is told once for all of its tasks.
        let named = |group: &Group| ExecutorInfo { program: None, ..(*group.executor).clone() };
        let executor = self.group.as_ref().map(named);
        let staged = Task::staged(self.framework.clone(), &self.info, executor.as_ref());
        let (status, earlier) = (self.latest.clone(), self.earlier.clone());
        let task = Task { state: self.state(), status, earlier, ..staged };
        HeldTask { task, place: Some(self.newest_place()) }
    }

    fn newest_place(&self) -> u64 {
        match self.pending.len() {
            // It was acknowledged, and counts as one of those.
            0 => self.acknowledged.saturating_sub(1),
            waiting => self.acknowledged + waiting as u64 - 1,
        }
    }
}
