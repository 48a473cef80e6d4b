//! What is due when: one ordered queue, so that ten thousand agents cost no scan.

use std::collections::BTreeSet;

use model::id::{AgentId, FrameworkId};
use model::time::Time;

use crate::demand::Number;
use crate::stock::Slot;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The agent is to be pinged, or the last ping was missed.
    Ping(AgentId),
    /// The agent was admitted by an earlier leader and should have registered again by now.
    Return(AgentId),
    /// The framework should have subscribed again by now.
    Failover(FrameworkId),
    /// An offer of the agent should have been answered by now.
    Offers(Slot),
    /// Something that the client refused may be offered again.
    Filters(Number),
    /// Frameworks on an agent that is to go down may be asked again.
    Inverse(AgentId),
    /// Some agents may have left too long ago.
    Forget,
}

/// A timer is cancelled by whoever knows when it is due.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Time, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Time, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, at: Time, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next_at()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
