//! Whether what waits says why, and whether that is true: judged anew, from what the agents have left.

use model::attributes::AttributeValue;
use model::resources::Resources;
use placement::{Constraint, Operator};
use services::spec::network::NetworkMode;
use services::spec::{AppId, AppSpec};
use services::state::{Instance, Version};
use services::view::{View, Waiting};

use crate::world::World;

/// Why an app that has too few instances waits; an error if it does not say so, or does not tell the truth.
pub fn reason(world: &World, app: &AppId) -> Result<String, String> {
    let cluster = world.master.machine().ok_or("nobody leads")?;
    let view = cluster.view();
    let waiting = view.services.queue.get(app).ok_or("it does not wait for anything")?;
    if !waiting.lacks.is_empty() {
        let is_true =
            waiting.explain.spec.networks.iter().any(|one| one.mode == NetworkMode::Bridge);
        let lacks = format!("it lacks {:?}", waiting.lacks);
        return if is_true { Ok(lacks) } else { Err(format!("it says that {lacks}")) };
    }
    if let Some(until) = waiting.delayed_until {
        return Err(format!("it is delayed until {until:?}"));
    }
    for (id, agent) in view.kernel.agents.iter().filter(|(_, agent)| agent.connected) {
        let judged = waiting.explain.agents.get(id).ok_or(format!("it says nothing of {id}"))?;
        if judged.lacks.is_empty() {
            return Err(format!("it says that {id} fits"));
        }
        let mut free = agent.total().into_owned();
        agent.in_use.values().for_each(|held| free.take_unshared(held));
        let free = free.unreserved();
        if fits(waiting, &view.services, app, &free, &agent.agent.info) {
            return Err(format!("it says that {id} lacks {:?}, and {free} is left", judged.lacks));
        }
    }
    Ok("no agent fits".to_owned())
}

/// As far as that can be said without knowing how instances are spread.
fn fits(
    waiting: &Waiting,
    services: &View,
    app: &AppId,
    free: &Resources,
    agent: &model::agent::AgentInfo,
) -> bool {
    let spec = &*waiting.explain.spec;
    let has_room = spec.cpus <= free.cpus() && spec.mem <= free.mem() && spec.disk <= free.disk();
    let since = since(services, app, spec);
    let all = services.instances.get(app).into_iter().flat_map(|all| all.values());
    let here: Vec<&Instance> = all
        .map(|one| &**one)
        .filter(|one| since <= one.version && one.place.host == agent.hostname)
        .collect();
    has_room && spec.constraints.iter().all(|one| allows(one, here.len(), agent))
}

/// Since when the configuration that waits is what it is.
fn since(services: &View, app: &AppId, spec: &AppSpec) -> Version {
    let known = services.apps.get(app).filter(|app| *app.spec == *spec);
    known.map_or(Version::default(), |app| app.last_config_change_at)
}

fn allows(constraint: &Constraint, here: usize, agent: &model::agent::AgentInfo) -> bool {
    let value = constraint.value.as_deref().unwrap_or_default();
    let own = agent.attributes.iter().find(|one| one.name == constraint.field);
    let is_own = own.is_some_and(|own| own.value == AttributeValue::Text(value.to_owned()));
    match constraint.operator {
        Operator::Unique => here == 0,
        Operator::MaxPer => here < value.parse().expect("a number"),
        Operator::Like | Operator::Is | Operator::Cluster => is_own,
        Operator::Unlike => !is_own,
        // Who is next depends on where all the others are.
        Operator::GroupBy => false,
    }
}
