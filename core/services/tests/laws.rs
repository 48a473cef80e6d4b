//! The three laws of every machine, and that whatever happens, in the end what is wanted runs.

mod stage;

use std::collections::{BTreeMap, BTreeSet};

use model::id::TaskId;
use model::machine::Machine;
use model::task::TaskState;
use services::spec::pod::PodContainer;
use services::spec::{AppSpec, KillSelection, Process, UnreachableStrategy};
use services::view::View;
use services::{Cancel, Change, Config, Kill, Order};
use stage::pods::{self, container, of_containers};
use stage::{Stage, app, id, upgrade};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).expect("few");
        (count > 0).then(|| &all[usize::try_from(self.roll(count)).expect("few")])
    }
}

const NAMES: [&str; 6] = ["/a", "/b", "/g/c", "/g/d", "/p", "/g/q"];
/// Those that are pods.
const PODS: [&str; 2] = ["/p", "/g/q"];

fn random_app(dice: &mut Dice) -> AppSpec {
    let name = *dice.one_of(&NAMES).expect("names");
    let instances = u32::try_from(dice.roll(5)).expect("few");
    let unreachable = match dice.roll(3) {
        0 => UnreachableStrategy::Disabled,
        1 => UnreachableStrategy::Enabled {
            inactive_after: std::time::Duration::from_secs(10),
            expunge_after: std::time::Duration::from_secs(60),
        },
        _ => app("/x", 0).unreachable,
    };
    let what = match PODS.contains(&name) {
        true => random_pod(name, instances, dice),
        false => AppSpec {
            process: Process::Cmd(format!("sleep {}", dice.roll(3))),
            ..app(name, instances)
        },
    };
    let is_app = what.pod.is_none();
    AppSpec {
        health_checks: if is_app && dice.roll(2) == 0 {
            vec![stage::health_check()]
        } else {
            Vec::new()
        },
        upgrade: upgrade(500 * dice.roll(3), 500 * dice.roll(3)),
        dependencies: if name == "/b" && dice.roll(2) == 0 { vec![id("/a")] } else { Vec::new() },
        kill_selection: match dice.roll(2) {
            0 => KillSelection::YoungestFirst,
            _ => KillSelection::OldestFirst,
        },
        unreachable,
        ..what
    }
}

fn random_pod(name: &str, instances: u32, dice: &mut Dice) -> AppSpec {
    let mut web = PodContainer { endpoints: vec![pods::endpoint("http", 0)], ..container("web") };
    if dice.roll(2) == 0 {
        web.health_check = Some(pods::health_check("http"));
    }
    web.kill_grace = Some(std::time::Duration::from_secs(dice.roll(3)));
    let log = (dice.roll(3) > 0).then(|| container("log"));
    of_containers(name, instances, std::iter::once(web).chain(log).collect())
}

fn disturb(stage: &mut Stage, dice: &mut Dice) {
    let live: Vec<_> = stage
        .tasks
        .iter()
        .filter(|(_, (_, state))| !state.is_terminal())
        .map(|(task, _)| task.clone())
        .collect();
    let force = dice.roll(2) == 0;
    match dice.roll(16) {
        0 | 1 => drop(stage.put(random_app(dice), force)),
        2 => {
            let change = Change::Delete(id(dice.one_of(&NAMES).expect("names")));
            drop(stage.deploy(vec![change], force));
        }
        3 => {
            let change = Change::Restart(id(dice.one_of(&NAMES).expect("names")));
            drop(stage.deploy(vec![change], force));
        }
        4 => {
            let running: Vec<_> = stage.view().deployments.values().map(|one| one.id).collect();
            if let Some(deployment) = dice.one_of(&running) {
                let how = if force { Cancel::Stop } else { Cancel::Rollback };
                drop(stage.cancel(*deployment, how));
            }
        }
        5 => {
            let tasks = dice.one_of(&live).cloned().into_iter().collect();
            let kill = *dice.one_of(&[Kill::Replace, Kill::Scale, Kill::Wipe]).expect("kinds");
            drop(stage.order(Order::KillTasks { tasks, kill, force }));
        }
        6 => stage.wait(dice.roll(100)),
        7 => stage.restart(Config::default()),
        8 | 9 => stage.offer(),
        10 => stage.tick(),
        _ => {
            let Some(task) = dice.one_of(&live).cloned() else { return };
            let state = *dice
                .one_of(&[
                    TaskState::Starting,
                    TaskState::Running,
                    TaskState::Running,
                    TaskState::Running,
                    TaskState::Failed,
                    TaskState::Killed,
                    TaskState::Unreachable,
                    TaskState::Finished,
                    TaskState::Dropped,
                ])
                .expect("states");
            let healthy = *dice.one_of(&[None, Some(true), Some(false)]).expect("healths");
            stage.report(&task, state, healthy);
        }
    }
}

/// Everything reachable again, nothing fails any more, time passes.
fn heal(stage: &mut Stage) {
    for round in 0..200 {
        stage.offer();
        let states = [TaskState::Staging, TaskState::Starting, TaskState::Unreachable];
        for state in states {
            for task in stage.in_state(state) {
                stage.report(&task, TaskState::Running, Some(true));
            }
        }
        for task in stage.in_state(TaskState::Running) {
            stage.report(&task, TaskState::Running, Some(true));
        }
        for task in stage.condemned() {
            stage.report(&task, TaskState::Killed, None);
        }
        stage.wait(60);
        if stage.view().deployments.is_empty() && stage.view().queue.is_empty() && round > 10 {
            return;
        }
    }
}

/// `prod_web.instance-<uuid>` is what the ids of its tasks begin with.
fn instances_of(tasks: &[TaskId]) -> BTreeSet<String> {
    let instance = |task: &TaskId| {
        let parts: Vec<&str> = task.as_str().splitn(3, '.').collect();
        parts[..2].join(".")
    };
    tasks.iter().map(instance).collect()
}

fn durable(view: &View) -> String {
    format!(
        "{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
        view.apps,
        view.versions,
        view.instances,
        view.tasks,
        view.deployments,
        view.locked,
        view.counts
    ) + &format!("{:?}{:?}", view.pods, view.histories)
}

fn play(seed: u64) -> Stage {
    let mut dice = Dice(seed);
    let mut stage = Stage::new();
    stage.agents(3, "cpus:2;mem:8192;disk:1000;ports:[31000-31100]");
    for _ in 0..150 {
        disturb(&mut stage, &mut dice);
        if dice.roll(3) == 0 {
            stage.settle();
        }
        if dice.roll(10) == 0 {
            let recovered = stage.recovered(Config::default());
            assert_eq!(durable(&recovered.view()), durable(&stage.view()), "replay with {seed}");
        }
    }
    stage
}

#[test]
fn whatever_happens_in_the_end_what_is_wanted_runs() {
    for seed in 0..40 {
        let mut stage = play(seed);
        heal(&mut stage);
        let view = stage.view();
        assert!(view.deployments.is_empty(), "seed {seed}: {:?}", view.deployments);
        let mut running: BTreeMap<String, u32> = BTreeMap::new();
        for instance in instances_of(&stage.in_state(TaskState::Running)) {
            let name = instance.split('.').next().expect("a name").to_owned();
            *running.entry(name).or_default() += 1;
        }
        let wanted: BTreeMap<String, u32> = view
            .apps
            .values()
            .filter(|app| app.spec.instances > 0)
            .map(|app| (app.spec.id.underscored(), app.spec.instances))
            .collect();
        assert_eq!(running, wanted, "seed {seed}");
        assert!(view.queue.is_empty(), "seed {seed}");
        let instances: usize = view.instances.values().map(imbl::OrdMap::len).sum();
        let live = stage.tasks.iter().filter(|(_, (_, state))| !state.is_terminal());
        let live: Vec<TaskId> = live.map(|(task, _)| task.clone()).collect();
        assert_eq!(instances, instances_of(&live).len(), "seed {seed}");
        assert!(live.iter().all(|task| view.tasks.contains_key(task)), "seed {seed}");
    }
}

#[test]
fn the_same_inputs_at_the_same_times_give_the_same_records() {
    for seed in 0..10 {
        let (one, other) = (play(seed), play(seed));
        assert_eq!(one.store, other.store, "seed {seed}");
        assert_eq!(one.calls, other.calls, "seed {seed}");
    }
}

#[test]
fn an_idle_machine_wants_nothing_before_its_next_reconciliation() {
    let mut stage = Stage::new();
    stage.agents(1, "cpus:2;mem:8192;ports:[31000-31100]");
    stage.create(app("/a", 2));
    stage.calm();
    let wake_at = stage.services.wake_at().expect("it reconciles now and then");
    assert_eq!(wake_at.since(stage.now), std::time::Duration::from_secs(600));
    let asked = |stage: &Stage| {
        let calls = stage.calls.iter();
        calls.filter(|call| matches!(call, model::scheduler::Call::Reconcile { .. })).count()
    };
    let before = asked(&stage);
    stage.wait(600);
    assert_eq!(asked(&stage), before + 2, "its tasks by name, and then all");
}
