//! Health checks: when probes are made and what their answers lead to.

use crate::world::{World, check, task};
use model::agent::CheckTally;
use model::container::HealthCheck;
use model::task::TaskInfo;
use node::Answer;

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

/// What the master was told since it was last asked: `2 since 30 for no`, failures in a row and why.
fn tallies(world: &mut World) -> Vec<String> {
    let told = std::mem::take(&mut world.tallies);
    let one = |tally: &CheckTally| match (tally.failures, &tally.last_cause) {
        (0, _) => "alive".to_owned(),
        (failures, cause) => format!("{failures} for {}", cause.as_deref().unwrap_or("nothing")),
    };
    let all = |tallies: &Vec<CheckTally>| tallies.iter().map(one).collect::<Vec<_>>().join(", ");
    told.iter().map(all).collect()
}

#[test]
fn every_failure_that_counts_is_told_and_of_successes_only_what_is_news() {
    let mut world = checked(vec![check(0)]);
    world.pass(5);
    let probe = |world: &mut World, answer: Result<(), &str>, told: &[&str]| {
        world.probed(0, answer);
        assert_eq!(tallies(world), told, "{answer:?}");
        world.pass(10);
    };
    probe(&mut world, Err("too early"), &[]);
    probe(&mut world, Ok(()), &["alive"]);
    probe(&mut world, Ok(()), &[]);
    probe(&mut world, Err("no"), &["1 for no"]);
    probe(&mut world, Err("never"), &["2 for never"]);
    probe(&mut world, Ok(()), &["alive"]);
    for _ in 0..29 {
        probe(&mut world, Ok(()), &[]);
    }
    probe(&mut world, Ok(()), &["alive"]);
}

#[test]
fn a_tally_says_when() {
    let mut world = checked(vec![check(0)]);
    world.pass(5);
    let start = world.now;
    for answer in [Ok(()), Ok(()), Err("no"), Err("never")] {
        world.probed(0, answer);
        world.pass(10);
    }
    let after = |secs: u64| Some(start + std::time::Duration::from_secs(secs));
    let expected = CheckTally {
        failures: 2,
        first_success: after(0),
        last_success: after(10),
        last_failure: after(30),
        last_cause: Some("never".to_owned()),
    };
    assert_eq!(world.tallies.last(), Some(&vec![expected]));
}

#[test]
fn an_ignored_answer_changes_nothing() {
    let mut world = checked(vec![check(2)]);
    world.pass(5);
    world.probed(0, Ok(()));
    world.acknowledge();
    world.pass(10);
    world.probed(0, Err("no"));
    world.acknowledge();
    world.pass(10);
    assert_eq!(tallies(&mut world), ["alive", "1 for no"]);
    assert_eq!(world.answered(0, Answer::Ignored), NOTHING);
    assert_eq!(tallies(&mut world), NOTHING);
    assert_eq!(world.pass(10), ["probe 0"], "it goes on");
    assert_eq!(world.probed(0, Err("no")), ["stop 3s"], "the second in a row");
}

#[test]
fn a_new_master_is_told_all_tallies() {
    let mut world = checked(vec![check(0), check(0)]);
    world.pass(5);
    world.probed(1, Ok(()));
    tallies(&mut world);
    world.feed(node::Input::Disconnected);
    world.pass(10);
    world.probed(0, Ok(()));
    assert_eq!(tallies(&mut world), NOTHING, "nobody listens");
    world.connect(2);
    assert_eq!(tallies(&mut world), ["alive, alive"]);
}
