//! Which agents a client may be offered at all, and how little of one is not worth an offer to it.

use std::collections::BTreeMap;

use model::agent::AgentInfo;
use model::framework::{Capability, Minima};
use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};

use crate::amounts::Headroom;
use crate::demand::Demand;
use crate::stock::Stock;

/// Which agents are offered to whom, and what is worth an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRules {
    /// Where the master is. Agents elsewhere are for frameworks that know of regions.
    pub region: Option<String>,
    pub gpus: Gpus,
    /// Less is not worth an offer; roles of frameworks may say something else for themselves. Of ports an agent that
    /// was given none at all needs none.
    pub minima: Minima,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpus {
    /// Agents that have some are kept for frameworks that know what to do with them.
    Scarce,
    /// An agent with gpus is one like others.
    Plenty,
}

impl Default for OfferRules {
    /// As DC/OS sets it: a hundredth of a processor, 32 MiB and a port.
    fn default() -> Self {
        let minimum = [
            (ResourceName::Cpus, Scalar(10)),
            (ResourceName::Mem, Scalar::whole(32)),
            (ResourceName::Ports, Scalar::whole(1)),
        ];
        Self { region: None, gpus: Gpus::Scarce, minima: vec![BTreeMap::from(minimum)] }
    }
}

impl OfferRules {
    pub(crate) fn may_see(&self, demand: &Demand, stock: &Stock) -> bool {
        let agent = &stock.info;
        let is_kept = self.gpus == Gpus::Scarce && stock.has_gpus;
        if is_kept && !demand.info.can(Capability::GpuResources) {
            return false;
        }
        // Of whom it is not known where they are, nobody knows that they are elsewhere.
        let regions = self.region.as_ref().zip(agent.domain.as_ref());
        let is_remote = regions.is_some_and(|(region, domain)| *region != domain.region);
        if is_remote && !demand.info.can(Capability::RegionAware) {
            return false;
        }
        demand.constraints.as_ref().is_none_or(|tests| tests.are_met_by(agent))
    }

    pub(crate) fn is_worth_offering(
        &self,
        demand: &Demand,
        free: &Resources,
        stock: &Stock,
    ) -> bool {
        match demand.own_minima() {
            None => self.is_enough(free, &stock.info),
            Some(own) => {
                is_wanted_back(free)
                    || !free.is_empty() && any_is(own, |name, least| amount(free, name) >= least)
            }
        }
    }

    /// The same of all that is free of the agent.
    pub(crate) fn is_stock_worth_offering(&self, demand: &Demand, stock: &Stock) -> bool {
        match demand.own_minima() {
            None => stock.is_worth_offering,
            Some(_) => self.is_worth_offering(demand, &stock.free.resources, stock),
        }
    }

    /// The same for those who have not said how much they want at least.
    pub(crate) fn is_enough(&self, free: &Resources, agent: &AgentInfo) -> bool {
        let is_met = |name: &ResourceName, least: Scalar| {
            amount(free, name) >= least
                || *name == ResourceName::Ports && amount(&agent.resources, name).is_zero()
        };
        is_wanted_back(free) || !free.is_empty() && any_is(&self.minima, is_met)
    }

    /// Whether anything that is cut to this could be worth an offer.
    pub(crate) fn has_room(&self, demand: &Demand, room: &Headroom) -> bool {
        let minima = demand.own_minima().unwrap_or(&self.minima);
        any_is(minima, |name, least| room.left(name) >= least)
    }
}

/// What was reserved can be given back only by whom it is offered to, however little it is.
fn is_wanted_back(free: &Resources) -> bool {
    free.iter().any(Resource::is_made)
}

/// Whether all of one is so.
fn any_is(minima: &Minima, is: impl Fn(&ResourceName, Scalar) -> bool) -> bool {
    let is_whole = |one: &BTreeMap<_, _>| one.iter().all(|(name, least)| is(name, *least));
    minima.is_empty() || minima.iter().any(is_whole)
}

/// Of a scalar, or the number of ports and the like.
fn amount(resources: &Resources, name: &ResourceName) -> Scalar {
    let whole = |count: u64| count.saturating_mul(Scalar::whole(1).0);
    let counts = resources.iter().filter(|one| one.name == *name).map(|one| match &one.amount {
        Amount::Scalar(amount) => amount.0,
        Amount::Ranges(ranges) => whole(ranges.count()),
        Amount::Set(items) => whole(items.len() as u64),
    });
    Scalar(counts.fold(0, u64::saturating_add))
}
