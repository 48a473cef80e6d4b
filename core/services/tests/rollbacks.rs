//! The way back takes back what the deployment did, and neither more nor what others have done since.

mod stage;

use std::time::Duration;

use model::resources::Scalar;
use placement::{Constraint, Operator};
use services::autoscale::{Autoscale, Metric};
use services::spec::{AppSpec, Process};
use services::{Cancel, Change, Order};
use stage::{ROOMY, Stage, app, id};

fn unique(instances: u32) -> AppSpec {
    let operator = Operator::Unique;
    let constraint = Constraint { field: "hostname".to_owned(), operator, value: None };
    AppSpec { constraints: vec![constraint], ..app("/a", instances) }
}

#[test]
fn a_restart_or_a_deletion_that_is_taken_back_leaves_who_runs_alone() {
    taken_back(vec![Change::Restart(id("/a"))]);
    // The one that depends on it goes first.
    taken_back(vec![Change::Delete(id("/a")), Change::Delete(id("/b"))]);
}

/// Constraints know those who run, too.
fn taken_back(changes: Vec<Change>) {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    stage.create(unique(1));
    stage.create(AppSpec { dependencies: vec![id("/a")], ..app("/b", 1) });
    stage.calm();
    let before = stage.view();
    let deployment = stage.deploy(changes, false).expect("begun");
    stage.settle();
    stage.cancel(deployment, Cancel::Rollback).expect("taken back");
    stage.calm();
    let after = stage.view();
    assert!(after.deployments.is_empty());
    let of_a = |view: &services::view::View| view.instances[&id("/a")].keys().copied().next();
    assert_eq!(of_a(&after), of_a(&before));
    let since = |view: &services::view::View| view.apps[&id("/a")].last_config_change_at;
    assert_eq!(since(&after), since(&before));
    stage.put(unique(2), false).expect("scaled");
    stage.calm();
    let instances = stage.view().instances[&id("/a")].clone();
    let mut hosts: Vec<&str> = instances.values().map(|one| one.place.host.as_str()).collect();
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

#[test]
fn an_app_that_is_put_again_while_it_is_deleted_runs_what_it_is_now() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    stage.create(app("/a", 2));
    stage.create(AppSpec { dependencies: vec![id("/a")], ..app("/b", 1) });
    stage.calm();
    let delete = vec![Change::Delete(id("/a")), Change::Delete(id("/b"))];
    stage.deploy(delete, false).expect("begun");
    stage.settle();
    let process = Process::Cmd("sleep 2000".to_owned());
    stage.put(AppSpec { process, ..app("/a", 2) }, true).expect("put again");
    stage.calm();
    let view = stage.view();
    let version = view.apps[&id("/a")].version;
    let versions = view.instances[&id("/a")].values().map(|one| one.version);
    assert_eq!(versions.collect::<Vec<_>>(), [version, version]);
}
