//! What a change costs in a large cluster: what it touches. Counted in effects and records, not in seconds.

use std::time::Duration;

use kernel::Input;
use model::id::FrameworkId;
use model::scheduler::{Call, Filters, Offer};
use model::task::TaskState::{Finished, Running};

use crate::stage::{BIG, Stage, offers, task, told};

/// All agents are registered, all offers made and declined for long.
fn large(agents: u64) -> (Stage, FrameworkId, Offer) {
    let mut stage = Stage::unchecked();
    for n in 1..=agents {
        stage.agent(n, BIG);
    }
    let framework = stage.framework("*");
    let all = offers(&stage.settle());
    assert_eq!(all.len() as u64, agents);
    let first = all[0].clone();
    let rest = all[1..].iter().map(|offer| offer.id.clone()).collect();
    let filters = Filters { refuse: Duration::from_secs(3600) };
    stage.call(&framework, Call::Decline { offers: rest, filters });
    assert!(offers(&stage.settle()).is_empty());
    (stage, framework, first)
}

#[test]
fn a_change_among_ten_thousand_agents_costs_what_it_touches() {
    let (mut stage, framework, offer) = large(10_000);
    let records = stage.log.len();
    let effects = stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:128;ports:[1000-1000]")]);
    assert_eq!(told(&effects), ["Run t to 1"]);
    assert_eq!(stage.log.len() - records, 1);
    let rest = offers(&stage.settle());
    assert_eq!(rest.len(), 1, "only the agent that changed is looked at");
    let (_, effects) = stage.report(1, &framework, "t", Running, Running);
    assert_eq!(effects.len(), 1);
    assert_eq!(stage.log.len() - records, 1, "nothing durable has changed");
    stage.report(1, &framework, "t", Finished, Finished);
    assert_eq!(stage.log.len() - records, 2);
    assert_eq!(offers(&stage.settle()).len(), 1);
}

#[test]
fn no_step_makes_more_offers_than_a_round_holds() {
    let (mut stage, framework, _) = large(2_000);
    stage.call(&framework, Call::Revive { roles: vec![] });
    let mut largest = 0;
    let mut all = 0;
    while all < 1_999 {
        let made = offers(&stage.step(Input::Tick)).len();
        assert!(made > 0, "each tick makes progress");
        largest = largest.max(made);
        all += made;
    }
    assert_eq!(largest, 512);
}

#[test]
fn who_wants_one_place_is_not_shown_the_whole_cluster() {
    let (mut stage, framework, _) = large(2_000);
    stage.call(&framework, Call::Revive { roles: vec![] });
    let few = offers(&stage.step(Input::Tick));
    assert_eq!(few.len(), 16);
    stage.launch(&few[0], vec![task("t", &few[0], "cpus:1;mem:128")]);
    stage.call(&framework, Call::Suppress { roles: vec![] });
    assert!(stage.settle().is_empty());
}

#[test]
fn pings_of_many_agents_are_spread() {
    let mut stage = Stage::unchecked();
    for n in 1..=1_000 {
        stage.agent(n, "cpus:1;mem:64");
    }
    let mut busiest = 0;
    for _ in 0..15 {
        busiest = busiest.max(stage.live(Duration::from_secs(1)).len());
    }
    assert!(busiest < 150, "{busiest} of 1,000 within one of 15 seconds");
}
