//! A rollout never leaves its bounds, whatever order things happen in.

mod stage;

use model::task::TaskState;
use services::spec::{AppSpec, Process};
use stage::{ROOMY, Stage, app, id, upgrade};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).expect("few")).expect("few")
    }
}

/// Tasks that serve: running and not asked to end.
fn serving(stage: &Stage) -> usize {
    let condemned = stage.condemned();
    let running = stage.in_state(TaskState::Running);
    running.iter().filter(|task| !condemned.contains(task)).count()
}

/// What has to hold at every moment of a rollout from `count` to `count`.
struct Bounds {
    serving_min: usize,
    live_max: usize,
}

fn check(count: u32, minimum: u64, over: u64, bounds: &Bounds, seed: u64) {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    let spec = AppSpec { upgrade: upgrade(minimum, over), ..app("/a", count) };
    stage.create(spec.clone());
    stage.calm();
    let cmd = Process::Cmd("sleep 2000".to_owned());
    stage.put(AppSpec { process: cmd, ..spec }, false).expect("changed");
    let mut dice = Dice(seed);
    let label = format!("{count} at {minimum}/{over} with {seed}");
    for _ in 0..10_000 {
        stage.settle();
        assert!(stage.live() <= bounds.live_max, "{label}: {} are too many", stage.live());
        let serving = serving(&stage);
        assert!(bounds.serving_min <= serving, "{label}: {serving} are too few");
        if stage.view().deployments.is_empty() {
            break;
        }
        let (staging, condemned) = (stage.in_state(TaskState::Staging), stage.condemned());
        match dice.roll(3) {
            0 => stage.offer(),
            1 if !staging.is_empty() => {
                stage.report(&staging[dice.roll(staging.len())], TaskState::Running, None);
            }
            2 if !condemned.is_empty() => {
                stage.report(&condemned[dice.roll(condemned.len())], TaskState::Killed, None);
            }
            _ => (),
        }
    }
    assert!(stage.view().deployments.is_empty(), "{label}: the rollout ends");
    let view = stage.view();
    let version = view.apps[&id("/a")].version;
    let instances = &view.instances[&id("/a")];
    assert!(instances.values().all(|one| one.version == version), "{label}");
    assert_eq!(instances.len(), usize::try_from(count).expect("few"), "{label}");
}

#[test]
fn a_rollout_stays_within_its_capacity() {
    for seed in 0..8 {
        let at = |serving_min, live_max| Bounds { serving_min, live_max };
        check(4, 1000, 1000, &at(4, 8), seed);
        check(4, 500, 0, &at(2, 4), seed);
        check(4, 1000, 0, &at(4, 5), seed);
        check(5, 500, 200, &at(3, 6), seed);
        check(10, 0, 0, &at(0, 10), seed);
        check(10, 950, 50, &at(10, 11), seed);
        check(1, 1000, 0, &at(1, 2), seed);
        check(1, 0, 0, &at(0, 1), seed);
        check(3, 1000, 340, &at(3, 4), seed);
    }
}

#[test]
fn an_instance_counts_once_its_health_check_has_passed() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    let checked = AppSpec { health_checks: vec![stage::health_check()], ..app("/a", 2) };
    stage.create(checked.clone());
    stage.settle();
    stage.offer();
    let tasks = stage.in_state(TaskState::Staging);
    let mut say = |task: usize, healthy: Option<bool>, deployments: usize| {
        stage.report(&tasks[task], TaskState::Running, healthy);
        assert_eq!(stage.view().deployments.len(), deployments, "{task} is {healthy:?}");
    };
    say(0, None, 1);
    say(1, None, 1);
    say(0, Some(true), 1);
    say(1, Some(false), 1);
    say(1, Some(true), 0);
    let cmd = Process::Cmd("sleep 2000".to_owned());
    stage
        .put(AppSpec { process: cmd, upgrade: upgrade(1000, 500), ..checked }, false)
        .expect("changed");
    stage.settle();
    stage.offer();
    let new = stage.in_state(TaskState::Staging);
    assert_eq!(new.len(), 1, "one over capacity");
    stage.report(&new[0], TaskState::Running, None);
    assert!(stage.condemned().is_empty(), "running is not healthy");
    stage.report(&new[0], TaskState::Running, Some(true));
    assert_eq!(stage.condemned().len(), 1);
    stage.calm_with(Some(true));
    assert!(stage.view().deployments.is_empty());
}

#[test]
fn a_rollout_gets_past_instances_that_never_served() {
    let check = |minimum: u64, over: u64, healthy: usize| {
        let mut stage = Stage::new();
        stage.agents(2, ROOMY);
        let checked = AppSpec {
            health_checks: vec![stage::health_check()],
            upgrade: upgrade(minimum, over),
            ..app("/a", 4)
        };
        stage.create(checked.clone());
        stage.calm_with(Some(true));
        for sick in &stage.in_state(TaskState::Running)[healthy..] {
            stage.report(sick, TaskState::Running, Some(false));
        }
        let cmd = Process::Cmd("sleep 2000".to_owned());
        stage.put(AppSpec { process: cmd, ..checked }, false).expect("changed");
        stage.calm_with(Some(true));
        let deployments = stage.view().deployments.len();
        assert_eq!(deployments, 0, "{healthy} healthy at {minimum}/{over}");
    };
    for healthy in 0..=4 {
        check(500, 0, healthy);
        check(750, 0, healthy);
        check(1000, 0, healthy);
        check(0, 0, healthy);
        check(750, 250, healthy);
    }
}

#[test]
fn an_unhealthy_old_instance_goes_first() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    let checked = AppSpec {
        health_checks: vec![stage::health_check()],
        upgrade: upgrade(1000, 0),
        ..app("/a", 3)
    };
    stage.create(checked.clone());
    stage.calm_with(Some(true));
    let sick = stage.in_state(TaskState::Running)[1].clone();
    stage.report(&sick, TaskState::Running, Some(false));
    let cmd = Process::Cmd("sleep 2000".to_owned());
    stage.put(AppSpec { process: cmd, ..checked }, false).expect("changed");
    stage.settle();
    stage.offer();
    let new = stage.in_state(TaskState::Staging);
    assert_eq!(new.len(), 1);
    stage.report(&new[0], TaskState::Running, Some(true));
    assert_eq!(stage.condemned(), [sick]);
    stage.calm_with(Some(true));
    assert!(stage.view().deployments.is_empty());
}
