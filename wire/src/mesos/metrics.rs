//! `/metrics/snapshot`: the figures that dashboards of Mesos show, as many of them as there is something true to say of.

use std::collections::BTreeMap;

use kernel::state::Standing;
use kernel::view::{AgentView, View};
use model::resources::{Resource, ResourceName, Resources};
use model::task::TaskState;
use model::time::Time;

use super::agent;
use super::master::MasterInfo;
use super::sums::Scalars;

/// By name.
pub type Figures = BTreeMap<String, f64>;

pub fn figures(view: &View, info: &MasterInfo, now: Time) -> Figures {
    let mut figures = Figures::new();
    let mut put = |name: &str, value: f64| {
        figures.insert(format!("master/{name}"), value);
    };
    resources(view, &mut put);
    agents(view, &mut put);
    tasks(view, &mut put);
    frameworks(view, &mut put);
    quotas(view, &mut put);
    put("elected", 1.0);
    put("uptime_secs", now.since(info.started_at).as_secs_f64());
    put("outstanding_offers", count(view.offers.len()));
    put("operations/total", count(view.operations.len()));
    // What is durable is recovered before anybody is answered.
    figures.insert("registrar/log/recovered".to_owned(), 1.0);
    figures
}

#[expect(clippy::cast_precision_loss, reason = "nobody has so many of anything")]
fn count(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "nobody has so many of anything")]
fn whole(number: u64) -> f64 {
    number as f64
}

const NAMES: [ResourceName; 4] =
    [ResourceName::Cpus, ResourceName::Mem, ResourceName::Disk, ResourceName::Gpus];

fn resources(view: &View, put: &mut impl FnMut(&str, f64)) {
    let mut sums: [[Scalars; 2]; 2] = Default::default();
    for one in view.agents.values().filter(|one| agent::is_registered(one)) {
        let (total, used) = (agent::everything(one), agent::used(one));
        for (nth, is_revocable) in [false, true].into_iter().enumerate() {
            sums[nth][0].add(&only(&total, is_revocable));
            sums[nth][1].add(&only(&used, is_revocable));
        }
    }
    for (sums, kind) in sums.iter().zip(["", "_revocable"]) {
        for name in &NAMES {
            let (total, used) = (sums[0].get(name).as_f64(), sums[1].get(name).as_f64());
            let percent = if total > 0.0 { used / total } else { 0.0 };
            put(&format!("{name}{kind}_total"), total);
            put(&format!("{name}{kind}_used"), used);
            put(&format!("{name}{kind}_percent"), percent);
        }
    }
}

fn only(resources: &Resources, is_revocable: bool) -> Resources {
    let wanted = |one: &&Resource| one.revocable == is_revocable;
    Resources::new(resources.iter().filter(wanted).cloned())
}

fn agents(view: &View, put: &mut impl FnMut(&str, f64)) {
    let number = |wanted: &dyn Fn(&AgentView) -> bool| {
        count(view.agents.values().filter(|one| wanted(one)).count())
    };
    let connected = number(&|one| agent::is_registered(one) && one.connected);
    let disconnected = number(&|one| agent::is_registered(one) && !one.connected);
    let is_unreachable =
        |one: &AgentView| matches!(one.agent.standing, Standing::Unreachable { .. });
    put("slaves_active", number(&|one| agent::is_registered(one) && agent::is_active(one)));
    put("slaves_connected", connected);
    put("slaves_disconnected", disconnected);
    put("slaves_inactive", number(&|one| agent::is_registered(one) && !agent::is_active(one)));
    put("slaves_unreachable", number(&is_unreachable));
}

fn frameworks(view: &View, put: &mut impl FnMut(&str, f64)) {
    let connected = view.frameworks.values().filter(|one| one.connected).count();
    let away = view.frameworks.len() - connected;
    put("frameworks_active", count(connected));
    put("frameworks_connected", count(connected));
    put("frameworks_disconnected", count(away));
    put("frameworks_inactive", count(away));
    put("frameworks_completed", count(view.completed_frameworks.len()));
}

fn quotas(view: &View, put: &mut impl FnMut(&str, f64)) {
    for (role, quota) in &view.quotas {
        for (kind, amounts) in [("guarantee", &quota.guarantees), ("limit", &quota.limits)] {
            for (name, amount) in amounts.iter() {
                put(&format!("quota/roles/{role}/resources/{name}/{kind}"), amount.as_f64());
            }
        }
    }
}

const STATES: [(&str, TaskState); 5] = [
    ("staging", TaskState::Staging),
    ("starting", TaskState::Starting),
    ("running", TaskState::Running),
    ("killing", TaskState::Killing),
    ("unreachable", TaskState::Unreachable),
];

/// Of these all are counted since the leader was elected.
const ENDS: [(&str, TaskState); 8] = [
    ("finished", TaskState::Finished),
    ("failed", TaskState::Failed),
    ("killed", TaskState::Killed),
    ("error", TaskState::Error),
    ("lost", TaskState::Lost),
    ("dropped", TaskState::Dropped),
    ("gone", TaskState::Gone),
    ("gone_by_operator", TaskState::GoneByOperator),
];

fn tasks(view: &View, put: &mut impl FnMut(&str, f64)) {
    let mut counts = [0; STATES.len()];
    for task in view.tasks.values().flat_map(|tasks| tasks.values()) {
        if let Some(at) = STATES.iter().position(|(_, state)| *state == task.state) {
            counts[at] += 1;
        }
    }
    for ((name, _), number) in STATES.iter().zip(counts) {
        put(&format!("tasks_{name}"), count(number));
    }
    for (name, state) in ENDS {
        put(&format!("tasks_{name}"), whole(view.history.ended.get(&state).copied().unwrap_or(0)));
    }
}
