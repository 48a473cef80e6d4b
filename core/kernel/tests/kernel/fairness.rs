//! Whose turn it is: dominant shares, weights, the tree of roles.

use std::collections::BTreeMap;

use kernel::Record;
use model::framework::Capability;
use model::id::Role;
use model::machine::Machine;
use model::resources::Scalar;

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
