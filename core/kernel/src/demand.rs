//! Who wants offers, of which agents, and what was refused.
//!
//! A client looks at every agent once when it revives (its walk) and afterwards only at those whose free resources
//! have grown or whose filter has ended (the fresh ones). So a change costs what it touches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use model::id::{AgentId, FrameworkId, Role};
use model::resources::Resources;
use model::time::Time;

/// One role of one framework: what offers are made to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client {
    pub(crate) framework: FrameworkId,
    pub(crate) role: Role,
}

/// Offers in the first round after a revival. Who wants one place in a cluster of thousands need not decline thousands.
const OFFERS_PER_ROUND_MIN: usize = 16;

/// Offers that one client gets in one round; each round that is used up doubles the next until then.
const OFFERS_PER_ROUND_MAX: usize = 512;

#[derive(Debug)]
pub(crate) struct Demand {
    walk: Walk,
    fresh: BTreeSet<AgentId>,
    pub(crate) filters: BTreeMap<AgentId, Filter>,
    /// Offers in the next round.
    pub(crate) round: usize,
}

/// What was refused of an agent is not offered again until then, nor is any part of it.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) refused: Resources,
    pub(crate) until: Time,
}

/// Once around all agents that have something free, from where the last walk ended: so everyone's load is spread.
#[derive(Debug, Default)]
struct Walk {
    last: Option<AgentId>,
    /// Where it comes full circle.
    stop: Option<AgentId>,
    leg: Leg,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// From the start to the last agent.
    Out,
    /// From the first agent to the start.
    Home,
    #[default]
    Over,
}

impl Walk {
    fn begin(&mut self) {
        self.stop = self.last.clone();
        self.leg = Leg::Out;
    }

    fn next(&mut self, available: &BTreeSet<AgentId>) -> Option<AgentId> {
        if self.leg == Leg::Out {
            if let Some(next) = self.ahead(available) {
                return self.step(next);
            }
            self.leg = if self.stop.is_some() { Leg::Home } else { Leg::Over };
            self.last = None;
        }
        if self.leg == Leg::Home {
            let next = self.ahead(available).filter(|next| Some(*next) <= self.stop.as_ref());
            if let Some(next) = next {
                return self.step(next);
            }
            self.leg = Leg::Over;
            self.last = self.stop.take();
        }
        None
    }

    fn ahead<'a>(&self, available: &'a BTreeSet<AgentId>) -> Option<&'a AgentId> {
        match &self.last {
            Some(last) => available.range((Excluded(last), Unbounded)).next(),
            None => available.first(),
        }
    }

    fn step(&mut self, to: &AgentId) -> Option<AgentId> {
        self.last = Some(to.clone());
        self.last.clone()
    }
}

impl Demand {
    pub(crate) fn new() -> Self {
        Self {
            walk: Walk::default(),
            fresh: BTreeSet::new(),
            filters: BTreeMap::new(),
            round: OFFERS_PER_ROUND_MIN,
        }
    }

    /// Wants offers of all agents, whatever it refused before. The filters are the caller's to remove.
    pub(crate) fn revive(&mut self) {
        self.round = OFFERS_PER_ROUND_MIN;
        self.fresh.clear();
        self.walk.begin();
    }

    pub(crate) fn suppress(&mut self) {
        self.fresh.clear();
        self.walk.leg = Leg::Over;
    }

    /// The agent is worth another look.
    pub(crate) fn look_at(&mut self, agent: &AgentId) {
        self.fresh.insert(agent.clone());
    }

    /// The next agent worth a look; `None` when all have been seen.
    pub(crate) fn next(&mut self, available: &BTreeSet<AgentId>) -> Option<AgentId> {
        self.fresh.pop_first().or_else(|| self.walk.next(available))
    }

    /// This round was not enough.
    pub(crate) fn grow_round(&mut self) {
        self.round = (self.round * 2).min(OFFERS_PER_ROUND_MAX);
    }
}
