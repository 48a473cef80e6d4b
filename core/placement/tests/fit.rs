//! What fits, what does not, and why.

use model::agent::AgentInfo;
use model::attributes::FaultDomain;
use model::id::Role;
use model::resources::{Resources, Scalar};
use placement::demand::{Demand, Lack, misses};
use placement::fit::{GpuUse, Need, Port, Prospect, Site, fit};
use placement::room::Room;
use placement::rule::{Rule, Tally};
use placement::{Constraint, Operator};

fn need(cpus: u64, ports: &[Port], accepts: &[&str]) -> Need {
    Need {
        scalars: [Scalar(cpus), Scalar::whole(100), Scalar(0), Scalar(0)],
        disks: Vec::new(),
        ports: ports.to_vec(),
        accepts: accepts.iter().map(|role| Role::new(*role)).collect(),
        rules: Vec::new(),
        home: None,
        instances: 1,
        gpus: GpuUse::Restricted,
        resident: false,
    }
}

fn rule(field: &str, operator: Operator, value: &str) -> Rule {
    let value = Some(value.to_owned());
    Rule::new(&Constraint { field: field.to_owned(), operator, value }).expect("a constraint")
}

fn agent() -> AgentInfo {
    AgentInfo {
        hostname: "one".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: "cpus:1".parse().expect("resources"),
        attributes: Vec::new(),
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/".to_owned(),
    }
}

fn staying(agent: &AgentInfo) -> Site<'_> {
    Site { agent, prospect: Prospect::Stays }
}

/// What is lacking, as `Cpus 0.1`.
fn lacking(need: &Need, offered: &str, site: Site<'_>) -> Vec<String> {
    let room = Room::new(&offered.parse().expect(offered));
    let tallies = vec![Tally::default(); need.rules.len()];
    let lacks = fit(need, &room, site, &tallies, 0).err().unwrap_or_default();
    let spell = |lack: &Lack| match lack.missing {
        Scalar(0) => format!("{:?}", lack.demand),
        missing => format!("{:?} {missing}", lack.demand),
    };
    lacks.iter().map(spell).collect()
}

#[test]
fn a_task_takes_what_is_reserved_before_what_is_free() {
    let check = |need: &Need, offered: &str, taken: &str, left: &str| {
        let mut offered: Resources = offered.parse().expect(offered);
        let mut room = Room::new(&offered);
        let fitting = fit(need, &room, staying(&agent()), &[], 0).expect("it fits");
        let charged = room.take(&fitting);
        assert_eq!(charged, taken.parse().expect(taken), "from {offered}");
        offered.subtract(&charged);
        assert_eq!(offered, left.parse().expect(left));
    };
    let both = &["*", "web"];
    check(&need(500, &[], &["*"]), "cpus:2;mem:200", "cpus:0.5;mem:100", "cpus:1.5;mem:100");
    check(
        &need(1500, &[], both),
        "cpus(web):1;mem(web):50;cpus:2;mem:200",
        "cpus(web):1;mem(web):50;cpus:0.5;mem:50",
        "cpus:1.5;mem:150",
    );
    check(
        &need(500, &[], &["*"]),
        "cpus(web):4;mem(web):400;cpus:2;mem:200",
        "cpus:0.5;mem:100",
        "cpus(web):4;mem(web):400;cpus:1.5;mem:100",
    );
    check(
        &need(500, &[Port::Exactly(81), Port::Exactly(80)], both),
        "cpus:2;mem:200;ports:[80-80];ports(web):[81-90]",
        "cpus:0.5;mem:100;ports:[80-80];ports(web):[81-81]",
        "cpus:1.5;mem:100;ports(web):[82-90]",
    );
}

#[test]
fn everything_that_is_lacking_is_told_with_its_amount() {
    let agent = agent();
    let check = |need: &Need, offered: &str, lacks: &[&str]| {
        assert_eq!(lacking(need, offered, staying(&agent)), lacks, "{offered}");
    };
    let one = need(1000, &[Port::Any], &["*"]);
    check(&one, "cpus:1;mem:100;ports:[1-9]", &[]);
    check(&one, "cpus:0.9;mem:100;ports:[1-9]", &["Cpus 0.1"]);
    check(&one, "cpus:1;mem:99;ports:[1-9]", &["Mem 1"]);
    check(&one, "cpus:0.1;mem:1", &["Cpus 0.9", "Mem 99", "Ports 1"]);
    check(&one, "cpus:1;mem:100;gpus:1;ports:[1-9]", &["Thrift"]);
    let reserved = ["Role", "Cpus 1", "Mem 100", "Ports 1"];
    check(&one, "cpus(web):9;mem(web):900;ports(web):[1-9]", &reserved);
    let exact = need(1000, &[Port::Exactly(80)], &["*"]);
    check(&exact, "cpus:1;mem:100;ports:[81-90]", &["Ports 1"]);
    let twice = need(1000, &[Port::Exactly(80), Port::Exactly(80)], &["*"]);
    check(&twice, "cpus:1;mem:100;ports:[80-90]", &["Ports 1"]);
    let full = need(1000, &[Port::Any, Port::Exactly(80)], &["*"]);
    check(&full, "cpus:1;mem:100;ports:[80-80]", &["Ports 1"]);
    let large = Need {
        scalars: [Scalar(100), Scalar::whole(1), Scalar::whole(50), Scalar::whole(2)],
        ..need(1, &[], &["*"])
    };
    check(&large, "cpus:1;mem:100;disk:20", &["Disk 30", "Gpus 2"]);
}

#[test]
fn each_constraint_is_judged_by_itself() {
    let agent = AgentInfo {
        attributes: model::attributes::parse("rack:a;ssd:true").expect("attributes"),
        ..agent()
    };
    let is = |field, value| rule(field, Operator::Is, value);
    let rules = vec![is("rack", "a"), is("ssd", "false"), is("level", "3")];
    let need = Need { rules, ..need(2000, &[], &["*"]) };
    let expected = ["Constraint(1)", "Constraint(2)", "Cpus 1"];
    assert_eq!(lacking(&need, "cpus:1;mem:100", staying(&agent)), expected);
    let demands = [
        Demand::Role,
        Demand::Constraint(0),
        Demand::Constraint(1),
        Demand::Constraint(2),
        Demand::Stay,
        Demand::Cpus,
        Demand::Mem,
        Demand::Thrift,
    ];
    assert_eq!(need.demands(), demands);
}

#[test]
fn an_app_stays_at_home_unless_it_names_a_region_or_zone() {
    let check = |region: Option<&str>, home: Option<&str>, rules: Vec<Rule>, lacks: &[&str]| {
        let domain =
            region.map(|region| FaultDomain { region: region.to_owned(), zone: "z".to_owned() });
        let agent = AgentInfo { domain, ..agent() };
        let home = home.map(str::to_owned);
        let need = Need { home, rules, ..need(1000, &[], &["*"]) };
        let found = lacking(&need, "cpus:1;mem:100", staying(&agent));
        assert_eq!(found, lacks, "{region:?} at home in {:?}", need.home);
        assert_eq!(need.demands().contains(&Demand::Region), need.bound_to().is_some());
    };
    check(Some("eu"), Some("eu"), vec![], &[]);
    check(Some("us"), Some("eu"), vec![], &["Region"]);
    check(None, Some("eu"), vec![], &[]);
    check(Some("us"), None, vec![], &[]);
    check(Some("us"), Some("eu"), vec![rule("@region", Operator::Is, "us")], &[]);
    check(Some("us"), Some("eu"), vec![rule("@zone", Operator::Is, "z")], &[]);
    check(Some("us"), Some("eu"), vec![rule("@hostname", Operator::Is, "one")], &["Region"]);
}

#[test]
fn an_agent_that_is_about_to_leave_gets_nothing() {
    let agent = agent();
    let leaving = Site { agent: &agent, prospect: Prospect::Leaves };
    assert_eq!(lacking(&need(1000, &[], &["*"]), "cpus:1;mem:100", leaving), ["Stay"]);
}

#[test]
fn gpus_are_kept_for_those_who_need_them() {
    let agent = agent();
    let check = |gpus: GpuUse, wanted: u64, offered: &str, lacks: &[&str]| {
        let scalars = [Scalar(1000), Scalar::whole(100), Scalar(0), Scalar::whole(wanted)];
        let need = Need { scalars, gpus, ..need(0, &[], &["*"]) };
        assert_eq!(lacking(&need, offered, staying(&agent)), lacks, "{gpus:?} {wanted}");
    };
    check(GpuUse::Restricted, 0, "cpus:1;mem:100", &[]);
    check(GpuUse::Restricted, 0, "cpus:1;mem:100;gpus:1", &["Thrift"]);
    check(GpuUse::Restricted, 1, "cpus:1;mem:100;gpus:1", &[]);
    check(GpuUse::Unrestricted, 0, "cpus:1;mem:100;gpus:1", &[]);
    check(GpuUse::Unrestricted, 2, "cpus:1;mem:100;gpus:1", &["Gpus 1"]);
}

#[test]
fn marathon_names_each_reason_once() {
    use placement::demand::Miss::{InsufficientCpus, UnfulfilledConstraint, UnfulfilledRole};
    let lack = |demand| Lack { demand, missing: Scalar(0) };
    let demands =
        [Demand::Role, Demand::Region, Demand::Constraint(0), Demand::Constraint(1), Demand::Cpus];
    let all = misses(&demands.map(lack));
    assert_eq!(all, [UnfulfilledRole, UnfulfilledConstraint, InsufficientCpus]);
}

#[test]
fn chosen_ports_follow_each_other_from_where_the_seed_says_and_never_clash() {
    let check = |offered: &str, seed: u64, wanted: &[u16], ports: &[u16]| {
        let room = Room::new(&format!("cpus:2;mem:200;ports:{offered}").parse().expect(offered));
        let wanted = wanted.iter().map(|port| match port {
            0 => Port::Any,
            port => Port::Exactly(*port),
        });
        let need = need(100, &wanted.collect::<Vec<_>>(), &["*"]);
        let taken = fit(&need, &room, staying(&agent()), &[], seed).expect(offered);
        assert_eq!(taken.ports().collect::<Vec<_>>(), ports, "{offered} with {seed}");
    };
    check("[10-19]", 0, &[0, 0], &[10, 11]);
    check("[10-19]", 9, &[0, 0], &[19, 10]);
    check("[10-19]", 23, &[0, 0, 0], &[13, 14, 15]);
    check("[10-11,20-21]", 1, &[0, 0, 0], &[11, 20, 21]);
    check("[10-11,20-21]", 3, &[0, 0, 0, 0], &[21, 10, 11, 20]);
    check("[10-19]", 0, &[0, 11, 0], &[10, 11, 12]);
    check("[10-19]", 1, &[0, 11, 0], &[12, 11, 13]);
    check("[10-12]", 2, &[11, 0, 0], &[11, 12, 10]);
}

#[test]
fn a_room_is_filled_to_the_last_port() {
    let mut room = Room::new(&"cpus:9;mem:900;ports:[1-9]".parse().expect("resources"));
    let need = need(1000, &[Port::Any; 3], &["*"]);
    let agent = agent();
    let mut all: Vec<u16> = Vec::new();
    for seed in [5, 11, 2] {
        let taken = fit(&need, &room, staying(&agent), &[], seed).expect("room for three");
        all.extend(taken.ports());
        room.take(&taken);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=9).collect::<Vec<u16>>());
    let lack = Lack { demand: Demand::Ports, missing: Scalar::whole(3) };
    assert_eq!(fit(&need, &room, staying(&agent), &[], 1), Err(vec![lack]));
}
