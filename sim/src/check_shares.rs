//! What roles may have: what is reserved for one is offered to no other, a limit is not exceeded by anything that is
//! decided while it holds, and no conversion loses or makes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernel::state::Standing;
use kernel::view::{AgentView, View};
use model::id::{AgentId, Role};
use model::resources::{ResourceName, Resources, Scalar};
use model::time::Time;

use crate::world::World;

/// What was used of each limit when it was looked at last.
#[derive(Debug, Default)]
pub struct Used {
    limits: BTreeMap<(Role, ResourceName), (Scalar, Scalar)>,
    /// An agent that comes back brings back what it runs, and one that could not give up a reservation keeps it, whatever
    /// was launched elsewhere meanwhile.
    agents: BTreeMap<AgentId, Known>,
}

/// Where an agent stands, when it registered again, and what is set aside on it.
type Known = (Standing, Option<Time>, Resources);

pub fn check(world: &mut World, view: &View) {
    reserved_is_kept(view);
    nothing_is_lost(view);
    limits_hold(&mut world.used, view);
}

fn reserved_is_kept(view: &View) {
    let fits = |resources: &Resources, role: &Role| {
        resources.iter().all(|one| one.role().is_none_or(|owner| role.is_within(owner)))
    };
    for offer in view.offers.values() {
        assert!(fits(&offer.resources, &offer.role), "offered to another role: {offer:?}");
    }
    for task in view.tasks.values().flat_map(|tasks| tasks.values()) {
        assert!(fits(&task.resources, &task.role), "used by another role: {task:?}");
    }
}

/// Whatever is reserved and made volumes of, an agent has as much as it said.
fn nothing_is_lost(view: &View) {
    for (id, agent) in &view.agents {
        let (total, own) = (agent.total().unlabelled(), agent.agent.info.resources.unlabelled());
        assert_eq!(total, own, "agent {id} has come to have something else: {}", agent.total());
    }
}

/// What the kernel charges an agent with is what the agent itself would, once both are at rest.
pub fn books_differ(brain: &node::View, agent: &AgentView) -> Option<String> {
    let (mut own, mut executors) = (Resources::default(), BTreeSet::new());
    for held in brain.held.values().filter(|held| !held.is_ended()) {
        own.add(&held.info.resources);
        let shared = held.group.as_ref().filter(|group| group.executor.program.is_none());
        let first = shared.filter(|group| executors.insert(group.container.clone()));
        first.into_iter().for_each(|group| own.add(&group.executor.resources));
    }
    brain.executors.values().for_each(|program| own.add(&program.info.resources));
    let mut charged = Resources::default();
    agent.in_use.values().for_each(|resources| charged.add(resources));
    let name = &agent.agent.info.hostname;
    (own != charged).then(|| format!("{name} holds {own} and is charged with {charged}"))
}

fn limits_hold(used: &mut Used, view: &View) {
    let agents = view.agents.iter().map(|(id, agent)| {
        let standing = agent.agent.standing;
        (id.clone(), (standing, agent.reregistered_at, agent.claims.clone()))
    });
    let agents: BTreeMap<AgentId, Known> = agents.collect();
    let is_comparable = agents == used.agents;
    used.agents = agents;
    let before = std::mem::take(&mut used.limits);
    for (role, quota) in &view.quotas {
        for (name, limit) in quota.limits.iter() {
            let now = held(view, role, name);
            let same = before.get(&(role.clone(), name.clone()));
            let same = same.filter(|(then, _)| *then == limit && is_comparable);
            if let Some((_, then)) = same {
                assert!(
                    now <= limit.max(*then),
                    "{role} may use {limit} {name} and now uses {now}"
                );
            }
            used.limits.insert((role.clone(), name.clone()), (limit, now));
        }
    }
}

/// What is reserved for the role and those below it, and what else they use and are offered: of agents that are there.
fn held(view: &View, role: &Role, name: &ResourceName) -> Scalar {
    let sum = |resources: &Resources| resources.scalar(name).0;
    let unreserved = |resources: &Resources| sum(&resources.unreserved());
    let own = |one: &model::resources::Resource| one.role().is_some_and(|of| of.is_within(role));
    let is_there = |agent: &&Arc<AgentView>| agent.agent.standing == Standing::Admitted;
    let of_agents = view.agents.values().filter(is_there).map(|agent| {
        let in_use = agent.in_use.iter().filter(|(of, _)| of.is_within(role));
        let in_use: u64 = in_use.map(|(_, resources)| unreserved(resources)).sum();
        sum(&agent.total().only(own)) + in_use
    });
    let offers = view.offers.values().filter(|offer| offer.role.is_within(role));
    let offered: u64 = offers.map(|offer| unreserved(&offer.resources)).sum();
    Scalar(of_agents.sum::<u64>() + offered)
}
