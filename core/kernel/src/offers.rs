//! Offers: made on ticks, fairest client first; answered, refused, rescinded or out of time.
//!
//! A call never begets an offer in its own step. So a scheduler in this process cannot keep the kernel in conversation
//! for ever: what it gives back is offered at the next tick, which is due at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::id::{AgentId, FrameworkId, OfferId, Serial};
use model::resources::Resources;
use model::scheduler::{Event, Filters, Offer};
use model::time::Time;

use crate::agents::LiveAgent;
use crate::amounts::{Amounts, Change, Counted, Headroom};
use crate::bits::Bits;
use crate::claims::usable;
use crate::demand::{Client, Demand, Number};
use crate::shares::Turn;
use crate::state::Duty;
use crate::stock::{Portion, Slot, Stock};
use crate::timers::Timer;
use crate::{Effect, Kernel, Out};

/// Pairs of client and agent looked at in one tick, so that no step stalls whatever the size of the cluster.
const LOOKS_PER_TICK_MAX: usize = 2048;

/// Offers, what they are made of and those who want them. Volatile: a new leader starts with none.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    /// By the clients' numbers.
    pub(crate) demands: Vec<Option<Demand>>,
    /// Those of them that want something: nobody else is told when an agent has more to give.
    pub(crate) wanting: Bits,
    /// By the agents' numbers: those that have been connected.
    pub(crate) stocks: Vec<Stock>,
    pub(crate) slots: BTreeMap<AgentId, Slot>,
    /// Numbers of agents that are forgotten.
    pub(crate) unused: Vec<Slot>,
    /// Agents that are connected and have something free.
    pub(crate) available: Bits,
    /// Those of them that have something free that is reserved.
    pub(crate) reserving: Bits,
    /// The sum of what is free; counted while something is promised to somebody.
    pub(crate) spare: Counted,
    /// Of the next offer. A number is not used again by a later leader, or a late answer would hit a stranger's offer.
    pub(crate) next: Serial,
}

impl Offers {
    pub(crate) fn demand(&self, number: Number) -> Option<&Demand> {
        self.demands.get(number)?.as_ref()
    }

    pub(crate) fn demand_mut(&mut self, number: Number) -> Option<&mut Demand> {
        self.demands.get_mut(number)?.as_mut()
    }

    pub(crate) fn stock(&self, agent: &AgentId) -> Option<&Stock> {
        Some(&self.stocks[*self.slots.get(agent)?])
    }

    fn in_line(&mut self, turn: Turn) -> &mut Demand {
        self.demand_mut(turn.client).expect("who is in line has a demand")
    }
}

impl Kernel {
    /// Offers what is free to those who want it, until the tick's budget is used up.
    pub(crate) fn make_offers(&mut self, now: Time, out: &mut Out) {
        self.welcome_eased();
        if !self.shares.anyone_waits() {
            return;
        }
        self.view.history.counts.allocations += 1;
        self.shares.line_up();
        let mut served = Vec::new();
        for _ in 0..LOOKS_PER_TICK_MAX {
            if self.offers.available.is_empty() {
                self.shares.leave_all();
                break;
            }
            let Some(turn) = self.shares.first() else { break };
            let room = self.shares.headroom(turn, &self.offers.spare);
            let Some(agent) = self.next_agent(turn, room.as_ref()) else {
                self.shares.pass(turn);
                continue;
            };
            let Some(portion) = self.take_offerable(now, turn.client, agent, room) else {
                continue;
            };
            let offer = self.offer(now, turn.client, agent, portion);
            self.shares.move_back(turn);
            let demand = self.offers.in_line(turn);
            demand.made.push(offer);
            if demand.made.len() == 1 {
                served.push(turn.client);
            }
            if demand.made.len() == demand.round {
                // Nobody passes it meanwhile, or shares would not be fair: its next round is in the next tick.
                break;
            }
        }
        self.tell_offers(served, out);
    }

    /// One event for each framework, whatever the number of its roles.
    fn tell_offers(&mut self, served: Vec<Number>, out: &mut Out) {
        let mut told: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
        for client in served {
            let demand = self.offers.demand_mut(client).expect("it was offered something");
            let mut offers = std::mem::take(&mut demand.made);
            if offers.len() == demand.round {
                demand.grow_round();
            }
            let framework = demand.client.framework.clone();
            told.entry(framework).or_default().append(&mut offers);
        }
        let events = told.into_iter();
        out.effects.extend(
            events.map(|(framework, offers)| Effect::Event(framework, Event::Offers(offers))),
        );
    }

    /// Whom a limit has kept back stands in line again once it leaves more room.
    fn welcome_eased(&mut self) {
        for client in self.shares.take_eased() {
            let Some(demand) = self.offers.demand_mut(client) else { continue };
            demand.look_again();
            if self.offers.wanting.has(client) {
                self.shares.join(client);
            }
        }
    }

    /// The next agent that is worth a look. A role that is at its limit still gets what is reserved for it.
    fn next_agent(&mut self, turn: Turn, room: Option<&Headroom>) -> Option<Slot> {
        let offers = &mut self.offers;
        let demand = offers.demands[turn.client].as_mut().expect("who is in line has a demand");
        let at_limit = room.is_some_and(|room| !self.config.offers.has_room(demand, room));
        if at_limit && self.shares.has_promises() {
            self.shares.keep_back(turn.client);
        }
        demand.next(if at_limit { &offers.reserving } else { &offers.available })
    }

    /// Takes out all that the client may use of the agent, unless that is too little or was refused.
    fn take_offerable(
        &mut self,
        now: Time,
        client: Number,
        agent: Slot,
        room: Option<Headroom>,
    ) -> Option<Portion> {
        let (offers, rules) = (&mut self.offers, &self.config.offers);
        let demand = offers.demands[client].as_mut().expect("who is in line has a demand");
        let stock = &mut offers.stocks[agent];
        if !rules.may_see(demand, stock) {
            return None;
        }
        let is_refused = |demand: &Demand, stock: &Stock, resources: &Resources| {
            stock.has_refused(client, resources) && demand.is_filtered(agent, now)
        };
        let has_room = room.as_ref().is_none_or(|room| room.covers(&stock.free.amounts.counted));
        if has_room && !offers.reserving.has(agent) {
            // Nearly always the client may have all.
            let is_fit = rules.is_stock_worth_offering(demand, stock)
                && !is_refused(demand, stock, &stock.free.resources);
            return is_fit.then(|| stock.take_all());
        }
        let mut resources = usable(&stock.free.resources, &demand.client.role, &demand.info);
        if let Some(room) = room {
            let whole = resources.clone();
            resources = room.cut(resources);
            if resources != whole {
                demand.note_cut(agent);
                if self.shares.has_promises() {
                    self.shares.keep_back(client);
                }
            }
        }
        if !rules.is_worth_offering(demand, &resources, stock)
            || is_refused(demand, stock, &resources)
        {
            return None;
        }
        stock.set_free(stock.free.resources.minus(&resources), rules);
        Some(Portion::new(resources))
    }

    fn offer(&mut self, now: Time, number: Number, agent: Slot, portion: Portion) -> Offer {
        let Portion { resources, amounts } = portion;
        let demand = self.offers.demands[number].as_ref().expect("who is in line has a demand");
        let Client { framework, role } = demand.client.clone();
        let id = OfferId::new(format!("{}-O{}", self.view.cluster, self.offers.next.0));
        self.offers.next = self.offers.next.next();
        let until = now + self.config.offer_timeout;
        let executors = self.executors_to_reuse(agent, &framework);
        let stock = &mut self.offers.stocks[agent];
        let offer = Offer {
            id: id.clone(),
            framework,
            agent: stock.info.clone(),
            agent_id: stock.id.clone(),
            role,
            resources,
            unavailability: stock.unavailability,
            executors,
        };
        let shared = Arc::new(offer.clone());
        stock.offers.push((until, shared.clone()));
        if stock.timer.is_none() {
            stock.timer = Some(until);
            self.timers.set(until, Timer::Offers(agent));
        }
        self.note_free(agent);
        self.shares.change_offered(number, &Change::plus(amounts));
        self.view.offers.insert(id, shared);
        offer
    }

    /// Takes back an outstanding offer of the framework, whatever comes of its resources.
    pub(crate) fn take_offer(&mut self, from: &FrameworkId, id: &OfferId) -> Option<Arc<Offer>> {
        self.view.offers.get(id).filter(|offer| offer.framework == *from)?;
        let offer = self.view.offers.remove(id)?;
        self.leftovers.forget(id);
        let slot = self.offers.slots[&offer.agent_id];
        let stock = &mut self.offers.stocks[slot];
        stock.offers.retain(|(_, one)| one.id != *id);
        if let Some(timer) = stock.timer.take_if(|_| stock.offers.is_empty()) {
            self.timers.cancel(timer, Timer::Offers(slot));
        }
        let amounts = Amounts::of(&offer.resources);
        match self.shares.find(&client_of(&offer)) {
            Some(number) => self.shares.change_offered(number, &Change::minus(amounts)),
            // A shared volume is nobody's share: who is gone and was offered nothing else holds nothing.
            None => assert!(amounts.is_zero(), "who is offered something holds"),
        }
        Some(offer)
    }

    pub(crate) fn decline(
        &mut self,
        now: Time,
        from: &FrameworkId,
        offers: &[OfferId],
        filters: Filters,
    ) {
        for id in offers.iter().filter(|id| !self.leftovers.is_void(id)).collect::<Vec<_>>() {
            let Some(offer) = self.take_offer(from, id) else { continue };
            self.count_free(&offer.agent_id);
            self.refuse(now, &offer, offer.resources.clone(), filters.refuse);
            self.offer_again(&offer.agent_id);
        }
    }

    /// Nobody has answered those that are due.
    pub(crate) fn end_offers(&mut self, now: Time, agent: Slot, out: &mut Out) {
        let stock = &mut self.offers.stocks[agent];
        stock.timer = None;
        let due = stock.offers.iter().filter(|(until, _)| *until <= now);
        let due: Vec<OfferId> = due.map(|(_, offer)| offer.id.clone()).collect();
        due.iter().for_each(|offer| self.rescind(offer, out));
        let stock = &mut self.offers.stocks[agent];
        stock.timer = stock.offers.iter().map(|(until, _)| *until).min();
        if let Some(next) = stock.timer {
            self.timers.set(next, Timer::Offers(agent));
        }
    }

    /// Nobody has answered for too long, or the agent is gone.
    pub(crate) fn rescind(&mut self, id: &OfferId, out: &mut Out) {
        let Some(offer) = self.view.offers.get(id).cloned() else { return };
        let is_void = self.leftovers.is_void(id);
        self.take_offer(&offer.framework, id);
        self.count_free(&offer.agent_id);
        self.offer_again(&offer.agent_id);
        if is_void {
            return;
        }
        out.effects.push(Effect::Event(offer.framework.clone(), Event::Rescind(id.clone())));
    }

    /// The agent has more to give: whoever wants something, and has not refused just that, takes a look.
    pub(crate) fn offer_again(&mut self, agent: &AgentId) {
        let Some(slot) = self.offers.slots.get(agent).copied() else { return };
        if !self.offers.available.has(slot) {
            return;
        }
        let mut clients = self.offers.wanting.clone();
        self.offers.stocks[slot].without_refusals(&mut clients);
        for client in clients.iter() {
            self.offers.demand_mut(client).expect("who wants has a demand").look_at(slot);
        }
        self.shares.join_all(&clients);
    }

    /// Counts anew what nobody holds and nobody was offered.
    pub(crate) fn count_free(&mut self, id: &AgentId) {
        let free = self.recount_free(id);
        let Some(slot) = self.slot(id) else { return };
        self.offers.stocks[slot].has_executors =
            self.agents.get(id).is_some_and(LiveAgent::has_executors);
        self.offers.stocks[slot].set_free(free, &self.config.offers);
        self.note_free(slot);
    }

    fn note_free(&mut self, slot: Slot) {
        let Offers { stocks, available, reserving, .. } = &mut self.offers;
        let stock = &stocks[slot];
        let mark = |bits: &mut Bits, is: bool| if is { bits.set(slot) } else { bits.unset(slot) };
        mark(available, !stock.free.resources.is_empty());
        mark(reserving, stock.has_reservations());
        if self.shares.has_promises() {
            self.count_spare(slot);
        }
    }

    /// The agent's number, and what it is by now.
    fn slot(&mut self, id: &AgentId) -> Option<Slot> {
        let info = &self.state.agents.get(id)?.info;
        let offers = &mut self.offers;
        if let Some(slot) = offers.slots.get(id).copied() {
            offers.stocks[slot].set_info(info.clone());
            return Some(slot);
        }
        let slot = offers.unused.pop().unwrap_or(offers.stocks.len());
        let stock = Stock::new(id.clone(), info.clone());
        match offers.stocks.get_mut(slot) {
            Some(unused) => *unused = stock,
            None => offers.stocks.push(stock),
        }
        offers.slots.insert(id.clone(), slot);
        Some(slot)
    }

    pub(crate) fn recount_free(&self, id: &AgentId) -> Resources {
        match self.state.duty(id) {
            Duty::Active => self.recount_idle(id),
            Duty::Deactivated | Duty::Draining(_) | Duty::Drained(_) => Resources::default(),
        }
    }

    /// What nobody holds and nobody was offered, whether or not it may be.
    pub(crate) fn recount_idle(&self, id: &AgentId) -> Resources {
        let connected = self.agents.get(id).is_some_and(|live| live.connection.is_some());
        if !connected {
            return Resources::default();
        }
        let mut free = self.state.total(id).into_owned();
        self.agents.get(id).into_iter().for_each(|live| free.add(&live.revocable));
        if let Some(stock) = self.offers.stock(id) {
            stock.offers.iter().for_each(|(_, offer)| free.take(&offer.resources));
        }
        let held = self.state.in_use.get(id).into_iter().flat_map(BTreeMap::values);
        held.for_each(|held| free.take_unshared(held));
        self.take_converting(id, &mut free);
        free
    }
}

pub(crate) fn client_of(offer: &Offer) -> Client {
    Client { framework: offer.framework.clone(), role: offer.role.clone() }
}
