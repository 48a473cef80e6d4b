//! `/metrics/snapshot`: the figures that dashboards of Mesos show, as many of them as there is something true to say of.
//! Those of agents are in [`agent`].

pub mod agent;
mod allocator;
mod frameworks;
mod machine;
mod messages;
mod names;
mod samples;

use std::collections::BTreeMap;

use kernel::state::Standing;
use kernel::view::{AgentView, View};
use model::resources::{Resource, ResourceName, Resources};
use model::time::Time;

use super::agent as agents_of;
use super::master::MasterInfo;
use super::sums::Scalars;
pub use machine::Machine;
use names::{ACTIVE, ENDS};
pub use samples::Samples;

/// By name.
pub type Figures = BTreeMap<String, f64>;

/// What a master's process has measured of itself.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub machine: Machine,
    /// Streams of events that operators read.
    pub followers: usize,
    /// Messages that wait to be decided.
    pub waiting: usize,
    /// Batches of records that are not durable yet.
    pub uncommitted: usize,
    /// From asking the store for the state to having it.
    pub fetch: Samples,
    /// From handing over records to their being durable.
    pub store: Samples,
    /// Steps that offered what is free.
    pub allocation: Samples,
    /// From when there was something to offer until such a step.
    pub allocation_wait: Samples,
}

pub fn figures(view: &View, info: &MasterInfo, now: Time, measured: &Measured) -> Figures {
    let mut figures = Figures::new();
    frameworks::figures(view, &mut figures);
    allocator::figures(view, measured, &mut figures);
    measured.machine.spell(&mut figures);
    registrar(measured, &mut figures);
    let mut put = |name: &str, value: f64| {
        figures.insert(format!("master/{name}"), value);
    };
    resources(view, &mut put);
    agents(view, &mut put);
    tasks(view, &mut put);
    registered(view, &mut put);
    messages::figures(view, &mut put);
    put("operator_event_stream_subscribers", count(measured.followers));
    put("event_queue_messages", count(measured.waiting));
    put("elected", 1.0);
    put("uptime_secs", now.since(info.started_at).as_secs_f64());
    put("outstanding_offers", count(view.offers.len()));
    figures
}

fn registrar(measured: &Measured, figures: &mut Figures) {
    measured.fetch.spell("registrar/state_fetch_ms", figures);
    measured.store.spell("registrar/state_store_ms", figures);
    // What is durable is recovered before anybody is answered, and one master keeps it.
    for (name, value) in [
        ("log/recovered", 1.0),
        ("log/ensemble_size", 1.0),
        ("queued_operations", count(measured.uncommitted)),
    ] {
        figures.insert(format!("registrar/{name}"), value);
    }
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
    for one in view.agents.values().filter(|one| agents_of::is_registered(one)) {
        let (total, used) = (agents_of::everything(one), agents_of::used(one));
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
    let connected = number(&|one| agents_of::is_registered(one) && one.connected);
    let disconnected = number(&|one| agents_of::is_registered(one) && !one.connected);
    let is_unreachable =
        |one: &AgentView| matches!(one.agent.standing, Standing::Unreachable { .. });
    put("slaves_active", number(&|one| agents_of::is_registered(one) && agents_of::is_active(one)));
    put("slaves_connected", connected);
    put("slaves_disconnected", disconnected);
    put(
        "slaves_inactive",
        number(&|one| agents_of::is_registered(one) && !agents_of::is_active(one)),
    );
    put("slaves_unreachable", number(&is_unreachable));
}

fn registered(view: &View, put: &mut impl FnMut(&str, f64)) {
    let connected = view.frameworks.values().filter(|one| one.connected).count();
    let away = view.frameworks.len() - connected;
    put("frameworks_active", count(connected));
    put("frameworks_connected", count(connected));
    put("frameworks_disconnected", count(away));
    put("frameworks_inactive", count(away));
    put("frameworks_completed", count(view.completed_frameworks.len()));
}

fn tasks(view: &View, put: &mut impl FnMut(&str, f64)) {
    let mut counts = [0; ACTIVE.len()];
    for task in view.tasks.values().flat_map(|tasks| tasks.values()) {
        if let Some(at) = ACTIVE.iter().position(|(_, state)| *state == task.state) {
            counts[at] += 1;
        }
    }
    for ((name, _), number) in ACTIVE.iter().zip(counts) {
        put(&format!("tasks_{name}"), count(number));
    }
    for (name, state) in ENDS {
        put(
            &format!("tasks_{name}"),
            whole(view.history.counts.ended.get(&state).copied().unwrap_or(0)),
        );
    }
}
