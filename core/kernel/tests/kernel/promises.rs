//! What a role is promised is left for it, whoever asks first.

use std::collections::BTreeMap;

use kernel::operator::Order;
use kernel::quota::{Quantities, Quota};
use kernel::view::View;
use kernel::{Config, Effect, Input, OfferRules};
use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Resources, Scalar};
use model::scheduler::{Call, Offer};
use model::task::TaskState::{Finished, Running};

use crate::stage::{Stage, bag, framework, offers, task, told};

fn amounts(text: &str) -> Quantities {
    let all: Resources = bag(text);
    all.iter().map(|one| (one.name.clone(), one.scalar())).collect()
}

/// However little memory others have left: here the promises are of processors.
fn stage() -> Stage {
    let minima = vec![BTreeMap::from([(ResourceName::Cpus, Scalar(10))])];
    let offers = OfferRules { minima, ..OfferRules::default() };
    Stage::with(Config { offers, ..Config::default() })
}

/// Each promised so much, without limits.
fn promise(stage: &mut Stage, promises: &[(&str, &str)]) -> Vec<Effect> {
    let quota = |(role, promised): &(&str, &str)| {
        let limits = Quantities::default();
        (Role::new(*role), Quota { limits, guarantees: amounts(promised) })
    };
    let quotas = promises.iter().map(quota).collect();
    stage.step(Input::Operator { order: Order::UpdateQuota { quotas, force: true } })
}

fn cpus(offers: &[Offer], role: &str) -> u64 {
    let of_role = offers.iter().filter(|offer| offer.role.as_str() == role);
    of_role.map(|offer| offer.resources.cpus().0).sum()
}

#[test]
fn others_get_what_is_not_promised() {
    let check = |promises: &[(&str, &str)], roles: &[&str], got: &[u64]| {
        let mut stage = stage();
        promise(&mut stage, promises);
        for n in 1..=4 {
            stage.agent(n, "cpus:2;mem:1000");
        }
        let mut made = Vec::new();
        for role in roles {
            stage.subscribe(framework(role, &[]));
            made.extend(offers(&stage.settle()));
        }
        let sums: Vec<u64> = roles.iter().map(|role| cpus(&made, role)).collect();
        assert_eq!(sums, got, "{promises:?} to {roles:?}");
    };
    check(&[], &["b", "a"], &[8_000, 0]);
    check(&[("a", "cpus:5")], &["b", "a"], &[3_000, 5_000]);
    check(&[("a", "cpus:5")], &["a", "b"], &[8_000, 0]);
    check(&[("a", "cpus:8")], &["b", "a"], &[0, 8_000]);
    check(&[("a", "cpus:5"), ("c", "cpus:2")], &["b", "a", "c"], &[1_000, 5_000, 2_000]);
    check(&[("a", "cpus:5"), ("c", "cpus:2")], &["a", "b", "c"], &[6_000, 0, 2_000]);
    // What is promised within a role is promised to it first.
    let nested = [("a", "cpus:6"), ("a/x", "cpus:4")];
    check(&nested, &["b", "a/y", "a/x"], &[2_000, 2_000, 4_000]);
    check(&nested, &["a/y", "b", "a/x"], &[4_000, 0, 4_000]);
    check(&nested, &["a", "b", "a/x"], &[4_000, 0, 4_000]);
    check(&nested, &["a/x", "b"], &[8_000, 0]);
    // Of what nobody is promised everybody may have all.
    check(&[("a", "gpus:5")], &["b", "a"], &[8_000, 0]);
    // More than there is: nothing is left for others.
    check(&[("a", "cpus:9")], &["b", "a"], &[0, 8_000]);
}

#[test]
fn who_was_kept_back_gets_more_once_a_promise_is_met_or_gone() {
    let mut stage = stage();
    promise(&mut stage, &[("a", "cpus:6")]);
    stage.agent(1, "cpus:4;mem:1000");
    stage.agent(2, "cpus:4;mem:1000");
    let b = stage.framework("b");
    let first = offers(&stage.settle());
    assert_eq!(cpus(&first, "b"), 2_000);
    stage.launch(&first[0], vec![task("b1", &first[0], "cpus:2;mem:100")]);
    assert!(offers(&stage.settle()).is_empty(), "the rest is promised");
    // An agent comes: it is nobody's.
    stage.agent(3, "cpus:1;mem:1000");
    let more = offers(&stage.settle());
    assert_eq!(cpus(&more, "b"), 1_000);
    stage.launch(&more[0], vec![task("b2", &more[0], "cpus:1;mem:100")]);
    assert!(offers(&stage.settle()).is_empty());
    // A task ends.
    stage.report(1, &b, "b1", Running, Finished);
    let again = offers(&stage.settle());
    assert_eq!(cpus(&again, "b"), 2_000);
    stage.launch(&again[0], vec![task("b3", &again[0], "cpus:2;mem:100")]);
    // The promise goes.
    promise(&mut stage, &[("a", "")]);
    assert_eq!(cpus(&offers(&stage.settle()), "b"), 6_000);
}

#[test]
fn a_promise_takes_back_offers_that_it_needs_and_no_more() {
    let mut stage = stage();
    for n in 1..=4 {
        stage.agent(n, "cpus:2;mem:1000");
    }
    stage.framework("b");
    assert_eq!(offers(&stage.settle()).len(), 4);
    let effects = promise(&mut stage, &[("a", "cpus:3")]);
    assert_eq!(told(&effects), ["Rescind", "Rescind"]);
    assert_eq!(cpus(&offers(&stage.settle()), "b"), 1_000);
    stage.framework("a");
    assert_eq!(cpus(&offers(&stage.settle()), "a"), 3_000);
}

/// What all promises need that is not held yet: of a role at least what those below it need.
fn needed(view: &View, role: Option<&Role>) -> u64 {
    let consumption = view.consumption();
    let parent = |role: &Role| role.up().skip(1).find(|above| view.quotas.contains_key(above));
    let children = view.quotas.keys().filter(|one| parent(one).as_ref() == role);
    let below: u64 = children.map(|child| needed(view, Some(child))).sum();
    let Some(role) = role else { return below };
    let promised = view.quotas[role].guarantees.get(&ResourceName::Cpus).unwrap_or_default().0;
    let used = consumption.get(role).and_then(|all| all.get(&ResourceName::Cpus));
    let offered = view.offers.values().filter(|offer| offer.role.is_within(role));
    let offered: u64 = offered.map(|offer| offer.resources.unreserved().cpus().0).sum();
    below.max(promised.saturating_sub(used.unwrap_or_default().0 + offered))
}

fn free(view: &View) -> u64 {
    let all = view.agents.values().map(|agent| {
        let used: u64 = agent.in_use.values().map(|held| held.unreserved().cpus().0).sum();
        agent.total().unreserved().cpus().0 - used
    });
    let offered: u64 = view.offers.values().map(|one| one.resources.unreserved().cpus().0).sum();
    all.sum::<u64>() - offered
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn no_offer_takes_what_somebody_else_is_promised() {
    const ROLES: [&str; 5] = ["a", "a/x", "a/y", "b", "c"];
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let mut stage = stage();
        for n in 1..=5 {
            stage.agent(n, "cpus:4;mem:1000;cpus(c):1");
        }
        let frameworks: Vec<FrameworkId> = ROLES.map(|role| stage.framework(role)).into();
        let mut running: BTreeMap<String, Offer> = BTreeMap::new();
        for n in 0..60 {
            let before = stage.kernel.view();
            let turn = dice.roll(8);
            // What is promised anew may be in use by others.
            let was_kept = turn > 0 && needed(&before, None) <= free(&before);
            match turn {
                0 => {
                    let x = dice.roll(5);
                    let a = x + dice.roll(5);
                    let amounts = [a, x, dice.roll(6)].map(|cpus| format!("cpus:{cpus}"));
                    let names = ["a", "a/x", "b"];
                    let promises = names.iter().zip(&amounts);
                    let promises: Vec<_> =
                        promises.map(|(role, all)| (*role, all.as_str())).collect();
                    promise(&mut stage, &promises);
                }
                1 => {
                    let at = usize::try_from(dice.roll(5)).expect("few");
                    stage.call(&frameworks[at], Call::Revive { roles: vec![] });
                }
                2 => {
                    if let Some((id, offer)) = running.pop_first() {
                        let agent = offer.agent_id.as_str().trim_start_matches("c-S");
                        let connection = agent.parse::<u64>().expect("a number") + 1;
                        stage.report(connection, &offer.framework, &id, Running, Finished);
                    }
                }
                _ => {
                    let open: Vec<_> = stage.kernel.view().offers.values().cloned().collect();
                    for offer in open.iter().take(2) {
                        let size = Scalar(1 + dice.roll(2_000))
                            .0
                            .min(offer.resources.unreserved().cpus().0);
                        if size == 0 || dice.roll(3) == 0 {
                            stage.decline(offer, dice.roll(3));
                            continue;
                        }
                        let id = format!("t{n}-{}", offer.id);
                        let needs = format!("cpus:{};mem:32", Scalar(size));
                        stage.launch(offer, vec![task(&id, offer, &needs)]);
                        running.insert(id, offer.as_ref().clone());
                    }
                }
            }
            stage.pass(std::time::Duration::from_millis(700));
            let view = stage.kernel.view();
            let (needed, free) = (needed(&view, None), free(&view));
            assert!(!was_kept || needed <= free, "seed {seed}: {needed} of {free}");
        }
    }
}
