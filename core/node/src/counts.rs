//! What has happened since the agent was started, as numbers.

use std::collections::BTreeMap;

use model::agent::ToAgent;
use model::task::{Reason, TaskState};

use crate::updates::News;
use crate::{Effect, FromExecutor, Happened, Input, Node};

/// Volatile: a restarted agent starts at zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that have ended, by how.
    pub ended: BTreeMap<TaskState, u64>,
    /// Those of them that had to go for others.
    pub preempted: u64,
    /// Updates of tasks that are held, and of others.
    pub updates: Judged,
    /// Between frameworks and their executors.
    pub messages: Judged,
    /// Containers that did not start.
    pub failed_launches: u64,
    /// Executors of which nothing is left.
    pub executors_ended: u64,
    /// How often a resource provider has subscribed, and how often one went away.
    pub providers_subscribed: u64,
    pub providers_lost: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    pub good: u64,
    pub bad: u64,
}

impl Judged {
    pub(crate) fn count(&mut self, is_good: bool) {
        *(if is_good { &mut self.good } else { &mut self.bad }) += 1;
    }
}

impl Counts {
    pub(crate) fn reported(&mut self, news: &News, is_first_end: bool) {
        self.updates.count(true);
        if is_first_end {
            *self.ended.entry(news.state).or_default() += 1;
            self.preempted += u64::from(news.reason == Some(Reason::ContainerPreempted));
        }
    }
}

impl Node {
    /// Before it is carried out: whether somebody is there to hear it.
    pub(crate) fn count_input(&mut self, input: &Input) {
        match input {
            Input::Container { happened: Happened::Failed { .. }, .. } => {
                self.counts.failed_launches += 1;
            }
            Input::Executor { container, said: FromExecutor::Message(_), .. } => {
                self.counts.messages.count(self.state.executor(container).is_some());
            }
            Input::Master { message: ToAgent::Message { framework, executor, .. }, .. } => {
                let key = (framework.clone(), executor.clone());
                self.counts.messages.count(self.state.program(&key).is_some());
            }
            Input::Started { .. }
            | Input::Connected { .. }
            | Input::Disconnected
            | Input::Master { .. }
            | Input::Container { .. }
            | Input::Probed { .. }
            | Input::Looked { .. }
            | Input::Volumes { .. }
            | Input::Executor { .. }
            | Input::Provider { .. }
            | Input::ProviderGone { .. }
            | Input::Measured { .. }
            | Input::Loaded { .. }
            | Input::StopTasks
            | Input::Tick => (),
        }
    }

    /// After a step: a task without a group had an executor of its own.
    pub(crate) fn count_effects(&mut self, effects: &[Effect]) {
        let ends = |effect: &&Effect| {
            matches!(effect, Effect::Collect { group: None, .. } | Effect::CollectExecutor { .. })
        };
        self.counts.executors_ended += effects.iter().filter(ends).count() as u64;
    }
}
