//! `/metrics/snapshot`: the figures that dashboards of Mesos show.

use kernel::state::Standing;
use kernel::view::View;
use model::resources::{ResourceName, Resources};
use model::task::TaskState;
use model::time::Time;
use serde_json::{Map, Value, json};

use super::agent;
use super::master::MasterInfo;

pub fn snapshot(view: &View, info: &MasterInfo, now: Time) -> Value {
    let mut figures = Map::new();
    resources(view, &mut figures);
    agents(view, &mut figures);
    tasks(view, &mut figures);
    let connected = view.frameworks.values().filter(|one| one.connected).count();
    let mut put = |name: &str, value: Value| drop(figures.insert(format!("master/{name}"), value));
    put("elected", json!(1.0));
    put("uptime_secs", json!(now.since(info.started_at).as_secs_f64()));
    put("frameworks_active", json!(connected));
    put("frameworks_connected", json!(connected));
    put("frameworks_disconnected", json!(view.frameworks.len() - connected));
    put("frameworks_inactive", json!(view.frameworks.len() - connected));
    put("outstanding_offers", json!(view.offers.len()));
    figures.insert("registrar/log/recovered".to_owned(), json!(1.0));
    Value::Object(figures)
}

fn resources(view: &View, figures: &mut Map<String, Value>) {
    let (mut total, mut used) = (Resources::default(), Resources::default());
    for one in view.agents.values().filter(|one| agent::is_registered(one)) {
        total.add(&scalars(&one.agent.info.resources));
        used.add(&scalars(&agent::used(one)));
    }
    let names = [ResourceName::Cpus, ResourceName::Mem, ResourceName::Disk, ResourceName::Gpus];
    for name in names {
        let (total, used) = (total.scalar(&name).as_f64(), used.scalar(&name).as_f64());
        let percent = if total > 0.0 { used / total } else { 0.0 };
        figures.insert(format!("master/{name}_total"), json!(total));
        figures.insert(format!("master/{name}_used"), json!(used));
        figures.insert(format!("master/{name}_percent"), json!(percent));
    }
}

/// Ports of different agents may be the same.
fn scalars(resources: &Resources) -> Resources {
    let plain = resources.unlabelled();
    let is_scalar = |one: &&model::resources::Resource| {
        matches!(one.amount, model::resources::Amount::Scalar(_))
    };
    Resources::new(plain.iter().filter(is_scalar).cloned())
}

fn agents(view: &View, figures: &mut Map<String, Value>) {
    let count = |wanted: &dyn Fn(Standing, bool) -> bool| {
        let all = view.agents.values();
        all.filter(|one| wanted(one.agent.standing, one.connected)).count()
    };
    let admitted = |standing| matches!(standing, Standing::Admitted);
    let connected = count(&|standing, connected| admitted(standing) && connected);
    let disconnected = count(&|standing, connected| admitted(standing) && !connected);
    let unreachable = count(&|standing, _| matches!(standing, Standing::Unreachable { .. }));
    let all = [
        ("active", connected),
        ("connected", connected),
        ("disconnected", disconnected),
        ("inactive", disconnected),
        ("unreachable", unreachable),
    ];
    for (name, value) in all {
        figures.insert(format!("master/slaves_{name}"), json!(value));
    }
}

fn tasks(view: &View, figures: &mut Map<String, Value>) {
    let states = [
        ("staging", TaskState::Staging),
        ("starting", TaskState::Starting),
        ("running", TaskState::Running),
        ("killing", TaskState::Killing),
        ("unreachable", TaskState::Unreachable),
    ];
    let mut counts = [0_u64; 5];
    for task in view.tasks.values().flat_map(|tasks| tasks.values()) {
        if let Some(at) = states.iter().position(|(_, state)| *state == task.state) {
            counts[at] += 1;
        }
    }
    for ((name, _), count) in states.iter().zip(counts) {
        figures.insert(format!("master/tasks_{name}"), json!(count));
    }
}
