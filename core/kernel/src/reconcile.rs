//! Reconciliation: a scheduler asks what has become of its tasks.

use model::id::{AgentId, FrameworkId, TaskId};
use model::scheduler::Event;
use model::task::{Reason, Task, TaskState};
use model::time::Time;

use crate::state::Standing;
use crate::tasks::Verdict;
use crate::{Kernel, Out};

/// Going by the agent that something may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// That cannot be told yet.
    Open,
    Unknown,
    /// Its agent is there and does not know it.
    Missing,
    Unreachable,
    MarkedGone,
}

impl Kernel {
    /// The named tasks, or all that the kernel knows of.
    pub(crate) fn reconcile(
        &mut self,
        now: Time,
        from: &FrameworkId,
        tasks: Vec<(TaskId, Option<AgentId>)>,
        out: &mut Out,
    ) {
        if tasks.is_empty() {
            let known = self.view.tasks.get(from).cloned().unwrap_or_default();
            for task in known.values() {
                self.tell(from, self.answer_for(now, task), out);
            }
            return;
        }
        for (task, agent) in tasks {
            self.reconcile_one(now, from, task, agent, out);
        }
    }

    pub(crate) fn reconcile_one(
        &mut self,
        now: Time,
        from: &FrameworkId,
        task: TaskId,
        agent: Option<AgentId>,
        out: &mut Out,
    ) {
        if let Some(known) = self.view.task(from, &task) {
            self.tell(from, self.answer_for(now, known), out);
            return;
        }
        let (state, cause) = match self.fate(agent.as_ref()) {
            Fate::Open => return,
            Fate::Unknown => (TaskState::Unknown, "neither the task nor its agent is known"),
            Fate::Missing => (TaskState::Gone, "its agent does not know the task"),
            Fate::Unreachable => (TaskState::Unreachable, "the task's agent is unreachable"),
            Fate::MarkedGone => (TaskState::GoneByOperator, "the task's agent was marked gone"),
        };
        let state = self.state_for(from, state);
        let status = Verdict::new(state, Reason::Reconciliation, cause).status(now, task, agent);
        self.tell(from, Event::Update(status), out);
    }

    /// What was told last: an end that the framework has not been told yet will be, in its turn.
    fn answer_for(&self, now: Time, task: &Task) -> Event {
        let told = task.status.as_ref().map_or(task.state, |status| status.state);
        let verdict = Verdict::new(told, Reason::Reconciliation, "latest state of the task");
        Event::Update(verdict.about(now, task))
    }

    /// What has become of a task or operation that is not known.
    pub(crate) fn fate(&self, agent: Option<&AgentId>) -> Fate {
        let Some(id) = agent else {
            // It may be on any agent that an earlier leader admitted and that has yet to return.
            return if self.all_returned() { Fate::Unknown } else { Fate::Open };
        };
        let Some(agent) = self.state.agents.get(id) else { return Fate::Unknown };
        match agent.standing {
            Standing::Admitted if !self.has_returned(id) => Fate::Open,
            Standing::Admitted => Fate::Missing,
            Standing::Unreachable { .. } => Fate::Unreachable,
            Standing::Gone { .. } => Fate::MarkedGone,
        }
    }

    fn has_returned(&self, agent: &AgentId) -> bool {
        self.agents.get(agent).is_some_and(|live| live.return_by.is_none())
    }

    fn all_returned(&self) -> bool {
        self.awaited == 0
    }
}
