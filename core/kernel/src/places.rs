//! The order that an agent gives its updates of a task, in which they are told and shown.
//!
//! Clocks of agents go back, and what is repeated until somebody acknowledges it may be heard after what came later. An
//! agent tells the next update of a task only when the one before it was acknowledged, and counts those: so whatever has a
//! lower place than one that was heard is known to the framework.

use model::id::AgentId;

use crate::Kernel;
use crate::doubles::TaskKey;

/// How far an agent has told of a task since it registered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places {
    /// Of the last update.
    told: u64,
    /// Of the status that is shown: it may have been told on registering, before its turn.
    shown: u64,
}

impl Places {
    pub(crate) fn registered(shown: u64) -> Self {
        Self { told: 0, shown }
    }
}

/// An update beside those that were heard before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    Newest,
    /// Its framework may not know it, but what is shown is newer.
    Behind,
    /// Its framework has acknowledged it.
    Overtaken,
}

impl Kernel {
    /// Writes down how far the agent is by this. Agents that do not count say everything in order.
    pub(crate) fn age_of(&mut self, agent: &AgentId, key: &TaskKey, place: Option<u64>) -> Age {
        let live = self.agents.get_mut(agent).filter(|live| live.tasks.contains(key));
        let (Some(place), Some(live)) = (place, live) else { return Age::Newest };
        let places = live.places.entry(key.clone()).or_default();
        if place < places.told {
            return Age::Overtaken;
        }
        places.told = place;
        if place < places.shown {
            return Age::Behind;
        }
        places.shown = place;
        Age::Newest
    }
}
