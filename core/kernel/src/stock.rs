//! What agents have to give, by number: an allocation that looks at ten thousand agents must not look up their names.

use std::sync::Arc;

use model::agent::AgentInfo;
use model::id::{AgentId, OfferId};
use model::resources::Resources;
use model::scheduler::{Offer, Unavailability};
use model::time::Time;

use crate::amounts::{Amounts, Counted};
use crate::bits::Bits;
use crate::demand::Number;
use crate::eligible::OfferRules;

/// An agent's number: it is not used for another until the agent is forgotten.
pub(crate) type Slot = usize;

/// What one agent has to give.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) id: AgentId,
    pub(crate) info: Arc<AgentInfo>,
    pub(crate) has_gpus: bool,
    /// What nobody holds and nobody was offered; nothing while it is not connected.
    pub(crate) free: Portion,
    /// Whether all of that is enough for an offer to those who have not said how much they want at least.
    pub(crate) is_worth_offering: bool,
    /// How much of what is free quotas are about; counted while something is promised to somebody.
    pub(crate) spare: Counted,
    /// What is offered of it, and when that runs out.
    pub(crate) offers: Vec<(Time, Arc<Offer>)>,
    /// When the offers are looked at next.
    pub(crate) timer: Option<Time>,
    /// When it is to go down, if that is planned.
    pub(crate) unavailability: Option<Unavailability>,
    /// Somebody has executors on it.
    pub(crate) has_executors: bool,
    /// Who refused what: few different things, by many.
    refusals: Vec<Refusal>,
}

/// Resources, and what they amount to: whoever allocates looks at the sums.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    pub(crate) resources: Resources,
    pub(crate) amounts: Amounts,
}

impl Portion {
    pub(crate) fn new(resources: Resources) -> Self {
        Self { amounts: Amounts::of(&resources), resources }
    }
}

#[derive(Debug)]
struct Refusal {
    refused: Resources,
    by: Bits,
}

impl Stock {
    pub(crate) fn new(id: AgentId, info: Arc<AgentInfo>) -> Self {
        Self {
            id,
            has_gpus: !info.resources.gpus().is_zero(),
            info,
            free: Portion::default(),
            is_worth_offering: false,
            spare: Counted::default(),
            offers: Vec::new(),
            timer: None,
            unavailability: None,
            has_executors: false,
            refusals: Vec::new(),
        }
    }

    pub(crate) fn set_info(&mut self, info: Arc<AgentInfo>) {
        self.has_gpus = !info.resources.gpus().is_zero();
        self.info = info;
    }

    pub(crate) fn set_free(&mut self, free: Resources, rules: &OfferRules) {
        self.is_worth_offering = rules.is_enough(&free, &self.info);
        self.free = Portion::new(free);
    }

    pub(crate) fn take_all(&mut self) -> Portion {
        self.is_worth_offering = false;
        std::mem::take(&mut self.free)
    }

    pub(crate) fn offer_ids(&self) -> impl Iterator<Item = OfferId> {
        self.offers.iter().map(|(_, offer)| offer.id.clone())
    }

    pub(crate) fn note_refusal(&mut self, by: Number, refused: Resources) {
        self.forget_refusal(by);
        match self.refusals.iter_mut().find(|one| one.refused == refused) {
            Some(same) => same.by.set(by),
            None => {
                let mut bits = Bits::default();
                bits.set(by);
                self.refusals.push(Refusal { refused, by: bits });
            }
        }
    }

    pub(crate) fn forget_refusal(&mut self, by: Number) {
        let Some(at) = self.refusals.iter().position(|one| one.by.has(by)) else { return };
        self.refusals[at].by.unset(by);
        if self.refusals[at].by.is_empty() {
            self.refusals.swap_remove(at);
        }
    }

    /// Who has refused something of it.
    pub(crate) fn refusers(&self) -> Vec<Number> {
        self.refusals.iter().flat_map(|one| one.by.iter()).collect()
    }

    /// Whether this or more is what the client refused.
    pub(crate) fn has_refused(&self, by: Number, resources: &Resources) -> bool {
        let of = self.refusals.iter().find(|one| one.by.has(by));
        of.is_some_and(|one| one.refused.contains(resources))
    }

    /// Takes out of `clients` those who have refused all that is free now. Of an agent with reservations not everyone
    /// sees the same: there a look must tell.
    pub(crate) fn without_refusals(&self, clients: &mut Bits) {
        if self.has_reservations() {
            return;
        }
        let refused = self.refusals.iter().filter(|one| one.refused.contains(&self.free.resources));
        refused.for_each(|one| clients.remove(&one.by));
    }

    /// Whether some of what is free is not for everybody.
    pub(crate) fn has_reservations(&self) -> bool {
        self.free.resources.iter().any(|one| one.role().is_some() || one.revocable)
    }
}
