//! Reconciliation: a scheduler asks what has become of its tasks.

use std::ops::Bound;

use model::id::{AgentId, FrameworkId, TaskId};
use model::scheduler::Event;
use model::task::{Reason, Task, TaskState};
use model::time::Time;

use crate::state::Standing;
use crate::tasks::Verdict;
use crate::{Kernel, Out};

/// Tasks that frameworks are told of in one turn.
const ANSWERS_PER_TURN_MAX: usize = 1_024;

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

/// What one framework has asked and is still to be told.
#[derive(Debug)]
pub(crate) struct Asked {
    framework: FrameworkId,
    about: About,
}

#[derive(Debug)]
enum About {
    /// All that the kernel knows of, beyond this one.
    All(Option<TaskId>),
    Named(std::vec::IntoIter<(TaskId, Option<AgentId>)>),
}

impl Kernel {
    /// The named tasks, or all that the kernel knows of. A framework may have very many: what is not told at once is told
    /// in the turns that follow.
    pub(crate) fn reconcile(
        &mut self,
        now: Time,
        from: &FrameworkId,
        tasks: Vec<(TaskId, Option<AgentId>)>,
        out: &mut Out,
    ) {
        let about = if tasks.is_empty() {
            // Who asks for all again hears of all again, and once is enough.
            let is_same =
                |one: &Asked| one.framework == *from && matches!(one.about, About::All(_));
            self.asked.retain(|one| !is_same(one));
            About::All(None)
        } else {
            About::Named(tasks.into_iter())
        };
        let asked = Asked { framework: from.clone(), about };
        let rest = self.answer(now, asked, out);
        self.asked.extend(rest);
    }

    /// Whoever has waited longest is told some more.
    pub(crate) fn go_on_reconciling(&mut self, now: Time, out: &mut Out) {
        let Some(asked) = self.asked.pop_front() else { return };
        let rest = self.answer(now, asked, out);
        self.asked.extend(rest);
    }

    /// What is left.
    fn answer(&mut self, now: Time, asked: Asked, out: &mut Out) -> Option<Asked> {
        let Asked { framework, about } = asked;
        let about = match about {
            About::All(beyond) => About::All(Some(self.answer_all(now, &framework, beyond, out)?)),
            About::Named(mut tasks) => {
                for (task, agent) in tasks.by_ref().take(ANSWERS_PER_TURN_MAX) {
                    self.reconcile_one(now, &framework, task, agent, out);
                }
                (tasks.len() > 0).then_some(About::Named(tasks))?
            }
        };
        Some(Asked { framework, about })
    }

    /// The last that was told, if there are more.
    fn answer_all(
        &self,
        now: Time,
        from: &FrameworkId,
        beyond: Option<TaskId>,
        out: &mut Out,
    ) -> Option<TaskId> {
        let start = beyond.map_or(Bound::Unbounded, Bound::Excluded);
        let mut known = self.view.tasks.get(from)?.range((start, Bound::Unbounded));
        let mut last = None;
        for (id, task) in known.by_ref().take(ANSWERS_PER_TURN_MAX) {
            self.tell(from, self.answer_for(now, task), out);
            last = Some(id);
        }
        known.next()?;
        last.cloned()
    }

    /// Its next subscription asks anew.
    pub(crate) fn forget_asked(&mut self, framework: &FrameworkId) {
        self.asked.retain(|one| one.framework != *framework);
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
        let unreachable_at = agent.as_ref().and_then(|agent| self.unreachable_since(agent));
        let verdict = Verdict::new(state, Reason::Reconciliation, cause);
        let status = Verdict { unreachable_at, ..verdict }.status(now, task, agent);
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

    fn unreachable_since(&self, agent: &AgentId) -> Option<Time> {
        match self.state.agents.get(agent)?.standing {
            Standing::Unreachable { since } => Some(since),
            Standing::Admitted | Standing::Gone { .. } => None,
        }
    }

    fn has_returned(&self, agent: &AgentId) -> bool {
        self.agents.get(agent).is_some_and(|live| live.return_by.is_none())
    }

    fn all_returned(&self) -> bool {
        self.awaited == 0
    }
}
