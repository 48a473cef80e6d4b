//! Tasks that are launched together, and what the end of one means for the others.

use std::time::Duration;

use crate::world::{World, check, framework, task};
use model::agent::{TellKilling, ToAgent};
use model::id::{AgentId, TaskId};
use model::task::{Cgroups, Reason, TaskInfo, TaskState};
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
fn one_that_was_killed_takes_the_others_with_it_each_with_its_own_grace() {
    let mut world = World::registered();
    world.killing = TellKilling::Yes;
    let patient = TaskInfo { kill_grace: Some(Duration::from_secs(60)), ..task("b") };
    world.run_group("pod", vec![task("a"), patient]);
    for id in ["a", "b"] {
        world.turn_to(id);
        world.started();
        world.acknowledge();
    }
    assert_eq!(world.kill("a", Some(7)), ["a Killing", "stop a 7s"]);
    assert_eq!(world.kill("a", Some(7)), NOTHING);
    assert_eq!(world.kill("a", Some(5)), ["stop a 5s"], "it can only become shorter");
    assert_eq!(world.acknowledge(), NOTHING);
    world.turn_to("a");
    let said = world.exited(15);
    assert_eq!(said, [format!("a Killed {TERM}"), "b Killing".to_owned(), "stop b 60s".to_owned()]);
    assert_eq!(world.kill("b", Some(5)), ["stop b 5s"]);
}

#[test]
fn all_of_a_group_may_be_killed_at_once() {
    let mut world = running();
    assert_eq!(world.kill("a", Some(9)), ["stop a 9s"]);
    assert_eq!(world.kill("b", None), ["stop b 3s"]);
    world.turn_to("a");
    assert_eq!(world.exited(15), [format!("a Killed {TERM}")]);
    world.turn_to("b");
    assert_eq!(world.exited(0), ["b Killed Command exited with status 0"], "it was killed");
}

#[test]
fn one_whose_time_is_over_takes_the_others_with_it() {
    let mut world = World::registered();
    world.killing = TellKilling::Yes;
    let brief = TaskInfo { completes_within: Some(Duration::from_secs(60)), ..task("a") };
    world.run_group("pod", vec![brief, task("b")]);
    for id in ["a", "b"] {
        world.turn_to(id);
        world.started();
        world.acknowledge();
    }
    assert_eq!(world.pass(61), ["stop a 0s"], "no word of TASK_KILLING");
    world.turn_to("a");
    let over =
        "a Failed MaxCompletionTimeReached It has not completed within its max_completion_time";
    assert_eq!(world.exited(9), [over, "b Killing", "stop b 3s"]);
}

#[test]
fn what_tasks_may_use_together_follows_who_lives() {
    let mut world = World::registered();
    let pool = |world: &mut World, executor: &str, id: &str| {
        world.run_group_in(Cgroups::Shared, executor, vec![task(id)])
    };
    let said = world.run_group_in(Cgroups::Shared, "pod", vec![task("a"), task("b")]);
    assert_eq!(said, ["pool cpus:2.1;mem:96", "launch a", "launch b"]);
    assert_eq!(pool(&mut world, "other", "x"), ["pool cpus:1.1;mem:64", "launch x"]);
    assert_eq!(pool(&mut world, "pod", "c"), ["pool cpus:3.1;mem:128", "launch c"]);
    let container = |world: &mut World, id: &str| {
        world.turn_to(id);
        world.started();
        world.acknowledge();
        world.container.clone()
    };
    let all = ["a", "b", "c", "x"].map(|id| container(&mut world, id));
    world.crash();
    let mut pools = world.start(&all);
    pools.sort();
    assert_eq!(pools, ["pool cpus:1.1;mem:64", "pool cpus:3.1;mem:128"], "each once");
    world.connect(1);
    world.turn_to("a");
    let finished = "a Finished Command exited with status 0";
    assert_eq!(world.exited(0), [finished, "pool cpus:2.1;mem:96"]);
    world.acknowledge();
    world.turn_to("x");
    assert_eq!(world.exited(0), ["x Finished Command exited with status 0"], "nobody is left");
}

#[test]
fn who_was_launched_with_groups_of_its_own_keeps_them() {
    let mut world = running();
    let joined = world.run_group_in(Cgroups::Shared, "pod", vec![task("c")]);
    assert_eq!(joined, ["launch c"], "the executor is that of the first");
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
    assert!(said.contains(&"stop a 3s".to_owned()), "{said:?}");
    world.acknowledge();
    assert_eq!(world.exited(15), [format!("a Killed ill {TERM}"), "stop b 3s".to_owned()]);
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
        cgroups: Cgroups::Own,
        namespaces: Default::default(),
    };
    let (framework, tasks, killing) = (framework(), vec![task("a"), stray], TellKilling::No);
    let refusal =
        world.try_master(1, ToAgent::RunGroup { framework, executor, tasks, killing, of: None });
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
    assert_eq!(world.start(&[a, b]), ["stop a 3s"], "it is stopped again");
    world.connect(1);
    world.turn_to("a");
    assert_eq!(world.exited(15), [format!("a Killed {TERM}"), "stop b 3s".to_owned()]);
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
