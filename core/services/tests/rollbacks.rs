//! The way back takes back what the deployment did, and neither more nor what others have done since.

mod stage;

use std::time::Duration;

use model::resources::Scalar;
use placement::{Constraint, Operator};
use services::autoscale::{Autoscale, Metric};
use services::spec::AppSpec;
use services::{Cancel, Change, Order};
use stage::{ROOMY, Stage, app, id};

fn unique(instances: u32) -> AppSpec {
    let operator = Operator::Unique;
    let constraint = Constraint { field: "hostname".to_owned(), operator, value: None };
    AppSpec { constraints: vec![constraint], ..app("/a", instances) }
}

#[test]
fn a_restart_that_is_taken_back_leaves_who_runs_alone_and_its_constraints_know_them() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    stage.create(unique(1));
    stage.calm();
    let before = stage.view();
    let restart = stage.deploy(vec![Change::Restart(id("/a"))], false).expect("restarted");
    stage.settle();
    stage.cancel(restart, Cancel::Rollback).expect("taken back");
    stage.calm();
    let after = stage.view();
    assert!(after.deployments.is_empty());
    assert!(after.tasks.keys().eq(before.tasks.keys()), "{:?}", after.tasks);
    let since = |view: &services::view::View| view.apps[&id("/a")].last_config_change_at;
    assert_eq!(since(&after), since(&before));
    stage.put(unique(2), false).expect("scaled");
    stage.calm();
    let tasks = stage.view().tasks;
    let mut hosts: Vec<&str> = tasks.values().map(|one| one.place.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts.len(), 2);
}

/// The deployment has nothing to do with `/a` but to note how it is scaled, and waits for `/b`.
fn beside(stage: &mut Stage) {
    let autoscale = Autoscale {
        min: 1,
        max: 9,
        metric: Metric::RequestsPerInstance,
        target: Scalar(500),
        scale_up_delay: Duration::from_secs(60),
        scale_down_delay: Duration::from_secs(60),
    };
    let base = Some(stage.view().apps[&id("/a")].version);
    let spec = AppSpec { autoscale: Some(autoscale), ..app("/a", 2) };
    let changes = vec![Change::Put { spec, base }, Change::Create(app("/b", 2_000))];
    let timeout = Some(Duration::from_secs(100));
    stage.order(Order::Deploy { changes, force: false, timeout }).expect("deployed");
    stage.settle();
}

#[test]
fn what_somebody_changed_meanwhile_stays_as_they_want_it() {
    let check = |change: fn(&mut Stage), is_there: bool| {
        let mut stage = Stage::new();
        stage.agents(1, ROOMY);
        stage.create(app("/a", 2));
        stage.calm();
        beside(&mut stage);
        change(&mut stage);
        stage.wait(100);
        stage.calm();
        let view = stage.view();
        assert!(!view.apps.contains_key(&id("/b")), "its time was up");
        let found = view.apps.get(&id("/a")).map(|app| app.spec.instances);
        assert_eq!(found, is_there.then_some(3));
    };
    let scale = |stage: &mut Stage| {
        stage.put(app("/a", 3), false).expect("changed");
    };
    let delete = |stage: &mut Stage| {
        stage.delete("/a");
    };
    check(scale, true);
    check(delete, false);
}
