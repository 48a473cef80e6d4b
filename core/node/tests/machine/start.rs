//! A restarted agent and what it finds.

use crate::world::{World, check, task};
use model::id::ContainerId;
use model::task::TaskInfo;

const NOTHING: [&str; 0] = [];

/// A world after `before`, a crash, and a start at which the runtime knows the container or does not.
fn restarted(before: impl Fn(&mut World), knows: bool) -> (World, Vec<String>) {
    let mut world = World::registered();
    world.run(TaskInfo { health_checks: vec![check(3)], ..task("t") });
    before(&mut world);
    world.crash();
    let alive = if knows { vec![world.container.clone()] } else { vec![] };
    let said = world.start(&alive);
    (world, said)
}

#[test]
fn what_was_never_seen_running_is_launched_again() {
    let (mut world, said) = restarted(|_| (), false);
    assert_eq!(said, ["launch t"]);
    world.connect(1);
    assert_eq!(world.started(), ["t Running"]);
}

#[test]
fn what_ran_and_left_no_trace_has_failed() {
    let started = |world: &mut World| {
        world.started();
        world.acknowledge();
    };
    let (mut world, said) = restarted(started, false);
    assert_eq!(said, NOTHING, "there is no stream yet");
    let failed = "t Failed ExecutorTerminated Its container was gone when the agent started again";
    assert_eq!(world.connect(1), ["register S0 [\"t Failed\"]", failed]);
}

#[test]
fn what_ran_on_a_machine_that_was_rebooted_is_gone_and_the_rest_is_as_ever() {
    let rebooted = |before: fn(&mut World), said: &[&str]| {
        let reboot = |world: &mut World| {
            before(world);
            world.boot += 1;
        };
        let (mut world, launched) = restarted(reboot, false);
        match launched.as_slice() {
            [] => assert_eq!(&world.connect(1)[1..], said),
            launched => assert_eq!(launched, said),
        }
    };
    let started = |world: &mut World| {
        world.started();
        world.acknowledge();
    };
    rebooted(started, &["t Gone AgentRestarted The agent's machine was rebooted"]);
    rebooted(|_| (), &["launch t"]);
    let killed = |world: &mut World| {
        world.started();
        world.acknowledge();
        world.kill("t", None);
    };
    rebooted(killed, &["t Killed ExecutorTerminated The agent's machine was rebooted"]);
}

#[test]
fn what_was_to_end_and_left_no_trace_was_killed() {
    let killed = |world: &mut World| drop(world.kill("t", None));
    let (mut world, _) = restarted(killed, false);
    let said = world.connect(1);
    assert!(said[1].starts_with("t Killed TaskKilledDuringLaunch"), "{said:?}");
}

#[test]
fn a_container_that_outlived_the_agent_goes_on() {
    let (mut world, said) = restarted(|world| drop(world.started()), true);
    assert_eq!(said, NOTHING);
    assert_eq!(world.pass(5), ["probe 0"], "its health is checked anew");
    assert_eq!(world.started(), NOTHING, "that is known");
    world.connect(1);
    world.acknowledge();
    assert_eq!(world.exited(0), ["t Finished Command exited with status 0"]);
}

#[test]
fn a_kill_outlives_the_agent() {
    let before = |world: &mut World| {
        world.started();
        world.kill("t", Some(30));
        world.pass(10);
    };
    let (_, said) = restarted(before, true);
    assert_eq!(said, ["stop 20s"], "with what is left of its grace");
}

#[test]
fn containers_that_nobody_wants_are_stopped() {
    let mut world = World::registered();
    world.crash();
    assert_eq!(world.start(&[ContainerId::new("stranger")]), ["stop 3s"]);
    let ended = |world: &mut World| {
        world.started();
        world.exited(0);
    };
    assert_eq!(restarted(ended, true).1, ["stop 3s"], "its end was reported");
}
