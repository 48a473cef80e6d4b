//! Whether what is derived agrees with what it derives from.

use std::collections::{BTreeMap, BTreeSet};

use model::id::AgentId;

use crate::Kernel;
use crate::amounts::{Amounts, Counted};
use crate::demand::Client;
use crate::offers::Offers;
use crate::shares::Recount;
use crate::tasks::holds;

impl Kernel {
    /// Panics if an index or a sum is not what a recount gives. It walks the whole cluster: for tests and simulations.
    pub fn audit(&self) {
        self.shares.audit(&self.recount());
        self.audit_agents();
        self.audit_offers();
        self.audit_inverse();
        for client in self.offers.wanting.iter() {
            assert!(self.offers.demand(client).is_some(), "{client} wants and is not there");
        }
    }

    fn recount(&self) -> Recount {
        let mut found = Recount { members: self.held_by_members(), ..Recount::default() };
        for id in self.state.agents.keys().filter(|id| self.state.is_admitted(id)) {
            let total = self.state.total(id);
            found.totals.add(&Amounts::of(&total));
            for one in total.iter() {
                let Some(role) = one.role() else { continue };
                found.roles.entry(role.clone()).or_default().add(&Amounts::reserved([one]));
            }
        }
        let admitted = self.state.in_use.iter().filter(|(id, _)| self.state.is_admitted(id));
        for (role, resources) in admitted.flat_map(|(_, roles)| roles) {
            found.roles.entry(role.clone()).or_default().add(&Amounts::of(resources));
        }
        for offer in self.view.offers.values() {
            let amounts = Amounts::of(&offer.resources);
            found.roles.entry(offer.role.clone()).or_default().add(&amounts);
            found.offered.entry(offer.role.clone()).or_default().add(&amounts);
        }
        let limited = self.state.quotas.iter().filter(|(_, quota)| !quota.limits.is_empty());
        found.limits = limited.map(|(role, quota)| (role.clone(), quota.limits.clone())).collect();
        let promised = self.state.quotas.iter().filter(|(_, quota)| !quota.guarantees.is_empty());
        found.promised =
            promised.map(|(role, quota)| (role.clone(), quota.guarantees.clone())).collect();
        found
    }

    fn held_by_members(&self) -> BTreeMap<Client, Amounts> {
        let mut held: BTreeMap<Client, Amounts> = BTreeMap::new();
        let mut executors = BTreeSet::new();
        let tasks = self.view.tasks.values().flat_map(|tasks| tasks.values());
        let doubles = self.view.doubles.values().flat_map(|of| of.values());
        for task in tasks.chain(doubles).filter(|task| holds(task)) {
            let client = Client { framework: task.framework.clone(), role: task.role.clone() };
            let sum = held.entry(client).or_default();
            sum.add(&Amounts::of(&task.resources));
            if let Some(executor) = &task.executor
                && executor.program.is_none()
                && executors.insert((&task.agent, &task.framework, &executor.id))
            {
                sum.add(&Amounts::of(&executor.resources));
            }
        }
        for program in self.agents.values().flat_map(|live| live.programs.values()) {
            held.entry(program.client())
                .or_default()
                .add(&Amounts::of(&program.held.info.resources));
        }
        for offer in self.view.offers.values() {
            let client = Client { framework: offer.framework.clone(), role: offer.role.clone() };
            held.entry(client).or_default().add(&Amounts::of(&offer.resources));
        }
        held
    }

    fn audit_agents(&self) {
        let mut keys: BTreeMap<&AgentId, BTreeSet<_>> = BTreeMap::new();
        let mut executors: BTreeMap<&AgentId, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for (framework, tasks) in &self.view.tasks {
            for task in tasks.values() {
                keys.entry(&task.agent).or_default().insert((framework.clone(), task.id.clone()));
                if let Some(executor) = &task.executor {
                    let key = (framework.clone(), executor.id.clone());
                    let of = executors.entry(&task.agent).or_default().entry(key).or_default();
                    of.insert(task.id.clone());
                }
            }
        }
        let mut spare = Counted::default();
        for (id, live) in &self.agents {
            assert_eq!(live.tasks, keys.remove(id).unwrap_or_default(), "tasks of {id}");
            assert_eq!(live.executors, executors.remove(id).unwrap_or_default(), "those of {id}");
            let connection = live.connection.and_then(|at| self.connections.get(&at));
            assert_eq!(connection, live.connection.map(|_| id), "the stream of {id}");
            let free =
                self.offers.stock(id).map(|stock| stock.free.resources.clone()).unwrap_or_default();
            assert_eq!(free, self.recount_free(id), "what is free of {id}");
            let slot = self.offers.slots.get(id);
            let available = slot.is_some_and(|slot| self.offers.available.has(*slot));
            assert_eq!(available, !free.is_empty(), "{id}");
            spare.add(&Counted::spare(&free));
        }
        assert!(!self.shares.has_promises() || self.offers.spare == spare, "what is free");
        assert!(keys.is_empty(), "agents of known tasks are live: {keys:?}");
        let connected = self.agents.values().filter(|live| live.connection.is_some()).count();
        assert_eq!(self.connections.len(), connected, "streams are of live agents");
        let awaited = self.agents.values().filter(|live| live.return_by.is_some()).count();
        assert_eq!(self.awaited, awaited, "agents that have yet to return");
    }

    fn audit_offers(&self) {
        let Offers { stocks, slots, unused, .. } = &self.offers;
        assert_eq!(stocks.len(), slots.len() + unused.len(), "numbers are used again");
        assert!(slots.keys().all(|id| self.state.agents.contains_key(id)), "of known agents");
        let of_agents = stocks.iter().flat_map(|stock| stock.offer_ids());
        assert_eq!(of_agents.count(), self.view.offers.len(), "agents know their offers");
        for (id, offer) in &self.view.offers {
            let stock = self.offers.stock(&offer.agent_id).expect("offers are of known agents");
            assert!(stock.offer_ids().any(|known| known == *id), "{id}");
            assert!(stock.timer.is_some_and(|at| stock.offers.iter().all(|one| at <= one.0)));
        }
    }
}
