//! Apps are scaled by their use: soon up, late down, within their bounds, one deployment at a time, and it is told why.

mod stage;

use std::time::Duration;

use model::agent::Used;
use model::resources::Scalar;
use model::scheduler::Event;
use model::task::TaskState;
use services::autoscale::{Autoscale, DECISIONS_MAX, Metric};
use services::spec::AppSpec;
use services::spec::pod::PodContainer;
use services::spec::resource::Amounts;
use services::state::Cause;
use services::{Change, Config, Order, Refusal, What};
use stage::pods::{container, of_containers};
use stage::{ROOMY, Stage, app, id};

fn scaled(metric: Metric, instances: u32) -> AppSpec {
    let autoscale = Autoscale {
        min: 2,
        max: 6,
        metric,
        target: Scalar(500),
        scale_up_delay: Duration::from_secs(60),
        scale_down_delay: Duration::from_secs(300),
    };
    AppSpec { autoscale: Some(autoscale), ..app("/a", instances) }
}

fn running(spec: AppSpec) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.create(spec);
    stage.calm();
    stage
}

/// For so many seconds all running tasks use so much; what is to be launched or killed is.
fn use_for(stage: &mut Stage, seconds: u64, cpu: u64) {
    for _ in 0..seconds.div_ceil(10) {
        let running = stage.in_state(TaskState::Running);
        let used = |task| Used { task, cpu: Scalar(cpu), mem: Scalar(100) };
        stage.hear(Event::Used(running.into_iter().map(used).collect()));
        stage.calm();
        stage.wait(10);
    }
}

fn instances(stage: &Stage) -> u32 {
    stage.view().apps[&id("/a")].spec.instances
}

fn report(metric: Metric, value: u64) -> Order {
    Order::Report { app: id("/a"), metric, value: Scalar(value) }
}

#[test]
fn an_app_grows_when_it_is_busy_for_long_and_shrinks_when_it_is_idle_for_longer() {
    let mut stage = running(scaled(Metric::Cpu, 2));
    use_for(&mut stage, 50, 1_000);
    assert_eq!(instances(&stage), 2, "not yet");
    use_for(&mut stage, 20, 1_000);
    assert_eq!((instances(&stage), stage.live()), (4, 4));
    use_for(&mut stage, 600, 540);
    assert_eq!(instances(&stage), 4, "near enough to its target");
    use_for(&mut stage, 290, 100);
    assert_eq!(instances(&stage), 4, "not yet");
    use_for(&mut stage, 30, 100);
    assert_eq!((instances(&stage), stage.live()), (2, 2), "no less than its minimum");
    use_for(&mut stage, 1_000, 9_000);
    assert_eq!(instances(&stage), 6, "no more than its maximum");
    assert!(stage.view().deployments.is_empty());
}

#[test]
fn a_scaling_says_why_and_is_remembered() {
    let mut stage = running(scaled(Metric::Cpu, 2));
    use_for(&mut stage, 80, 1_000);
    let view = stage.view();
    let decision = view.autoscaled[&id("/a")].decisions[0].clone();
    assert_eq!((decision.from, decision.to, decision.value), (2, 4, Scalar(1_000)));
    let told = stage.told.iter().find_map(|what| {
        let What::DeploymentSuccess { deployment } = what else { return None };
        (deployment.id == decision.deployment).then_some(deployment.cause)
    });
    assert_eq!(told, Some(Cause::Autoscale));
    assert!(stage.told.iter().any(|what| matches!(what, What::Autoscaled { .. })));
    for round in 0..2 * DECISIONS_MAX {
        use_for(&mut stage, 400, if round % 2 == 0 { 10 } else { 2_000 });
    }
    stage.restart(Config::default());
    assert_eq!(stage.view().autoscaled[&id("/a")].decisions.len(), DECISIONS_MAX);
    assert_eq!(stage.view().group_versions(&services::group::GroupId::Root).len(), 1);
    stage.delete("/a");
    stage.calm();
    assert!(stage.view().autoscaled.is_empty());
}

#[test]
fn numbers_from_outside_scale_the_apps_that_ask_for_them() {
    let metric = || Metric::Custom("queue".to_owned());
    let mut stage = running(scaled(metric(), 2));
    let refused = stage.order(report(Metric::RequestsPerInstance, 5_000));
    assert!(matches!(refused, Err(Refusal::NotScaledBy(..))), "{refused:?}");
    stage.order(report(metric(), 1_000)).expect("taken");
    stage.wait(59);
    assert_eq!(instances(&stage), 2);
    stage.wait(1);
    assert_eq!(instances(&stage), 4, "one report is enough while it is fresh");
    stage.calm();
    stage.order(report(metric(), 100)).expect("taken");
    stage.wait(301);
    assert_eq!(instances(&stage), 4, "a stale one says nothing");
}

#[test]
fn nothing_is_scaled_while_a_deployment_holds_the_app_or_its_user_suspended_it() {
    let mut stage = running(scaled(Metric::Cpu, 2));
    let restart = vec![Change::Restart(id("/a"))];
    stage.deploy(restart, false).expect("restarted");
    for _ in 0..30 {
        let running = stage.in_state(TaskState::Running);
        let used = |task| Used { task, cpu: Scalar(2_000), mem: Scalar(0) };
        stage.hear(Event::Used(running.into_iter().map(used).collect()));
        stage.wait(10);
    }
    assert_eq!(instances(&stage), 2);
    stage.calm();
    stage.put(scaled(Metric::Cpu, 0), true).expect("suspended");
    use_for(&mut stage, 300, 2_000);
    assert_eq!(instances(&stage), 0);
}

#[test]
fn what_an_app_was_before_it_changed_does_not_count() {
    let metric = || Metric::Custom("queue".to_owned());
    let mut stage = running(scaled(metric(), 3));
    stage.order(report(metric(), 1_000)).expect("taken");
    stage.wait(50);
    stage.put(scaled(metric(), 2), false).expect("scaled by hand");
    stage.calm();
    stage.order(report(metric(), 1_500)).expect("taken");
    stage.wait(59);
    assert_eq!(instances(&stage), 2, "the delay begins anew");
    stage.wait(1);
    assert_eq!(instances(&stage), 6);
}

#[test]
fn only_what_makes_instances_be_measured_replaces_them() {
    let check = |before: AppSpec, after: AppSpec, restarts: bool| {
        let mut stage = running(before);
        let since = stage.view().apps[&id("/a")].last_config_change_at;
        stage.put(after, false).expect("changed");
        stage.calm();
        let now = stage.view().apps[&id("/a")].last_config_change_at;
        assert_eq!(since < now, restarts);
    };
    let other = || Metric::RequestsPerInstance;
    check(app("/a", 2), scaled(other(), 2), false);
    check(app("/a", 2), scaled(Metric::Cpu, 2), true);
    check(scaled(Metric::Cpu, 2), scaled(Metric::Mem, 2), false);
    check(scaled(Metric::Cpu, 2), app("/a", 2), true);
}

#[test]
fn a_pod_is_used_as_much_as_its_containers_are_together() {
    let sized = |name: &str, cpus: u64| {
        let one = container(name);
        let resources = Amounts { cpus: Scalar(cpus), ..one.resources };
        PodContainer { resources, ..one }
    };
    let containers = vec![sized("large", 300), sized("small", 100)];
    let autoscale = scaled(Metric::Cpu, 2).autoscale;
    let mut stage = running(AppSpec { autoscale, ..of_containers("/a", 2, containers) });
    for _ in 0..10 {
        let used = |task: model::id::TaskId| {
            let cpu = if task.as_str().ends_with(".large") { 1_000 } else { 0 };
            Used { task, cpu: Scalar(cpu), mem: Scalar(0) }
        };
        let running = stage.in_state(TaskState::Running);
        stage.hear(Event::Used(running.into_iter().map(used).collect()));
        stage.wait(10);
    }
    assert_eq!(instances(&stage), 3, "three quarters of two, at a half each");
}
