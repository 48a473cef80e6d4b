//! Frameworks subscribe, fail over and are torn down.

use std::time::Duration;

use kernel::{Input, Refusal};
use model::framework::{Capability, FrameworkInfo};
use model::id::{FrameworkId, Role};
use model::scheduler::Call;
use model::task::TaskState::{Killed, Running};

use crate::stage::{BIG, Stage, framework, held, offers, register, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

fn again(stage: &Stage, id: &FrameworkId) -> FrameworkInfo {
    stage.kernel.state().frameworks[id].info.as_ref().clone()
}

#[test]
fn a_framework_gets_an_id_that_no_leader_gives_again() {
    let mut stage = Stage::new();
    assert_eq!(stage.framework("*"), FrameworkId::new("c-0000"));
    assert_eq!(stage.framework("*"), FrameworkId::new("c-0001"));
    stage.restart();
    let third = stage.framework("*");
    assert_eq!(third, FrameworkId::new("c-0002"));
    for _ in 0..15 {
        let next = stage.framework("*");
        stage.call(&next, Call::Teardown);
    }
    assert_eq!(stage.kernel.view().completed_frameworks.len(), 10);
    stage.restart();
    assert_eq!(stage.framework("*"), FrameworkId::new("c-0018"));
}

#[test]
fn who_is_not_subscribed_is_refused_by_event_and_answer() {
    let mut stage = Stage::new();
    let over = stage.framework("*");
    stage.call(&over, Call::Teardown);
    let stranger = FrameworkId::new("c-0099");
    for (from, refusal) in [
        (&over, Refusal::CompletedFramework(over.clone())),
        (&stranger, Refusal::UnknownFramework(stranger.clone())),
    ] {
        let call = Call::Revive { roles: vec![] };
        let (refused, effects) = stage.try_step(Input::Framework { from: from.clone(), call });
        assert_eq!(told(&effects), [format!("Error {refusal}")]);
        assert_eq!(refused, Err(refusal));
    }
    let info = FrameworkInfo { id: Some(over.clone()), ..framework("*", AWARE) };
    let (refused, effects) = stage.try_step(Input::Subscribe { info });
    assert_eq!(refused, Err(Refusal::CompletedFramework(over.clone())));
    assert_eq!(told(&effects), [""; 0]);
}

#[test]
fn roles_are_judged() {
    let check = |roles: &[&str], capabilities: &[Capability], fine: bool| {
        let mut stage = Stage::new();
        let roles = roles.iter().map(|role| Role::new(*role)).collect();
        let info = FrameworkInfo { roles, ..framework("*", capabilities) };
        let (done, _) = stage.try_step(Input::Subscribe { info });
        assert_eq!(done.is_ok(), fine, "{done:?}");
    };
    check(&["*"], &[], true);
    check(&[], &[], true);
    check(&["a", "b/c"], &[Capability::MultiRole], true);
    check(&["a", "b"], &[], false);
    for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "-a", "a b", "a\0b", "*/a"] {
        check(&[bad], &[], false);
    }
}

#[test]
fn a_framework_that_comes_back_finds_its_tasks_and_new_offers() {
    let mut stage = Stage::new();
    let (_, id) = stage.running(AWARE);
    let before = offers(&stage.settle()).remove(0);
    stage.step(Input::FrameworkLost { framework: id.clone() });
    assert!(stage.kernel.view().offers.is_empty());
    stage.live(Duration::from_secs(3599));
    let info = again(&stage, &id);
    assert_eq!(stage.subscribe(info), id);
    stage.live(Duration::from_secs(60));
    assert_eq!(stage.state_of(&id, "t"), Some(Running));
    assert_ne!(stage.kernel.view().offers.keys().next(), Some(&before.id));
    assert_eq!(stage.kernel.view().offers.len(), 1);
}

#[test]
fn a_framework_that_stays_away_is_torn_down() {
    let mut stage = Stage::new();
    let (agent, id) = stage.running(AWARE);
    stage.step(Input::FrameworkLost { framework: id.clone() });
    stage.live(Duration::from_secs(3600));
    let view = stage.kernel.view();
    assert!(view.frameworks.is_empty() && view.completed_frameworks.contains_key(&id));
    assert_eq!(view.agents[&agent].in_use.len(), 1, "its task runs until the agent has killed it");
    stage.report(1, &id, "t", Killed, Killed);
    let view = stage.kernel.view();
    assert!(view.agents[&agent].in_use.is_empty() && view.tasks.is_empty());
    assert_eq!(view.completed[&id].len(), 1);
}

#[test]
fn a_teardown_reaches_agents_now_or_when_they_return() {
    let mut stage = Stage::new();
    let (agent, id) = stage.running(AWARE);
    assert_eq!(told(&stage.call(&id, Call::Teardown)), ["Shutdown c-0000 to 1"]);
    stage.lose(1);
    let tasks = vec![held(&id, &agent, "t", "cpus:1;mem:128", Running)];
    let effects = stage.hear(2, register(Some(&agent), BIG, tasks));
    assert_eq!(told(&effects), ["Registered c-S0 to 2", "Shutdown c-0000 to 2"]);
    stage.lose(2);
    let effects = stage.hear(3, register(Some(&agent), BIG, vec![]));
    assert_eq!(told(&effects), ["Registered c-S0 to 3"]);
    assert!(stage.kernel.view().tasks.is_empty());
}

#[test]
fn a_framework_of_an_earlier_leader_has_time_to_come_back() {
    let check = |failover_secs: u64, lives_secs: u64| {
        let mut stage = Stage::new();
        let failover_timeout = Duration::from_secs(failover_secs);
        let id = stage.subscribe(FrameworkInfo { failover_timeout, ..framework("*", AWARE) });
        stage.restart();
        stage.pass(Duration::from_secs(lives_secs - 1));
        assert!(stage.kernel.view().frameworks.contains_key(&id), "{failover_secs}");
        stage.pass(Duration::from_secs(1));
        assert!(!stage.kernel.view().frameworks.contains_key(&id), "{failover_secs}");
    };
    check(0, 600);
    check(3600, 3600);
}

#[test]
fn numbers_of_ids_are_not_used_up_by_strange_ids() {
    let check = |strange: &str, next: &str| {
        let mut stage = Stage::new();
        let id = Some(FrameworkId::new(strange));
        stage.subscribe(FrameworkInfo { id, ..framework("*", AWARE) });
        assert_eq!(stage.framework("*"), FrameworkId::new(next));
    };
    check("c-0041", "c-0042");
    check("elsewhere-0007", "c-0008");
    check("marathon", "c-0000");
    check("c-18446744073709551615", "c-0000");
    check("c-4294967295", "c-4294967296");
}
