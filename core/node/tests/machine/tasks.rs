//! What becomes of a task, from the master's word to the collected sandbox.

use crate::world::{World, foreign_uuid, framework, task};
use model::agent::{TellKilling, ToAgent};
use model::id::{AgentId, TaskId};
use model::task::{Reason, TaskInfo, TaskState};
use node::{Happened, Input, Refusal};

const NOTHING: [&str; 0] = [];

#[test]
fn a_task_is_launched_reported_acknowledged_and_collected() {
    let mut world = World::registered();
    assert_eq!(world.run(task("t")), ["launch t"]);
    assert_eq!(world.started(), ["t Running"]);
    assert_eq!(world.acknowledge(), NOTHING);
    assert_eq!(world.exited(0), ["t Finished Command exited with status 0"]);
    assert_eq!(world.acknowledge(), ["collect t in 48h"]);
    assert!(world.node.view().held.is_empty());
}

#[test]
fn a_slow_launch_is_told() {
    let mut world = World::registered();
    world.run(task("t"));
    assert_eq!(world.happened(Happened::Preparing { told: None }), ["t Starting"]);
    assert_eq!(world.started(), NOTHING, "one update at a time");
    assert_eq!(world.acknowledge(), ["t Running"]);
}

#[test]
fn how_far_a_launch_is_is_told_as_it_goes_on() {
    let mut world = World::registered();
    world.run(task("t"));
    let far = |text: &str| Happened::Preparing { told: Some(text.to_owned()) };
    assert_eq!(world.happened(far("1 of 3")), ["t Starting 1 of 3"]);
    assert_eq!(world.happened(far("2 of 3")), NOTHING, "nobody has heard of the first yet");
    assert_eq!(world.acknowledge(), NOTHING);
    assert_eq!(world.happened(far("1 of 3")), NOTHING, "it is where it was");
    assert_eq!(world.happened(far("3 of 3")), ["t Starting 3 of 3"]);
    world.acknowledge();
    assert_eq!(world.started(), ["t Running"]);
    assert_eq!(world.happened(far("late")), NOTHING);
}

#[test]
fn the_end_of_a_task_says_why() {
    let check = |happened: Happened, line: &str| {
        let mut world = World::running(task("t"));
        assert_eq!(world.happened(happened), [line]);
    };
    let exited = |wait_status| Happened::Exited { wait_status, limitation: None };
    check(exited(0), "t Finished Command exited with status 0");
    check(exited(3 << 8), "t Failed Command exited with status 3");
    check(exited(9), "t Failed Command terminated with signal Killed");
    let limitation = Some((Reason::ContainerLimitationMemory, "too much".to_owned()));
    check(
        Happened::Exited { wait_status: 9, limitation },
        "t Failed ContainerLimitationMemory too much",
    );
}

#[test]
fn whoever_used_more_than_it_may_is_told_of_what() {
    let check = |reason: Reason, expected: &str| {
        let resources = "cpus:1;mem:32;disk:8".parse().expect("well formed");
        let mut world = World::running(TaskInfo { resources, ..task("t") });
        let limitation = Some((reason, "too much".to_owned()));
        world.happened(Happened::Exited { wait_status: 9, limitation });
        let more = world.told.clone().expect("told").more.unwrap_or_default();
        assert_eq!(more.limitation, expected.parse().expect("well formed"), "{reason:?}");
    };
    check(Reason::ContainerLimitationMemory, "mem:32");
    check(Reason::ContainerLimitationDisk, "disk:8");
    check(Reason::ExecutorTerminated, "");
}

#[test]
fn of_each_state_that_a_task_has_left_the_last_status_is_kept() {
    let mut world = World::registered();
    world.run(task("t"));
    for told in ["1 of 2", "2 of 2"] {
        world.happened(Happened::Preparing { told: Some(told.to_owned()) });
        world.acknowledge();
    }
    world.started();
    world.exited(0);
    let view = world.node.view();
    let told = view.held[&world.container].told().task;
    let said: Vec<_> = told.statuses().map(|one| (one.state, one.message.clone())).collect();
    let exited = "Command exited with status 0";
    assert_eq!(
        said,
        [
            (TaskState::Starting, Some("2 of 2".to_owned())),
            (TaskState::Running, None),
            (TaskState::Finished, Some(exited.to_owned())),
        ]
    );
}

#[test]
fn a_launch_that_fails_says_why() {
    let mut world = World::registered();
    world.run(task("t"));
    let failed =
        Happened::Failed { reason: Reason::ContainerLaunchFailed, cause: "no image".to_owned() };
    assert_eq!(world.happened(failed), ["t Failed ContainerLaunchFailed no image"]);
    assert_eq!(world.acknowledge(), ["collect t in 48h"]);
}

#[test]
fn what_is_held_is_not_run_twice() {
    let mut world = World::running(task("t"));
    assert_eq!(world.run(task("t")), NOTHING);
    world.exited(0);
    assert_eq!(world.run(task("t")), NOTHING, "its end is not acknowledged yet");
}

#[test]
fn a_task_for_another_agent_is_refused() {
    let mut world = World::registered();
    let info = TaskInfo { agent: AgentId::new("S9"), ..task("t") };
    let refusal = world.try_master(
        1,
        ToAgent::Run { framework: framework(), task: info, killing: TellKilling::No, of: None },
    );
    let expected = Refusal::AnotherAgent { task: TaskId::new("t"), agent: AgentId::new("S9") };
    assert_eq!(refusal, Err(expected));
}

#[test]
fn an_older_master_is_not_obeyed() {
    let mut world = World::registered();
    world.connect(3);
    let run = || ToAgent::Run {
        framework: framework(),
        task: task("t"),
        killing: TellKilling::No,
        of: None,
    };
    assert!(matches!(world.try_master(2, run()), Err(Refusal::OldTerm { .. })));
    assert_eq!(world.try_master(3, run()).expect("the newest"), ["launch t"]);
    world.crash();
    world.start(&[]);
    assert!(matches!(world.try_master(2, ToAgent::Ping), Err(Refusal::OldTerm { .. })));
}

#[test]
fn a_kill_has_the_shortest_grace_that_was_asked_for() {
    let mut world = World::running(task("t"));
    assert_eq!(world.kill("t", None), ["stop 3s"], "Mesos' default");
    assert_eq!(world.kill("t", Some(20)), NOTHING, "it cannot become longer");
    world.pass(1);
    assert_eq!(world.kill("t", Some(2)), ["stop 1s"], "counted from the first kill");
    assert_eq!(world.exited(15), ["t Killed Command terminated with signal Terminated"]);
    assert_eq!(world.kill("t", None), NOTHING);
}

#[test]
fn a_task_says_how_long_its_grace_is() {
    let info = TaskInfo { kill_grace: Some(std::time::Duration::from_secs(60)), ..task("t") };
    assert_eq!(World::running(info.clone()).kill("t", None), ["stop 60s"]);
    assert_eq!(World::running(info).kill("t", Some(5)), ["stop 5s"]);
}

#[test]
fn a_task_killed_before_its_start_never_ran() {
    let mut world = World::registered();
    world.run(task("t"));
    assert_eq!(world.kill("t", None), ["stop 3s"]);
    let failed =
        Happened::Failed { reason: Reason::ContainerLaunchFailed, cause: "stopped".to_owned() };
    assert_eq!(world.happened(failed), ["t Killed TaskKilledDuringLaunch stopped"]);
}

#[test]
fn a_kill_that_came_too_early_is_repeated_once_there_is_something_to_stop() {
    let mut world = World::registered();
    world.run(task("t"));
    world.kill("t", None);
    assert_eq!(world.started(), ["t Running", "stop 3s"]);
}

#[test]
fn a_kill_of_what_is_not_held_is_refused() {
    let mut world = World::registered();
    let kill = ToAgent::Kill {
        framework: framework(),
        task: TaskId::new("x"),
        grace: None,
        grace_max: None,
    };
    assert_eq!(world.try_master(1, kill), Err(Refusal::UnknownTask(TaskId::new("x"))));
}

#[test]
fn the_end_of_a_task_whose_framework_is_gone_is_told_and_not_repeated() {
    let shutdown = || ToAgent::Shutdown { framework: framework() };
    let mut world = World::running(task("t"));
    assert_eq!(world.master(shutdown()), ["stop 3s"]);
    assert_eq!(world.master(shutdown()), NOTHING);
    let killed = "t Killed Command terminated with signal Killed";
    assert_eq!(world.exited(9), [killed, "collect t in 48h"]);
    assert_eq!(world.pass(3600), NOTHING);
    let mut world = World::running(task("t"));
    world.exited(0);
    let finished = "t Finished Command exited with status 0";
    assert_eq!(
        world.master(shutdown()),
        [finished, "collect t in 48h"],
        "nobody has said he heard"
    );
    assert_eq!(world.pass(3600), NOTHING);
}

#[test]
fn a_container_that_nobody_asked_for_is_stopped() {
    let mut world = World::registered();
    assert_eq!(world.started(), ["stop 3s"]);
    assert_eq!(world.exited(9), NOTHING);
}

#[test]
fn pings_are_answered() {
    assert_eq!(World::registered().master(ToAgent::Ping), ["pong"]);
}

#[test]
fn only_the_update_that_was_told_can_be_acknowledged() {
    let mut world = World::registered();
    world.run(task("t"));
    world.started();
    let acknowledge = ToAgent::Acknowledge {
        framework: framework(),
        task: TaskId::new("t"),
        uuid: foreign_uuid(),
    };
    assert_eq!(world.master(acknowledge), NOTHING);
    assert_eq!(world.pass(10), ["t Running"], "still told");
    world.acknowledge();
    assert_eq!(world.pass(3600), NOTHING);
}

#[test]
fn an_agent_that_is_to_leave_nothing_behind_ends_its_tasks() {
    let mut world = World::running(task("t"));
    world.feed(Input::Disconnected);
    assert_eq!(world.feed(Input::StopTasks), ["stop 3s"]);
    assert_eq!(world.exited(15), NOTHING);
    let killed = "t Killed Command terminated with signal Terminated";
    assert_eq!(world.connect(1), ["register S0 [\"t Killed\"]", killed]);
}
