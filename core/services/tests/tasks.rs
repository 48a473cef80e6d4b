//! Tasks end, fail, vanish and come back.

mod stage;

use std::time::Duration;

use model::id::AgentId;
use model::scheduler::{Call, Event, Offer};
use model::task::{Reason, Source, TaskState, TaskStatus};
use services::spec::{AppSpec, Backoff, UnreachableStrategy};
use services::{Config, Input, Order, Refusal, What};
use stage::{ROOMY, Stage, app, id};

#[test]
fn the_delay_grows_with_failures_that_are_the_apps_own() {
    let backoff = Backoff {
        initial: Duration::from_secs(2),
        factor: model::resources::Scalar::whole(3),
        max: Duration::from_secs(30),
    };
    let check = |states: &[(TaskState, Option<f64>)]| {
        let mut stage = Stage::running(AppSpec { backoff, ..app("/a", 1) });
        for (state, expected) in states {
            let task = stage.in_state(TaskState::Running).pop().expect("it runs");
            stage.report(&task, *state, None);
            stage.settle();
            assert_eq!(stage.delay(), *expected, "{state:?} of {states:?}");
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
    let mut stage = Stage::running(app("/a", 1));
    fail(&mut stage);
    assert_eq!(stage.delay(), Some(1.0));
    stage.wait(1);
    stage.calm();
    fail(&mut stage);
    assert_eq!(stage.delay(), Some(1.15));
    let order = Order::ResetDelay { app: id("/a") };
    stage.order(order).expect("reset");
    assert_eq!(stage.delay(), None);
    stage.calm();
    fail(&mut stage);
    assert_eq!(stage.delay(), Some(1.0));
    stage.wait(1);
    stage.calm();
    stage.wait(301);
    fail(&mut stage);
    assert_eq!(stage.delay(), Some(1.0), "300 s without failures");
    stage
        .put(AppSpec { cpus: model::resources::Scalar(200), ..app("/a", 1) }, false)
        .expect("changed");
    assert_eq!(stage.delay(), None, "another configuration");
    let unknown = stage.order(Order::ResetDelay { app: id("/b") });
    assert_eq!(unknown, Err(Refusal::UnknownApp(id("/b"))));
}

#[test]
fn the_last_failure_is_remembered() {
    let mut stage = Stage::running(app("/a", 1));
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
        let mut stage = Stage::running(AppSpec { unreachable: strategy, ..app("/a", 2) });
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
    let mut stage = Stage::running(AppSpec { unreachable: unreachable(60, 120), ..app("/a", 1) });
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
    let mut stage = Stage::running(spec.clone());
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
    let mut stage = Stage::running(AppSpec { unreachable: unreachable(60, 120), ..app("/a", 1) });
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
fn a_kernel_that_does_not_know_services_any_more_is_asked_to_take_them_again() {
    let mut stage = Stage::running(app("/a", 1));
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
    let mut stage = Stage::running(app("/a", 1));
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
        check: None,
        ready: None,
        given: None,
        more: None,
    };
    stage.hear(Event::Update(status));
    assert_eq!(stage.delay(), None);
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
