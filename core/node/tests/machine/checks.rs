//! Health checks: when probes are made and what their answers lead to.

use crate::world::{World, check, task};
use model::container::HealthCheck;
use model::task::TaskInfo;

const NOTHING: [&str; 0] = [];

fn checked(health_checks: Vec<HealthCheck>) -> World {
    World::running(TaskInfo { health_checks, ..task("t") })
}

#[test]
fn probes_follow_delay_and_interval() {
    let mut world = checked(vec![check(3)]);
    assert_eq!(world.pass(4), NOTHING);
    assert_eq!(world.pass(1), ["probe 0"]);
    world.pass(2);
    assert_eq!(world.probed(0, Ok(())), ["t Running well TaskHealthCheckStatusUpdated"]);
    world.acknowledge();
    assert_eq!(world.pass(9), NOTHING, "counted from the answer");
    assert_eq!(world.pass(1), ["probe 0"]);
    assert_eq!(world.probed(0, Ok(())), NOTHING, "only changes are told");
}

#[test]
fn failures_in_the_grace_period_do_not_count() {
    let mut world = checked(vec![check(1)]);
    world.pass(5);
    assert_eq!(world.probed(0, Err("refused")), NOTHING);
    world.pass(10);
    assert_eq!(world.probed(0, Err("refused")), NOTHING);
    world.pass(20);
    let said = world.probed(0, Err("refused"));
    assert_eq!(said, ["t Running ill TaskHealthCheckStatusUpdated refused", "stop 3s"]);
}

#[test]
fn a_success_ends_the_grace_period() {
    let mut world = checked(vec![check(1)]);
    world.pass(5);
    world.probed(0, Ok(()));
    world.acknowledge();
    world.pass(10);
    let said = world.probed(0, Err("refused"));
    assert_eq!(said, ["t Running ill TaskHealthCheckStatusUpdated refused", "stop 3s"]);
}

#[test]
fn too_many_failures_in_a_row_kill() {
    let mut world = checked(vec![check(3)]);
    world.pass(5);
    world.probed(0, Ok(()));
    world.acknowledge();
    let mut answers = vec![];
    for outcome in [Err("no"), Err("no"), Ok(()), Err("no"), Err("no"), Err("no")] {
        world.pass(10);
        answers.push(world.probed(0, outcome).last().cloned().unwrap_or_default());
        world.acknowledge();
    }
    let (ill, well) = (
        "t Running ill TaskHealthCheckStatusUpdated no",
        "t Running well TaskHealthCheckStatusUpdated",
    );
    assert_eq!(answers, [ill, "", well, ill, "", "stop 3s"]);
    assert_eq!(world.pass(3600), NOTHING, "no probe of what is to end");
    assert_eq!(world.exited(15), ["t Killed ill Command terminated with signal Terminated"]);
}

#[test]
fn zero_failures_max_never_kills() {
    let mut world = checked(vec![check(0)]);
    world.pass(60);
    for _ in 0..50 {
        let said = world.probed(0, Err("no"));
        assert!(!said.iter().any(|line| line.starts_with("stop")), "{said:?}");
        world.pass(10);
    }
}

#[test]
fn a_task_is_healthy_if_all_its_checks_say_so() {
    let mut world = checked(vec![check(0), check(0)]);
    assert_eq!(world.pass(5), ["probe 0", "probe 1"]);
    assert_eq!(world.probed(0, Ok(())), NOTHING);
    assert_eq!(world.probed(1, Ok(())), ["t Running well TaskHealthCheckStatusUpdated"]);
    world.acknowledge();
    world.pass(10);
    let ill = "t Running ill TaskHealthCheckStatusUpdated no";
    assert_eq!(world.probed(1, Err("no")), [ill]);
    world.acknowledge();
    assert_eq!(world.probed(0, Ok(())), NOTHING, "one failing check is enough");
}

#[test]
fn a_probe_without_an_answer_is_made_again() {
    let mut world = checked(vec![check(3)]);
    world.pass(5);
    assert_eq!(world.pass(29), NOTHING, "20 s of timeout and 10 s for the answer");
    assert_eq!(world.pass(1), ["probe 0"]);
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_counted() {
    let mut world = checked(vec![check(1)]);
    assert_eq!(world.probed(0, Err("early")), NOTHING);
    assert_eq!(world.probed(7, Err("no such check")), NOTHING);
    world.exited(0);
    assert_eq!(world.probed(0, Err("late")), NOTHING);
}
