//! Tasks end, fail, vanish, come back, and are killed.

mod stage;

use std::time::Duration;

use model::id::{AgentId, TaskId};
use model::scheduler::{Call, Event, Offer};
use model::task::{Reason, Source, TaskState, TaskStatus};
use services::spec::{AppSpec, Backoff, KillSelection, UnreachableStrategy};
use services::state::Goal;
use services::{Config, Input, Kill, Order, Refusal, Reply, What};
use stage::{ROOMY, START, Stage, app, id};

fn running(spec: AppSpec) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.create(spec);
    stage.calm();
    stage
}

fn kills(stage: &Stage) -> usize {
    stage.calls.iter().filter(|call| matches!(call, Call::Kill { .. })).count()
}

/// Seconds until the app's next launch, if it is delayed.
fn delay(stage: &Stage) -> Option<f64> {
    let view = stage.view();
    let waiting = view.queue.get(&id("/a"))?;
    waiting.delayed_until.map(|until| until.since(stage.now).as_secs_f64())
}

#[test]
fn the_delay_grows_with_failures_that_are_the_apps_own() {
    let backoff = Backoff {
        initial: Duration::from_secs(2),
        factor: model::resources::Scalar::whole(3),
        max: Duration::from_secs(30),
    };
    let check = |states: &[(TaskState, Option<f64>)]| {
        let mut stage = running(AppSpec { backoff, ..app("/a", 1) });
        for (state, expected) in states {
            let task = stage.in_state(TaskState::Running).pop().expect("it runs");
            stage.report(&task, *state, None);
            stage.settle();
            assert_eq!(delay(&stage), *expected, "{state:?} of {states:?}");
            stage.offer();
            assert_eq!(stage.in_state(TaskState::Staging).is_empty(), expected.is_some());
            stage.now = stage.now + Duration::from_secs_f64(expected.unwrap_or(0.0));
            stage.calm();
        }
    };
    use TaskState::{Dropped, Error, Failed, Finished, Gone, Killed, Lost};
    check(&[(Failed, Some(2.0))]);
    check(&[(Finished, Some(2.0))]);
    check(&[(Error, Some(2.0))]);
    check(&[(Dropped, Some(2.0))]);
    check(&[(Gone, Some(2.0))]);
    check(&[(Killed, None), (Lost, None)]);
    check(&[(Failed, Some(2.0)), (Failed, Some(6.0)), (Failed, Some(18.0)), (Failed, Some(30.0))]);
}

#[test]
fn a_delay_is_forgotten_after_a_quiet_period_a_change_or_on_request() {
    let fail = |stage: &mut Stage| {
        let task = stage.in_state(TaskState::Running).pop().expect("it runs");
        stage.report(&task, TaskState::Failed, None);
        stage.settle();
    };
    let mut stage = running(app("/a", 1));
    fail(&mut stage);
    assert_eq!(delay(&stage), Some(1.0));
    stage.wait(1);
    stage.calm();
    fail(&mut stage);
    assert_eq!(delay(&stage), Some(1.15));
    let order = Order::ResetDelay { app: id("/a") };
    stage.order(order).expect("reset");
    assert_eq!(delay(&stage), None);
    stage.calm();
    fail(&mut stage);
    assert_eq!(delay(&stage), Some(1.0));
    stage.wait(1);
    stage.calm();
    stage.wait(301);
    fail(&mut stage);
    assert_eq!(delay(&stage), Some(1.0), "300 s without failures");
    stage
        .put(AppSpec { cpus: model::resources::Scalar(200), ..app("/a", 1) }, false)
        .expect("changed");
    assert_eq!(delay(&stage), None, "another configuration");
    let unknown = stage.order(Order::ResetDelay { app: id("/b") });
    assert_eq!(unknown, Err(Refusal::UnknownApp(id("/b"))));
}

#[test]
fn the_last_failure_is_remembered() {
    let mut stage = running(app("/a", 1));
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&task, TaskState::Killed, None);
    stage.calm();
    assert_eq!(stage.view().apps[&id("/a")].last_failure, None, "to be killed is no failure");
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&task, TaskState::Failed, None);
    let failure = stage.view().apps[&id("/a")].last_failure.clone().expect("a failure");
    assert_eq!((failure.task, failure.state), (task, TaskState::Failed));
    assert_eq!(failure.message, "so it is");
}

fn unreachable(inactive: u64, expunge: u64) -> UnreachableStrategy {
    UnreachableStrategy::Enabled {
        inactive_after: Duration::from_secs(inactive),
        expunge_after: Duration::from_secs(expunge),
    }
}

#[test]
fn an_unreachable_instance_is_replaced_and_given_up_in_its_time() {
    let check = |strategy, seconds: u64, live: usize, instances: usize| {
        let mut stage = running(AppSpec { unreachable: strategy, ..app("/a", 2) });
        let lost = stage.in_state(TaskState::Running).pop().expect("it runs");
        stage.report(&lost, TaskState::Unreachable, None);
        stage.wait(seconds);
        stage.calm();
        let label = format!("{strategy:?} after {seconds} s");
        assert_eq!(stage.live(), live, "{label}");
        assert_eq!(stage.view().instances[&id("/a")].len(), instances, "{label}");
        stage.report(&lost, TaskState::Running, None);
        stage.calm();
        assert_eq!(stage.live(), 2, "{label}: one too many is killed");
        assert_eq!(stage.view().instances[&id("/a")].len(), 2, "{label}");
    };
    check(unreachable(0, 0), 0, 3, 2);
    check(unreachable(60, 120), 59, 2, 2);
    check(unreachable(60, 120), 60, 3, 3);
    check(unreachable(60, 120), 119, 3, 3);
    check(unreachable(60, 120), 120, 3, 2);
    check(UnreachableStrategy::Disabled, 1_000_000, 2, 2);
}

#[test]
fn an_earlier_absence_does_not_count() {
    let mut stage = running(AppSpec { unreachable: unreachable(60, 120), ..app("/a", 1) });
    let lost = stage.in_state(TaskState::Running).pop().expect("it runs");
    let mut check = |seconds: u64, state: TaskState, launched: usize| {
        stage.wait(seconds);
        stage.report(&lost, state, None);
        stage.settle();
        stage.offer();
        assert_eq!(stage.tasks.len(), 1 + launched, "{state:?} after {seconds} s more");
    };
    check(0, TaskState::Unreachable, 0);
    check(50, TaskState::Running, 0);
    check(5, TaskState::Unreachable, 0);
    // 65 s after the first absence began, and 125 s.
    check(10, TaskState::Unreachable, 0);
    check(49, TaskState::Unreachable, 0);
    check(1, TaskState::Unreachable, 1);
    check(10, TaskState::Unreachable, 1);
    assert_eq!(stage.view().instances[&id("/a")].len(), 2, "it is not given up yet");
}

#[test]
fn a_deployment_does_not_wait_for_what_was_lost_and_replaced() {
    let spec = AppSpec { unreachable: unreachable(0, 86_400), ..app("/a", 2) };
    let mut stage = running(spec.clone());
    stage.put(AppSpec { instances: 4, ..spec }, false).expect("scaled");
    stage.settle();
    stage.offer();
    let lost = stage.in_state(TaskState::Staging).pop().expect("it was launched");
    stage.report(&lost, TaskState::Unreachable, None);
    assert_eq!(stage.view().deployments.len(), 1, "one is missing");
    stage.calm();
    assert_eq!(stage.in_state(TaskState::Running).len(), 4, "it was replaced");
    assert_eq!(stage.view().deployments.len(), 0, "four run");
}

#[test]
fn unreachable_times_survive_a_restart() {
    let mut stage = running(AppSpec { unreachable: unreachable(60, 120), ..app("/a", 1) });
    let lost = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&lost, TaskState::Unreachable, None);
    stage.wait(50);
    stage.restart(Config::default());
    stage.wait(9);
    stage.calm();
    assert_eq!(stage.live(), 1);
    stage.wait(1);
    stage.calm();
    assert_eq!(stage.live(), 2);
    stage.wait(60);
    assert!(!stage.view().tasks.contains_key(&lost));
}

#[test]
fn a_killed_task_is_replaced_once_it_has_ended() {
    for kill in [Kill::Replace, Kill::Wipe] {
        let mut stage = running(app("/a", 2));
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
        assert_eq!(delay(&stage), None);
    }
}

#[test]
fn killing_with_scale_shrinks_the_app() {
    let mut stage = running(app("/a", 3));
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
        let mut stage = running(app("/a", 2));
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
fn a_kernel_that_does_not_know_services_any_more_is_asked_to_take_them_again() {
    let mut stage = running(app("/a", 1));
    let subscriptions = |stage: &Stage| {
        stage.calls.iter().filter(|call| matches!(call, Call::Subscribe { .. })).count()
    };
    let before = subscriptions(&stage);
    stage.told.clear();
    stage.hear(Event::Error("framework is not subscribed".to_owned()));
    stage.hear(Event::Error("framework is not subscribed".to_owned()));
    let lost = stage.told.iter().filter(|what| matches!(what, What::SchedulerDisconnected));
    assert_eq!(lost.count(), 1, "said once");
    stage.put(app("/a", 2), false).expect("scaled");
    stage.wait(9);
    assert_eq!(subscriptions(&stage), before);
    stage.wait(1);
    assert_eq!(subscriptions(&stage), before + 1);
    stage.calm();
    assert_eq!(stage.live(), 2, "offers are taken again");
    stage.wait(60);
    assert_eq!(subscriptions(&stage), before + 1, "once it is taken it is not asked again");
}

#[test]
fn a_kill_carries_the_apps_grace_and_is_repeated_until_it_is_answered() {
    let grace = Some(Duration::from_secs(7));
    let mut stage = running(AppSpec { kill_grace: grace, ..app("/a", 1) });
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
        assert_eq!(kills(&stage), killed, "starting: {starting}, after {seconds} s");
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
        };
        stage.hear(Event::Update(status));
        assert_eq!(kills(&stage), killed, "{state:?}");
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
fn a_refused_launch_is_tried_again() {
    let mut stage = Stage::new();
    stage.agents(1, ROOMY);
    stage.create(app("/a", 1));
    stage.offer();
    let accept = stage.calls.iter().rev().find(|call| matches!(call, Call::Accept { .. }));
    let call = accept.expect("accepted").clone();
    let task = stage.in_state(TaskState::Staging).pop().expect("launched");
    stage.tasks.remove(&task);
    stage
        .step(Input::Refused { call, cause: "offer is no longer valid".to_owned() })
        .expect("taken");
    assert!(!stage.view().tasks.contains_key(&task));
    stage.wait(2);
    stage.calm();
    assert_eq!(stage.live(), 1);
}

#[test]
fn a_drained_agent_is_not_held_against_the_app() {
    let mut stage = running(app("/a", 1));
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&task, TaskState::Failed, None);
    stage.wait(2);
    stage.calm();
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    let status = TaskStatus {
        task,
        state: TaskState::Killed,
        agent: Some(AgentId::new("agent-0000")),
        source: Source::Agent,
        reason: Some(Reason::AgentDraining),
        message: None,
        at: stage.now,
        uuid: None,
        healthy: None,
        container: None,
        executor: None,
        wait_status: None,
    };
    stage.hear(Event::Update(status));
    assert_eq!(delay(&stage), None);
}

#[test]
fn offers_are_asked_for_only_while_something_is_wanted() {
    let turned = |stage: &Stage| -> Vec<String> {
        let calls = stage.calls.iter();
        let names = calls.filter_map(|call| {
            let named = |name, is_so: bool| is_so.then_some(name);
            named("revive", matches!(call, Call::Revive { .. }))
                .or(named("suppress", matches!(call, Call::Suppress { .. })))
                .or(named("decline", matches!(call, Call::Decline { .. })))
                .or(named("accept", matches!(call, Call::Accept { .. })))
        });
        names.map(str::to_owned).collect()
    };
    let mut stage = Stage::new();
    stage.agents(1, "cpus:1;mem:64;ports:[31000-31009]");
    assert_eq!(turned(&stage), ["suppress"]);
    stage.create(app("/a", 2));
    assert_eq!(turned(&stage)[1..], ["revive"]);
    stage.calm();
    assert_eq!(turned(&stage)[2..], ["accept", "suppress"]);
    stage.put(app("/a", 3), false).expect("scaled");
    assert_eq!(turned(&stage)[4..], ["revive"]);
    stage.offer();
    assert_eq!(turned(&stage)[5..], ["decline"]);
    let view = stage.view();
    let waiting = &view.queue[&id("/a")];
    assert_eq!((waiting.count, waiting.offers_processed, waiting.offers_unused), (1, 1, 1));
    assert_eq!(
        waiting.misses.keys().copied().collect::<Vec<_>>(),
        [placement::demand::Miss::InsufficientMemory]
    );
    let unused: Vec<&std::sync::Arc<Offer>> =
        waiting.last_unused.values().map(|one| &one.offer).collect();
    assert_eq!(unused.len(), 1);
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&task, TaskState::Killed, None);
    assert_eq!(turned(&stage)[6..], ["revive"], "one more is wanted");
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
