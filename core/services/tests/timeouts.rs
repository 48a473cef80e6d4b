//! Deployments with a time-out are rolled back when it is over; a way back takes as long as it takes.

mod stage;

use std::time::Duration;

use services::spec::{AppSpec, Process};
use services::state::Cause;
use services::{Change, Config, Order, What};
use stage::{ROOMY, Stage, app, id};

fn running() -> Stage {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    stage.create(app("/a", 2));
    stage.calm();
    stage
}

fn changed(timeout: Option<u64>) -> AppSpec {
    AppSpec {
        process: Process::Cmd("sleep 2000".to_owned()),
        deployment_timeout: timeout.map(Duration::from_secs),
        ..app("/a", 2)
    }
}

/// Nothing of the new configuration ever runs. After so many seconds it is rolled back, or never.
fn check(spec: AppSpec, timeout: Option<u64>, after: Option<u64>) {
    let mut stage = running();
    let base = stage.view().apps.get(&spec.id).map(|app| app.version);
    let changes = vec![Change::Put { spec, base }];
    let timeout = timeout.map(Duration::from_secs);
    stage.order(Order::Deploy { changes, force: false, timeout }).expect("deployed");
    stage.restart(Config::default());
    stage.settle();
    let is_old = |stage: &Stage| {
        stage.view().apps[&id("/a")].spec.process == Process::Cmd("sleep 1000".to_owned())
    };
    stage.wait(after.map_or(100_000, |after| after - 1));
    assert!(!is_old(&stage), "{timeout:?}");
    stage.wait(1);
    assert_eq!(is_old(&stage), after.is_some(), "{timeout:?}");
    let Some(after) = after else { return };
    let told = stage.told.iter().any(|what| {
        let reason = format!("not over after {after} s");
        matches!(what, What::DeploymentFailed { cause, .. } if cause.contains(&reason))
    });
    assert!(told, "the failure says why");
    let deployment = stage.view().deployments.values().next().cloned().expect("the way back");
    assert!(matches!(deployment.cause, Cause::Timeout { .. }));
    assert_eq!(deployment.deadline, None);
    stage.calm();
    assert!(stage.view().deployments.is_empty());
    assert_eq!(stage.live(), 2);
}

#[test]
fn a_deployment_is_rolled_back_when_its_time_is_over() {
    check(changed(None), None, None);
    check(changed(Some(300)), None, Some(300));
    check(changed(None), Some(60), Some(60));
    check(changed(Some(300)), Some(600), Some(600));
}

#[test]
fn a_deployment_that_is_over_in_time_is_left_alone() {
    let mut stage = running();
    stage.put(changed(Some(300)), false).expect("changed");
    stage.calm();
    assert!(stage.view().deployments.is_empty());
    stage.wait(1_000);
    assert_eq!(stage.view().apps[&id("/a")].spec.process, changed(None).process);
}

#[test]
fn a_changed_timeout_restarts_nothing() {
    let mut stage = running();
    let before = stage.view().apps[&id("/a")].clone();
    let spec = AppSpec { deployment_timeout: Some(Duration::from_secs(9)), ..app("/a", 2) };
    stage.put(spec.clone(), false).expect("changed");
    assert!(stage.view().deployments.is_empty());
    let now = stage.view().apps[&id("/a")].clone();
    assert!(before.version < now.version && now.spec.deployment_timeout == spec.deployment_timeout);
    assert_eq!(now.last_config_change_at, before.last_config_change_at);
}
