//! Orders become plans; plans lock their apps, advance step by step, and can be cancelled.

mod stage;

use model::task::TaskState;
use services::spec::{AppSpec, Process};
use services::{Cancel, Change, Config, Order, Refusal, Reply, What};
use stage::{ROOMY, Stage, app, id};

fn needing(name: &str, instances: u32, dependencies: &[&str]) -> AppSpec {
    let dependencies = dependencies.iter().map(|one| id(one)).collect();
    AppSpec { dependencies, ..app(name, instances) }
}

fn changed(name: &str, instances: u32) -> AppSpec {
    AppSpec { process: Process::Cmd("sleep 2000".to_owned()), ..app(name, instances) }
}

/// What `changes` lead to when `apps` are running.
fn check(apps: Vec<AppSpec>, changes: Vec<Change>, steps: &str) {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    let base = |stage: &Stage, change| match change {
        Change::Put { spec, .. } => {
            let base = stage.view().apps.get(&spec.id).map(|app| app.version);
            Change::Put { spec, base }
        }
        Change::Create(_)
        | Change::Delete(_)
        | Change::Restart(_)
        | Change::CreateGroup(_)
        | Change::PutGroup(_)
        | Change::DeleteGroup(_)
        | Change::ScaleGroup { .. }
        | Change::RollBackGroup { .. }
        | Change::EnforceRole { .. } => change,
    };
    stage.deploy(apps.into_iter().map(Change::Create).collect(), false).expect("created");
    stage.calm();
    let changes = changes.into_iter().map(|change| base(&stage, change)).collect();
    stage.deploy(changes, false).expect("deployed");
    assert_eq!(stage.steps(), steps);
    stage.calm();
    assert!(stage.view().deployments.is_empty(), "{steps} comes to an end");
}

fn put(spec: AppSpec) -> Change {
    Change::Put { spec, base: None }
}

#[test]
fn a_plan_has_the_steps_that_marathon_takes() {
    check(vec![], vec![Change::Create(app("/a", 0))], "Start /a; Scale /a");
    check(vec![app("/a", 1)], vec![put(app("/a", 4))], "Scale /a");
    check(vec![app("/a", 3)], vec![put(changed("/a", 3))], "Restart /a");
    check(vec![app("/a", 3)], vec![put(changed("/a", 5))], "Restart /a");
    check(vec![app("/a", 3)], vec![put(changed("/a", 0))], "Scale /a");
    check(vec![app("/a", 0)], vec![Change::Restart(id("/a"))], "Scale /a");
    check(vec![app("/a", 3)], vec![Change::Restart(id("/a"))], "Restart /a");
    check(vec![app("/a", 3)], vec![Change::Delete(id("/a"))], "Stop /a");
    check(vec![app("/a", 3)], vec![put(app("/a", 3))], "");
    let chain = || vec![needing("/c", 1, &["/b"]), needing("/b", 1, &["/a"]), app("/a", 1)];
    check(
        vec![],
        chain().into_iter().map(Change::Create).collect(),
        "Start /a, Start /b, Start /c; Scale /a; Scale /b; Scale /c",
    );
    check(
        chain(),
        ["/a", "/b", "/c"].map(|app| Change::Delete(id(app))).to_vec(),
        "Stop /c; Stop /b; Stop /a",
    );
    check(
        vec![app("/g/db", 1), app("/g/log", 1), app("/old", 1)],
        vec![
            Change::Create(needing("/web", 1, &["/g"])),
            put(changed("/g/db", 1)),
            put(app("/g/log", 2)),
            Change::Delete(id("/old")),
        ],
        "Stop /old; Start /web; Restart /g/db, Scale /g/log; Scale /web",
    );
}

#[test]
fn a_step_waits_for_the_one_before() {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    let apps = vec![needing("/web", 2, &["/db"]), app("/db", 2)];
    stage.deploy(apps.into_iter().map(Change::Create).collect(), false).expect("created");
    stage.settle();
    stage.offer();
    let staging = stage.in_state(TaskState::Staging);
    assert_eq!(staging.len(), 2);
    assert!(staging.iter().all(|task| task.as_str().starts_with("db.instance-")));
    stage.report(&staging[0], TaskState::Running, None);
    stage.offer();
    assert_eq!(stage.live(), 2, "one of two is not enough");
    stage.report(&staging[1], TaskState::Running, None);
    stage.offer();
    assert_eq!(stage.live(), 4);
    stage.calm();
    assert!(stage.view().deployments.is_empty());
}

#[test]
fn a_deployment_is_over_when_what_it_kills_has_ended() {
    let check = |change: fn(&mut Stage)| {
        let mut stage = Stage::new();
        stage.agents(1, ROOMY);
        stage.create(app("/a", 2));
        stage.calm();
        change(&mut stage);
        stage.settle();
        while let Some(task) = stage.condemned().first().cloned() {
            assert_eq!(stage.view().deployments.len(), 1, "{task} has not ended yet");
            stage.report(&task, TaskState::Killed, None);
        }
        assert!(stage.view().deployments.is_empty());
    };
    check(|stage| drop(stage.put(app("/a", 1), false)));
    check(|stage| drop(stage.put(app("/a", 0), false)));
    check(|stage| {
        stage.delete("/a");
    });
}

#[test]
fn versions_tell_scalings_from_changes() {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.create(app("/a", 1));
    stage.calm();
    let first = stage.view().apps[&id("/a")].clone();
    assert_eq!(
        (first.last_scaling_at, first.last_config_change_at),
        (first.version, first.version)
    );
    stage.put(app("/a", 2), false).expect("scaled");
    stage.calm();
    let second = stage.view().apps[&id("/a")].clone();
    assert!(first.version < second.version, "even within one millisecond");
    assert_eq!(second.last_scaling_at, second.version);
    assert_eq!(second.last_config_change_at, first.version);
    stage.put(app("/a", 2), false).expect("nothing to do");
    assert_eq!(stage.view().apps[&id("/a")], second);
    assert!(matches!(stage.told.last(), Some(What::DeploymentSuccess { .. })));
    stage.deploy(vec![Change::Restart(id("/a"))], false).expect("restarted");
    stage.calm();
    let third = stage.view().apps[&id("/a")].clone();
    assert_eq!(third.last_scaling_at, second.version);
    assert_eq!(third.last_config_change_at, third.version);
    assert_eq!(stage.view().versions.len(), 3);
}

#[test]
fn only_so_many_versions_are_kept() {
    let mut stage = Stage::with(Config { versions_max: 3, ..Config::default() });
    stage.create(app("/a", 0));
    for n in 1..=9 {
        let cmd = Process::Cmd(format!("sleep {n}"));
        stage.put(AppSpec { process: cmd, ..app("/a", 0) }, false).expect("changed");
    }
    assert_eq!(stage.view().versions.len(), 3);
}

#[test]
fn a_locked_app_is_refused_unless_forced() {
    let mut stage = Stage::new();
    let first = stage.create(app("/a", 1));
    let locked = Refusal::Locked { apps: vec![id("/a")], deployments: vec![first] };
    assert_eq!(stage.put(app("/a", 2), false), Err(locked.clone()));
    assert_eq!(stage.deploy(vec![Change::Delete(id("/a"))], false), Err(locked));
    stage.create(app("/b", 1));
    let second = stage.put(app("/a", 2), true).expect("forced");
    let view = stage.view();
    let running: Vec<_> = view.deployments.values().map(|deployment| deployment.id).collect();
    assert_eq!(running.len(), 2);
    assert!(running.contains(&second) && !running.contains(&first));
    assert!(stage.told.iter().any(
        |what| matches!(what, What::DeploymentFailed { deployment, .. } if deployment.id == first)
    ));
    stage.agents(1, ROOMY);
    stage.calm();
    assert_eq!(stage.live(), 3);
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let mut stage = Stage::with(Config { deployments_max: 1, ..Config::default() });
    stage.create(app("/a", 1));
    let before = stage.store.clone();
    let mut check = |change: Change, refusal: Refusal| {
        assert_eq!(stage.deploy(vec![change], false), Err(refusal));
        assert_eq!(stage.store, before);
    };
    check(Change::Create(app("/a", 2)), Refusal::AppExists(id("/a")));
    check(Change::Delete(id("/b")), Refusal::UnknownApp(id("/b")));
    check(Change::Restart(id("/b")), Refusal::UnknownApp(id("/b")));
    check(put(app("/a", 2)), Refusal::Stale(id("/a")));
    check(Change::Create(app("/b", 2)), Refusal::TooManyDeployments(1));
}

#[test]
fn a_plan_that_contradicts_itself_or_others_is_refused_with_every_fault() {
    let check = |apps: Vec<AppSpec>, faults: &[(&str, &str)]| {
        let mut stage = Stage::new();
        stage.create(app("/taken/by/app", 0));
        stage.create(needing("/upper", 0, &["/lower"]));
        let changes = apps.into_iter().map(Change::Create).collect();
        match stage.deploy(changes, false) {
            Err(Refusal::Invalid(found)) => {
                assert_eq!(found.len(), faults.len(), "{found:?}");
                for (fault, (path, message)) in found.iter().zip(faults) {
                    assert_eq!(fault.path, *path);
                    assert!(fault.message.contains(message), "{fault:?}");
                }
            }
            other => panic!("{faults:?} but {other:?}"),
        }
    };
    check(vec![app("/taken", 0)], &[("/0/id", "group")]);
    check(vec![app("/taken/by/app/x", 0)], &[("/0/id", "app already")]);
    check(vec![app("/x", 0), app("/x/y", 0)], &[("/0/id", "group"), ("/1/id", "app already")]);
    check(vec![needing("/lower", 0, &["/upper"])], &[("/0/dependencies", "cyclic")]);
    check(vec![needing("/x", 0, &["/x"])], &[("/0/dependencies", "cyclic")]);
    let role = |role: &str| Some(model::id::Role::new(role));
    check(vec![AppSpec { role: role("dev"), ..app("/prod/x", 0) }], &[("/0/role", "prod")]);
    check(
        vec![AppSpec { accepted_roles: Some(vec![model::id::Role::new("dev")]), ..app("/x", 0) }],
        &[("/0/acceptedResourceRoles", "slave_public")],
    );
}

#[test]
fn a_role_is_the_groups_where_groups_enforce_theirs() {
    let check = |name: &str, enforce: bool, given: Option<&str>, role: &str| {
        let config = Config { enforce_group_role: enforce, ..Config::default() };
        let mut stage = Stage::with(config);
        let given = given.map(model::id::Role::new);
        stage.create(AppSpec { role: given, ..app(name, 1) });
        let settled = stage.view().apps[&id(name)].spec.role.clone();
        assert_eq!(settled, Some(model::id::Role::new(role)), "{name}");
        assert!(stage.subscribed.contains(&model::id::Role::new(role)), "the kernel knows {role}");
    };
    check("/web", true, None, "slave_public");
    check("/prod/web", true, None, "prod");
    check("/prod/eu/web", true, None, "prod");
    check("/prod/web", false, None, "slave_public");
    check("/prod/web", false, Some("slave_public"), "slave_public");
    check("/prod/web", false, Some("prod"), "prod");
}

#[test]
fn service_ports_are_unique_and_stay() {
    let ports = |stage: &Stage, name: &str| -> Vec<u16> {
        stage.view().apps[&id(name)].spec.ports.iter().map(|port| port.port).collect()
    };
    let with = |name: &str, numbers: &[u16]| AppSpec {
        ports: numbers.iter().map(|number| stage::port(*number, "p")).collect(),
        ..app(name, 0)
    };
    let mut stage = Stage::with(Config { service_ports: (10_000, 10_003), ..Config::default() });
    stage.create(with("/a", &[0, 10_002]));
    assert_eq!(ports(&stage, "/a"), [10_000, 10_002]);
    stage.create(with("/b", &[0]));
    assert_eq!(ports(&stage, "/b"), [10_001]);
    stage
        .put(AppSpec { cpus: model::resources::Scalar(200), ..with("/a", &[0, 0]) }, false)
        .expect("changed");
    assert_eq!(ports(&stage, "/a"), [10_000, 10_002], "as before");
    stage.create(with("/c", &[0]));
    assert_eq!(ports(&stage, "/c"), [10_003]);
    let full = stage.deploy(vec![Change::Create(with("/d", &[0]))], false);
    assert!(matches!(full, Err(Refusal::Invalid(_))), "{full:?}");
    stage.delete("/b");
    stage.create(with("/d", &[0]));
    assert_eq!(ports(&stage, "/d"), [10_001]);
}

#[test]
fn a_rollback_leads_back_and_a_stop_leaves_it_as_it_is() {
    let check = |how: Cancel, change: fn() -> Change, live: usize, commands: &[&str]| {
        let mut stage = Stage::new();
        stage.agents(2, ROOMY);
        stage.create(app("/a", 2));
        stage.calm();
        let mut change = change();
        if let Change::Put { base, .. } = &mut change {
            *base = Some(stage.view().apps[&id("/a")].version);
        }
        let deployment = stage.deploy(vec![change], false).expect("deployed");
        stage.settle();
        let reply = stage.cancel(deployment, how).expect("cancelled");
        assert_eq!(matches!(reply, Reply::Done), how == Cancel::Stop);
        stage.calm();
        let view = stage.view();
        assert!(view.deployments.is_empty());
        assert_eq!(stage.live(), live);
        let found: Vec<&Process> = view.apps.values().map(|app| &app.spec.process).collect();
        let wanted: Vec<Process> =
            commands.iter().map(|cmd| Process::Cmd((*cmd).to_owned())).collect();
        assert_eq!(found, wanted.iter().collect::<Vec<_>>());
    };
    let more = || put(app("/a", 9));
    let other = || put(changed("/a", 2));
    let new = || Change::Create(app("/b", 3));
    let none = || Change::Delete(id("/a"));
    check(Cancel::Rollback, more, 2, &["sleep 1000"]);
    check(Cancel::Stop, more, 9, &["sleep 1000"]);
    check(Cancel::Rollback, other, 2, &["sleep 1000"]);
    check(Cancel::Stop, other, 2, &["sleep 2000"]);
    check(Cancel::Rollback, new, 2, &["sleep 1000"]);
    check(Cancel::Stop, new, 5, &["sleep 1000", "sleep 1000"]);
    check(Cancel::Rollback, none, 2, &["sleep 1000"]);
    check(Cancel::Stop, none, 0, &[]);
}

#[test]
fn a_deployment_that_is_over_cannot_be_cancelled() {
    let mut stage = Stage::new();
    stage.agents(1, ROOMY);
    let deployment = stage.create(app("/a", 1));
    stage.calm();
    let order = Order::Cancel { deployment, how: Cancel::Stop };
    assert_eq!(stage.order(order), Err(Refusal::UnknownDeployment(deployment)));
}

#[test]
fn a_deployment_survives_a_restart_at_any_step() {
    for restart_after in 0..12 {
        let mut stage = Stage::new();
        stage.agents(3, ROOMY);
        let apps = vec![needing("/web", 2, &["/db"]), app("/db", 2)];
        stage.deploy(apps.into_iter().map(Change::Create).collect(), false).expect("created");
        for n in 0..40 {
            if n == restart_after {
                stage.restart(Config::default());
            }
            stage.settle();
            stage.offer();
            if let Some(task) = stage.in_state(TaskState::Staging).first().cloned() {
                stage.report(&task, TaskState::Running, None);
            }
        }
        assert_eq!(stage.live(), 4, "restarted after {restart_after}");
        assert!(stage.view().deployments.is_empty(), "restarted after {restart_after}");
    }
}
