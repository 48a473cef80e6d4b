//! Agents that left are remembered for a while.

use std::time::Duration;

use kernel::Config;
use kernel::operator::Order;
use kernel::registry::Remembered;
use model::framework::Capability;
use model::id::AgentId;
use model::task::TaskState;

use crate::stage::{BIG, Stage, offers, register, told};

const HOUR: Duration = Duration::from_secs(3600);

fn stage(age_max: Duration, count_max: usize) -> Stage {
    let remembered = Remembered { look_interval: Duration::from_secs(900), age_max, count_max };
    Stage::with(Config { remembered, ..Config::default() })
}

fn mark_gone(stage: &mut Stage, agent: &AgentId) {
    let order = Order::MarkGone { agent: agent.clone() };
    stage.step(kernel::Input::Operator { order });
}

fn known(stage: &Stage) -> Vec<AgentId> {
    stage.kernel.state().agents.keys().cloned().collect()
}

#[test]
fn who_left_too_long_ago_is_forgotten_and_the_last_number_is_not_given_again() {
    let mut stage = stage(HOUR * 2, 100);
    let ids: Vec<AgentId> = (1..=4).map(|n| stage.agent(n, BIG)).collect();
    mark_gone(&mut stage, &ids[0]);
    stage.pass(HOUR);
    mark_gone(&mut stage, &ids[1]);
    mark_gone(&mut stage, &ids[3]);
    stage.pass(HOUR + Duration::from_secs(900));
    assert!(!known(&stage).contains(&ids[0]), "two hours are over");
    assert!(known(&stage).contains(&ids[1]), "they are not");
    stage.pass(HOUR);
    assert!(!known(&stage).contains(&ids[1]));
    assert!(known(&stage).contains(&ids[3]), "the highest number stays known");
    stage.restart();
    let new = stage.agent(9, BIG);
    assert!(!ids.contains(&new), "{new} was given before");
}

#[test]
fn of_too_many_the_oldest_are_forgotten() {
    let mut stage = stage(HOUR * 100, 2);
    let ids: Vec<AgentId> = (1..=6).map(|n| stage.agent(n, BIG)).collect();
    for id in ids[..4].iter().rev() {
        mark_gone(&mut stage, id);
        stage.pass(Duration::from_secs(1));
    }
    stage.pass(HOUR);
    let left = known(&stage);
    let is_left = |n: usize| left.contains(&ids[n]);
    assert_eq!([0, 1, 2, 3].map(is_left), [true, true, false, false]);
}

#[test]
fn tasks_of_a_forgotten_agent_are_unknown_and_its_return_is_news() {
    let mut stage = stage(HOUR, 100);
    let (agent, framework) = stage.running(&[Capability::PartitionAware]);
    stage.agent(8, BIG);
    stage.lose(1);
    stage.pass(Duration::from_secs(15 * 25));
    assert_eq!(stage.state_of(&framework, "t"), Some(TaskState::Unreachable));
    let effects = stage.pass(HOUR * 2);
    assert!(told(&effects).iter().any(|one| one.contains("Unknown t")), "{:?}", told(&effects));
    assert_eq!(stage.state_of(&framework, "t"), None);
    assert!(!known(&stage).contains(&agent));
    stage.hear(9, register(Some(&agent), BIG, vec![]));
    assert!(known(&stage).contains(&agent));
}

#[test]
fn what_was_refused_of_a_forgotten_agent_is_not_held_against_another() {
    let mut stage = stage(HOUR, 100);
    let first = stage.agent(1, BIG);
    stage.agent(2, "cpus:1;mem:64");
    stage.framework("*");
    for offer in offers(&stage.settle()) {
        stage.decline(&offer, 4 * 3600);
    }
    mark_gone(&mut stage, &first);
    stage.live(HOUR * 2);
    assert!(!known(&stage).contains(&first));
    let other = stage.agent(3, BIG);
    let offered: Vec<AgentId> =
        offers(&stage.settle()).into_iter().map(|offer| offer.agent_id).collect();
    assert_eq!(offered, [other]);
    // Until what was refused is not any more.
    stage.live(HOUR * 3);
}
