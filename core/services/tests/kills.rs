//! Tasks are killed: by order, because there are too many, or because nobody should have them.

mod stage;

use std::time::Duration;

use model::id::{AgentId, TaskId};
use model::scheduler::{Call, Event};
use model::task::{Source, TaskState, TaskStatus};
use services::spec::{AppSpec, KillSelection, UnreachableStrategy};
use services::state::Goal;
use services::{Config, Kill, Order, Reply, What};
use stage::{ROOMY, START, Stage, app, id};

#[test]
fn a_killed_task_is_replaced_once_it_has_ended() {
    for kill in [Kill::Replace, Kill::Wipe] {
        let mut stage = Stage::running(app("/a", 2));
        let task = stage.in_state(TaskState::Running).pop().expect("it runs");
        let order = Order::KillTasks { tasks: vec![task.clone()], kill, force: false };
        let Ok(Reply::Killed { instances, deployed: None }) = stage.order(order) else {
            panic!("not killed");
        };
        assert_eq!(instances[0].goal, Goal::Running, "as it was");
        assert_eq!(stage.condemned(), std::slice::from_ref(&task));
        stage.settle();
        stage.offer();
        assert!(stage.in_state(TaskState::Staging).is_empty(), "its place is not free yet");
        stage.report(&task, TaskState::Killed, None);
        stage.calm();
        assert_eq!(stage.live(), 2);
        assert_eq!(stage.delay(), None);
    }
}

#[test]
fn killing_with_scale_shrinks_the_app() {
    let mut stage = Stage::running(app("/a", 3));
    let tasks = stage.in_state(TaskState::Running)[1..].to_vec();
    // Whoever is named twice counts once.
    let named = [tasks.clone(), tasks.clone()].concat();
    let order = Order::KillTasks { tasks: named, kill: Kill::Scale, force: false };
    let Ok(Reply::Killed { deployed: Some(_), .. }) = stage.order(order) else {
        panic!("not deployed");
    };
    let mut condemned = stage.condemned();
    condemned.sort();
    assert_eq!(condemned, tasks);
    stage.calm();
    assert_eq!(stage.live(), 1);
    assert_eq!(stage.view().apps[&id("/a")].spec.instances, 1);
}

#[test]
fn what_has_ended_meanwhile_does_not_keep_the_others_from_being_killed() {
    for kill in [Kill::Replace, Kill::Scale] {
        let mut stage = Stage::running(app("/a", 2));
        let live = stage.in_state(TaskState::Running)[0].clone();
        let order =
            Order::KillTasks { tasks: vec![TaskId::new("gone"), live.clone()], kill, force: false };
        let Ok(Reply::Killed { instances, .. }) = stage.order(order) else {
            panic!("not killed");
        };
        let killed: Vec<TaskId> = instances.iter().map(|one| one.task.clone()).collect();
        assert_eq!(killed, std::slice::from_ref(&live));
        assert_eq!(stage.condemned(), [live]);
    }
}

#[test]
fn a_kill_carries_the_apps_grace_and_is_repeated_until_it_is_answered() {
    let grace = Some(Duration::from_secs(7));
    let mut stage = Stage::running(AppSpec { kill_grace: grace, ..app("/a", 1) });
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.put(AppSpec { kill_grace: grace, ..app("/a", 0) }, false).expect("scaled");
    let call = Call::Kill { task: task.clone(), agent: Some(AgentId::new("agent-0000")), grace };
    let sent = |stage: &Stage| {
        let same = |one: &&Call| matches!(one, Call::Kill { task, grace, .. } if matches!(&call, Call::Kill { task: t, grace: g, .. } if t == task && g == grace));
        stage.calls.iter().filter(same).count()
    };
    assert_eq!(sent(&stage), 1);
    stage.wait(29);
    assert_eq!(sent(&stage), 1);
    stage.wait(1);
    assert_eq!(sent(&stage), 2);
    stage.restart(Config::default());
    stage.settle();
    assert_eq!(sent(&stage), 3, "a new leader asks again");
    stage.report(&task, TaskState::Killed, None);
    stage.wait(300);
    assert_eq!(sent(&stage), 3);
}

#[test]
fn scaling_down_kills_the_worst_and_then_by_age() {
    let check = |selection, states: &[TaskState], expected: &[usize]| {
        let mut stage = Stage::new();
        stage.agents(1, ROOMY);
        let count = u32::try_from(states.len()).expect("few");
        let spec = AppSpec {
            kill_selection: selection,
            unreachable: UnreachableStrategy::Disabled,
            ..app("/a", count)
        };
        stage.create(spec.clone());
        stage.settle();
        stage.offer();
        let tasks = stage.in_state(TaskState::Staging);
        for (task, state) in tasks.iter().zip(states).filter(|(_, one)| **one != TaskState::Staging)
        {
            stage.report(task, TaskState::Running, None);
            if *state != TaskState::Running {
                stage.report(task, *state, None);
            }
        }
        let fewer = count - u32::try_from(expected.len()).expect("few");
        stage.put(AppSpec { instances: fewer, ..spec }, true).expect("scaled down");
        let view = stage.view();
        let doomed: Vec<usize> = (0..tasks.len())
            .filter(|n| view.tasks[&tasks[*n]].goal == Goal::Decommissioned)
            .collect();
        assert_eq!(doomed, expected, "{selection:?} {states:?}");
    };
    use KillSelection::{OldestFirst, YoungestFirst};
    use TaskState::{Running, Staging, Unreachable};
    check(YoungestFirst, &[Running, Running, Running], &[2]);
    check(OldestFirst, &[Running, Running, Running], &[0]);
    check(OldestFirst, &[Running, Running, Staging], &[2]);
    check(YoungestFirst, &[Running, Unreachable, Staging], &[1]);
    check(YoungestFirst, &[Staging, Running, Running, Running], &[0, 3]);
}

#[test]
fn a_launch_that_is_not_confirmed_or_does_not_get_to_run_is_replaced() {
    let check = |starting: bool, seconds: u64, killed: usize| {
        let mut stage = Stage::new();
        stage.agents(1, ROOMY);
        stage.create(app("/a", 1));
        stage.offer();
        let task = stage.in_state(TaskState::Staging).pop().expect("launched");
        if starting {
            stage.report(&task, TaskState::Starting, None);
        }
        stage.wait(seconds);
        assert_eq!(stage.kills(), killed, "starting: {starting}, after {seconds} s");
        stage.calm();
        assert_eq!(stage.live(), 1);
    };
    check(false, 1_799, 0);
    check(false, 1_800, 1);
    check(true, 86_399, 0);
    check(true, 86_400, 1);
}

#[test]
fn a_task_that_no_instance_knows_is_killed_if_it_lives() {
    let check = |state: TaskState, killed: usize, told: bool| {
        let mut stage = Stage::new();
        let task = TaskId::new("b.instance-x._app.1");
        let status = TaskStatus {
            task: task.clone(),
            state,
            agent: Some(AgentId::new("s")),
            source: Source::Agent,
            reason: None,
            message: None,
            at: START,
            uuid: Some(model::id::Uuid::derive(1, 1)),
            healthy: None,
            container: None,
            executor: None,
            wait_status: None,
            given: None,
            more: None,
            check: None,
            ready: None,
        };
        stage.hear(Event::Update(status));
        assert_eq!(stage.kills(), killed, "{state:?}");
        assert!(matches!(stage.calls.last(), Some(Call::Acknowledge { .. })), "{state:?}");
        let is_told = stage.told.iter().any(|what| matches!(what, What::UnknownTerminated { .. }));
        assert_eq!(is_told, told, "{state:?}");
    };
    check(TaskState::Staging, 1, false);
    check(TaskState::Running, 1, false);
    check(TaskState::Killing, 0, false);
    check(TaskState::Failed, 0, true);
    check(TaskState::Unreachable, 0, true);
}

#[test]
fn any_number_of_tasks_can_be_killed_and_a_turn_kills_only_so_many() {
    for kill in [services::Kill::Replace, services::Kill::Scale] {
        let mut stage = Stage::new();
        stage.agents(70, "cpus:1000;mem:1000000;ports:[31000-31999]");
        let small = AppSpec { cpus: model::resources::Scalar(10), ..app("/a", 5_000) };
        stage.create(small);
        stage.calm();
        let tasks: Vec<_> = stage.in_state(TaskState::Running).into_iter().take(4_500).collect();
        let order = services::Order::KillTasks { tasks: tasks.clone(), kill, force: false };
        stage.order(order).expect("killed");
        assert!(stage.condemned().len() <= services::machine::TURN_KILLS_MAX * 2);
        stage.restart(Config::default());
        stage.settle();
        let condemned: std::collections::BTreeSet<_> = stage.condemned().into_iter().collect();
        assert_eq!(condemned, tasks.into_iter().collect(), "{kill:?}: these and no others");
        stage.calm();
        let left = if kill == services::Kill::Scale { 500 } else { 5_000 };
        assert_eq!(stage.live(), left, "{kill:?}");
    }
}
