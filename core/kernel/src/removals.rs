//! Agents are given up one after the other. What looks as if all had died at once is mostly a fault of the network around
//! the master; whoever answers before it is its turn stays.

use std::time::Duration;

use model::id::AgentId;
use model::time::Time;

use crate::Kernel;

/// Volatile: a new leader waits for all of them anew.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    next: Time,
}

impl Removals {
    fn turn(&mut self, now: Time, interval: Duration) -> Time {
        let at = self.next.max(now);
        self.next = at + interval;
        at
    }
}

impl Kernel {
    /// When this agent is to be given up, unless something is heard of it. It keeps its turn.
    pub(crate) fn turn_to_go(&mut self, now: Time, id: &AgentId) -> Time {
        let live = self.agents.get_mut(id).expect("whoever is given up was live");
        if let Some(at) = live.removal {
            return at;
        }
        self.view.history.counts.agents.silent += 1;
        *live.removal.insert(self.removals.turn(now, self.config.removal_interval))
    }

    /// Something is heard of it: it stays.
    pub(crate) fn spare(&mut self, id: &AgentId) {
        let live = self.agents.get_mut(id).expect("whoever speaks is live");
        if live.removal.take().is_some() {
            self.view.history.counts.agents.spared += 1;
        }
    }
}
