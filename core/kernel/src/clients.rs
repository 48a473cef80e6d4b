//! What clients say of their wants: revive, suppress, refuse for a while.

use std::time::Duration;

use model::id::{AgentId, FrameworkId, Role};
use model::resources::Resources;
use model::scheduler::Offer;
use model::time::Time;

use crate::Kernel;
use crate::demand::{Client, Demand, Number};
use crate::offers::client_of;
use crate::timers::Timer;

/// What is refused for a shorter time, or for none, is still not offered again before: two who disagree would talk for
/// ever. It is Mesos' allocation interval.
pub(crate) const REFUSE_MS_MIN: u64 = 1_000;

/// A year, as in Mesos: longer is surely a mistake.
pub(crate) const REFUSE_MS_MAX: u64 = 365 * 24 * 3_600_000;

impl Kernel {
    /// The client may want offers from now on; it says so by reviving.
    pub(crate) fn enroll(&mut self, client: Client) {
        let number = self.shares.enroll(&client);
        let demands = &mut self.offers.demands;
        if demands.len() <= number {
            demands.resize_with(number + 1, || None);
        }
        let info = self.state.frameworks[&client.framework].info.clone();
        let live = self.frameworks.get(&client.framework);
        let constraints = live.and_then(|live| live.constraints.of(&client.role));
        let demand = demands[number].insert(Demand::new(client, info));
        demand.constraints = constraints;
    }

    /// The client is no more.
    pub(crate) fn forget_client(&mut self, number: Number) {
        self.drop_filters(number);
        self.offers.demands[number] = None;
        self.offers.wanting.unset(number);
        self.shares.forget(number);
    }

    /// The framework's clients: of these roles, or of all if none is named.
    pub(crate) fn clients(&self, framework: &FrameworkId, roles: &[Role]) -> Vec<Number> {
        let all = self.shares.of(framework);
        let named = all.filter(|(role, _)| roles.is_empty() || roles.contains(role));
        let numbers = named.map(|(_, number)| number);
        numbers.filter(|number| self.offers.demand(*number).is_some()).collect()
    }

    /// It has roles, and wants offers to none of them.
    pub(crate) fn is_suppressed(&self, framework: &FrameworkId) -> bool {
        let clients = self.clients(framework, &[]);
        !clients.is_empty() && !clients.iter().any(|client| self.offers.wanting.has(*client))
    }

    /// Those for which it wants no offers.
    pub(crate) fn suppressed_roles(&self, framework: &FrameworkId) -> Vec<Role> {
        let clients = self.clients(framework, &[]);
        let suppressed = clients.into_iter().filter(|client| !self.offers.wanting.has(*client));
        let demands = suppressed.filter_map(|client| self.offers.demand(client));
        demands.map(|demand| demand.client.role.clone()).collect()
    }

    pub(crate) fn revive(&mut self, framework: &FrameworkId, roles: &[Role]) {
        for client in self.clients(framework, roles) {
            self.drop_filters(client);
            self.look_anew(client);
        }
        self.touched_frameworks.insert(framework.clone());
    }

    /// The client wants offers, and looks at every agent once more. What it has refused stays refused.
    pub(crate) fn look_anew(&mut self, client: Number) {
        let agents = self.offers.stocks.len();
        self.offers.demand_mut(client).expect("a client of ours").revive(agents);
        self.offers.wanting.set(client);
        self.shares.join(client);
    }

    pub(crate) fn suppress(&mut self, framework: &FrameworkId, roles: &[Role]) {
        for client in self.clients(framework, roles) {
            self.stop_wanting(client);
        }
        self.touched_frameworks.insert(framework.clone());
    }

    pub(crate) fn stop_wanting(&mut self, client: Number) {
        self.offers.demand_mut(client).expect("a client of ours").suppress();
        self.offers.wanting.unset(client);
        self.shares.leave(client);
    }

    /// Keeps what the client gave back of an offer from being offered to it again for a while.
    pub(crate) fn refuse(&mut self, now: Time, offer: &Offer, refused: Resources, span: Duration) {
        let least = Duration::from_millis(REFUSE_MS_MIN);
        let until = now + span.clamp(least, Duration::from_millis(REFUSE_MS_MAX));
        let Some(client) = self.shares.find(&client_of(offer)) else { return };
        let slot = self.offers.slots[&offer.agent_id];
        let Some(demand) = self.offers.demand_mut(client) else { return };
        let before = demand.next_end();
        if demand.filter(slot, until) {
            self.view.history.counts.filters_added(&offer.role);
        }
        let after = demand.next_end();
        self.offers.stocks[slot].note_refusal(client, refused);
        self.set_filter_timer(client, before, after);
    }

    /// One timer for each client: when the first of its filters ends.
    fn set_filter_timer(&mut self, client: Number, before: Option<Time>, after: Option<Time>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.timers.cancel(before, Timer::Filters(client));
        }
        if let Some(after) = after {
            self.timers.set(after, Timer::Filters(client));
        }
    }

    /// What was refused until now may be offered again.
    pub(crate) fn end_filters(&mut self, now: Time, client: Number) {
        let Some(demand) = self.offers.demand_mut(client) else { return };
        let mut ended = Vec::new();
        while let Some(agent) = demand.pop_ended(now) {
            ended.push(agent);
        }
        let next = demand.next_end();
        self.view.history.counts.filters_ended(&demand.client.role, ended.len());
        self.set_filter_timer(client, None, next);
        for agent in &ended {
            self.offers.stocks[*agent].forget_refusal(client);
        }
        if self.offers.wanting.has(client) {
            let demand = self.offers.demand_mut(client).expect("who wants has a demand");
            ended.into_iter().for_each(|agent| demand.look_at(agent));
            self.shares.join(client);
        }
    }

    /// The agent is forgotten. Its number becomes another's, of whom nobody has refused anything.
    pub(crate) fn forget_stock(&mut self, agent: &AgentId) {
        let Some(slot) = self.offers.slots.remove(agent) else { return };
        for client in self.offers.stocks[slot].refusers() {
            let Some(demand) = self.offers.demand_mut(client) else { continue };
            let before = demand.next_end();
            demand.drop_filter(slot);
            let after = demand.next_end();
            self.view.history.counts.filters_ended(&demand.client.role, 1);
            self.set_filter_timer(client, before, after);
        }
        self.count_spare(slot);
        self.offers.unused.push(slot);
    }

    fn drop_filters(&mut self, client: Number) {
        let Some(demand) = self.offers.demand_mut(client) else { return };
        let end = demand.next_end();
        let agents: Vec<usize> = demand.drop_filters().collect();
        self.view.history.counts.filters_ended(&demand.client.role, agents.len());
        for agent in agents {
            self.offers.stocks[agent].forget_refusal(client);
        }
        self.set_filter_timer(client, end, None);
    }
}
