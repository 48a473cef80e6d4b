//! What frameworks leave behind: offers of subscriptions that are over, and all that was of those that were torn down. It may
//! be very much: some of it is cleared away at once, the rest in the turns that follow.
//!
//! Volatile: a new leader starts without offers, and tells agents that come to it with tasks of a framework that is over.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use model::agent::ToAgent;
use model::id::{AgentId, FrameworkId, OfferId, TaskId};
use model::task::{Reason, TaskState};
use model::time::Time;

use crate::tasks::{Verdict, holds};
use crate::{Effect, Kernel, Out};

/// Void offers whose resources are given to others in one turn.
const OFFERS_PER_TURN_MAX: usize = 512;

/// Agents that are told in one turn of a framework that is over.
const AGENTS_PER_TURN_MAX: usize = 1_024;

/// Tasks of a framework that is over that are looked at in one turn.
const TASKS_PER_TURN_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Offers that are void, and still keep their resources from others.
    offers: BTreeSet<OfferId>,
    frameworks: VecDeque<TornDown>,
}

/// A framework that is over, and what has been done about it.
#[derive(Debug)]
struct TornDown {
    framework: FrameworkId,
    agents: Walk<AgentId>,
    tasks: Walk<TaskId>,
}

/// How far somebody has come who goes through a map that changes meanwhile.
#[derive(Debug)]
enum Walk<K> {
    Beyond(Bound<K>),
    Done,
}

impl<K> Walk<K> {
    /// After the last of at most so many.
    fn after(last: Option<K>, seen: usize, most: usize) -> Self {
        match last {
            Some(last) if seen == most => Self::Beyond(Bound::Excluded(last)),
            Some(_) | None => Self::Done,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl Leftovers {
    pub(crate) fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.frameworks.is_empty()
    }

    /// Whether the offer is of a subscription that is over.
    pub(crate) fn is_void(&self, offer: &OfferId) -> bool {
        self.offers.contains(offer)
    }

    /// Nobody holds the offer any more.
    pub(crate) fn forget(&mut self, offer: &OfferId) {
        self.offers.remove(offer);
    }
}

impl Kernel {
    /// All offers of the framework are void from now on. What they hold is free soon.
    pub(crate) fn void_offers(&mut self, framework: &FrameworkId) {
        let its = self.view.offers.values().filter(|offer| offer.framework == *framework);
        let mut its: BTreeSet<OfferId> = its.map(|offer| offer.id.clone()).collect();
        self.leftovers.offers.append(&mut its);
        self.clear_offers();
    }

    /// The framework is over: all agents are to know, and nobody waits for its tasks any more.
    pub(crate) fn clear_framework(&mut self, now: Time, framework: FrameworkId, out: &mut Out) {
        let (agents, tasks) = (Walk::Beyond(Bound::Unbounded), Walk::Beyond(Bound::Unbounded));
        self.clear_some(now, TornDown { framework, agents, tasks }, out);
    }

    /// Some of what is left over. Whether there was anything: then this was enough for one turn.
    pub(crate) fn clear_away(&mut self, now: Time, out: &mut Out) -> bool {
        if self.leftovers.is_empty() {
            return false;
        }
        self.clear_offers();
        if let Some(one) = self.leftovers.frameworks.pop_front() {
            self.clear_some(now, one, out);
        }
        true
    }

    fn clear_offers(&mut self) {
        for _ in 0..OFFERS_PER_TURN_MAX {
            let Some(id) = self.leftovers.offers.pop_first() else { return };
            let from = self.view.offers[&id].framework.clone();
            let offer = self.take_offer(&from, &id).expect("a void offer is still held");
            self.count_free(&offer.agent_id);
            self.offer_again(&offer.agent_id);
        }
    }

    fn clear_some(&mut self, now: Time, one: TornDown, out: &mut Out) {
        let TornDown { framework, agents, tasks } = one;
        let agents = self.tell_agents(&framework, agents, out);
        let tasks = self.end_held_up(now, &framework, tasks);
        if !agents.is_done() || !tasks.is_done() {
            self.leftovers.frameworks.push_back(TornDown { framework, agents, tasks });
        }
    }

    /// Every agent, for one may hold a task that the kernel does not count: a framework that used an id twice.
    fn tell_agents(
        &self,
        framework: &FrameworkId,
        walk: Walk<AgentId>,
        out: &mut Out,
    ) -> Walk<AgentId> {
        let Walk::Beyond(start) = walk else { return Walk::Done };
        let agents = self.agents.range((start, Bound::Unbounded)).take(AGENTS_PER_TURN_MAX);
        let (mut last, mut seen) = (None, 0);
        for (id, live) in agents {
            (last, seen) = (Some(id), seen + 1);
            let Some(connection) = live.connection else { continue };
            let shutdown = ToAgent::Shutdown { framework: framework.clone() };
            out.effects.push(Effect::ToAgent(connection, shutdown));
        }
        Walk::after(last.cloned(), seen, AGENTS_PER_TURN_MAX)
    }

    /// Tasks that nothing but their framework kept. Those that hold something end when their agents say so.
    fn end_held_up(
        &mut self,
        now: Time,
        framework: &FrameworkId,
        walk: Walk<TaskId>,
    ) -> Walk<TaskId> {
        let (Walk::Beyond(start), Some(tasks)) = (walk, self.view.tasks.get(framework)) else {
            return Walk::Done;
        };
        let (mut last, mut seen, mut idle) = (None, 0, Vec::new());
        for (id, task) in tasks.range((start, Bound::Unbounded)).take(TASKS_PER_TURN_MAX) {
            (last, seen) = (Some(id), seen + 1);
            if !holds(task) {
                idle.push(id.clone());
            }
        }
        let walk = Walk::after(last.cloned(), seen, TASKS_PER_TURN_MAX);
        idle.iter().for_each(|task| self.end_unacknowledged(now, framework, task));
        walk
    }

    /// Nobody is left to hear of the task's end, or to wait for its agent.
    fn end_unacknowledged(&mut self, now: Time, framework: &FrameworkId, id: &TaskId) {
        let tasks = self.view.tasks.get_mut(framework).expect("its tasks are being walked");
        let task = tasks.get_mut(id).expect("likewise");
        let before = task.state;
        if !before.is_terminal() {
            let cause = "its framework was torn down";
            let verdict = Verdict::new(TaskState::Killed, Reason::FrameworkRemoved, cause);
            let known = Arc::make_mut(task);
            known.state = TaskState::Killed;
            known.tell(verdict.status(now, id.clone(), Some(known.agent.clone())));
            let told = Arc::clone(task);
            self.view.history.updated(&told, before);
        }
        self.complete(framework, id);
    }
}
