//! Quotas: what operators may set, and that no role ever uses more than its limit.

use std::time::Duration;

use kernel::operator::Order;
use kernel::quota::{Quantities, Quota};
use kernel::{Effect, Input, Refusal};
use model::id::Role;
use model::resources::{ResourceName, Resources};
use model::scheduler::{Call, Event};
use model::task::TaskState::{Finished, Running};

use crate::stage::{BIG, Stage, bag, offers, register, task, told};

/// As in a bag of resources, but zero is a limit too.
fn amounts(text: &str) -> Quantities {
    let parts = text.split(';').filter(|part| !part.is_empty());
    let part = |part: &str| {
        let (name, amount) = part.split_once(':').expect("name:amount");
        (ResourceName::from(name), amount.parse().expect("a number"))
    };
    parts.map(part).collect()
}

/// One role's quota.
fn limited(role: &str, limits: &str) -> (Role, Quota) {
    (Role::new(role), Quota { limits: amounts(limits), ..Quota::default() })
}

fn promised(role: &str, guarantees: &str, limits: &str) -> (Role, Quota) {
    let (guarantees, limits) = (amounts(guarantees), amounts(limits));
    (Role::new(role), Quota { limits, guarantees })
}

fn order(stage: &mut Stage, order: Order) -> Result<Vec<Effect>, Refusal> {
    let (done, effects) = stage.try_step(Input::Operator { order });
    done.map(|()| effects)
}

fn update(stage: &mut Stage, quotas: Vec<(Role, Quota)>) -> Result<Vec<Effect>, Refusal> {
    order(stage, Order::UpdateQuota { quotas, force: false })
}

fn force(stage: &mut Stage, quotas: Vec<(Role, Quota)>) -> Vec<Effect> {
    order(stage, Order::UpdateQuota { quotas, force: true }).expect("it was forced")
}

/// What the role is offered of agents like this, one after the other, if it takes all it gets.
fn taken(stage: &mut Stage) -> Vec<Resources> {
    let mut taken = Vec::new();
    loop {
        let offers = offers(&stage.settle());
        if offers.is_empty() {
            return taken;
        }
        for offer in offers {
            let id = format!("t{}", offer.id);
            let resources = offer.resources.to_string();
            stage.launch(&offer, vec![task(&id, &offer, &resources)]);
            taken.push(offer.resources);
        }
    }
}

#[test]
fn a_role_is_offered_what_its_limit_leaves() {
    let check = |role: &str, limits: &[(&str, &str)], agents: &[&str], given: &[&str]| {
        let mut stage = Stage::new();
        let quotas = limits.iter().map(|(role, limits)| limited(role, limits)).collect();
        update(&mut stage, quotas).expect("nothing is used yet");
        stage.framework(role);
        for (n, agent) in agents.iter().enumerate() {
            stage.agent(n as u64 + 1, agent);
        }
        let given: Vec<Resources> = given.iter().map(|text| bag(text)).collect();
        assert_eq!(taken(&mut stage), given, "{role} within {limits:?}");
    };
    let agent = "cpus:4;mem:4000;disk:100";
    let (whole, two) = (agent, "cpus:2;mem:4000;disk:100");
    check("a", &[], &[agent, agent], &[whole, whole]);
    check("a", &[("b", "cpus:0")], &[agent], &[whole]);
    check("a", &[("a", "cpus:6")], &[agent, agent, agent], &[whole, two]);
    check("a", &[("a", "cpus:4.001")], &[agent, agent], &[whole]);
    check("a", &[("a", "cpus:4.01")], &[agent, agent], &[whole, "cpus:0.01;mem:4000;disk:100"]);
    check("a", &[("a", "cpus:0")], &[agent], &[]);
    check(
        "a",
        &[("a", "disk:130")],
        &[agent, agent, agent],
        &[whole, "cpus:4;mem:4000;disk:30", "cpus:4;mem:4000"],
    );
    check(
        "a/x",
        &[("a", "cpus:6"), ("a/x", "cpus:5")],
        &[agent, agent],
        &[whole, "cpus:1;mem:4000;disk:100"],
    );
    check("a/x", &[("a", "cpus:2")], &[agent], &[two]);
    check("a/x/y", &[("a", "mem:64")], &[agent], &["cpus:4;mem:64;disk:100"]);
    let widgets = "cpus:4;mem:4000;widgets:7";
    check("a", &[("a", "widgets:9")], &[widgets, widgets], &[widgets, "cpus:4;mem:4000;widgets:2"]);
}

#[test]
fn what_is_reserved_counts_at_once_and_is_offered_whatever_the_limit() {
    let mut stage = Stage::new();
    update(&mut stage, vec![limited("a", "cpus:3")]).expect("nothing is used yet");
    stage.framework("a");
    stage.agent(1, "cpus:4;mem:4000;cpus(a):2;mem(a):100");
    stage.agent(2, "cpus:4;mem:4000;cpus(a/b):1;mem(a/b):100");
    let all = taken(&mut stage);
    assert_eq!(all, [bag("cpus(a):2;mem(a):100;mem:4000")], "3 cpus are reserved in a and below");
    let refusal = update(&mut stage, vec![limited("a", "cpus:2.999")]).expect_err("3 are used");
    assert_eq!(
        refusal.to_string(),
        "role a and those below it use 3 of cpus already, more than the limit of 2.999: raise the limit, or use \
         force to keep what runs and stop what is new"
    );
    update(&mut stage, vec![limited("a", "cpus:3.5")]).expect("it is more than what is used");
    assert_eq!(taken(&mut stage), [bag("cpus:0.5;mem:4000")]);
}

#[test]
fn roles_below_a_limit_share_it() {
    let mut stage = Stage::new();
    update(&mut stage, vec![limited("a", "cpus:5")]).expect("nothing is used yet");
    for role in ["a/x", "a/y"] {
        stage.framework(role);
    }
    for n in 1..=4 {
        stage.agent(n, "cpus:2;mem:1000");
    }
    let all = offers(&stage.settle());
    assert_eq!(all.iter().map(|one| one.resources.cpus().0).sum::<u64>(), 5_000);
}

#[test]
fn what_ends_makes_room_for_what_waits() {
    let mut stage = Stage::new();
    update(&mut stage, vec![limited("a", "cpus:1")]).expect("nothing is used yet");
    let framework = stage.framework("a");
    stage.agent(1, "cpus:1;mem:1000");
    stage.agent(2, "cpus:1;mem:1000");
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:100")]);
    stage.report(1, &framework, "t", Running, Running);
    assert!(offers(&stage.settle()).is_empty());
    stage.report(1, &framework, "t", Finished, Finished);
    let again = offers(&stage.settle());
    assert_eq!(again.len(), 1, "one cpu in all");
    assert_eq!(again[0].resources.cpus().0, 1_000);
}

#[test]
fn who_declines_leaves_the_room_to_others() {
    let mut stage = Stage::new();
    update(&mut stage, vec![limited("a", "cpus:1")]).expect("nothing is used yet");
    stage.framework("a/x");
    stage.framework("a/y");
    stage.agent(1, "cpus:4;mem:1000");
    let first = offers(&stage.settle()).remove(0);
    stage.decline(&first, 3600);
    let second = offers(&stage.settle()).remove(0);
    assert_ne!(first.framework, second.framework);
    stage.decline(&second, 3600);
    assert!(offers(&stage.settle()).is_empty());
    update(&mut stage, vec![limited("a", "cpus:2")]).expect("nothing is used");
    assert_eq!(offers(&stage.settle()).len(), 1, "a filter refuses what was refused, not more");
}

#[test]
fn a_new_leader_keeps_limits_before_any_agent_is_back() {
    let mut stage = Stage::new();
    update(&mut stage, vec![limited("a", "cpus:3")]).expect("nothing is used yet");
    let framework = stage.framework("a");
    let agent = stage.agent(1, BIG);
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:2;mem:100")]);
    stage.restart();
    let mut info = stage.kernel.state().frameworks[&framework].info.as_ref().clone();
    info.id = Some(framework.clone());
    stage.step(Input::Subscribe { info });
    stage.agent(2, BIG);
    let offer = offers(&stage.settle()).remove(0);
    assert_eq!(offer.resources.cpus().0, 1_000, "two of three cpus are used on {agent}");
}

#[test]
fn a_lower_limit_takes_offers_back() {
    let mut stage = Stage::new();
    stage.framework("a/x");
    stage.agent(1, BIG);
    let offer = offers(&stage.settle()).remove(0);
    let effects = update(&mut stage, vec![limited("a", "cpus:1")]).expect("offers are not used");
    assert_eq!(told(&effects), ["Rescind"]);
    let told = told(&stage.launch(&offer, vec![task("t", &offer, "cpus:2;mem:100")]));
    assert_eq!(told, ["Dropped t InvalidOffers"]);
    assert_eq!(offers(&stage.settle())[0].resources.cpus().0, 1_000);
}

#[test]
fn force_sets_a_limit_below_what_is_used_and_nothing_new_starts() {
    let mut stage = Stage::new();
    let framework = stage.framework("a");
    stage.agent(1, BIG);
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:2;mem:100")]);
    let quota = || vec![limited("a", "cpus:1;mem:200")];
    let refused = update(&mut stage, quota());
    assert!(matches!(refused, Err(Refusal::OverLimit { .. })), "{refused:?}");
    assert!(stage.kernel.state().quotas.is_empty());
    force(&mut stage, quota());
    assert!(offers(&stage.settle()).is_empty());
    stage.report(1, &framework, "t", Finished, Finished);
    assert_eq!(offers(&stage.settle())[0].resources.cpus().0, 1_000);
}

#[test]
fn an_update_is_made_whole_or_not_at_all() {
    let mut stage = Stage::new();
    let records = stage.log.len();
    let quotas = vec![limited("a", "cpus:1"), limited("*", "cpus:1")];
    assert!(update(&mut stage, quotas).is_err());
    stage.framework("b");
    stage.agent(1, BIG);
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:2;mem:100")]);
    assert!(update(&mut stage, vec![limited("a", "cpus:1"), limited("b", "cpus:1")]).is_err());
    assert!(stage.kernel.state().quotas.is_empty());
    assert_eq!(stage.log.len() - records, 3, "framework, agent, what is in use");
    update(&mut stage, vec![limited("a", "cpus:1"), limited("b", "cpus:2")]).expect("enough");
    assert_eq!(stage.kernel.view().quotas.len(), 2);
    update(&mut stage, vec![limited("a", ""), limited("b", "")]).expect("no limits at all");
    assert!(stage.kernel.view().quotas.is_empty());
}

#[test]
fn a_quota_that_cannot_be_is_refused_by_its_causes() {
    let check = |known: &[(Role, Quota)], quotas: Vec<(Role, Quota)>, cause: &str| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        force(&mut stage, known.to_vec());
        let refusal = update(&mut stage, quotas).expect_err(cause).to_string();
        assert!(refusal.contains(cause), "{refusal} says {cause}");
    };
    check(&[], vec![limited("*", "cpus:1")], "role * cannot have a quota");
    check(&[], vec![limited("a//b", "cpus:1")], "\"a//b\" is not a role");
    check(&[], vec![limited("a", "cpus:1"), limited("a", "cpus:2")], "role a is named twice");
    check(
        &[],
        vec![promised("a", "cpus:2", "cpus:1")],
        "role a is promised 2 of cpus, more than its limit of 1",
    );
    check(
        &[limited("a", "cpus:4")],
        vec![limited("a/b", "cpus:5")],
        "role a/b is limited to 5 of cpus, more than the limit of a above it, 4",
    );
    check(&[limited("a/b/c", "cpus:5")], vec![limited("a", "cpus:4")], "more than the limit of a");
    check(
        &[promised("a", "cpus:1", ""), promised("a/b", "cpus:1", "")],
        vec![promised("a/c", "cpus:1", "")],
        "the roles below a are promised 2 of cpus, more than the 1 that it is promised",
    );
    check(
        &[],
        vec![promised("a", "cpus:3", ""), promised("b", "cpus:1.5", "")],
        "4.5 of cpus would be guaranteed, and the cluster has 4",
    );
}

#[test]
fn the_older_calls_set_and_remove_guarantees_that_are_limits() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let (role, guarantees) = (Role::new("a"), amounts("cpus:1;mem:64"));
    let set = |force| Order::SetQuota { role: role.clone(), guarantees: guarantees.clone(), force };
    order(&mut stage, set(false)).expect("there is enough");
    let known = stage.kernel.state().quotas[&role].clone();
    assert_eq!((&known.limits, &known.guarantees), (&guarantees, &guarantees));
    assert_eq!(order(&mut stage, set(true)), Err(Refusal::QuotaExists(role.clone())));
    let remove = || Order::RemoveQuota { role: role.clone() };
    order(&mut stage, remove()).expect("there is one");
    assert_eq!(order(&mut stage, remove()), Err(Refusal::NoQuota(role.clone())));
    let much = Order::SetQuota { role: role.clone(), guarantees: amounts("cpus:5"), force: false };
    assert!(matches!(order(&mut stage, much), Err(Refusal::Overcommitted { .. })));
}

#[test]
fn weights_are_above_nothing_and_of_roles() {
    let mut stage = Stage::new();
    let weights = |role: &str, weight: &str| {
        let weight = weight.parse().expect("a number");
        Order::UpdateWeights(vec![
            (Role::new("b"), "2".parse().expect("two")),
            (Role::new(role), weight),
        ])
    };
    assert!(order(&mut stage, weights("a", "0")).is_err());
    assert!(order(&mut stage, weights("a b", "1")).is_err());
    assert!(stage.kernel.view().weights.is_empty());
    order(&mut stage, weights("a/x", "2.5")).expect("a weight");
    assert_eq!(stage.kernel.view().weights[&Role::new("a/x")].as_f64(), 2.5);
}

#[test]
fn offers_that_run_out_make_room_again() {
    let mut stage = Stage::new();
    update(&mut stage, vec![limited("a", "cpus:1")]).expect("nothing is used yet");
    stage.framework("a");
    let agent = stage.agent(1, "cpus:1;mem:100");
    stage.agent(2, "cpus:1;mem:100");
    assert_eq!(offers(&stage.settle()).len(), 1);
    stage.hear(3, register(Some(&agent), "cpus:1;mem:100", vec![]));
    let effects = stage.settle();
    assert_eq!(offers(&effects).len(), 1, "the offer of the agent's earlier stream is void");
    let effects = stage.live(Duration::from_secs(121));
    let rescinded = |effect: &&Effect| matches!(effect, Effect::Event(_, Event::Rescind(_)));
    assert_eq!(effects.iter().filter(rescinded).count(), 1);
    assert_eq!(offers(&effects).len(), 1);
    let framework = offers(&effects)[0].framework.clone();
    stage.call(&framework, Call::Revive { roles: vec![] });
    assert!(offers(&stage.settle()).is_empty());
}
