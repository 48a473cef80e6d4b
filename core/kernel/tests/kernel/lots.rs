//! Roles and frameworks whose turns are drawn by lot.

use kernel::{Config, Fairness, Gpus, OfferRules, Record, Sorter};
use model::framework::Capability;
use model::id::Role;
use model::machine::Machine;
use model::resources::Scalar;

use crate::stage::{Stage, framework, offers, task};

const AGENTS: u64 = 600;

/// Each of the four in turn.
pub(crate) fn fairness(seed: u64) -> Fairness {
    let sorter = |seed: u64| if seed.is_multiple_of(2) { Sorter::Drf } else { Sorter::Random };
    // In half of the runs what was held counts as well.
    let over = (seed / 4).is_multiple_of(2).then(|| std::time::Duration::from_secs(60));
    Fairness { roles: sorter(seed), frameworks: sorter(seed / 2), over }
}

fn stage(roles: Sorter, frameworks: Sorter) -> Stage {
    let fairness = Fairness { roles, frameworks, ..Fairness::default() };
    Stage::with_unchecked(Config { fairness, ..Config::default() })
}

/// To whom the agents' offers go, each role's or framework's number in the order of the offers.
fn served(stage: &mut Stage, roles: &[(&str, u64)]) -> Vec<usize> {
    let mut frameworks = Vec::new();
    for (role, weight) in roles {
        let weight = Some(Scalar::whole(*weight));
        stage.kernel.apply(&Record::Weight(Role::new(*role), weight));
        frameworks.push(stage.subscribe(framework(role, &[])));
    }
    for n in 0..AGENTS {
        stage.agent(n + 1, "cpus:1;mem:1000");
    }
    let made = offers(&stage.settle());
    let mut made: Vec<_> = made.into_iter().map(|offer| (offer.id, offer.framework)).collect();
    made.sort_by_key(|(id, _)| {
        id.as_str().rsplit_once('O').expect("O and a number").1.parse::<u64>().expect("a number")
    });
    let at = |id| frameworks.iter().position(|one| *one == id).expect("ours");
    made.into_iter().map(|(_, id)| at(id)).collect()
}

#[test]
fn lots_are_drawn_by_weight() {
    let check = |sorters: (Sorter, Sorter), roles: &[(&str, u64)], ideal: &[usize]| {
        let mut stage = stage(sorters.0, sorters.1);
        let served = served(&mut stage, roles);
        for (n, ideal) in ideal.iter().enumerate() {
            let count = served.iter().filter(|one| **one == n).count();
            assert!(
                count.abs_diff(*ideal) < 70,
                "{sorters:?} {roles:?}: {n} got {count}, not {ideal}"
            );
        }
        // Fair shares take turns; lots do not.
        let runs = served.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(runs > 50, "{sorters:?} {roles:?}: {served:?}");
    };
    let lots = (Sorter::Random, Sorter::Random);
    check(lots, &[("a", 1), ("b", 1)], &[300, 300]);
    check(lots, &[("a", 2), ("b", 1)], &[400, 200]);
    check(lots, &[("a/x", 1), ("a/y", 3), ("b", 1)], &[75, 225, 300]);
    check(lots, &[("a", 1), ("a/x", 2)], &[200, 400]);
    check((Sorter::Drf, Sorter::Random), &[("a", 1), ("a", 1)], &[300, 300]);
    check((Sorter::Random, Sorter::Drf), &[("a", 1), ("b", 5)], &[100, 500]);
}

#[test]
fn lots_are_the_same_for_the_same_inputs_and_others_for_another_leader() {
    let run = |restarts: u64| {
        let mut stage = stage(Sorter::Random, Sorter::Random);
        (0..restarts).for_each(|_| stage.restart());
        served(&mut stage, &[("a", 1), ("b", 1)])
    };
    assert_eq!(run(0), run(0));
    assert_ne!(run(0), run(1));
}

#[test]
fn gpus_are_a_share_unless_they_are_scarce() {
    let check = |gpus: Gpus, expected: &str| {
        let offers_rules = OfferRules { gpus, ..OfferRules::default() };
        let mut stage = Stage::with(Config { offers: offers_rules, ..Config::default() });
        let capable = [Capability::GpuResources];
        stage.agent(1, "cpus:1;mem:1000;gpus:1");
        stage.agent(2, "cpus:10;mem:1000");
        // The one holds the only gpu, the other most of the processors.
        let first = stage.subscribe(framework("gpu", &capable));
        for offer in offers(&stage.settle()) {
            match offer.resources.gpus().is_zero() {
                true => drop(stage.decline(&offer, 3_600)),
                false => {
                    let needs = "cpus:0.1;mem:32;gpus:1";
                    drop(stage.launch(&offer, vec![task("t", &offer, needs)]));
                }
            }
        }
        stage.settle();
        let second = stage.subscribe(framework("cpu", &capable));
        for offer in offers(&stage.settle()) {
            stage.launch(&offer, vec![task(offer.id.as_str(), &offer, "cpus:5;mem:500")]);
        }
        stage.agent(3, "cpus:1;mem:1000");
        let to =
            offers(&stage.settle()).into_iter().find(|offer| offer.agent_id.as_str() == "c-S2");
        let to = to.expect("it is offered").framework;
        let name = if to == first { "gpu" } else { "cpu" };
        assert!(to == first || to == second);
        assert_eq!(name, expected, "{gpus:?}");
    };
    check(Gpus::Scarce, "gpu");
    check(Gpus::Plenty, "cpu");
}
