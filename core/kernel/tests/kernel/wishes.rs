//! Of which agents a framework wants offers, and what changes when it says something else.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Config, Effect, Gpus, Input, OfferRules, Refusal};
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL};
use model::attributes::FaultDomain;
use model::framework::{Capability, FrameworkInfo, Minima};
use model::id::{FrameworkId, Role};
use model::resources::Resources;
use model::scheduler::Call;
use model::wishes::{AttributeConstraint, Group, OfferConstraints, Predicate, Property, Wishes};

use crate::stage::{BIG, Stage, bag, framework, info, offers, told};

const MANY: &[Capability] = &[Capability::PartitionAware, Capability::MultiRole];

fn join(stage: &mut Stage, connection: u64, info: AgentInfo) {
    stage.hear(
        connection,
        FromAgent::Register {
            protocol: PROTOCOL,
            agent: None,
            info,
            tasks: vec![],
            books: Books::default(),
        },
    );
}

fn at(region: &str, zone: &str) -> Option<FaultDomain> {
    Some(FaultDomain { region: region.to_owned(), zone: zone.to_owned() })
}

/// An agent that says this of itself, of a region and zone if they are named: `rack:a;ssd:true@eu/a`.
fn agent(said: &str) -> AgentInfo {
    let (attributes, domain) = match said.split_once('@') {
        Some((attributes, domain)) => {
            let (region, zone) = domain.split_once('/').expect("region/zone");
            (attributes, at(region, zone))
        }
        None => (said, None),
    };
    let attributes = model::attributes::parse(attributes).expect(attributes);
    AgentInfo { attributes, domain, hostname: "n1.rack2".to_owned(), ..info(BIG) }
}

fn rack(is: Predicate) -> AttributeConstraint {
    AttributeConstraint { of: Property::Attribute("rack".to_owned()), is }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn update(stage: &mut Stage, id: &FrameworkId, roles: &[&str], wishes: Wishes) -> Vec<Effect> {
    let known = stage.kernel.state().frameworks[id].info.as_ref().clone();
    let roles = roles.iter().map(|role| Role::new(*role)).collect();
    let info = FrameworkInfo { roles, ..known };
    stage.call(id, Call::UpdateFramework { info, wishes: Some(wishes) })
}

fn constrained(role: &str, groups: Vec<Group>) -> Wishes {
    let constraints = OfferConstraints::from([(Role::new(role), groups)]);
    Wishes { constraints, ..Wishes::default() }
}

#[test]
fn an_agent_is_offered_if_it_meets_one_group_of_constraints() {
    use Predicate::*;
    let check = |said: &str, groups: Vec<Group>, offered: bool| {
        let mut stage = Stage::new();
        let id = stage.framework("a");
        update(&mut stage, &id, &["a"], constrained("a", groups.clone()));
        join(&mut stage, 1, agent(said));
        assert_eq!(offers(&stage.settle()).len(), usize::from(offered), "{said} {groups:?}");
    };
    let one = |is: Predicate| vec![vec![rack(is)]];
    check("rack:a", one(Exists), true);
    check("other:a", one(Exists), false);
    check("other:a", one(NotExists), true);
    check("rack:a", one(NotExists), false);
    check("rack:a", one(TextEquals(text("a"))), true);
    check("rack:b", one(TextEquals(text("a"))), false);
    check("other:a", one(TextEquals(text("a"))), false);
    check("rack:a", one(TextNotEquals(text("a"))), false);
    check("rack:b", one(TextNotEquals(text("a"))), true);
    check("other:a", one(TextNotEquals(text("a"))), true);
    check("rack:row-12", one(TextMatches(text(r"row-\d+"))), true);
    check("rack:row-12b", one(TextMatches(text(r"row-\d+"))), false);
    check("other:row-12", one(TextMatches(text(".*"))), false);
    check("rack:row-12", one(TextNotMatches(text(r"row-\d+"))), false);
    check("other:a", one(TextNotMatches(text(".*"))), true);
    // What is said of texts says nothing of numbers, ranges and sets.
    for is in [TextEquals(text("a")), TextNotEquals(text("7")), TextMatches(text("a"))] {
        check("rack:7", one(is.clone()), true);
        check("rack:[7-8]", one(is), true);
    }
    let property = |of: Property, equal: &str| {
        vec![vec![AttributeConstraint { of, is: TextEquals(text(equal)) }]]
    };
    check("rack:a", property(Property::Hostname, "n1.rack2"), true);
    check("rack:a", property(Property::Hostname, "n1"), false);
    check("rack:a@eu/b", property(Property::Region, "eu"), true);
    check("rack:a@eu/b", property(Property::Zone, "a"), false);
    check("rack:a", property(Property::Region, "eu"), false);
    let both = vec![rack(Exists), rack(TextNotEquals(text("b")))];
    check("rack:a", vec![both.clone()], true);
    check("rack:b", vec![both.clone()], false);
    check("rack:b", vec![both, vec![rack(TextEquals(text("b")))]], true);
}

#[test]
fn constraints_are_of_one_role_and_end_with_the_subscription() {
    let mut stage = Stage::new();
    join(&mut stage, 1, agent("rack:b"));
    let roles = vec![Role::new("a"), Role::new("b")];
    let id = stage.subscribe(FrameworkInfo { roles, ..framework("a", MANY) });
    let only = constrained("a", vec![vec![rack(Predicate::TextEquals(text("a")))]]);
    update(&mut stage, &id, &["a", "b"], only);
    let got = offers(&stage.settle());
    assert_eq!(got.iter().map(|one| one.role.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(stage.kernel.view().frameworks[&id].constraints.len(), 1);
    let only =
        FrameworkInfo { id: Some(id.clone()), roles: vec![Role::new("a")], ..framework("a", MANY) };
    stage.subscribe(only);
    assert!(stage.kernel.view().frameworks[&id].constraints.is_empty());
    assert_eq!(offers(&stage.settle()).len(), 1, "who subscribes anew wants all");
}

#[test]
fn offers_that_a_framework_does_not_want_any_more_are_taken_back() {
    let mut stage = Stage::new();
    let id = stage.framework("a");
    join(&mut stage, 1, agent("rack:a"));
    join(&mut stage, 2, agent("rack:b"));
    assert_eq!(offers(&stage.settle()).len(), 2);
    let only = |at: &str| constrained("a", vec![vec![rack(Predicate::TextEquals(text(at)))]]);
    assert_eq!(told(&update(&mut stage, &id, &["a"], only("b"))), ["Rescind"]);
    assert_eq!(stage.kernel.view().offers.len(), 1, "the other one is as good as before");
    assert!(offers(&stage.settle()).is_empty());
    let effects = update(&mut stage, &id, &["a"], only("a"));
    assert_eq!(told(&effects), ["Rescind"]);
    assert_eq!(offers(&stage.settle()).len(), 1, "of the agent in rack a");
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_reason() {
    let check = |role: &str, groups: Vec<Group>, words: &str| {
        let mut stage = Stage::new();
        let id = stage.framework("a");
        let info = stage.kernel.state().frameworks[&id].info.as_ref().clone();
        let wishes = Some(constrained(role, groups));
        let call = Call::UpdateFramework { info, wishes };
        let (done, _) = stage.try_step(Input::Framework { from: id.clone(), call });
        let Err(Refusal::InvalidFramework(cause)) = done else { panic!("{words}: {done:?}") };
        assert!(cause.contains(words), "{cause}");
        assert!(stage.kernel.view().frameworks[&id].constraints.is_empty());
    };
    check("a", vec![], "empty");
    check("a", vec![vec![]], "empty");
    check("b", vec![vec![rack(Predicate::Exists)]], "none of its roles");
    check("a", vec![vec![rack(Predicate::TextMatches(text("(")))]], "failed to construct");
    check("a", vec![vec![rack(Predicate::TextNotMatches(text("a{1,999}")))]], "too complex");
    check("a", vec![vec![rack(Predicate::Exists); 1_001]], "more than 1000");
}

#[test]
fn an_update_leaves_alone_what_it_does_not_change() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let roles = vec![Role::new("a")];
    let id = stage.subscribe(FrameworkInfo { roles, ..framework("a", MANY) });
    let offer = offers(&stage.settle()).remove(0);
    stage.decline(&offer, 3_600);
    // Another role: the first one's filter stays, so the new one is offered what is there.
    update(&mut stage, &id, &["a", "b"], Wishes::default());
    let got = offers(&stage.settle());
    assert_eq!(got.iter().map(|one| one.role.as_str()).collect::<Vec<_>>(), ["b"]);
    // A role that goes takes its offers with it; the filter of the other still holds.
    let effects = update(&mut stage, &id, &["a"], Wishes::default());
    assert_eq!(told(&effects), ["Rescind"]);
    assert!(offers(&stage.settle()).is_empty());
    assert!(stage.kernel.view().offers.is_empty());
    stage.call(&id, Call::Revive { roles: vec![] });
    assert_eq!(offers(&stage.settle()).len(), 1);
}

#[test]
fn roles_are_suppressed_and_want_again_as_the_update_says() {
    let mut stage = Stage::new();
    let roles = vec![Role::new("a"), Role::new("b")];
    let id = stage.subscribe(FrameworkInfo { roles, ..framework("a", MANY) });
    let quiet = |roles: &[&str]| Wishes {
        suppressed: roles.iter().map(|role| Role::new(*role)).collect(),
        ..Wishes::default()
    };
    update(&mut stage, &id, &["a", "b"], quiet(&["a", "b"]));
    stage.agent(1, BIG);
    assert!(offers(&stage.settle()).is_empty());
    assert!(stage.kernel.view().frameworks[&id].suppressed);
    update(&mut stage, &id, &["a", "b", "c"], quiet(&["a", "c"]));
    let offer = offers(&stage.settle()).remove(0);
    assert_eq!(offer.role.as_str(), "b");
    stage.decline(&offer, 3_600);
    assert!(offers(&stage.settle()).is_empty());
    // What was refused stays refused by a role that wants again.
    update(&mut stage, &id, &["a", "b", "c"], quiet(&["a", "b", "c"]));
    update(&mut stage, &id, &["a", "b", "c"], quiet(&["a", "c"]));
    assert!(offers(&stage.settle()).is_empty());
    update(&mut stage, &id, &["a", "b", "c"], quiet(&["b", "c"]));
    assert_eq!(offers(&stage.settle()).remove(0).role.as_str(), "a");
}

#[test]
fn other_agents_are_offered_once_a_framework_can_or_wants_more() {
    let mut stage = Stage::new();
    join(&mut stage, 1, AgentInfo { resources: bag("cpus:4;mem:64;gpus:1"), ..info(BIG) });
    let id = stage.framework("a");
    assert!(offers(&stage.settle()).is_empty());
    let info = FrameworkInfo { id: None, ..framework("a", &[Capability::GpuResources]) };
    stage.call(&id, Call::UpdateFramework { info, wishes: None });
    let offer = offers(&stage.settle()).remove(0);
    stage.decline(&offer, 0);
    let none = constrained("a", vec![vec![rack(Predicate::Exists)]]);
    update(&mut stage, &id, &["a"], none);
    assert!(offers(&stage.pass(Duration::from_secs(10))).is_empty());
    update(&mut stage, &id, &["a"], Wishes::default());
    assert_eq!(offers(&stage.settle()).len(), 1);
}

#[test]
fn who_a_framework_is_does_not_change() {
    let mut stage = Stage::new();
    let id = stage.framework("a");
    let known = stage.kernel.state().frameworks[&id].info.as_ref().clone();
    let other = FrameworkInfo { principal: Some("other".to_owned()), ..known.clone() };
    let (done, _) = stage.try_step(Input::Subscribe { info: other });
    assert!(matches!(done, Err(Refusal::InvalidFramework(_))), "{done:?}");
    let other =
        FrameworkInfo { user: "nobody".to_owned(), name: "new".to_owned(), ..known.clone() };
    stage.subscribe(FrameworkInfo { checkpoint: !known.checkpoint, ..other });
    let now = stage.kernel.state().frameworks[&id].info.as_ref().clone();
    assert_eq!(now, FrameworkInfo { name: "new".to_owned(), ..known });
}

#[test]
fn agents_elsewhere_and_with_gpus_are_for_those_who_can_use_them() {
    let check = |rules: OfferRules, agent: AgentInfo, can: &[Capability], offered: bool| {
        let mut stage = Stage::with(Config { offers: rules.clone(), ..Config::default() });
        stage.subscribe(framework("a", can));
        join(&mut stage, 1, agent);
        assert_eq!(offers(&stage.settle()).len(), usize::from(offered), "{rules:?} {can:?}");
    };
    let rules = |region: Option<&str>, gpus: Gpus| OfferRules {
        region: region.map(str::to_owned),
        gpus,
        ..OfferRules::default()
    };
    let here = |region| rules(region, Gpus::Scarce);
    check(here(Some("eu")), agent("rack:a@eu/a"), &[], true);
    check(here(Some("eu")), agent("rack:a@us/a"), &[], false);
    check(here(Some("eu")), agent("rack:a@us/a"), &[Capability::RegionAware], true);
    check(here(Some("eu")), agent("rack:a"), &[], true);
    check(here(None), agent("rack:a@us/a"), &[], true);
    let with_gpus = || AgentInfo { resources: bag("cpus:4;mem:64;gpus:1"), ..info(BIG) };
    check(rules(None, Gpus::Scarce), with_gpus(), &[], false);
    check(rules(None, Gpus::Scarce), with_gpus(), &[Capability::GpuResources], true);
    check(rules(None, Gpus::Plenty), with_gpus(), &[], true);
}

fn minima(all: &[&str]) -> Minima {
    let one = |text: &&str| {
        let amounts: Resources = bag(text);
        amounts.iter().map(|one| (one.name.clone(), one.scalar())).collect::<BTreeMap<_, _>>()
    };
    all.iter().map(one).collect()
}

#[test]
fn less_than_the_operator_or_the_role_says_is_not_offered() {
    let check = |all: &[&str], own: Option<&[&str]>, free: &str, offered: bool| {
        let offers_rules = OfferRules { minima: minima(all), ..OfferRules::default() };
        let mut stage = Stage::with(Config { offers: offers_rules, ..Config::default() });
        let own_minima = own.map(|own| (Role::new("a"), minima(own)));
        let offer_minima = own_minima.into_iter().collect();
        stage.subscribe(FrameworkInfo { offer_minima, ..framework("a", &[]) });
        stage.agent(1, free);
        let made = offers(&stage.settle()).len();
        assert_eq!(made, usize::from(offered), "{all:?} {own:?} {free}");
    };
    check(&["cpus:1;mem:32"], None, "cpus:1;mem:32", true);
    check(&["cpus:1;mem:32"], None, "cpus:0.9;mem:32", false);
    check(&["cpus:1;mem:32"], None, "cpus:4", false);
    check(&["cpus:1", "mem:64"], None, "mem:64", true);
    check(&["cpus:1", "mem:64"], None, "mem:63;cpus:0.9", false);
    check(&["cpus:1;disk:100"], None, "cpus:2;mem:64;disk:99", false);
    check(&[], None, "disk:1", true);
    check(&["cpus:1"], Some(&["cpus:2"]), "cpus:1;mem:64", false);
    check(&["cpus:2"], Some(&["cpus:1"]), "cpus:1;mem:64", true);
    check(&["cpus:2"], Some(&[]), "disk:1", true);
    check(&["cpus:1"], Some(&["gpus:1", "floppies:1"]), "cpus:1;floppies:3", true);
    check(&["cpus:1"], Some(&["floppies:4"]), "cpus:1;floppies:3", false);
}
