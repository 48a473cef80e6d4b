//! Agents that are gone or out of reach are not remembered for ever: from time to time those are forgotten that left too
//! long ago, and the oldest of too many.
//!
//! Who is forgotten and comes back all the same is an agent like any other, and what it runs is news.

use std::sync::Arc;
use std::time::Duration;

use model::id::{AgentId, Role};
use model::task::{Reason, Task, TaskState};
use model::time::Time;

use crate::state::Standing;
use crate::tasks::Verdict;
use crate::timers::Timer;
use crate::{Kernel, Out, Record};

/// Agents forgotten in one turn: each may have left tasks behind.
const FORGOTTEN_PER_TURN_MAX: usize = 64;
/// From one such turn to the next.
const NEXT_TURN_MS: u64 = 1;

/// How long, and how many. Those that are gone and those that are out of reach are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// From one look to the next: 15 min.
    pub look_interval: Duration,
    /// An agent that left so long ago is forgotten: 2 weeks.
    pub age_max: Duration,
    /// Of more than so many the oldest are forgotten: 102,400.
    pub count_max: usize,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            look_interval: Duration::from_secs(15 * 60),
            age_max: Duration::from_secs(14 * 24 * 3600),
            count_max: 102_400,
        }
    }
}

impl Kernel {
    pub(crate) fn look_later(&mut self, now: Time) {
        let interval = self.config.remembered.look_interval.max(Duration::from_millis(1));
        self.timers.set(now + interval, Timer::Forget);
    }

    /// Goes on with those that were found, or looks who is to be forgotten.
    pub(crate) fn forget_agents(&mut self, now: Time, out: &mut Out) {
        if self.to_forget.is_empty() {
            self.to_forget = self.outdated(now);
        }
        for _ in 0..FORGOTTEN_PER_TURN_MAX {
            let Some(id) = self.to_forget.pop() else { return self.look_later(now) };
            self.forget_agent(&id, out);
        }
        self.timers.set(now + Duration::from_millis(NEXT_TURN_MS), Timer::Forget);
    }

    fn outdated(&self, now: Time) -> Vec<AgentId> {
        let (mut gone, mut unreachable) = (Vec::new(), Vec::new());
        // The highest number that was ever given stays known, or it would be given again.
        for (id, agent) in self.state.agents.iter().filter(|(id, _)| !self.state.is_newest(id)) {
            match agent.standing {
                Standing::Admitted => (),
                Standing::Gone { since } => gone.push((since, id)),
                Standing::Unreachable { since } => unreachable.push((since, id)),
            }
        }
        let too_many = |mut left: Vec<(Time, &AgentId)>| {
            left.sort_unstable();
            let surplus = left.len().saturating_sub(self.config.remembered.count_max);
            let age_max = self.config.remembered.age_max;
            let old = left.partition_point(|(since, _)| *since + age_max <= now);
            left.truncate(old.max(surplus));
            left.into_iter().map(|(_, id)| id.clone()).collect::<Vec<_>>()
        };
        let mut all = too_many(gone);
        all.extend(too_many(unreachable));
        all
    }

    fn forget_agent(&mut self, id: &AgentId, out: &mut Out) {
        // It may have come back since it was found.
        let Some(agent) = self.state.agents.get(id) else { return };
        if agent.standing == Standing::Admitted {
            return;
        }
        let cause = format!("agent {} left too long ago and is forgotten", agent.info.hostname);
        self.forget_doubles(id);
        for task in self.tasks_of(id).cloned().collect::<Vec<_>>() {
            self.forget_task(&task, &cause, out);
        }
        self.end_operations(id, &cause, out);
        let held = self.state.in_use.get(id).into_iter().flat_map(|held| held.keys().cloned());
        for role in held.collect::<Vec<Role>>() {
            self.commit(Record::InUse(id.clone(), role, None), out);
        }
        if self.state.claims.contains_key(id) {
            self.commit(Record::Claims(id.clone(), None), out);
        }
        self.set_provided(id, Vec::new(), out);
        self.forget_live(id);
        self.forget_stock(id);
        self.commit(Record::Agent(id.clone(), None), out);
    }

    /// Nobody knows what has become of it, and nobody will.
    fn forget_task(&mut self, task: &Arc<Task>, cause: &str, out: &mut Out) {
        if !task.state.is_terminal() {
            let state = self.state_for(&task.framework, TaskState::Unknown);
            let verdict = Verdict::new(state, Reason::AgentUnknown, cause);
            self.decree(self.now, &task.framework, &task.id, verdict, out);
        }
        self.complete(&task.framework, &task.id);
    }
}
