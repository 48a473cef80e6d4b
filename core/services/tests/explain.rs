//! Where an app may go, and the account of why it goes nowhere.

mod stage;

use std::time::Duration;

use model::id::{AgentId, Role};
use model::resources::Scalar;
use model::scheduler::{Event, Unavailability};
use placement::fit::GpuUse;
use placement::{Constraint, Operator};
use services::explain::Explain;
use services::spec::AppSpec;
use services::{AcceptedByDefault, Config};
use stage::{ROOMY, Stage, app, id, port};

fn is(field: &str, value: &str) -> Constraint {
    let value = Some(value.to_owned());
    Constraint { field: field.to_owned(), operator: Operator::Is, value }
}

/// `Role 3/3, Cpus 1/3 (a lacks 2)`: of the agents that got there, how many passed.
fn told(explain: &Explain) -> String {
    let mut before = explain.agents.len();
    let mut parts = Vec::new();
    for (nth, step) in explain.steps.iter().enumerate() {
        let passed = explain.passed(nth);
        let nearest = explain.nearest(nth).map(|(agent, judged)| {
            let lack = judged.lacks.first().expect("it was stopped");
            format!(" ({agent} lacks {})", lack.missing)
        });
        if passed < before {
            let nearest = nearest.unwrap_or_default();
            parts.push(format!("{:?} {passed}/{before}{nearest}", step.demand));
        }
        before = passed;
    }
    parts.join(", ")
}

#[test]
fn an_app_that_waits_knows_how_far_each_agent_got() {
    let mut stage = Stage::new();
    stage.agent("big", "cpus:8;mem:64;ports:[1-9]", "ssd:true");
    stage.agent("bigger", "cpus:8;mem:96;ports:[1-9]", "ssd:true");
    stage.agent("slow", "cpus:8;mem:1024;ports:[1-9]", "ssd:false");
    stage.agent("theirs", "cpus(web):8;mem(web):1024;ports(web):[1-9]", "ssd:true");
    let spec =
        AppSpec { constraints: vec![is("ssd", "true")], mem: Scalar::whole(128), ..app("/a", 1) };
    stage.create(spec);
    stage.calm();
    let explain = stage.view().queue[&id("/a")].explain.clone();
    let expected =
        "Role 3/4 (theirs lacks 0), Constraint(0) 2/3 (slow lacks 0), Mem 0/2 (bigger lacks 32)";
    assert_eq!(told(&explain), expected);
    let (best, _) = explain.best().expect("none fits");
    assert_eq!(best.as_str(), "bigger");
    let unmet: Vec<u32> = explain.steps.iter().map(|step| step.unmet).collect();
    assert_eq!(unmet, [1, 1, 0, 1, 3, 1, 0], "each demand by itself");
}

#[test]
fn the_latest_offer_of_an_agent_counts_once() {
    let mut stage = Stage::new();
    stage.agent("one", "cpus:8;mem:64;ports:[1-9]", "");
    stage.agent("two", "cpus:0.05;mem:640;ports:[1-9]", "");
    stage.create(AppSpec { mem: Scalar::whole(128), ..app("/a", 1) });
    stage.calm();
    let of = |stage: &Stage| stage.view().queue.get(&id("/a")).map(|it| told(&it.explain));
    let expected = Some("Cpus 1/2 (two lacks 0.05), Mem 0/1 (one lacks 64)".to_owned());
    assert_eq!(of(&stage), expected);
    stage.offer();
    assert_eq!(of(&stage), expected, "offered twice");
    stage.hear(Event::Failure { agent: AgentId::new("two"), executor: None });
    assert_eq!(of(&stage).as_deref(), Some("Mem 0/1 (one lacks 64)"), "gone for good");
    stage.agents.remove(&AgentId::new("two"));
    stage.put(AppSpec { mem: Scalar::whole(256), ..app("/a", 1) }, true).expect("changed");
    assert_eq!(of(&stage).as_deref(), Some(""), "another version begins anew");
    stage.calm();
    assert_eq!(of(&stage).as_deref(), Some("Mem 0/1 (one lacks 192)"));
    stage.put(AppSpec { mem: Scalar::whole(64), ..app("/a", 1) }, true).expect("changed");
    stage.calm();
    assert_eq!(of(&stage), None, "it waits no more");
}

#[test]
fn what_has_launched_something_is_told_with_what_its_rest_lacks() {
    let mut stage = Stage::new();
    stage.agent("one", "cpus:0.25;mem:640;ports:[1-9]", "");
    stage.create(app("/a", 3));
    stage.calm();
    assert_eq!(stage.live(), 2);
    let waiting = stage.view().queue[&id("/a")].clone();
    assert_eq!(told(&waiting.explain), "Cpus 0/1 (one lacks 0.05)");
    assert!(waiting.last_used_at.is_some());
}

#[test]
fn accounts_of_many_agents_are_bounded() {
    let mut stage = Stage::new();
    stage.agents(1_100, "cpus:1;mem:64;ports:[1-9]");
    for n in 0..100 {
        let name = format!("/a{n:02}");
        stage.create(AppSpec { mem: Scalar::whole(128), ..app(&name, 1) });
    }
    stage.calm();
    let queue = stage.view().queue;
    let kept: usize = queue.values().map(|waiting| waiting.explain.agents.len()).sum();
    assert_eq!(queue.len(), 100);
    assert!((100_000..=102_000).contains(&kept), "{kept} agents in all accounts");
    assert!(queue.values().all(|waiting| waiting.explain.agents.len() >= 20));
    assert!(queue.values().any(|waiting| waiting.explain.unlisted > 0));
}

#[test]
fn the_configuration_says_what_the_spec_leaves_open() {
    let check = |config: Config, spec: AppSpec, agent: &str, region: &str, launched: bool| {
        let mut stage = Stage::with(config.clone());
        stage.agent("one", agent, region);
        stage.create(spec);
        stage.calm();
        assert_eq!(stage.live() == 1, launched, "{agent} {region} with {config:?}");
    };
    let plain = "cpus:1;mem:64;ports:[1-9]";
    let reserved = "cpus(web):1;mem(web):64;ports(web):[1-9]";
    let accepts = |accepted_by_default| Config { accepted_by_default, ..Config::default() };
    let web = || AppSpec { role: Some(Role::new("web")), ..app("/web/a", 1) };
    check(accepts(AcceptedByDefault::Unreserved), web(), plain, "", true);
    check(accepts(AcceptedByDefault::Unreserved), web(), reserved, "", false);
    check(accepts(AcceptedByDefault::Reserved), web(), plain, "", false);
    check(accepts(AcceptedByDefault::Reserved), web(), reserved, "", true);
    check(accepts(AcceptedByDefault::Any), web(), plain, "", true);
    check(accepts(AcceptedByDefault::Any), web(), reserved, "", true);
    let star = AppSpec { accepted_roles: Some(vec![Role::star()]), ..web() };
    check(accepts(AcceptedByDefault::Any), star, reserved, "", false);

    let scarce = "cpus:1;mem:64;gpus:1;ports:[1-9]";
    let gpus = |gpus| Config { gpus, ..Config::default() };
    let labelled = |word: &str| {
        let labels = [("GPU_SCHEDULING_BEHAVIOR".to_owned(), word.to_owned())].into();
        AppSpec { labels, ..app("/a", 1) }
    };
    check(gpus(GpuUse::Restricted), app("/a", 1), scarce, "", false);
    check(gpus(GpuUse::Unrestricted), app("/a", 1), scarce, "", true);
    check(gpus(GpuUse::Restricted), labelled("unrestricted"), scarce, "", true);
    check(gpus(GpuUse::Restricted), labelled("undefined"), scarce, "", true);
    check(gpus(GpuUse::Unrestricted), labelled("restricted"), scarce, "", false);
    check(gpus(GpuUse::Restricted), labelled("whatever"), scarce, "", false);
    check(gpus(GpuUse::Restricted), AppSpec { gpus: 1, ..app("/a", 1) }, scarce, "", true);

    let home = || Config { home_region: Some("eu".to_owned()), ..Config::default() };
    let abroad = |constraint| AppSpec { constraints: vec![constraint], ..app("/a", 1) };
    check(home(), app("/a", 1), plain, "@eu/eu-a", true);
    check(home(), app("/a", 1), plain, "@us/us-a", false);
    check(home(), app("/a", 1), plain, "", true);
    check(home(), abroad(is("@region", "us")), plain, "@us/us-a", true);
    check(home(), abroad(is("@zone", "us-a")), plain, "@us/us-a", true);
    check(Config::default(), app("/a", 1), plain, "@us/us-a", true);
}

#[test]
fn an_agent_gets_nothing_from_shortly_before_its_maintenance_until_after_it() {
    let config = Config { draining_time: Duration::from_secs(60), ..Config::default() };
    let check = |starts_in: u64, lasts: u64, launched: bool| {
        let mut stage = Stage::with(config.clone());
        stage.agent("one", ROOMY, "");
        let start = stage.now + Duration::from_secs(starts_in);
        let planned = Unavailability { start, duration: Some(Duration::from_secs(lasts)) };
        let agent = stage.agents.get_mut(&AgentId::new("one")).expect("an agent");
        agent.unavailability = Some(planned);
        stage.wait(100);
        stage.create(app("/a", 1));
        stage.calm();
        assert_eq!(stage.live() == 1, launched, "in {starts_in} s for {lasts} s");
    };
    check(161, 100, true);
    check(160, 100, false);
    check(50, 51, false);
    check(50, 50, true);
}

#[test]
fn a_required_port_of_zero_is_any_port() {
    let mut stage = Stage::new();
    stage.agent("one", "cpus:1;mem:64;ports:[8000-8001]", "");
    let ports = vec![port(0, "any"), port(8001, "fixed")];
    stage.create(AppSpec { ports, require_ports: true, ..app("/a", 1) });
    stage.calm();
    let instances = stage.view().instances[&id("/a")].clone();
    let ports: Vec<_> = instances.values().map(|one| one.ports.clone()).collect();
    assert_eq!(ports, [[8000, 8001]]);
}
