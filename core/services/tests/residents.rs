//! Instances with volumes that outlive their tasks: where they go, what they keep, and when it is given back.

mod stage;

use std::collections::BTreeMap;

use model::container::VolumeMode;
use model::id::AgentId;
use model::resources::{Resources, Scalar};
use model::scheduler::Event;
use model::task::TaskState;
use services::spec::volume::{AppVolume, AppVolumeSource, PersistentVolume};
use services::spec::{AppSpec, UnreachableStrategy};
use services::state::Instance;
use services::{Cancel, Change, Config, Kill, Order, Refusal};
use stage::{Stage, app, id, upgrade};

const MACHINE: &str = "cpus:4;mem:1024;disk:1000;ports:[31000-31999]";

fn resident(name: &str, instances: u32) -> AppSpec {
    let persistent = PersistentVolume {
        kind: None,
        size: 100,
        size_max: None,
        profile: None,
        constraints: Vec::new(),
    };
    let volume = AppVolume {
        at: 0,
        container_path: "data".to_owned(),
        mode: VolumeMode::ReadWrite,
        source: AppVolumeSource::Persistent(persistent),
    };
    AppSpec {
        volumes: vec![volume],
        upgrade: upgrade(500, 0),
        unreachable: UnreachableStrategy::Disabled,
        disk: Scalar::whole(10),
        ..app(name, instances)
    }
}

fn running(instances: u32, agents: usize) -> Stage {
    let mut stage = Stage::new();
    stage.agents(agents, MACHINE);
    stage.create(resident("/a", instances));
    stage.calm();
    stage
}

/// By id: all that there is of an app, on which agent and with which volume.
fn estates(stage: &Stage) -> BTreeMap<String, (AgentId, String)> {
    let of = |one: &Instance| {
        let volume = one.local_volumes().next().expect("a resident has a volume");
        assert_eq!(volume.container_path, "data");
        (one.id(), (one.place.agent.clone(), volume.persistence_id.to_owned()))
    };
    let view = stage.view();
    view.instances.get(&id("/a")).into_iter().flatten().map(|(_, one)| of(one)).collect()
}

/// Nothing is set aside on any agent, nor used.
fn is_untouched(stage: &Stage) -> bool {
    let all: Resources = MACHINE.parse().expect("resources");
    stage.agents.values().all(|agent| agent.free == all)
}

fn kill(stage: &mut Stage, kill: Kill) {
    let tasks = stage.view().tasks.keys().cloned().collect();
    stage.order(Order::KillTasks { tasks, kill, force: false }).expect("killed");
}

#[test]
fn a_task_that_ends_is_followed_by_another_on_the_same_volume() {
    let mut stage = running(2, 4);
    let before = estates(&stage);
    for round in 2..5 {
        for task in stage.in_state(TaskState::Running) {
            stage.report(&task, TaskState::Failed, None);
        }
        stage.wait(3_600);
        stage.calm();
        assert_eq!(estates(&stage), before);
        let tasks = stage.in_state(TaskState::Running);
        assert_eq!(tasks.len(), 2);
        assert!(tasks.iter().all(|task| task.as_str().ends_with(&format!("._app.{round}"))));
    }
    stage.restart(Config::default());
    kill(&mut stage, Kill::Replace);
    stage.calm();
    assert_eq!(estates(&stage), before);
}

#[test]
fn it_waits_for_its_agent_and_for_no_other() {
    let mut stage = running(1, 2);
    let before = estates(&stage);
    let (agent, _) = before.values().next().expect("one").clone();
    let task = stage.in_state(TaskState::Running).remove(0);
    let away = stage.agents.remove(&agent).expect("it is there");
    stage.agents.insert(agent.clone(), away);
    stage.agents.get_mut(&agent).expect("it is there").offered = true;
    stage.report(&task, TaskState::Killed, None);
    stage.calm();
    assert_eq!(stage.live(), 0, "the other agent will not do");
    let view = stage.view();
    let waiting = view.queue.get(&id("/a")).expect("it waits");
    assert!(waiting.misses.contains_key(&placement::demand::Miss::NoCorrespondingReservationFound));
    stage.agents.get_mut(&agent).expect("it is there").offered = false;
    stage.calm();
    assert_eq!((stage.live(), estates(&stage)), (1, before));
}

#[test]
fn scaling_down_keeps_the_volumes_and_scaling_up_finds_them() {
    let mut stage = running(3, 3);
    let before = estates(&stage);
    stage.put(resident("/a", 1), false).expect("scaled");
    stage.calm();
    assert_eq!((stage.live(), estates(&stage)), (1, before.clone()));
    assert!(stage.view().deployments.is_empty());
    stage.restart(Config::default());
    stage.put(resident("/a", 3), false).expect("scaled");
    stage.calm();
    assert_eq!((stage.live(), estates(&stage)), (3, before));
}

#[test]
fn what_is_wiped_is_given_back_and_replaced() {
    let mut stage = running(2, 3);
    let before = estates(&stage);
    stage.put(resident("/a", 1), false).expect("scaled");
    stage.calm();
    kill(&mut stage, Kill::Wipe);
    stage.calm();
    let after = estates(&stage);
    assert_eq!((stage.live(), after.len()), (1, 1));
    assert!(after.keys().all(|one| !before.contains_key(one)));
    let set_aside = stage.agents.values().flat_map(|agent| agent.free.iter());
    assert!(
        set_aside.into_iter().all(|one| one.reservations.is_empty()),
        "only the new one has any"
    );
}

#[test]
fn nothing_is_left_of_an_app_that_is_deleted() {
    let check = |prepare: fn(&mut Stage)| {
        let mut stage = running(3, 3);
        prepare(&mut stage);
        stage.delete("/a");
        stage.calm();
        assert!(stage.view().deployments.is_empty() && stage.view().apps.is_empty());
        stage.calm();
        assert!(
            is_untouched(&stage),
            "{:?}",
            stage.agents.values().map(|a| a.free.to_string()).collect::<Vec<_>>()
        );
        assert!(!stage.suppressed.is_empty(), "and no offers are wanted any more");
        stage.restart(Config::default());
        assert_eq!(stage.view().tasks.len(), 0);
    };
    check(|_| ());
    check(|stage| {
        stage.put(resident("/a", 1), false).expect("scaled");
        stage.calm();
    });
    check(|stage| {
        for task in stage.in_state(TaskState::Running) {
            stage.report(&task, TaskState::Failed, None);
        }
    });
}

#[test]
fn an_agent_that_is_away_gives_back_what_it_has_when_it_returns() {
    let mut stage = running(1, 1);
    let agent = AgentId::new("agent-0000");
    stage.delete("/a");
    stage.agents.get_mut(&agent).expect("it is there").offered = true;
    stage.calm();
    assert!(stage.view().deployments.is_empty(), "the deletion does not wait for it");
    stage.restart(Config::default());
    stage.agents.get_mut(&agent).expect("it is there").offered = false;
    stage.calm();
    assert!(is_untouched(&stage));
}

#[test]
fn what_nobody_remembers_is_given_back_when_it_is_offered() {
    let mut stage = running(1, 1);
    let agent = stage.agents.remove(&AgentId::new("agent-0000")).expect("it is there");
    let held = stage.tasks.values().next().expect("a task").0.resources.clone();
    let mut stage = Stage::new();
    let mut free = agent.free;
    free.add(&held);
    stage.agents.insert(AgentId::new("agent-0000"), stage::Agent { free, offered: false, ..agent });
    stage.create(app("/b", 1));
    stage.calm();
    stage.delete("/b");
    stage.calm();
    assert!(is_untouched(&stage));
}

#[test]
fn an_upgrade_stops_each_before_its_successor_takes_its_volume() {
    let check = |instances: u32, health: u64, fewest: usize| {
        let mut stage = running(instances, 4);
        stage
            .put(AppSpec { upgrade: upgrade(health, 0), ..resident("/a", instances) }, false)
            .expect("put");
        stage.calm();
        let before = estates(&stage);
        let process = services::spec::Process::Cmd("sleep 2000".to_owned());
        let next = AppSpec { process, upgrade: upgrade(health, 0), ..resident("/a", instances) };
        stage.put(next, false).expect("put");
        let mut least = stage.live();
        for _ in 0..100 {
            stage.settle();
            stage.offer();
            for task in stage.condemned() {
                stage.report(&task, TaskState::Killed, None);
                least = least.min(stage.in_state(TaskState::Running).len());
                assert!(stage.live() <= instances as usize, "no volume is made beside");
            }
            for task in stage.in_state(TaskState::Staging) {
                stage.report(&task, TaskState::Running, None);
            }
        }
        assert!(stage.view().deployments.is_empty());
        assert_eq!(estates(&stage), before);
        assert!(least >= fewest, "{least} ran, of {instances} at {health}");
        let view = stage.view();
        let version = view.apps[&id("/a")].version;
        assert!(view.tasks.values().all(|one| one.version == version));
    };
    check(1, 500, 0);
    check(4, 500, 2);
    check(3, 1_000, 2);
    check(2, 0, 0);
}

#[test]
fn what_is_set_aside_cannot_be_changed_and_its_role_only_by_force() {
    let mut stage = running(1, 1);
    let check = |stage: &mut Stage, spec: AppSpec, words: &str| {
        let refused = stage.put(spec, false);
        let Err(Refusal::Invalid(faults)) = refused else { panic!("{words}: {refused:?}") };
        assert!(faults.iter().any(|fault| fault.message.contains(words)), "{faults:?}");
    };
    check(&mut stage, AppSpec { cpus: Scalar(200), ..resident("/a", 1) }, "resources");
    check(&mut stage, app("/a", 1), "volumes");
    let role = Some(model::id::Role::new("slave_public"));
    stage.put(AppSpec { role, ..resident("/a", 1) }, false).expect("it is the same");
    stage.calm();
    stage.put(resident("/a", 2), false).expect("scaled");
    stage.calm();
    assert_eq!(stage.live(), 2);
}

#[test]
fn a_launch_that_never_arrives_leaves_no_volume_behind() {
    let mut stage = Stage::new();
    stage.agents(1, MACHINE);
    stage.create(resident("/a", 1));
    stage.settle();
    stage.offer();
    let task = stage.in_state(TaskState::Staging).remove(0);
    stage.report(&task, TaskState::Dropped, None);
    stage.wait(3_600);
    stage.calm();
    assert_eq!((stage.live(), estates(&stage).len()), (1, 1));
    stage.delete("/a");
    stage.calm();
    stage.calm();
    assert!(is_untouched(&stage));
}

#[test]
fn volumes_that_are_gone_with_their_agent_are_made_anew_elsewhere() {
    let mut stage = running(1, 2);
    let before = estates(&stage);
    let (agent, _) = before.values().next().expect("one").clone();
    let task = stage.in_state(TaskState::Running).remove(0);
    stage.report(&task, TaskState::Lost, None);
    stage.agents.remove(&agent);
    stage.hear(Event::Failure { agent, executor: None });
    stage.wait(3_600);
    stage.calm();
    assert_eq!(stage.live(), 1);
    assert!(estates(&stage).keys().all(|one| !before.contains_key(one)));
}

#[test]
fn a_deployment_that_is_taken_back_keeps_the_volumes() {
    let mut stage = running(2, 2);
    let before = estates(&stage);
    let process = services::spec::Process::Cmd("exit 1".to_owned());
    let bad = stage.put(AppSpec { process, ..resident("/a", 2) }, false).expect("put");
    stage.settle();
    for task in stage.condemned() {
        stage.report(&task, TaskState::Killed, None);
    }
    stage.cancel(bad, Cancel::Rollback).expect("cancelled");
    stage.calm();
    assert_eq!((stage.live(), estates(&stage)), (2, before));
    stage.deploy(vec![Change::Restart(id("/a"))], false).expect("restarted");
    stage.calm();
    assert_eq!(stage.live(), 2);
}
