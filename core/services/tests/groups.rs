//! Groups: put as a tree, ordered by dependencies, scaled, planned, gone back to, in a role of their own.

mod stage;

use model::id::Role;
use model::machine::Record as _;
use model::resources::Scalar;
use services::group::{GroupId, GroupUpdate};
use services::spec::{AppSpec, Process};
use services::state::Version;
use services::{Change, Config, Fault, Order, Refusal, Reply};
use stage::pods::pod;
use stage::{ROOMY, Stage, app, id};

/// No record is larger, or a store might not take it.
const RECORD_BYTES_MAX: usize = 1 << 20;

fn group(id: &str) -> GroupUpdate {
    GroupUpdate {
        id: id.parse().expect("a group id"),
        apps: None,
        pods: None,
        groups: None,
        dependencies: None,
        enforce_role: None,
    }
}

fn of(id: &str, apps: Vec<AppSpec>, groups: Vec<GroupUpdate>) -> GroupUpdate {
    GroupUpdate { apps: Some(apps), groups: Some(groups), ..group(id) }
}

fn after(dependencies: &[&str], update: GroupUpdate) -> GroupUpdate {
    let dependencies = dependencies.iter().map(|one| id(one)).collect();
    GroupUpdate { dependencies: Some(dependencies), ..update }
}

fn named(group: &str) -> GroupId {
    group.parse().expect("a group id")
}

fn changed(name: &str) -> AppSpec {
    AppSpec { process: Process::Cmd("sleep 2000".to_owned()), ..app(name, 1) }
}

/// A web that depends on its database, both in `/prod`.
fn prod() -> GroupUpdate {
    let web = after(&["/prod/db"], of("/prod/web", vec![app("/prod/web/ui", 2)], vec![]));
    of("/prod", vec![], vec![web, of("/prod/db", vec![app("/prod/db/sql", 1)], vec![])])
}

fn running(changes: Vec<Change>) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.deploy(changes, false).expect("deployed");
    stage.calm();
    stage
}

fn apps(stage: &Stage) -> Vec<String> {
    stage.view().apps.keys().map(ToString::to_string).collect()
}

#[test]
fn a_group_starts_after_what_it_depends_on_and_stops_before_it() {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.deploy(vec![Change::CreateGroup(prod())], false).expect("created");
    assert_eq!(
        stage.steps(),
        "Start /prod/db/sql, Start /prod/web/ui; Scale /prod/db/sql; Scale /prod/web/ui"
    );
    stage.calm();
    assert_eq!(stage.live(), 3);
    let view = stage.view();
    assert_eq!(view.groups[&named("/prod/web")].dependencies, [id("/prod/db")]);
    assert!(view.has_group(&named("/prod")) && !view.has_group(&named("/other")));
    stage.deploy(vec![Change::DeleteGroup(named("/prod"))], false).expect("deleted");
    assert_eq!(stage.steps(), "Stop /prod/web/ui; Stop /prod/db/sql");
    stage.calm();
    assert_eq!(stage.live(), 0);
    assert!(stage.view().groups.is_empty() && stage.view().apps.is_empty());
}

#[test]
fn a_put_replaces_what_it_names_and_leaves_the_rest() {
    let check = |update: GroupUpdate, left: &[&str]| {
        let mut stage = running(vec![Change::PutGroup(prod()), Change::Create(app("/x", 1))]);
        stage.deploy(vec![Change::PutGroup(update)], false).expect("put");
        stage.calm();
        assert_eq!(apps(&stage), left);
        assert!(stage.view().deployments.is_empty());
    };
    check(group("/prod"), &["/prod/db/sql", "/prod/web/ui", "/x"]);
    let new = || vec![app("/prod/new", 1)];
    let with_new = GroupUpdate { apps: Some(new()), ..group("/prod") };
    check(with_new, &["/prod/db/sql", "/prod/new", "/prod/web/ui", "/x"]);
    check(of("/prod", new(), vec![]), &["/prod/new", "/x"]);
    check(of("/prod", vec![], vec![group("/prod/web")]), &["/prod/web/ui", "/x"]);
    check(
        of("/", vec![app("/y", 1)], vec![group("/prod")]),
        &["/prod/db/sql", "/prod/web/ui", "/y"],
    );
    check(of("/prod/db", vec![], vec![]), &["/prod/web/ui", "/x"]);
}

#[test]
fn what_a_group_cannot_be_is_told_where_it_stands() {
    let check = |change: Change, path: &str, message: &str| {
        let mut stage = running(vec![Change::PutGroup(prod()), Change::Create(app("/x", 1))]);
        let before = stage.store.clone();
        match stage.deploy(vec![change], false) {
            Err(Refusal::Invalid(faults)) => {
                assert_eq!(faults.len(), 1, "{faults:?}");
                assert_eq!(faults[0].path, path);
                assert!(faults[0].message.contains(message), "{faults:?}");
            }
            other => panic!("{message}, but {other:?}"),
        }
        assert_eq!(stage.store, before);
    };
    let put = |update| Change::PutGroup(update);
    check(put(of("/a", vec![app("/b/c", 1)], vec![])), "/0/apps/0/id", "not child of /a");
    check(put(of("/a", vec![], vec![group("/b")])), "/0/groups/0/id", "not child of /a");
    check(put(of("/a", vec![app("/a/b", 1), app("/a/b", 1)], vec![])), "/0/apps/1/id", "twice");
    let both =
        GroupUpdate { pods: Some(vec![pod("/a/b", 1)]), ..of("/a", vec![app("/a/b", 1)], vec![]) };
    check(put(both), "/0/pods/0/id", "Applications and Pods may not share the same id: /a/b");
    check(put(group("/x")), "/0/id", "An app with the path /x already exists.");
    check(Change::Create(app("/prod", 1)), "/0/id", "group already");
    let enforce = GroupUpdate { enforce_role: Some(true), ..group("/prod/web") };
    check(put(enforce), "/0/enforceRole", "top-level");
    check(
        put(after(&["/prod/web"], group("/prod/db"))),
        "/0/dependencies",
        "cyclic dependencies: /prod/web → /prod/web/ui → /prod/db → /prod/db/sql → /prod/web",
    );
    check(put(after(&["/prod"], group("/prod"))), "/0/dependencies", "cyclic");
}

#[test]
fn what_is_not_there_cannot_be_changed_and_what_is_cannot_be_made() {
    let mut stage = running(vec![Change::PutGroup(prod()), Change::Create(app("/x", 1))]);
    let mut check = |change: Change, refusal: Refusal| {
        assert_eq!(stage.deploy(vec![change], false), Err(refusal));
    };
    let none = || named("/none");
    check(Change::DeleteGroup(none()), Refusal::UnknownGroup(none()));
    let by = Scalar(2000);
    check(Change::ScaleGroup { group: none(), by }, Refusal::UnknownGroup(none()));
    let (group_id, to) = (named("/prod"), Version::default());
    let back = Change::RollBackGroup { group: group_id.clone(), to };
    check(back, Refusal::UnknownGroupVersion(group_id.clone(), to));
    check(Change::CreateGroup(group("/prod")), Refusal::GroupExists(group_id));
    check(Change::CreateGroup(group("/")), Refusal::GroupExists(GroupId::Root));
    check(Change::CreateGroup(group("/x")), Refusal::GroupIsApp(id("/x")));
}

#[test]
fn a_group_is_scaled_with_all_its_apps_and_rounded_up() {
    let mut stage = running(vec![Change::PutGroup(prod())]);
    let scale = |by| vec![Change::ScaleGroup { group: named("/prod"), by: Scalar(by) }];
    stage.deploy(scale(1500), false).expect("scaled");
    stage.calm();
    assert_eq!(stage.live(), 3 + 2);
    stage.deploy(scale(0), false).expect("suspended");
    stage.calm();
    assert_eq!((stage.live(), apps(&stage).len()), (0, 2));
    let base = Some(stage.view().apps[&id("/prod/web/ui")].version);
    let three = Change::Put { spec: changed("/prod/web/ui"), base };
    stage.deploy(vec![three], true).expect("there is something to scale");
    let faults = stage.deploy(scale(10_000_000_000_000), true).expect_err("too many");
    let message = "/prod/web/ui would have more than 2147483647 instances".to_owned();
    let fault = Fault { path: "/0/scaleBy".to_owned(), message };
    assert_eq!(faults, Refusal::Invalid(vec![fault]));
}

#[test]
fn a_group_that_others_depend_on_may_go_unless_a_deployment_holds_it() {
    let mut stage = running(vec![Change::PutGroup(prod())]);
    let deployment =
        stage.deploy(vec![Change::Restart(id("/prod/db/sql"))], false).expect("restarted");
    let delete = || vec![Change::DeleteGroup(named("/prod/db"))];
    let (held, by) = (vec![id("/prod/db/sql")], vec![deployment]);
    let locked = Refusal::Locked { apps: held, deployments: by };
    assert_eq!(stage.deploy(delete(), false), Err(locked));
    stage.deploy(delete(), true).expect("forced");
    stage.calm();
    assert_eq!(apps(&stage), ["/prod/web/ui"]);
}

#[test]
fn a_dry_run_tells_the_steps_and_changes_nothing() {
    let mut stage = running(vec![Change::PutGroup(prod())]);
    stage.deploy(vec![Change::Restart(id("/prod/db/sql"))], false).expect("it holds the app");
    let before = stage.store.clone();
    let changes = vec![Change::PutGroup(of("/prod", vec![app("/prod/new", 1)], vec![]))];
    let Ok(Reply::Planned { steps }) = stage.order(Order::Plan { changes }) else {
        panic!("a plan was asked for")
    };
    let steps: Vec<Vec<String>> = steps
        .iter()
        .map(|step| step.iter().map(|one| format!("{} {}", one.name(), one.app)).collect())
        .collect();
    assert_eq!(
        steps,
        [
            ["StopApplication /prod/web/ui"],
            ["StopApplication /prod/db/sql"],
            ["StartApplication /prod/new"],
            ["ScaleApplication /prod/new"],
        ]
    );
    assert_eq!(stage.store, before);
}

#[test]
fn a_group_goes_back_to_any_version_that_is_remembered() {
    let mut stage = running(vec![Change::PutGroup(prod())]);
    let first = stage.view().group_versions(&named("/prod"));
    assert_eq!(first.len(), 1);
    let update = of("/prod", vec![changed("/prod/extra")], vec![group("/prod/web")]);
    stage.deploy(vec![Change::PutGroup(update)], false).expect("changed");
    stage.calm();
    stage.wait(1);
    stage.create(app("/other/x", 1));
    stage.calm();
    assert_eq!(apps(&stage), ["/other/x", "/prod/extra", "/prod/web/ui"]);
    let versions = stage.view().group_versions(&named("/prod"));
    assert_eq!((versions.len(), versions[1]), (2, first[0]), "the newest first");
    let then = stage.view().group_at(&named("/prod"), first[0]).expect("remembered");
    let names: Vec<String> = then.apps.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["/prod/db/sql", "/prod/web/ui"]);
    stage.restart(Config::default());
    stage.wait(1);
    let back = Change::RollBackGroup { group: named("/prod"), to: first[0] };
    stage.deploy(vec![back], false).expect("gone back");
    assert_eq!(stage.steps(), "Stop /prod/extra; Start /prod/db/sql; Scale /prod/db/sql");
    stage.calm();
    assert_eq!(apps(&stage), ["/other/x", "/prod/db/sql", "/prod/web/ui"]);
    assert_eq!(stage.view().groups[&named("/prod/web")].dependencies, [id("/prod/db")]);
    assert_eq!(stage.view().group_versions(&GroupId::Root).len(), 4);
}

#[test]
fn the_version_of_a_group_is_that_of_its_last_change_and_not_of_what_is_left() {
    let mut stage = running(vec![Change::PutGroup(prod())]);
    stage.wait(1);
    stage.create(app("/prod/extra", 1));
    stage.calm();
    stage.wait(1);
    stage.deploy(vec![Change::Delete(id("/prod/db/sql"))], false).expect("removed");
    stage.calm();
    let check = |group: &GroupId, nth: usize| {
        let versions = stage.view().group_versions(&named("/prod"));
        assert_eq!(stage.view().group_version(group), Some(versions[nth]), "{group}");
    };
    check(&GroupId::Root, 0);
    check(&named("/prod"), 0);
    check(&named("/prod/web"), 2);
    let before = stage.view().group_versions(&named("/prod"))[1];
    let then = stage.view().group_at(&named("/prod"), before).expect("remembered");
    assert_eq!((then.version, then.apps.len()), (before, 3));
    assert_eq!(stage.view().group_version(&named("/nothing")), None);
}

#[test]
fn a_rollback_takes_back_what_a_deployment_did_to_groups() {
    let mut stage = running(vec![Change::PutGroup(prod())]);
    let gone = after(&[], of("/prod/web", vec![changed("/prod/web/ui")], vec![]));
    let deployment = stage.deploy(vec![Change::PutGroup(gone)], false).expect("changed");
    assert!(stage.view().groups[&named("/prod/web")].dependencies.is_empty());
    stage.restart(Config::default());
    stage.cancel(deployment, services::Cancel::Rollback).expect("cancelled");
    stage.calm();
    assert_eq!(stage.view().groups[&named("/prod/web")].dependencies, [id("/prod/db")]);
    assert_eq!(stage.view().apps[&id("/prod/web/ui")].spec.process, app("/x", 1).process);
}

#[test]
fn a_top_level_group_says_which_roles_its_apps_may_have() {
    let role = |stage: &Stage, name: &str| stage.view().apps[&id(name)].spec.role.clone();
    let dev = |spec| AppSpec { role: Some(Role::new("slave_public")), ..spec };
    let mut stage = running(vec![Change::Create(app("/prod/a", 1))]);
    assert_eq!(role(&stage, "/prod/a"), Some(Role::new("prod")), "as the configuration says");
    let refused = stage.deploy(vec![Change::Create(dev(app("/prod/b", 1)))], false);
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    let enforce = |enforce| vec![Change::EnforceRole { group: named("/prod"), enforce }];
    stage.deploy(enforce(Some(false)), false).expect("patched");
    assert_eq!(stage.live(), 1, "nothing is restarted");
    stage.deploy(vec![Change::Create(dev(app("/prod/b", 1)))], false).expect("allowed now");
    stage.create(app("/prod/c", 1));
    assert_eq!(role(&stage, "/prod/c"), Some(Role::new("slave_public")));
    stage.deploy(enforce(Some(true)), false).expect("patched");
    stage.put(dev(changed("/prod/b")), true).expect("a role that it has it keeps");
    let nested = vec![Change::EnforceRole { group: named("/prod/x"), enforce: Some(true) }];
    assert_eq!(stage.deploy(nested, false), Err(Refusal::UnknownGroup(named("/prod/x"))));
}

#[test]
fn a_thousand_apps_are_one_deployment_of_small_records() {
    let mut stage = Stage::new();
    let spec = |n: usize| app(&format!("/big/{}/app-{n:04}", n % 10), 0);
    let group_of = |nth: usize| {
        let specs = (0..3_000).filter(|n| n % 10 == nth).map(spec).collect();
        of(&format!("/big/{nth}"), specs, vec![])
    };
    let update = after(&["/base"], of("/big", vec![], (0..10).map(group_of).collect()));
    let base = (0..1_000).map(|n| app(&format!("/base/app-{n:04}"), 0)).collect();
    stage.deploy(vec![Change::PutGroup(of("/base", base, vec![]))], false).expect("put");
    stage.settle();
    stage.create(app("/base/slow", 1));
    stage.deploy(vec![Change::PutGroup(update)], false).expect("put");
    let largest = stage.store.values().map(Vec::len).max().expect("records");
    assert!(largest < RECORD_BYTES_MAX, "{largest} bytes");
    let view = stage.view();
    let recovered = stage.recovered(Config::default()).view();
    assert_eq!(recovered.deployments, view.deployments, "put together again from its parts");
    assert_eq!(view.deployments.values().map(|one| one.steps.len()).max(), Some(2));
    for _ in 0..5 {
        stage.settle();
    }
    assert_eq!(
        stage.view().deployments.len(),
        1,
        "the group is not held up by what it does not need"
    );
    for (key, value) in &stage.store {
        services::Record::read(key, value).expect("readable");
    }
}
