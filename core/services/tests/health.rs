//! What health checks find, and who is killed for it.

mod stage;

use std::time::Duration;

use model::agent::CheckTally;
use model::container::Family;
use model::id::TaskId;
use model::scheduler::{Call, Event};
use model::task::TaskState;
use model::time::Time;
use services::spec::{AppHealthCheck, AppSpec, CheckKind, CheckPort};
use services::{Config, What};
use stage::{ROOMY, Stage, app, health_check, id};

/// Three failures in a row are too many.
fn running(instances: u32, check: AppHealthCheck) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, "cpus:64;mem:32768;ports:[31000-32000]");
    let spec = AppSpec { health_checks: vec![check], ..app("/a", instances) };
    stage.create(spec);
    stage.calm_with(Some(true));
    stage
}

fn tally(failures: u32) -> CheckTally {
    let last_cause = (failures > 0).then(|| "connection refused".to_owned());
    CheckTally { failures, last_cause, ..CheckTally::default() }
}

fn find(stage: &mut Stage, task: &TaskId, failures: u32) {
    let (task, checks) = (task.clone(), vec![tally(failures)]);
    stage.hear(Event::Checked { task, checks, readiness: None });
    stage.settle();
}

#[test]
fn too_many_failures_of_a_check_that_marathon_would_run_kill() {
    let tcp = |mesos| CheckKind::Tcp { port: CheckPort::Index(0), family: Family::Ipv4, mesos };
    let check = |kind: CheckKind, failures_max: u32, failures: u32, killed: bool| {
        let mut stage = running(1, AppHealthCheck { kind, failures_max, ..health_check() });
        let task = stage.in_state(TaskState::Running).pop().expect("it runs");
        find(&mut stage, &task, failures);
        let condemned = !stage.condemned().is_empty();
        assert_eq!(condemned, killed, "{failures} failures of {failures_max}");
    };
    check(tcp(false), 3, 2, false);
    check(tcp(false), 3, 3, true);
    check(tcp(false), 3, 4, true);
    check(tcp(false), 0, 99, false);
    // The agent kills for these by itself.
    check(tcp(true), 3, 3, false);
    check(CheckKind::Command("true".to_owned()), 3, 3, false);
}

#[test]
fn the_agent_is_told_to_kill_only_for_checks_of_its_own() {
    let tcp = |mesos| CheckKind::Tcp { port: CheckPort::Index(0), family: Family::Ipv4, mesos };
    let check = |kind: CheckKind, failures_max: u32| {
        let stage = running(1, AppHealthCheck { kind, ..health_check() });
        let (info, _) = stage.tasks.values().next().expect("a task");
        assert_eq!(info.health_checks[0].failures_max, failures_max);
    };
    check(tcp(false), 0);
    check(tcp(true), 3);
    check(CheckKind::Command("true".to_owned()), 3);
}

#[test]
fn a_kill_for_health_is_told_remembered_and_not_held_against_the_app() {
    let mut stage = running(1, health_check());
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.told.clear();
    find(&mut stage, &task, 3);
    let causes: Vec<&str> = stage
        .told
        .iter()
        .filter_map(|what| {
            let What::UnhealthyKill { cause, .. } = what else { return None };
            Some(cause.as_str())
        })
        .collect();
    assert_eq!(causes, ["connection refused"]);
    let failure = stage.view().apps[&id("/a")].last_failure.clone().expect("a failure");
    let message = "Task was killed since health check failed. Reason: connection refused";
    assert_eq!((failure.task, failure.message.as_str()), (task.clone(), message));
    find(&mut stage, &task, 4);
    let kills = stage.calls.iter().filter(|call| matches!(call, Call::Kill { .. })).count();
    assert_eq!(kills, 1, "it is on its way already");
    stage.report(&task, TaskState::Killed, None);
    stage.calm_with(Some(true));
    assert_eq!(stage.live(), 1, "replaced without delay");
}

#[test]
fn each_failure_of_a_check_that_is_judged_here_is_told_once() {
    let mut stage = running(1, health_check());
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.told.clear();
    let mut found = |at: Option<u64>, failures: u32, told: usize| {
        let tally = CheckTally { last_failure: at.map(Time), ..tally(failures) };
        stage.hear(Event::Checked { task: task.clone(), checks: vec![tally], readiness: None });
        let failed = stage.told.iter().filter(|what| matches!(what, What::CheckFailed { .. }));
        assert_eq!(failed.count(), told);
    };
    found(None, 0, 0);
    found(Some(10), 1, 1);
    found(Some(10), 1, 1);
    found(Some(20), 2, 2);
    found(Some(20), 0, 2);
}

#[test]
fn a_kill_by_the_agent_is_remembered_with_what_the_check_found() {
    let command = CheckKind::Command("true".to_owned());
    let mut stage = running(1, AppHealthCheck { kind: command, ..health_check() });
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    find(&mut stage, &task, 3);
    stage.report(&task, TaskState::Killed, Some(false));
    let failure = stage.view().apps[&id("/a")].last_failure.clone().expect("a failure");
    let message = "Task was killed since health check failed. Reason: connection refused";
    assert_eq!(failure.message, message);
}

#[test]
fn only_a_tenth_goes_at_a_time_and_whoever_recovers_is_spared() {
    let mut stage = running(30, health_check());
    let tasks = stage.in_state(TaskState::Running);
    for task in &tasks {
        find(&mut stage, task, 3);
    }
    let first = stage.condemned();
    assert_eq!(first.len(), 3);
    let well: Vec<TaskId> = tasks.iter().filter(|task| !first.contains(task)).cloned().collect();
    for task in &well[1..] {
        find(&mut stage, task, 0);
    }
    assert_eq!(stage.condemned().len(), 3);
    stage.report(&first[0], TaskState::Killed, None);
    stage.settle();
    assert!(stage.condemned().contains(&well[0]), "the one that is still ill has its turn");
    assert_eq!(stage.condemned().len(), 3);
    stage.calm_with(Some(true));
    assert_eq!(stage.live(), 30);
    assert_eq!(stage.tasks.len(), 34, "four were replaced");
}

#[test]
fn what_cannot_be_reached_is_not_killed_until_it_is_back() {
    let strategy = services::spec::UnreachableStrategy::Enabled {
        inactive_after: Duration::from_secs(600),
        expunge_after: Duration::from_secs(600),
    };
    let mut stage = Stage::new();
    stage.agents(1, ROOMY);
    let checks = vec![health_check()];
    stage.create(AppSpec { health_checks: checks, unreachable: strategy, ..app("/a", 1) });
    stage.calm_with(Some(true));
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&task, TaskState::Unreachable, None);
    find(&mut stage, &task, 3);
    assert_eq!(stage.condemned(), []);
    stage.report(&task, TaskState::Running, Some(false));
    stage.settle();
    assert_eq!(stage.condemned(), [task]);
}

#[test]
fn tallies_are_shown_as_long_as_their_task_lives_and_nobody_else_leads() {
    let mut stage = running(1, health_check());
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    find(&mut stage, &TaskId::new("nobody's"), 1);
    find(&mut stage, &task, 2);
    let shown = |stage: &Stage| stage.view().health.get(&task).map(|all| all[0].failures);
    assert_eq!((shown(&stage), stage.view().health.len()), (Some(2), 1));
    stage.restart(Config::default());
    assert_eq!(shown(&stage), None, "until the agent tells it again");
    find(&mut stage, &task, 2);
    stage.report(&task, TaskState::Failed, None);
    assert_eq!(shown(&stage), None);
}
