//! Pods: launched as groups, followed member by member, and otherwise apps like all others.

mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use model::id::TaskId;
use model::resources::Scalar;
use model::scheduler::Call;
use model::task::TaskState;
use services::spec::AppSpec;
use services::spec::pod::PodContainer;
use services::state::Instance;
use services::{Change, Config, Kill, Order, Refusal, What};
use stage::pods::{changed, container, endpoint, health_check, of_containers, pod};
use stage::{ROOMY, Stage, app, id};

fn started(spec: AppSpec) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.create(spec);
    stage.settle();
    stage.offer();
    stage
}

fn running(spec: AppSpec) -> Stage {
    let mut stage = started(spec);
    stage.calm_with(Some(true));
    stage
}

/// The only instance of `/p`.
fn instance(stage: &Stage) -> Instance {
    let view = stage.view();
    (**view.instances[&id("/p")].values().next().expect("one")).clone()
}

fn task(stage: &Stage, container: &str) -> TaskId {
    let members = instance(stage).members;
    members.into_iter().find(|one| one.name == container).expect("a member").task
}

fn kills(stage: &Stage) -> usize {
    stage.calls.iter().filter(|call| matches!(call, Call::Kill { .. })).count()
}

#[test]
fn an_instance_is_what_its_members_are_together() {
    use TaskState::{Failed, Finished, Killed, Killing, Running, Staging, Starting, Unreachable};
    let check = |said: &[(&str, TaskState)], expected: Option<TaskState>| {
        let mut spec = pod("/p", 1);
        spec.unreachable = services::spec::UnreachableStrategy::Disabled;
        let mut stage = started(spec);
        let tasks: BTreeMap<&str, TaskId> =
            ["web", "log"].map(|name| (name, task(&stage, name))).into();
        let serial = instance(&stage).serial;
        for (container, state) in said {
            stage.report(&tasks[container], *state, None);
        }
        let view = stage.view();
        let all = view.instances.get(&id("/p"));
        let now = all.and_then(|all| all.get(&serial)).map(|one| one.state);
        assert_eq!(now, expected, "{said:?}");
        if expected.is_none() {
            let end = view.histories[&id("/p")].ended.last().expect("it is remembered").clone();
            assert!(end.members.iter().all(|one| one.is_over() && one.termination.is_some()));
        }
    };
    check(&[("web", Starting)], Some(Staging));
    check(&[("web", Running)], Some(Staging));
    check(&[("web", Running), ("log", Running)], Some(Running));
    check(&[("web", Running), ("log", Finished)], Some(Running));
    check(&[("web", Finished), ("log", Finished)], None);
    check(&[("web", Running), ("log", Failed)], Some(Killing));
    check(&[("web", Running), ("log", Failed), ("web", Killed)], None);
    check(&[("web", Running), ("log", Failed), ("log", Running)], Some(Killing));
    check(&[("web", Running), ("log", Running), ("web", Killing)], Some(Killing));
    check(&[("web", Running), ("log", Running), ("web", Unreachable)], Some(Unreachable));
    check(&[("web", Unreachable), ("log", Unreachable), ("web", Running)], Some(Unreachable));
    check(
        &[("web", Unreachable), ("log", Unreachable), ("web", Running), ("log", Running)],
        Some(Running),
    );
    check(&[("log", Finished), ("web", Unreachable), ("web", Running)], Some(Running));
}

#[test]
fn an_instance_is_healthy_when_all_that_have_checks_are() {
    let checked = |name: &str| PodContainer {
        endpoints: vec![endpoint(name, 0)],
        health_check: Some(health_check(name)),
        ..container(name)
    };
    let containers = || vec![checked("web"), checked("api"), container("log")];
    let check = |said: &[(&str, TaskState, Option<bool>)], expected: Option<bool>| {
        let mut stage = started(of_containers("/p", 1, containers()));
        for name in ["web", "api", "log"] {
            let task = task(&stage, name);
            stage.report(&task, TaskState::Running, None);
        }
        for (container, state, healthy) in said {
            let task = task(&stage, container);
            stage.report(&task, *state, *healthy);
        }
        assert_eq!(instance(&stage).healthy, expected, "{said:?}");
        assert_eq!(stage.view().deployments.is_empty(), expected == Some(true), "{said:?}");
    };
    use TaskState::{Finished, Running};
    check(&[], None);
    check(&[("web", Running, Some(true))], None);
    check(&[("web", Running, Some(true)), ("api", Running, Some(false))], Some(false));
    check(&[("web", Running, Some(true)), ("api", Running, Some(true))], Some(true));
    check(&[("web", Running, Some(true)), ("api", Finished, None)], Some(true));
    check(&[("web", Finished, None), ("api", Finished, None)], Some(true));
}

#[test]
fn a_failure_is_remembered_once_and_delays_the_next_launch_once() {
    let mut stage = running(pod("/p", 1));
    let (web, before) = (task(&stage, "web"), instance(&stage));
    stage.fail(&web);
    stage.settle();
    let view = stage.view();
    let failure = view.apps[&id("/p")].last_failure.clone().expect("it is remembered");
    assert_eq!((failure.task, failure.state), (web, TaskState::Failed));
    let waiting = &view.queue[&id("/p")];
    assert_eq!(waiting.delayed_until, Some(stage.now + Duration::from_secs(1)));
    let history = &view.histories[&id("/p")];
    assert_eq!(history.ended.len(), 1);
    assert_eq!(history.ended[0].instance, before.id());
    assert_eq!(history.ended[0].state, TaskState::Failed);
    stage.wait(1);
    stage.calm();
    let after = instance(&stage);
    assert_ne!(after.id(), before.id(), "another instance takes its place");
    assert_eq!(after.state, TaskState::Running);
}

#[test]
fn only_the_latest_ends_are_remembered_and_none_of_a_pod_that_is_gone() {
    let mut stage = running(pod("/p", 1));
    for round in 1..=2 * services::member::HISTORY_MAX {
        let web = task(&stage, "web");
        stage.fail(&web);
        stage.wait(400);
        stage.calm();
        let remembered = stage.view().histories[&id("/p")].ended.len();
        assert_eq!(remembered, round.min(services::member::HISTORY_MAX));
    }
    assert_eq!(
        format!("{:?}", stage.recovered(Config::default()).view().histories),
        format!("{:?}", stage.view().histories)
    );
    stage.delete("/p");
    stage.calm();
    let view = stage.view();
    assert!(view.histories.is_empty() && view.pods.is_empty());
}

#[test]
fn all_tasks_of_an_instance_are_killed_at_once() {
    let mut stage = running(pod("/p", 2));
    let all: Vec<TaskId> = stage.view().tasks.keys().cloned().collect();
    let order = Order::KillTasks { tasks: all, kill: Kill::Scale, force: false };
    stage.order(order).expect("killed");
    assert_eq!(kills(&stage), 4, "each task of each instance, once");
    assert_eq!(stage.view().apps[&id("/p")].spec.instances, 0, "each counts once");
    stage.calm();
    assert_eq!(stage.live(), 0);
    assert!(stage.view().deployments.is_empty());
}

#[test]
fn what_a_failure_has_left_over_is_killed_after_a_while() {
    let mut stage = running(pod("/p", 1));
    let (web, log) = (task(&stage, "web"), task(&stage, "log"));
    stage.report(&web, TaskState::Failed, None);
    assert_eq!(kills(&stage), 0, "that is its agent's part");
    stage.wait(30);
    let killed = stage.calls.iter().filter_map(|call| {
        let Call::Kill { task, .. } = call else { return None };
        Some(task.clone())
    });
    assert_eq!(killed.collect::<Vec<_>>(), [log]);
    stage.restart(Config::default());
    stage.settle();
    assert_eq!(kills(&stage), 2, "a restart does not make it forget");
    stage.calm();
    stage.wait(1);
    stage.calm();
    assert_eq!(instance(&stage).state, TaskState::Running);
}

#[test]
fn an_instance_that_was_given_up_is_replaced_and_killed_when_it_comes_back() {
    let mut stage = running(pod("/p", 1));
    let (web, log, before) = (task(&stage, "web"), task(&stage, "log"), instance(&stage).id());
    stage.report(&web, TaskState::Unreachable, None);
    stage.report(&log, TaskState::Unreachable, None);
    stage.calm();
    assert_ne!(instance(&stage).id(), before, "it is replaced");
    let view = stage.view();
    assert!(!view.tasks.contains_key(&web) && !view.tasks.contains_key(&log));
    stage.report(&log, TaskState::Running, None);
    assert_eq!(stage.condemned().len(), 2, "one kill takes both");
    stage.calm();
    assert_eq!((stage.live(), instance(&stage).state), (2, TaskState::Running));
}

#[test]
fn the_kernel_is_asked_about_every_member_that_has_not_ended() {
    let mut stage = running(pod("/p", 1));
    let (web, log) = (task(&stage, "web"), task(&stage, "log"));
    let asked = |stage: &Stage| -> Vec<TaskId> {
        let questions = stage.calls.iter().rev().filter_map(|call| {
            let Call::Reconcile { tasks } = call else { return None };
            (!tasks.is_empty()).then(|| tasks.clone())
        });
        questions.take(1).flatten().map(|(task, _)| task).collect()
    };
    stage.restart(Config::default());
    stage.settle();
    assert_eq!(asked(&stage), [web.clone(), log.clone()]);
    stage.report(&log, TaskState::Finished, None);
    stage.restart(Config::default());
    stage.settle();
    assert_eq!(asked(&stage), [web]);
}

#[test]
fn a_launch_that_is_refused_leaves_no_member_behind() {
    let mut stage = started(pod("/p", 1));
    let accept = stage.calls.iter().find(|call| matches!(call, Call::Accept { .. })).cloned();
    let call = accept.expect("it was launched");
    let cause = "no such offer".to_owned();
    stage.step(services::Input::Refused { call, cause }).expect("heard");
    let view = stage.view();
    assert!(view.instances.is_empty() && view.tasks.is_empty());
    assert!(view.queue[&id("/p")].delayed_until.is_some());
}

#[test]
fn a_pod_is_deployed_scaled_and_replaced_as_an_app_is() {
    let mut stage = running(pod("/p", 2));
    assert_eq!(stage.steps(), "StartPod /p; ScalePod /p");
    stage.put(pod("/p", 3), false).expect("scaled");
    assert_eq!(stage.steps(), "ScalePod /p");
    stage.calm();
    assert_eq!(stage.view().instances[&id("/p")].len(), 3);
    let other = changed(&pod("/p", 3), |pod| pod.containers[0].resources.cpus = Scalar(70));
    stage.put(other, false).expect("changed");
    assert_eq!(stage.steps(), "RestartPod /p");
    stage.calm();
    let view = stage.view();
    assert!(view.deployments.is_empty());
    let version = view.apps[&id("/p")].version;
    assert!(view.instances[&id("/p")].values().all(|one| one.version == version));
    assert_eq!(stage.live(), 6);
    stage.delete("/p");
    assert_eq!(stage.steps(), "StopPod /p");
    stage.calm();
    assert_eq!(stage.live(), 0);
    let posted: Vec<&What> =
        stage.told.iter().filter(|what| matches!(what, What::PodPosted { .. })).collect();
    assert_eq!(posted.len(), 4);
    assert!(!stage.told.iter().any(|what| matches!(what, What::AppPosted { .. })));
}

#[test]
fn apps_and_pods_share_no_ids() {
    let mut stage = running(pod("/p", 1));
    stage.create(app("/a", 1));
    let check = |stage: &mut Stage, spec: AppSpec| {
        let refused = stage.put(spec.clone(), true).expect_err("refused");
        let Refusal::Invalid(faults) = refused else { panic!("{refused:?}") };
        let message = format!("Applications and Pods may not share the same id: {}", spec.id);
        assert_eq!(faults[0].message, message);
    };
    check(&mut stage, app("/p", 1));
    check(&mut stage, pod("/a", 1));
    let create = |stage: &mut Stage, spec| stage.deploy(vec![Change::Create(spec)], false);
    assert_eq!(create(&mut stage, pod("/p", 1)), Err(Refusal::PodExists(id("/p"))));
    assert_eq!(create(&mut stage, app("/a", 1)), Err(Refusal::AppExists(id("/a"))));
}
