//! Tasks that are launched together, and what the end of one means for the others.

use std::time::Duration;

use crate::world::{World, check, framework, task};
use model::agent::{TellKilling, ToAgent};
use model::id::{AgentId, TaskId};
use model::task::{Reason, TaskInfo, TaskState};
use node::{Happened, Refusal};

const NOTHING: [&str; 0] = [];
const TERM: &str = "Command terminated with signal Terminated";

/// A group of two that run; what they said is acknowledged.
fn running() -> World {
    let mut world = World::registered();
    world.run_group("pod", vec![task("a"), task("b")]);
    for id in ["a", "b"] {
        world.turn_to(id);
        assert_eq!(world.started(), [format!("{id} Running")]);
        world.acknowledge();
    }
    world
}

#[test]
fn a_group_is_launched_in_one_turn_and_collected_with_its_executor() {
    let mut world = World::registered();
    assert_eq!(world.run_group("pod", vec![task("a"), task("b")]), ["launch a", "launch b"]);
    let view = world.node.view();
    let groups: Vec<_> = view.held.values().filter_map(|held| held.group.clone()).collect();
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0], groups[1]);
    for (id, collected) in [
        ("a", vec!["collect a in 48h"]),
        ("b", vec!["collect b in 48h", "collect executor pod in 48h"]),
    ] {
        world.turn_to(id);
        world.started();
        world.acknowledge();
        assert_eq!(world.exited(0), [format!("{id} Finished Command exited with status 0")]);
        assert_eq!(world.acknowledge(), collected);
    }
}

#[test]
fn what_a_task_says_names_its_executor_and_where_it_is_nested() {
    let world = running();
    let held = world.node.view().held[&world.container].clone();
    let (group, status) =
        (held.group.clone().expect("grouped"), held.latest.clone().expect("told"));
    assert_eq!(status.executor, Some(group.executor.id.clone()));
    assert_eq!(status.container.expect("it runs").parent, Some(group.container));
    assert_eq!(held.told().task.executor.expect("grouped").id, group.executor.id);
}

#[test]
fn one_that_finishes_leaves_the_others_alone() {
    let mut world = running();
    world.turn_to("a");
    assert_eq!(world.exited(0), ["a Finished Command exited with status 0"]);
    assert_eq!(world.kill("a", None), NOTHING, "it is over");
    world.turn_to("b");
    assert_eq!(world.exited(0), ["b Finished Command exited with status 0"]);
}

#[test]
fn one_that_fails_takes_the_others_with_it() {
    let mut world = running();
    world.turn_to("a");
    assert_eq!(world.exited(1 << 8), ["a Failed Command exited with status 1", "stop b 3s"]);
    world.turn_to("b");
    assert_eq!(world.exited(15), [format!("b Killed {TERM}")]);
}

#[test]
fn one_that_is_killed_takes_the_others_with_it_each_with_its_own_grace() {
    let mut world = World::registered();
    let patient = TaskInfo { kill_grace: Some(Duration::from_secs(60)), ..task("b") };
    world.run_group("pod", vec![task("a"), patient]);
    assert_eq!(world.kill("a", Some(7)), ["stop a 7s", "stop b 60s"]);
    assert_eq!(world.kill("a", Some(7)), NOTHING);
    assert_eq!(world.kill("b", Some(5)), ["stop b 5s"]);
}

#[test]
fn one_that_cannot_be_prepared_ends_the_whole_group() {
    let mut world = World::registered();
    world.run_group("pod", vec![task("a"), task("b")]);
    world.turn_to("a");
    let failed =
        Happened::Failed { reason: Reason::ContainerLaunchFailed, cause: "no image".to_owned() };
    assert_eq!(world.happened(failed), ["a Failed ContainerLaunchFailed no image", "stop b 3s"]);
    world.turn_to("b");
    let stopped =
        Happened::Failed { reason: Reason::ContainerLaunchFailed, cause: "stopped".to_owned() };
    assert_eq!(world.happened(stopped), ["b Killed TaskKilledDuringLaunch stopped"]);
}

#[test]
fn one_that_is_ill_takes_the_others_with_it() {
    let mut world = World::registered();
    world
        .run_group("pod", vec![TaskInfo { health_checks: vec![check(1)], ..task("a") }, task("b")]);
    world.turn_to("a");
    world.started();
    world.acknowledge();
    world.pass(45);
    let said = world.probed(0, Err("refused"));
    assert_eq!(said.last().map(String::as_str), Some("stop b 3s"), "{said:?}");
    assert!(said.contains(&"stop a 3s".to_owned()), "{said:?}");
}

#[test]
fn a_later_group_joins_the_executor_but_not_the_fate() {
    let mut world = running();
    assert_eq!(world.run_group("pod", vec![task("c")]), ["launch c"]);
    let view = world.node.view();
    let groups: Vec<_> = view.held.values().filter_map(|held| held.group.clone()).collect();
    assert!(groups.iter().all(|group| group.container == groups[0].container));
    assert_eq!(world.kill("c", None), ["stop c 3s"]);
    world.turn_to("b");
    assert_eq!(world.exited(1 << 8), ["b Failed Command exited with status 1", "stop a 3s"]);
}

#[test]
fn an_executor_without_live_tasks_is_not_joined() {
    let mut world = World::registered();
    world.run_group("pod", vec![task("a")]);
    world.started();
    world.exited(0);
    let before = world.node.view().held[&world.container].group.clone().expect("grouped");
    world.run_group("pod", vec![task("b")]);
    let after = world.node.view().held[&world.container].group.clone().expect("grouped");
    assert_ne!(before.container, after.container);
    world.acknowledge();
    assert_eq!(world.acknowledge(), ["collect a in 48h", "collect executor pod in 48h"]);
}

#[test]
fn a_group_for_another_agent_is_refused_whole() {
    let mut world = World::registered();
    let stray = TaskInfo { agent: AgentId::new("S9"), ..task("b") };
    let executor = model::task::ExecutorInfo {
        program: None,
        given: None,
        id: model::id::ExecutorId::new("pod"),
        resources: Default::default(),
        labels: vec![],
    };
    let (framework, tasks, killing) = (framework(), vec![task("a"), stray], TellKilling::No);
    let refusal = world.try_master(1, ToAgent::RunGroup { framework, executor, tasks, killing });
    let expected = Refusal::AnotherAgent { task: TaskId::new("b"), agent: AgentId::new("S9") };
    assert_eq!(refusal, Err(expected));
    assert!(world.node.view().held.is_empty());
}

#[test]
fn a_group_is_not_run_twice_and_not_in_part() {
    let mut world = running();
    assert_eq!(world.run_group("pod", vec![task("a"), task("b")]), NOTHING);
    let said = world.run_group("other", vec![task("c"), task("a")]);
    assert_eq!(said, ["c Failed TaskGroupInvalid A task a of its group runs here already"]);
}

#[test]
fn the_end_of_a_group_without_its_framework_is_told_once() {
    let mut world = running();
    let said = world.master(ToAgent::Shutdown { framework: framework() });
    assert_eq!(said.len(), 2, "each is stopped once: {said:?}");
    world.turn_to("a");
    let killed = |task: &str| format!("{task} Killed Command terminated with signal Terminated");
    assert_eq!(world.exited(15), [&killed("a"), "collect a in 48h"]);
    world.turn_to("b");
    assert_eq!(world.exited(15), [&killed("b"), "collect b in 48h", "collect executor pod in 48h"]);
}

#[test]
fn a_crash_changes_nothing_of_a_groups_fate() {
    let container = |world: &mut World, id: &str| {
        world.turn_to(id);
        world.container.clone()
    };
    let mut world = running();
    let b = container(&mut world, "b");
    world.crash();
    assert_eq!(
        world.start(&[b]),
        ["stop b 3s"],
        "the container of the other is gone: it has failed"
    );

    let mut world = World::registered();
    world.run_group("pod", vec![task("a"), task("b")]);
    let b = container(&mut world, "b");
    world.started();
    world.crash();
    assert_eq!(world.start(&[b]), ["launch a"], "it was never seen running");

    let mut world = running();
    let (a, b) = (container(&mut world, "a"), container(&mut world, "b"));
    world.kill("a", None);
    world.crash();
    assert_eq!(world.start(&[a, b]).len(), 2, "both are stopped again");
}

#[test]
fn all_of_a_group_is_gone_with_a_reboot() {
    let mut world = running();
    world.boot += 1;
    world.crash();
    assert_eq!(world.start(&[]), ["stop a 3s"], "to no effect");
    world.connect(1);
    let held = world.node.view().held;
    let latest = held.values().map(|held| held.latest.as_ref().expect("told"));
    let told: Vec<_> = latest.map(|status| (status.state, status.reason)).collect();
    assert_eq!(told, [(TaskState::Gone, Some(Reason::AgentRestarted)); 2]);
}
