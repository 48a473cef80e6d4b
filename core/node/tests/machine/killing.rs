//! TASK_KILLING: a kill that is being carried out, for frameworks that want to know.

use std::time::Duration;

use crate::world::{World, check, framework, task};
use model::agent::{TellKilling, ToAgent};
use model::id::TaskId;
use model::task::TaskInfo;

const NOTHING: [&str; 0] = [];
const KILLED: &str = "t Killed Command terminated with signal Terminated";

fn running(info: TaskInfo) -> World {
    let mut world = World::registered();
    world.killing = TellKilling::Yes;
    world.run(info);
    world.started();
    world.acknowledge();
    world
}

#[test]
fn a_kill_is_told_before_the_end() {
    let mut world = running(task("t"));
    assert_eq!(world.kill("t", Some(30)), ["t Killing", "stop 30s"]);
    assert_eq!(world.kill("t", Some(20)), ["stop 20s"], "it is told once");
    assert_eq!(world.acknowledge(), NOTHING);
    assert_eq!(world.exited(15), [KILLED]);
}

#[test]
fn the_end_waits_until_the_kill_is_acknowledged() {
    let mut world = running(task("t"));
    world.kill("t", None);
    assert_eq!(world.exited(15), NOTHING, "one update at a time");
    assert_eq!(world.pass(10), ["t Killing (latest Killed)"]);
    assert_eq!(world.acknowledge(), [KILLED]);
}

#[test]
fn a_kill_before_the_start_is_told_when_there_is_something_to_kill() {
    let mut world = World::registered();
    world.killing = TellKilling::Yes;
    world.run(task("t"));
    assert_eq!(world.kill("t", None), ["stop 3s"]);
    assert_eq!(world.started(), ["t Running", "stop 3s"]);
    assert_eq!(world.acknowledge(), ["t Killing"]);
}

#[test]
fn a_kill_for_bad_health_says_so() {
    let mut world = running(TaskInfo { health_checks: vec![check(1)], ..task("t") });
    world.pass(45);
    let said = world.probed(0, Err("refused"));
    assert_eq!(said[0], "t Running ill TaskHealthCheckStatusUpdated refused");
    assert_eq!(world.acknowledge(), ["t Killing ill"]);
}

#[test]
fn a_kill_under_way_outlives_the_agent() {
    let killed = || {
        let mut world = running(task("t"));
        world.kill("t", Some(30));
        world.acknowledge();
        world.pass(10);
        world.crash();
        world
    };
    let mut world = killed();
    let container = world.container.clone();
    assert_eq!(world.start(&[container]), ["stop 20s"]);
    assert_eq!(world.started(), NOTHING, "that is known");
    assert_eq!(world.connect(1), ["register S0 [\"t Killing\"]"]);
    assert_eq!(world.exited(15), [KILLED]);

    let mut world = killed();
    world.start(&[]);
    let said = world.connect(1);
    assert!(said[1].starts_with("t Killed ExecutorTerminated"), "{said:?}");
}

#[test]
fn who_has_not_completed_in_time_is_killed_and_has_failed() {
    let check = |crashes: bool| {
        let most = Some(Duration::from_secs(60));
        let mut world = World::running(TaskInfo { completes_within: most, ..task("t") });
        assert_eq!(world.pass(30), NOTHING);
        if crashes {
            world.crash();
            world.start(&[world.container.clone()]);
        }
        assert_eq!(world.pass(29), NOTHING);
        assert_eq!(world.pass(2), ["stop 0s"]);
        if crashes {
            world.connect(1);
        }
        assert_eq!(
            world.exited(9),
            [
                "t Failed MaxCompletionTimeReached It has not completed within its max_completion_time"
            ]
        );
    };
    check(false);
    check(true);
}

#[test]
fn who_has_completed_in_time_is_left_alone() {
    let most = Some(Duration::from_secs(60));
    let mut world = World::running(TaskInfo { completes_within: most, ..task("t") });
    assert_eq!(world.exited(0), ["t Finished Command exited with status 0"]);
    world.acknowledge();
    assert_eq!(world.pass(100), NOTHING);
}

#[test]
fn a_drain_leaves_no_task_longer_than_it_says() {
    let check = |policy: Option<u64>, asked: Option<u64>, max: u64, stop: &str| {
        let kill_grace = policy.map(Duration::from_secs);
        let mut world = running(TaskInfo { kill_grace, ..task("t") });
        let kill = |grace: Option<u64>, max: Option<u64>| ToAgent::Kill {
            framework: framework(),
            task: TaskId::new("t"),
            grace: grace.map(Duration::from_secs),
            grace_max: max.map(Duration::from_secs),
        };
        let said = world.master(kill(asked, Some(max)));
        assert_eq!(said, ["t Killing", stop], "{policy:?} {asked:?} {max}");
    };
    check(None, None, 60, "stop 3s");
    check(None, None, 1, "stop 1s");
    check(Some(30), None, 60, "stop 30s");
    check(Some(30), None, 10, "stop 10s");
    check(Some(30), Some(5), 10, "stop 5s");
    check(Some(30), None, 0, "stop 0s");
}
