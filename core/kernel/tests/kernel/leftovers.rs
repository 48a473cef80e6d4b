//! Frameworks that leave much behind: it is cleared away in turns, and nothing of it counts any more.

use std::time::Duration;

use kernel::{Effect, Input};
use model::agent::ToAgent;
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, FrameworkId};
use model::scheduler::{Call, Event, Filters, Offer};
use model::task::TaskState;

use crate::stage::{BIG, Stage, framework, held, offers, register, task, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];
const AGENTS: u64 = 3_000;

/// A framework that was offered all agents.
fn much_offered() -> (Stage, FrameworkId, Vec<Offer>) {
    let mut stage = Stage::unchecked();
    for n in 1..=AGENTS {
        stage.agent(n, BIG);
    }
    let framework = stage.framework("*");
    let all = offers(&stage.settle());
    assert_eq!(all.len() as u64, AGENTS);
    (stage, framework, all)
}

fn come_back(stage: &mut Stage, id: &FrameworkId) -> Vec<Effect> {
    let known = stage.kernel.state().frameworks[id].info.as_ref().clone();
    stage.step(Input::Subscribe { info: FrameworkInfo { id: Some(id.clone()), ..known } })
}

/// The last of the former offers keeps its resources for a while.
fn still_held(stage: &Stage, before: &[Offer]) -> Offer {
    let view = stage.kernel.view();
    let held = before.iter().rev().find(|offer| view.offers.contains_key(&offer.id));
    held.expect("not all is cleared away in one turn").clone()
}

#[test]
fn all_agents_are_offered_again_to_who_comes_back() {
    let (mut stage, framework, before) = much_offered();
    come_back(&mut stage, &framework);
    still_held(&stage, &before);
    let after = offers(&stage.settle());
    assert_eq!(after.len() as u64, AGENTS);
    assert!(before.iter().all(|old| after.iter().all(|new| new.id != old.id)));
    stage.kernel.audit();
}

#[test]
fn an_offer_of_a_former_subscription_is_void_at_once() {
    let check = |answer: &dyn Fn(&Offer) -> Call, expected: &[&str]| {
        let (mut stage, framework, before) = much_offered();
        come_back(&mut stage, &framework);
        let old = still_held(&stage, &before);
        assert_eq!(told(&stage.call(&framework, answer(&old))), expected);
        let after = offers(&stage.settle());
        assert_eq!(after.len() as u64, AGENTS, "nothing of it is refused");
        stage.kernel.audit();
    };
    let filters = || Filters { refuse: Duration::from_secs(3600) };
    let launch = |offer: &Offer| {
        let tasks = vec![task("t", offer, "cpus:1;mem:128")];
        let operations = vec![model::scheduler::Operation::Launch(tasks)];
        Call::Accept { offers: vec![offer.id.clone()], operations, filters: filters() }
    };
    let decline =
        |offer: &Offer| Call::Decline { offers: vec![offer.id.clone()], filters: filters() };
    check(&launch, &["Dropped t InvalidOffers"]);
    check(&decline, &[]);
}

#[test]
fn nobody_is_told_that_a_void_offer_ends_with_its_agent() {
    let (mut stage, framework, before) = much_offered();
    come_back(&mut stage, &framework);
    let old = still_held(&stage, &before);
    for n in 1..=AGENTS {
        let effects = stage.lose(n);
        let rescinded =
            |one: &Effect| matches!(one, Effect::Event(_, Event::Rescind(id)) if *id == old.id);
        assert!(!effects.iter().any(rescinded));
    }
    stage.settle();
    assert!(stage.kernel.view().offers.is_empty());
    stage.kernel.audit();
}

#[test]
fn every_agent_is_told_once_of_a_framework_that_is_over() {
    let (mut stage, framework, _) = much_offered();
    let mut effects = stage.call(&framework, Call::Teardown);
    let is_shutdown = |one: &&Effect| matches!(one, Effect::ToAgent(_, ToAgent::Shutdown { .. }));
    assert!(effects.iter().filter(is_shutdown).count() < 2_000, "in one turn");
    effects.extend(stage.settle());
    assert_eq!(effects.iter().filter(is_shutdown).count() as u64, AGENTS);
    assert!(stage.kernel.view().offers.is_empty());
    stage.kernel.audit();
}

#[test]
fn tasks_that_nobody_waits_for_are_over_with_their_framework() {
    let mut stage = Stage::unchecked();
    let id = stage.subscribe(framework("*", AWARE));
    let agent = AgentId::new("many");
    let ids: Vec<String> = (0..3_000).map(|n| format!("t{n}")).collect();
    let tasks = ids.iter().map(|task| held(&id, &agent, task, "cpus:0.001", TaskState::Running));
    stage.hear(1, register(Some(&agent), BIG, tasks.collect()));
    stage.settle();
    stage.lose(1);
    while stage.state_of(&id, "t0") != Some(TaskState::Unreachable) {
        stage.pass(Duration::from_secs(15));
    }
    stage.call(&id, Call::Teardown);
    let left = |stage: &Stage| stage.kernel.view().tasks.get(&id).map_or(0, imbl::OrdMap::len);
    assert!(left(&stage) > 1_000, "not all in one turn");
    stage.settle();
    assert_eq!(left(&stage), 0);
    stage.kernel.audit();
}
