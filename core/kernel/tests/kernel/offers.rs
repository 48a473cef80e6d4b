//! Offers: what is in them, who gets them, and when again.

use std::time::Duration;

use kernel::{Effect, Input};
use model::framework::Capability;
use model::id::{OfferId, Role};
use model::machine::Machine;
use model::scheduler::{Call, Event, Filters, Operation};
use model::task::TaskState::{Finished, Running};

use crate::stage::{BIG, Stage, bag, framework, offers, register, task, told};

#[test]
fn an_offer_holds_all_that_the_role_may_use() {
    let check = |resources: &str, role: &str, capabilities: &[Capability], offered: &str| {
        let mut stage = Stage::new();
        stage.agent(1, resources);
        stage.subscribe(framework(role, capabilities));
        let all: Vec<_> =
            offers(&stage.settle()).iter().map(|offer| offer.resources.clone()).collect();
        let offered = bag(offered);
        assert_eq!(
            all,
            Vec::from_iter((!offered.is_empty()).then_some(offered)),
            "{resources} to {role}"
        );
    };
    check("cpus:4;mem:64;ports:[1-9]", "*", &[], "cpus:4;mem:64;ports:[1-9]");
    check("cpus:4;mem:64;cpus(a):2;mem(b):1", "a", &[], "cpus:4;mem:64;cpus(a):2");
    check("cpus(a):2;mem(a):64", "a/b", &[], "cpus(a):2;mem(a):64");
    check("cpus(a):2;mem(a):64", "b", &[], "");
    check("cpus:4;mem:31", "*", &[], "");
    check("cpus:0.009;mem:64", "*", &[], "");
    check("cpus:4;mem:64;ports(b):[1-9]", "a", &[], "");
    check("cpus:4;mem:64;gpus:1", "*", &[], "");
    check("cpus:4;mem:64;gpus:1", "*", &[Capability::GpuResources], "cpus:4;mem:64;gpus:1");
}

#[test]
fn what_is_declined_is_not_offered_again_before_its_time() {
    let check = |seconds: u64, silent_ms: u64| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        stage.framework("*");
        let offer = offers(&stage.settle()).remove(0);
        stage.decline(&offer, seconds);
        assert!(offers(&stage.pass(Duration::from_millis(silent_ms - 1))).is_empty(), "{seconds}");
        assert_eq!(offers(&stage.pass(Duration::from_millis(1))).len(), 1, "{seconds}");
    };
    check(5, 5_000);
    check(0, 1_000);
    check(60, 60_000);
}

#[test]
fn a_filter_ends_when_more_is_free_or_with_a_revival() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let framework = stage.framework("*");
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:128")]);
    let rest = offers(&stage.settle()).remove(0);
    assert_eq!(rest.resources, bag("cpus:3;mem:3968;disk:1000;ports:[1000-1999]"));
    stage.decline(&rest, 3600);
    assert!(offers(&stage.settle()).is_empty());
    stage.report(1, &framework, "t", Running, Finished);
    let more = offers(&stage.settle()).remove(0);
    assert_eq!(
        more.resources,
        bag(BIG),
        "a filter refuses what was refused, not what was not there"
    );
    stage.decline(&more, 3600);
    stage.call(&framework, Call::Revive { roles: vec![Role::new("other")] });
    assert!(offers(&stage.settle()).is_empty(), "another role's revival is not ours");
    stage.call(&framework, Call::Revive { roles: vec![] });
    assert_eq!(offers(&stage.settle()).len(), 1);
}

#[test]
fn what_is_not_used_of_an_offer_is_filtered_as_asked() {
    let check = |refuse: u64, again_at_once: usize| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        let framework = stage.framework("*");
        let offer = offers(&stage.settle()).remove(0);
        let call = Call::Accept {
            offers: vec![offer.id.clone()],
            operations: vec![Operation::Launch(vec![task("t", &offer, "cpus:1;mem:64")])],
            filters: Filters { refuse: Duration::from_secs(refuse) },
        };
        stage.call(&framework, call);
        assert_eq!(offers(&stage.settle()).len(), again_at_once, "{refuse} s");
        assert_eq!(offers(&stage.pass(Duration::from_secs(refuse))).len(), 1 - again_at_once);
    };
    check(0, 1);
    check(5, 0);
}

#[test]
fn one_framework_s_refusal_is_another_s_chance() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    stage.framework("a");
    let second = stage.framework("b");
    let offer = offers(&stage.settle()).remove(0);
    stage.decline(&offer, 60);
    let next = offers(&stage.settle());
    assert_eq!((next.len(), &next[0].framework), (1, &second));
}

#[test]
fn who_wants_nothing_gets_nothing() {
    let mut stage = Stage::new();
    let framework = stage.framework("*");
    stage.call(&framework, Call::Suppress { roles: vec![] });
    stage.agent(1, BIG);
    assert!(offers(&stage.settle()).is_empty());
    assert!(stage.kernel.view().frameworks[&framework].suppressed);
    stage.call(&framework, Call::Revive { roles: vec![] });
    assert_eq!(offers(&stage.settle()).len(), 1);
    assert!(!stage.kernel.view().frameworks[&framework].suppressed);
}

#[test]
fn each_role_of_a_framework_wants_for_itself() {
    let mut stage = Stage::new();
    let mut info = framework("a", &[Capability::MultiRole]);
    info.roles.push(Role::new("b"));
    let framework = stage.subscribe(info);
    stage.call(&framework, Call::Suppress { roles: vec![Role::new("a")] });
    stage.agent(1, "cpus:1;mem:64;cpus(a):1;mem(a):64");
    let all = offers(&stage.settle());
    assert_eq!((all.len(), all[0].role.as_str()), (1, "b"));
    assert_eq!(all[0].resources, bag("cpus:1;mem:64"));
    stage.call(&framework, Call::Revive { roles: vec![Role::new("a")] });
    let all = offers(&stage.settle());
    assert_eq!(all[0].resources, bag("cpus(a):1;mem(a):64"), "what is left of the agent");
}

#[test]
fn an_offer_that_nobody_answers_is_rescinded_and_made_again() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    stage.framework("*");
    let offer = offers(&stage.settle()).remove(0);
    let effects = stage.pass(Duration::from_secs(120));
    assert_eq!(told(&effects), ["Rescind"]);
    assert_eq!(offers(&effects).len(), 1);
    let effects = stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:64")]);
    assert_eq!(told(&effects), ["Dropped t InvalidOffers"]);
}

#[test]
fn offers_of_an_earlier_leader_are_strangers() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let framework = stage.framework("*");
    let old = offers(&stage.settle()).remove(0);
    stage.restart();
    let mut info = stage.kernel.state().frameworks[&framework].info.as_ref().clone();
    info.id = Some(framework);
    stage.step(Input::Subscribe { info });
    let agent = old.agent_id.clone();
    stage.hear(2, register(Some(&agent), BIG, vec![]));
    let new = offers(&stage.settle()).remove(0);
    assert_ne!(old.id, new.id);
    let effects = stage.launch(&old, vec![task("t", &old, "cpus:1;mem:64")]);
    assert_eq!(told(&effects), ["Dropped t InvalidOffers"]);
}

#[test]
fn rounds_of_offers_begin_small_and_go_around() {
    let mut stage = Stage::new();
    for n in 1..=100 {
        stage.agent(n, BIG);
    }
    let framework = stage.framework("*");
    let mut seen: Vec<OfferId> = Vec::new();
    let mut sizes = Vec::new();
    while stage.kernel.wake_at().is_some_and(|at| at <= stage.now) {
        let effects = stage.step(Input::Tick);
        sizes.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Event(_, Event::Offers(offers)) => Some(offers.len()),
            Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
        }));
        seen.extend(offers(&effects).into_iter().map(|offer| offer.id));
    }
    assert_eq!((sizes, seen.len()), (vec![16, 32, 52], 100));
    let offers_held = stage.kernel.view().offers.clone();
    let filters = Filters { refuse: Duration::from_secs(60) };
    stage.call(&framework, Call::Decline { offers: seen, filters });
    let walk = |stage: &mut Stage| {
        stage.call(&framework, Call::Revive { roles: vec![] });
        let first = offers(&stage.step(Input::Tick));
        stage.call(&framework, Call::Suppress { roles: vec![] });
        let ids = first.iter().map(|offer| offer.id.clone()).collect();
        stage.call(&framework, Call::Decline { offers: ids, filters });
        first.iter().map(|offer| offer.agent_id.clone()).collect::<Vec<_>>()
    };
    let (one, two) = (walk(&mut stage), walk(&mut stage));
    assert!(
        one.iter().all(|agent| !two.contains(agent)),
        "the next walk goes on where the last ended"
    );
    stage.call(&framework, Call::Revive { roles: vec![] });
    let around = offers(&stage.settle());
    let first = around[0].agent_id.clone();
    let ids = around.into_iter().map(|offer| offer.id).collect();
    stage.call(&framework, Call::Decline { offers: ids, filters });
    assert_eq!(walk(&mut stage)[0], first, "after full circle it begins where it began");
    assert_eq!(offers_held.len(), 100, "a snapshot does not change");
}
