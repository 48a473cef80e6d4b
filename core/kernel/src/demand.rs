//! Who wants offers, of which agents, and what was refused.
//!
//! A client looks at every agent once when it revives and afterwards only at those whose free resources have grown or
//! whose filter has ended. So a change costs what it touches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::framework::{FrameworkInfo, Minima};
use model::id::{FrameworkId, Role};
use model::scheduler::Offer;
use model::time::Time;

use crate::bits::Bits;
use crate::constraints::Tests;
use crate::stock::Slot;

/// One role of one framework: what offers are made to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client {
    pub(crate) framework: FrameworkId,
    pub(crate) role: Role,
}

/// A client's number: it is not used for another while the client wants or holds anything.
pub(crate) type Number = usize;

/// Offers in the first round after a revival. Who wants one place in a cluster of thousands need not decline thousands.
const OFFERS_PER_ROUND_MIN: usize = 16;

/// Offers that one client gets in one round; each round that is used up doubles the next until then.
const OFFERS_PER_ROUND_MAX: usize = 512;

#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) client: Client,
    /// What its framework can do.
    pub(crate) info: Arc<FrameworkInfo>,
    /// Of which agents it wants offers; of all if it has not said.
    pub(crate) constraints: Option<Arc<Tests>>,
    /// Agents that are worth a look.
    unseen: Bits,
    /// Agents of which a limit has kept something back.
    cut: Bits,
    /// Where the last look was: everyone goes around, so that the load is spread.
    next: Slot,
    /// Until when what was refused of an agent is not offered again.
    filters: BTreeMap<Slot, Time>,
    /// The same, in the order of their ends.
    ends: BTreeSet<(Time, Slot)>,
    /// Offers in the next round.
    pub(crate) round: usize,
    /// Offers of this round that it has not been told of.
    pub(crate) made: Vec<Offer>,
}

impl Demand {
    pub(crate) fn new(client: Client, info: Arc<FrameworkInfo>) -> Self {
        Self {
            client,
            info,
            constraints: None,
            unseen: Bits::default(),
            cut: Bits::default(),
            next: 0,
            filters: BTreeMap::new(),
            ends: BTreeSet::new(),
            round: OFFERS_PER_ROUND_MIN,
            made: Vec::new(),
        }
    }

    /// Of how little it wants no offer, if it has said so.
    pub(crate) fn own_minima(&self) -> Option<&Minima> {
        self.info.offer_minima.get(&self.client.role)
    }

    /// Wants offers of all agents, whatever it refused before. The filters are the caller's to remove.
    pub(crate) fn revive(&mut self, agents: usize) {
        self.round = OFFERS_PER_ROUND_MIN;
        self.unseen.fill(agents);
        self.cut.clear();
    }

    pub(crate) fn suppress(&mut self) {
        self.unseen.clear();
        self.cut.clear();
    }

    /// The agent is worth another look.
    pub(crate) fn look_at(&mut self, agent: Slot) {
        self.unseen.set(agent);
    }

    /// The next of these agents worth a look; `None` when all have been seen.
    pub(crate) fn next(&mut self, among: &Bits) -> Option<Slot> {
        let agent = self.unseen.next_in(among, self.next)?;
        self.unseen.unset(agent);
        self.next = agent + 1;
        Some(agent)
    }

    /// A limit has kept something of the agent back.
    pub(crate) fn note_cut(&mut self, agent: Slot) {
        self.cut.set(agent);
    }

    /// A limit leaves more room than before.
    pub(crate) fn look_again(&mut self) {
        self.unseen.add(&self.cut);
        self.cut.clear();
    }

    /// This round was not enough.
    pub(crate) fn grow_round(&mut self) {
        self.round = (self.round * 2).min(OFFERS_PER_ROUND_MAX);
    }

    /// Whether none held until now.
    pub(crate) fn filter(&mut self, agent: Slot, until: Time) -> bool {
        let before = self.filters.insert(agent, until);
        if let Some(before) = before {
            self.ends.remove(&(before, agent));
        }
        self.ends.insert((until, agent));
        before.is_none()
    }

    pub(crate) fn is_filtered(&self, agent: Slot, now: Time) -> bool {
        self.filters.get(&agent).is_some_and(|until| now < *until)
    }

    /// When the next filter ends.
    pub(crate) fn next_end(&self) -> Option<Time> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// An agent whose filter has ended by now.
    pub(crate) fn pop_ended(&mut self, now: Time) -> Option<Slot> {
        let (_, agent) = self.ends.first().filter(|(until, _)| *until <= now)?;
        let agent = *agent;
        self.ends.pop_first();
        self.filters.remove(&agent);
        Some(agent)
    }

    pub(crate) fn drop_filter(&mut self, agent: Slot) {
        if let Some(until) = self.filters.remove(&agent) {
            self.ends.remove(&(until, agent));
        }
    }

    /// Forgets all filters and says of which agents.
    pub(crate) fn drop_filters(&mut self) -> impl Iterator<Item = Slot> {
        self.ends.clear();
        std::mem::take(&mut self.filters).into_keys()
    }
}
