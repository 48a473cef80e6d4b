//! Whose turn it is: dominant shares, weights, the tree of roles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kernel::{Config, Fairness, Record};
use model::framework::Capability;
use model::id::{Role, TaskId};
use model::machine::Machine;
use model::resources::Scalar;
use model::scheduler::Call;
use model::task::TaskState;

use crate::stage::{Stage, framework, offers, task};

/// How the tasks of a saturated cluster are spread over roles that all want as much as they get.
fn check(
    name: &str,
    agents: usize,
    weights: &[(&str, u64)],
    needs: &[(&str, &str)],
    got: &[usize],
) {
    let mut stage = Stage::new();
    for (role, weight) in weights {
        stage.kernel.apply(&Record::Weight(Role::new(*role), Some(Scalar::whole(*weight))));
    }
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    let mut frameworks = Vec::new();
    for (role, _) in needs {
        let id = stage.subscribe(framework(role, &[Capability::PartitionAware]));
        frameworks.push(id.clone());
        counts.insert(id, 0);
    }
    for n in 0..agents {
        stage.agent(u64::try_from(n).expect("few") + 1, "cpus:1;mem:1000");
    }
    let mut made = 0;
    loop {
        let offers = offers(&stage.settle());
        if offers.is_empty() {
            break;
        }
        for offer in offers {
            let at = frameworks.iter().position(|id| *id == offer.framework).expect("ours");
            made += 1;
            let launched = task(&format!("t{made}"), &offer, needs[at].1);
            stage.launch(&offer, vec![launched]);
            *counts.get_mut(&offer.framework).expect("ours") += 1;
        }
    }
    let counts: Vec<_> = frameworks.iter().map(|id| counts[id]).collect();
    assert_eq!(counts, got, "{name}");
}

#[test]
fn roles_get_shares_by_their_weights() {
    let whole = "cpus:1;mem:1000";
    check("two alike", 12, &[], &[("a", whole), ("b", whole)], &[6, 6]);
    check("twice the weight", 12, &[("a", 2)], &[("a", whole), ("b", whole)], &[8, 4]);
    check("two in one role", 12, &[], &[("a", whole), ("a", whole), ("b", whole)], &[3, 3, 6]);
    check(
        "a role and one below it",
        12,
        &[],
        &[("a", whole), ("a/x", whole), ("b", whole)],
        &[3, 3, 6],
    );
    check(
        "weights below a role share what the role gets",
        12,
        &[("a/x", 2)],
        &[("a/x", whole), ("a/y", whole), ("b", whole)],
        &[4, 2, 6],
    );
}

#[test]
fn what_counts_is_the_dominant_share() {
    // One holds a whole agent's cpus and little memory, the other the reverse: their dominant shares are alike.
    let needs = [("a", "cpus:1;mem:990"), ("b", "cpus:0.999;mem:1000")];
    check("cpus and memory", 10, &[], &needs, &[5, 5]);
}

#[test]
fn a_newcomer_is_served_first() {
    let mut stage = Stage::new();
    stage.framework("a");
    for n in 1..=4 {
        stage.agent(n, "cpus:1;mem:1000");
    }
    for offer in offers(&stage.settle()) {
        stage.launch(&offer, vec![task(offer.id.as_str(), &offer, "cpus:1;mem:1000")]);
    }
    let newcomer = stage.framework("b");
    stage.agent(5, "cpus:1;mem:1000");
    stage.agent(6, "cpus:1;mem:1000");
    let to: Vec<_> = offers(&stage.settle()).into_iter().map(|offer| offer.framework).collect();
    assert_eq!(to, [newcomer.clone(), newcomer]);
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// Whoever got the last of what there was had no more than the others just before, at every level of the tree.
fn shares_are_within_one_task(counts: &BTreeMap<Role, u64>, weights: &BTreeMap<Role, u64>) {
    let mut sums: BTreeMap<Role, u64> = BTreeMap::new();
    for (role, count) in counts {
        role.up().for_each(|at| *sums.entry(at).or_default() += count);
    }
    let parent = |role: &Role| role.up().nth(1);
    let weight = |role: &Role| weights.get(role).copied().unwrap_or(1);
    for (one, sum) in &sums {
        for (other, theirs) in sums.iter().filter(|(other, _)| parent(other) == parent(one)) {
            assert!(
                sum.saturating_sub(1) * weight(other) <= theirs * weight(one),
                "{one} has {sum} at weight {}, {other} has {theirs} at weight {}",
                weight(one),
                weight(other)
            );
        }
    }
}

#[test]
fn shares_are_within_one_task_of_ideal_when_all_want_more() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut stage = Stage::unchecked();
        let (mut weights, mut frameworks) = (BTreeMap::new(), BTreeMap::new());
        for n in 0..2 + dice.roll(8) {
            let name = match dice.roll(3) {
                0 => format!("r{n}"),
                1 => format!("a/r{n}"),
                _ => format!("a/b/r{n}"),
            };
            for role in Role::new(name.as_str()).up() {
                if dice.roll(2) == 0 && !weights.contains_key(&role) {
                    let weight = 1 + dice.roll(5);
                    let record = Record::Weight(role.clone(), Some(Scalar::whole(weight)));
                    stage.kernel.apply(&record);
                    weights.insert(role, weight);
                }
            }
            frameworks.insert(stage.framework(&name), Role::new(name));
        }
        for n in 0..20 + dice.roll(150) {
            stage.agent(n + 1, "cpus:1;mem:1000");
        }
        // One task to an agent, for each uses all of its cpus or all of its memory.
        let mut counts: BTreeMap<Role, u64> = BTreeMap::new();
        loop {
            let offers = offers(&stage.settle());
            if offers.is_empty() {
                break;
            }
            for offer in offers {
                let by_cpus = dice.roll(2) == 0;
                let needs = if by_cpus { "cpus:1;mem:600" } else { "cpus:0.4;mem:1000" };
                let launched = task(offer.id.as_str(), &offer, needs);
                *counts.entry(offer.role.clone()).or_default() += 1;
                stage.launch(&offer, vec![launched]);
            }
        }
        for role in frameworks.into_values() {
            counts.entry(role).or_default();
        }
        shares_are_within_one_task(&counts, &weights);
    }
}

/// A role has had all of six agents for three minutes when its tasks end; after a pause it wants them again, and so does one
/// that has had nothing: how many of them the late one is offered.
fn after_long(over: Option<Duration>, pause: Duration) -> usize {
    let fairness = Fairness { over, ..Fairness::default() };
    let mut stage = Stage::with(Config { fairness, ..Config::default() });
    let greedy = stage.framework("greedy");
    for n in 1..=6 {
        stage.agent(n, "cpus:1;mem:1000");
    }
    let first = offers(&stage.settle());
    for (nth, offer) in first.iter().enumerate() {
        stage.launch(offer, vec![task(&format!("t{nth}"), offer, "cpus:1;mem:1000")]);
    }
    stage.call(&greedy, Call::Suppress { roles: vec![] });
    stage.live(Duration::from_secs(180));
    let late = stage.framework("late");
    stage.call(&late, Call::Suppress { roles: vec![] });
    for (nth, offer) in first.iter().enumerate() {
        let id = offer.agent_id.as_str();
        let at: u64 = id.rsplit_once('S').expect("an S").1.parse().expect("and a number");
        let (ended, task) = (TaskState::Finished, format!("t{nth}"));
        stage.report(at + 1, &greedy, &task, ended, ended);
    }
    stage.live(pause);
    stage.call(&greedy, Call::Revive { roles: vec![] });
    stage.call(&late, Call::Revive { roles: vec![] });
    offers(&stage.settle()).iter().filter(|offer| offer.framework == late).count()
}

#[test]
fn who_has_had_all_for_long_comes_after_who_has_had_nothing_if_the_past_counts() {
    let check = |over: Option<u64>, pause: u64, late: usize| {
        let (over, pause) = (over.map(Duration::from_secs), Duration::from_secs(pause));
        assert_eq!(after_long(over, pause), late, "over {over:?}, after {pause:?}");
    };
    check(None, 0, 3);
    check(Some(60), 0, 6);
    // It fades.
    check(Some(60), 60, 4);
    check(Some(1), 60, 3);
}

#[test]
fn whoever_waits_is_served_in_the_end_however_much_it_has_had() {
    let over = Some(Duration::from_secs(600));
    let fairness = Fairness { over, ..Fairness::default() };
    let mut stage = Stage::with(Config { fairness, ..Config::default() });
    stage.agent(1, "cpus:1;mem:1000");
    let frameworks = [stage.framework("a"), stage.framework("b")];
    let mut served = BTreeMap::new();
    // One agent and two who want it for ten minutes at a time: they take turns.
    for nth in 0..20 {
        stage.pass(Duration::from_secs(1));
        let view = stage.kernel.view();
        let offer = view.offers.values().next().cloned();
        let offer = offer.unwrap_or_else(|| Arc::new(offers(&stage.settle()).remove(0)));
        *served.entry(offer.role.to_string()).or_insert(0) += 1;
        let (id, framework) = (format!("t{nth}"), offer.framework.clone());
        stage.launch(&offer, vec![task(&id, &offer, "cpus:1;mem:1000")]);
        stage.live(Duration::from_secs(600));
        let (uuid, _) = stage.report(1, &framework, &id, TaskState::Finished, TaskState::Finished);
        let agent = offer.agent_id.clone();
        stage.call(&framework, Call::Acknowledge { agent, task: TaskId::new(id), uuid });
        frameworks.iter().for_each(|id| drop(stage.call(id, Call::Revive { roles: vec![] })));
    }
    assert_eq!(served.values().copied().collect::<Vec<_>>(), [10, 10], "{served:?}");
}
