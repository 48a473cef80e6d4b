//! The figures of an agent.

use std::collections::BTreeSet;
use std::time::Duration;

use model::agent::AgentInfo;
use model::resources::Resources;
use model::task::TaskState;
use model::time::Time;
use node::{Held, View};

use super::{Figures, Machine, NAMES, Samples, count, whole};

/// What an agent's process has measured of itself.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub machine: Machine,
    /// From its start to when it knew what runs.
    pub recovery: Option<Duration>,
    /// Tasks whose files were brought, and those whose were not.
    pub fetches: [u64; 2],
    /// What the cache of files may take, and what it takes.
    pub cache_bytes: [u64; 2],
    /// Containers that could not be stopped or removed.
    pub destroy_errors: u64,
    /// Sandboxes that were removed, that could not be, and that wait for it.
    pub removals: [u64; 3],
    /// How long sandboxes may stay now.
    pub sandbox_age_max: Duration,
    pub pulls: Samples,
}

/// What an agent tells of.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    pub view: &'a View,
    pub info: &'a AgentInfo,
    pub started_at: Time,
}

pub fn figures(own: Own<'_>, now: Time, measured: &Measured) -> Figures {
    let mut figures = Figures::new();
    let mut put = |name: &str, value: f64| {
        figures.insert(name.to_owned(), value);
    };
    let is_registered = own.view.own.as_ref().is_some_and(|own| own.agent.is_some());
    put("slave/registered", f64::from(u8::from(is_registered)));
    put("slave/uptime_secs", now.since(own.started_at).as_secs_f64());
    tasks(own.view, &mut put);
    executors(own.view, &mut put);
    providers(own.view, &mut put);
    resources(own, &mut put);
    process(measured, &mut put);
    let pulls = "containerizer/mesos/provisioner/docker_store/image_pull_ms";
    measured.pulls.spell(pulls, &mut figures);
    measured.machine.spell(&mut figures);
    figures
}

fn tasks(view: &View, put: &mut impl FnMut(&str, f64)) {
    for (name, state) in [
        ("staging", TaskState::Staging),
        ("starting", TaskState::Starting),
        ("running", TaskState::Running),
        ("killing", TaskState::Killing),
    ] {
        let number = view.held.values().filter(|held| held.state() == state).count();
        put(&format!("slave/tasks_{name}"), count(number));
    }
    let counts = &view.counts;
    for (name, state) in [
        ("finished", TaskState::Finished),
        ("failed", TaskState::Failed),
        ("killed", TaskState::Killed),
        ("lost", TaskState::Lost),
        ("gone", TaskState::Gone),
    ] {
        let number = counts.ended.get(&state).copied().unwrap_or(0);
        put(&format!("slave/tasks_{name}"), whole(number));
    }
    put("slave/valid_status_updates", whole(counts.updates.good));
    put("slave/invalid_status_updates", whole(counts.updates.bad));
    put("slave/valid_framework_messages", whole(counts.messages.good));
    put("slave/invalid_framework_messages", whole(counts.messages.bad));
}

/// At what an executor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Registering,
    Running,
    Terminating,
}

/// A task without an executor that somebody has described is run by one of its own.
fn executors(view: &View, put: &mut impl FnMut(&str, f64)) {
    let of_program = |one: &node::Executor| match (&one.ending, one.subscribed) {
        (Some(_), _) => Stage::Terminating,
        (None, true) => Stage::Running,
        (None, false) => Stage::Registering,
    };
    let of_task = |held: &Held| match (&held.killed, held.is_running()) {
        (Some(_), _) => Stage::Terminating,
        (None, true) => Stage::Running,
        (None, false) => Stage::Registering,
    };
    let mut groups = BTreeSet::new();
    let own = view.held.iter().filter(|(container, held)| {
        let executor = held.group.as_ref().map_or(*container, |group| &group.container);
        let is_program = view.executors.contains_key(executor);
        !held.is_ended() && !is_program && groups.insert(executor.clone())
    });
    let stages = own.map(|(_, held)| of_task(held));
    let stages: Vec<Stage> =
        stages.chain(view.executors.values().map(|one| of_program(one))).collect();
    for (name, stage) in [
        ("registering", Stage::Registering),
        ("running", Stage::Running),
        ("terminating", Stage::Terminating),
    ] {
        let number = stages.iter().filter(|one| **one == stage).count();
        put(&format!("slave/executors_{name}"), count(number));
    }
    put("slave/executors_terminated", whole(view.counts.executors_ended));
    put("slave/executors_preempted", whole(view.counts.preempted));
    put("slave/container_launch_errors", whole(view.counts.failed_launches));
    let of_tasks = view.held.values().filter(|held| !held.is_ended()).map(|held| &held.framework);
    let of_programs = view.executors.values().map(|one| one.framework());
    let frameworks: BTreeSet<_> = of_tasks.chain(of_programs).collect();
    put("slave/frameworks_active", count(frameworks.len()));
}

fn providers(view: &View, put: &mut impl FnMut(&str, f64)) {
    let of = "resource_provider_manager";
    put(&format!("{of}/subscribed"), count(view.providers.len()));
    put(&format!("{of}/events/subscribe"), whole(view.counts.providers_subscribed));
    put(&format!("{of}/events/disconnect"), whole(view.counts.providers_lost));
}

fn resources(own: Own<'_>, put: &mut impl FnMut(&str, f64)) {
    let Own { view, info, .. } = own;
    let mut used = Resources::default();
    let mut executors = BTreeSet::new();
    for held in view.held.values().filter(|held| !held.is_ended()) {
        used.add(&held.info.resources.unlabelled());
        if let Some(group) = &held.group
            && executors.insert(&group.container)
        {
            used.add(&group.executor.resources.unlabelled());
        }
    }
    for (container, executor) in &view.executors {
        if executors.insert(container) {
            used.add(&executor.info.resources.unlabelled());
        }
    }
    let mut own = info.resources.clone();
    own.add(&view.brought());
    for (kind, total) in [("", &own), ("_revocable", &view.lent)] {
        let is_revocable = !kind.is_empty();
        let used = used.only(|one| one.revocable == is_revocable);
        for name in &NAMES {
            let (total, used) = (total.scalar(name).as_f64(), used.scalar(name).as_f64());
            let share = if total > 0.0 { used / total } else { 0.0 };
            put(&format!("slave/{name}{kind}_total"), total);
            put(&format!("slave/{name}{kind}_used"), used);
            put(&format!("slave/{name}{kind}_percent"), share);
        }
    }
}

fn process(measured: &Measured, put: &mut impl FnMut(&str, f64)) {
    if let Some(took) = measured.recovery {
        put("slave/recovery_time_secs", took.as_secs_f64());
    }
    let age_max = measured.sandbox_age_max.as_secs_f64();
    put("slave/executor_directory_max_allowed_age_secs", age_max);
    let ([fetched, unfetched], [total, used]) = (measured.fetches, measured.cache_bytes);
    put("containerizer/fetcher/task_fetches_succeeded", whole(fetched));
    put("containerizer/fetcher/task_fetches_failed", whole(unfetched));
    put("containerizer/fetcher/cache_size_total_bytes", whole(total));
    put("containerizer/fetcher/cache_size_used_bytes", whole(used));
    put("containerizer/mesos/container_destroy_errors", whole(measured.destroy_errors));
    let [succeeded, failed, pending] = measured.removals;
    put("gc/path_removals_succeeded", whole(succeeded));
    put("gc/path_removals_failed", whole(failed));
    put("gc/path_removals_pending", whole(pending));
}
