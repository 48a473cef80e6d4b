//! Doubles: two agents hold tasks of one id, for their framework used it again while a new leader could not know.
//!
//! The task of the agent that spoke last is the one that is shown. The others hold what they hold, and are charged for it,
//! until their agents say that they have ended; if the one that is shown ends first, another takes its place.

use std::sync::Arc;

use model::id::{AgentId, FrameworkId, TaskId};
use model::task::Task;

use crate::Kernel;
use crate::tasks::holds;

pub(crate) type TaskKey = (FrameworkId, TaskId);

impl Kernel {
    pub(crate) fn doubles_on<'a>(
        &'a self,
        agent: &AgentId,
    ) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
        let agent = agent.clone();
        self.view.doubles.values().filter_map(move |of| of.get(&agent))
    }

    /// This agent's task is shown from now on. That of another agent goes on unseen.
    pub(crate) fn part(&mut self, id: &AgentId, key: &TaskKey) {
        let Some(known) = self.view.task(&key.0, &key.1).cloned() else { return };
        if known.agent == *id {
            return;
        }
        if let Some(live) = self.agents.get_mut(&known.agent) {
            live.remove(&known);
        }
        if holds(&known) {
            let of = self.view.doubles.entry(key.clone()).or_default();
            of.insert(known.agent.clone(), known);
        }
    }

    /// The agent's double has ended: what it held until now.
    pub(crate) fn end_double(&mut self, agent: &AgentId, key: &TaskKey) -> Option<Arc<Task>> {
        let of = self.view.doubles.get_mut(key)?;
        let ended = of.remove(agent);
        if of.is_empty() {
            self.view.doubles.remove(key);
        }
        ended
    }

    /// Nothing is known of what the agent runs, or it is told anew.
    pub(crate) fn forget_doubles(&mut self, agent: &AgentId) {
        let known = self.doubles_on(agent).map(|task| (task.framework.clone(), task.id.clone()));
        for key in known.collect::<Vec<TaskKey>>() {
            self.end_double(agent, &key);
        }
    }

    /// The task of this id that was shown is over: another one's turn.
    pub(crate) fn show_double(&mut self, key: &TaskKey) {
        let next = self.view.doubles.get(key).and_then(|of| of.keys().next().cloned());
        let Some(task) = next.and_then(|agent| self.end_double(&agent, key)) else { return };
        let live = self.agents.get_mut(&task.agent).expect("an agent that is charged is live");
        live.add(&task);
        self.view.tasks.entry(key.0.clone()).or_default().insert(key.1.clone(), task);
    }
}
