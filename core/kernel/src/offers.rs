//! Offers: made on ticks, fairest client first; answered, refused, rescinded or out of time.
//!
//! A call never begets an offer in its own step. So a scheduler in this process cannot keep the kernel in conversation
//! for ever: what it gives back is offered at the next tick, which is due at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, FrameworkId, OfferId, Role, Serial};
use model::resources::{Amount, ResourceName, Resources, Scalar};
use model::scheduler::{Event, Filters, Offer};
use model::time::Time;

use crate::demand::{Client, Demand, Filter};
use crate::shares::{Amounts, Change};
use crate::timers::Timer;
use crate::{Effect, Kernel, Out};

/// Pairs of client and agent looked at in one tick, so that no step stalls whatever the size of the cluster.
const LOOKS_PER_TICK_MAX: usize = 1024;

/// What is refused for a shorter time, or for none, is still not offered again before: two who disagree would talk for
/// ever. It is Mesos' allocation interval.
const REFUSE_MS_MIN: u64 = 1_000;

/// A year, as in Mesos: longer is surely a mistake.
const REFUSE_MS_MAX: u64 = 365 * 24 * 3_600_000;

/// Less is not worth an offer: all three must be met, as DC/OS sets it. An agent that was given no ports at all is
/// still offered.
const OFFER_CPUS_MIN: Scalar = Scalar(10);
const OFFER_MEM_MIB_MIN: Scalar = Scalar::whole(32);

/// Offers and those who want them. Volatile: a new leader starts with none.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    pub(crate) demands: BTreeMap<Client, Demand>,
    /// Those of them that want something: nobody else is walked when an agent has more to give.
    pub(crate) wanting: BTreeSet<Client>,
    /// Agents that are connected and have something free.
    pub(crate) available: BTreeSet<AgentId>,
    /// Of the next offer. A number is not used again by a later leader, or a late answer would hit a stranger's offer.
    pub(crate) next: Serial,
}

impl Kernel {
    /// Offers what is free to those who want it, until the tick's budget is used up.
    pub(crate) fn make_offers(&mut self, now: Time, out: &mut Out) {
        let mut made: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
        let mut given: BTreeMap<Client, usize> = BTreeMap::new();
        for _ in 0..LOOKS_PER_TICK_MAX {
            let Some(client) = self.shares.first() else { break };
            let demand = self.offers.demands.get_mut(&client).expect("who is in line has a demand");
            let round = demand.round;
            let Some(agent) = demand.next(&self.offers.available) else {
                self.shares.leave(&client);
                continue;
            };
            let Some(offer) = self.offer(now, &client, &agent) else { continue };
            made.entry(client.framework.clone()).or_default().push(offer);
            let given = given.entry(client.clone()).or_default();
            *given += 1;
            if *given == round {
                self.shares.leave(&client);
            }
        }
        for (client, given) in given {
            let demand = self.offers.demands.get_mut(&client).expect("it was offered something");
            if given == demand.round {
                demand.grow_round();
                self.shares.join(&client);
            }
        }
        for (framework, offers) in made {
            out.effects.push(Effect::Event(framework, Event::Offers(offers)));
        }
    }

    /// One offer of all that the client may use of the agent, unless that is too little or was refused.
    fn offer(&mut self, now: Time, client: &Client, agent_id: &AgentId) -> Option<Offer> {
        if !self.offers.available.contains(agent_id) {
            return None;
        }
        let info = &self.state.agents[agent_id].info;
        let live = self.agents.get_mut(agent_id).expect("available agents are live");
        let resources = live.free.allocatable_to(&client.role);
        let filter = self.offers.demands[client].filters.get(agent_id);
        if filter.is_some_and(|filter| now < filter.until && filter.refused.contains(&resources))
            || !is_worth_offering(&resources, &info.resources)
            || !may_see_gpus(&self.state.active(&client.framework)?.info, &info.resources)
        {
            return None;
        }
        let id = OfferId::new(format!("{}-O{}", self.view.cluster, self.offers.next.0));
        self.offers.next = self.offers.next.next();
        let until = now + self.config.offer_timeout;
        self.timers.set(until, Timer::Offer(id.clone()));
        live.offers.insert(id.clone(), until);
        live.offered.add(&resources);
        let offer = Offer {
            id: id.clone(),
            framework: client.framework.clone(),
            agent: info.clone(),
            agent_id: agent_id.clone(),
            role: client.role.clone(),
            resources,
            // Nobody plans maintenance yet.
            unavailability: None,
        };
        let change = Change::plus(Amounts::of(&offer.resources));
        self.shares.change_role(&client.role, change);
        self.shares.change_member(client, change);
        self.view.offers.insert(id, Arc::new(offer.clone()));
        self.count_free(agent_id);
        Some(offer)
    }

    /// Takes back an outstanding offer of the framework, whatever comes of its resources.
    pub(crate) fn take_offer(&mut self, from: &FrameworkId, id: &OfferId) -> Option<Arc<Offer>> {
        self.view.offers.get(id).filter(|offer| offer.framework == *from)?;
        let offer = self.view.offers.remove(id)?;
        let live = self.agents.get_mut(&offer.agent_id).expect("offers are of live agents");
        let until = live.offers.remove(id).expect("an agent knows its offers");
        live.offered.subtract(&offer.resources);
        self.timers.cancel(until, Timer::Offer(id.clone()));
        let change = Change::minus(Amounts::of(&offer.resources));
        self.shares.change_role(&offer.role, change);
        self.shares.change_member(&client_of(&offer), change);
        Some(offer)
    }

    pub(crate) fn decline(
        &mut self,
        now: Time,
        from: &FrameworkId,
        offers: &[OfferId],
        filters: Filters,
    ) {
        for id in offers {
            let Some(offer) = self.take_offer(from, id) else { continue };
            self.count_free(&offer.agent_id);
            self.refuse(now, &offer, offer.resources.clone(), filters.refuse);
            self.offer_again(&offer.agent_id);
        }
    }

    /// Keeps what the client gave back of an offer from being offered to it again for a while.
    pub(crate) fn refuse(&mut self, now: Time, offer: &Offer, refused: Resources, span: Duration) {
        let client = client_of(offer);
        let least = Duration::from_millis(REFUSE_MS_MIN);
        let until = now + span.clamp(least, Duration::from_millis(REFUSE_MS_MAX));
        let Some(demand) = self.offers.demands.get_mut(&client) else { return };
        let before = demand.filters.insert(offer.agent_id.clone(), Filter { refused, until });
        let timer = Timer::Filter(client, offer.agent_id.clone());
        if let Some(before) = before {
            self.timers.cancel(before.until, timer.clone());
        }
        self.timers.set(until, timer);
    }

    /// What was refused may be offered again.
    pub(crate) fn end_filter(&mut self, client: &Client, agent: &AgentId) {
        let Some(demand) = self.offers.demands.get_mut(client) else { return };
        demand.filters.remove(agent);
        if self.offers.wanting.contains(client) {
            demand.look_at(agent);
            self.shares.join(client);
        }
    }

    /// Nobody has answered for too long, or the agent is gone.
    pub(crate) fn rescind(&mut self, id: &OfferId, out: &mut Out) {
        let Some(offer) = self.view.offers.get(id).cloned() else { return };
        self.take_offer(&offer.framework, id);
        self.count_free(&offer.agent_id);
        self.offer_again(&offer.agent_id);
        out.effects.push(Effect::Event(offer.framework.clone(), Event::Rescind(id.clone())));
    }

    /// The framework's clients: of these roles, or of all if none is named.
    pub(crate) fn clients(&self, framework: &FrameworkId, roles: &[Role]) -> Vec<Client> {
        let demands = &self.offers.demands;
        if roles.is_empty() {
            let all = demands.range(first_client(framework)..).map(|(client, _)| client);
            return all.take_while(|client| client.framework == *framework).cloned().collect();
        }
        let client = |role: &Role| Client { framework: framework.clone(), role: role.clone() };
        roles.iter().map(client).filter(|client| demands.contains_key(client)).collect()
    }

    /// It has roles, and wants offers to none of them.
    pub(crate) fn is_suppressed(&self, framework: &FrameworkId) -> bool {
        let first = first_client(framework);
        let is_its = |client: &Client| client.framework == *framework;
        let mut demands = self.offers.demands.range(&first..).map(|(client, _)| client);
        let mut wanting = self.offers.wanting.range(&first..);
        demands.next().is_some_and(is_its) && !wanting.next().is_some_and(is_its)
    }

    /// The client is no more.
    pub(crate) fn forget_client(&mut self, client: &Client) {
        self.drop_filters(client);
        self.offers.demands.remove(client);
        self.offers.wanting.remove(client);
        self.shares.forget(client);
    }

    pub(crate) fn revive(&mut self, framework: &FrameworkId, roles: &[Role]) {
        for client in self.clients(framework, roles) {
            self.drop_filters(&client);
            self.offers.demands.get_mut(&client).expect("a client of ours").revive();
            self.shares.join(&client);
            self.offers.wanting.insert(client);
        }
        self.touched_frameworks.insert(framework.clone());
    }

    pub(crate) fn suppress(&mut self, framework: &FrameworkId, roles: &[Role]) {
        for client in self.clients(framework, roles) {
            self.offers.demands.get_mut(&client).expect("a client of ours").suppress();
            self.shares.leave(&client);
            self.offers.wanting.remove(&client);
        }
        self.touched_frameworks.insert(framework.clone());
    }

    pub(crate) fn drop_filters(&mut self, client: &Client) {
        let Some(demand) = self.offers.demands.get_mut(client) else { return };
        for (agent, filter) in std::mem::take(&mut demand.filters) {
            self.timers.cancel(filter.until, Timer::Filter(client.clone(), agent));
        }
    }

    /// The agent has more to give: whoever wants something takes a look.
    pub(crate) fn offer_again(&mut self, agent: &AgentId) {
        if !self.offers.available.contains(agent) {
            return;
        }
        for client in &self.offers.wanting {
            let demand = self.offers.demands.get_mut(client).expect("who wants has a demand");
            demand.look_at(agent);
            self.shares.join(client);
        }
    }

    /// Counts anew what nobody holds and nobody was offered.
    pub(crate) fn count_free(&mut self, id: &AgentId) {
        self.touched_agents.insert(id.clone());
        let free = self.recount_free(id);
        if free.is_empty() {
            self.offers.available.remove(id);
        } else {
            self.offers.available.insert(id.clone());
        }
        if let Some(live) = self.agents.get_mut(id) {
            live.free = free;
        }
    }

    pub(crate) fn recount_free(&self, id: &AgentId) -> Resources {
        let connected = self.agents.get(id).filter(|live| live.connection.is_some());
        let (Some(live), Some(agent)) = (connected, self.state.agents.get(id)) else {
            return Resources::default();
        };
        let mut free = agent.info.resources.minus(&live.offered);
        let held = self.state.in_use.get(id).into_iter().flat_map(BTreeMap::values);
        held.for_each(|held| free.take(held));
        free
    }
}

/// No client of the framework comes before it, and none of an earlier one after.
fn first_client(framework: &FrameworkId) -> Client {
    Client { framework: framework.clone(), role: Role::new("") }
}

pub(crate) fn client_of(offer: &Offer) -> Client {
    Client { framework: offer.framework.clone(), role: offer.role.clone() }
}

fn is_worth_offering(free: &Resources, total: &Resources) -> bool {
    let has_ports = |all: &Resources| {
        all.iter()
            .any(|one| one.name == ResourceName::Ports && matches!(one.amount, Amount::Ranges(_)))
    };
    free.cpus() >= OFFER_CPUS_MIN
        && free.mem() >= OFFER_MEM_MIB_MIN
        && (has_ports(free) || !has_ports(total))
}

/// Agents with GPUs are kept for frameworks that know what to do with them.
fn may_see_gpus(framework: &FrameworkInfo, total: &Resources) -> bool {
    total.gpus().is_zero() || framework.can(Capability::GpuResources)
}
