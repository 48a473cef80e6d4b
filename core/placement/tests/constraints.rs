//! Constraints as Marathon's documentation has them.

use model::agent::AgentInfo;
use model::attributes::FaultDomain;
use placement::rule::{Rule, Spot, Tally};
use placement::{Constraint, Operator};

fn constraint(text: &str) -> Constraint {
    let mut parts = text.splitn(3, ' ').map(str::to_owned);
    let field = parts.next().expect("a field");
    let operator = match parts.next().expect("an operator").as_str() {
        "UNIQUE" => Operator::Unique,
        "CLUSTER" => Operator::Cluster,
        "GROUP_BY" => Operator::GroupBy,
        "LIKE" => Operator::Like,
        "UNLIKE" => Operator::Unlike,
        "MAX_PER" => Operator::MaxPer,
        "IS" => Operator::Is,
        other => panic!("{other} is no operator"),
    };
    Constraint { field, operator, value: parts.next() }
}

fn agent(host: &str, attributes: &str, domain: &str) -> AgentInfo {
    let domain = domain
        .split_once('/')
        .map(|(region, zone)| FaultDomain { region: region.to_owned(), zone: zone.to_owned() });
    AgentInfo {
        hostname: host.to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: "cpus:1".parse().expect("resources"),
        attributes: model::attributes::parse(attributes).expect("attributes"),
        domain,
        version: "0.1.0".to_owned(),
        work_dir: "/".to_owned(),
    }
}

#[test]
fn an_agent_is_judged_by_itself() {
    let agent =
        agent("h1", "rack:rack-1;level:0.8;cores:4;vlans:[10-20,30-40];disks:{ssd,hdd}", "eu/eu-a");
    let check = |text: &str, allowed: bool| {
        let rule = Rule::new(&constraint(text)).expect(text);
        assert_eq!(rule.allows(Spot::of(&agent), &Tally::default(), 3), allowed, "{text}");
    };
    check("hostname CLUSTER h1", true);
    check("@hostname CLUSTER h2", false);
    check("hostname LIKE h[0-9]", true);
    check("hostname LIKE h", false);
    check("hostname UNLIKE h[2-9]", true);
    check("hostname UNLIKE h1|h2", false);
    check("rack IS rack-1", true);
    check("rack IS rack-2", false);
    check("rack CLUSTER rack-1", true);
    check("rack LIKE rack-[1-3]", true);
    check("level IS 0.8", true);
    check("level IS 0.80", true);
    check("level IS 0.8001", true);
    check("level IS 0.81", false);
    check("cores IS 4", true);
    check("cores LIKE 4", true);
    check("vlans CLUSTER [10-20,30-40]", true);
    check("vlans LIKE .*30-40.*", true);
    check("disks CLUSTER {hdd,ssd}", true);
    check("disks CLUSTER {ssd,hdd}", false);
    check("disks LIKE .*ssd.*", true);
    check("disks UNLIKE .*ssd.*", false);
    check("@region IS eu", true);
    check("@zone IS eu-b", false);
    check("@zone GROUP_BY 2", true);
    check("ssd IS true", false);
    check("ssd LIKE .*", false);
    check("ssd UNLIKE .*", true);
    check("ssd UNIQUE", false);
    check("ssd MAX_PER 3", false);
    check("ssd GROUP_BY", false);
}

#[test]
fn an_agent_is_judged_by_what_runs_already() {
    let check = |text: &str, instances: u32, placed: &[&str], host: &str, allowed: bool| {
        let rule = Rule::new(&constraint(text)).expect(text);
        let mut tally = Tally::default();
        placed.iter().for_each(|place| tally.add(Some((*place).to_owned())));
        let agent = agent(host, "", "");
        let found = rule.allows(Spot::of(&agent), &tally, instances);
        assert_eq!(found, allowed, "{text} of {instances} on {host} beside {placed:?}");
    };
    check("hostname UNIQUE", 3, &[], "a", true);
    check("hostname UNIQUE", 3, &["b"], "a", true);
    check("hostname UNIQUE", 3, &["a", "b"], "a", false);
    check("hostname CLUSTER", 3, &[], "a", true);
    check("hostname CLUSTER", 3, &["a"], "a", true);
    check("hostname CLUSTER", 3, &["a"], "b", false);
    check("hostname MAX_PER 2", 5, &["a"], "a", true);
    check("hostname MAX_PER 2", 5, &["a", "a"], "a", false);
    check("hostname MAX_PER 2", 5, &["a", "a"], "b", true);
    check("hostname GROUP_BY 3", 9, &["a", "a"], "a", true);
    check("hostname GROUP_BY 3", 9, &["a", "a", "a"], "a", false);
    check("hostname GROUP_BY 3", 9, &["a", "b", "c"], "d", false);
    check("hostname GROUP_BY 3", 10, &["a", "a", "a"], "a", true);
    check("hostname GROUP_BY 3", 10, &["a", "a", "a", "a", "b", "b", "b"], "b", false);
    check("hostname GROUP_BY 2", 1, &[], "a", true);
    check("hostname GROUP_BY", 9, &["a"], "b", true);
    check("hostname GROUP_BY", 9, &["a", "a", "b"], "a", false);
    check("hostname GROUP_BY", 9, &["a", "a", "b"], "b", true);
}

#[test]
fn a_constraint_that_makes_no_sense_is_refused() {
    let check = |text: &str, fault: Option<&str>| match (constraint(text).check(), fault) {
        (Ok(()), None) => (),
        (Err(message), Some(fault)) => assert!(message.contains(fault), "{text}: {message}"),
        (found, _) => panic!("{text}: {found:?}"),
    };
    check("hostname UNIQUE", None);
    check("hostname UNIQUE x", Some("Value specified but not used"));
    check("rack GROUP_BY", None);
    check("rack GROUP_BY 3", None);
    check("rack GROUP_BY three", Some("not a number"));
    check("rack MAX_PER", Some("Value was not specified"));
    check("rack MAX_PER x", Some("not a number"));
    check("rack MAX_PER 2", None);
    check("rack LIKE", Some("regular expression value must be provided"));
    check("rack LIKE (", Some("not a valid regular expression"));
    check("rack UNLIKE [a-z]+", None);
    check("rack LIKE a{99999999}", Some("not a valid regular expression"));
    check("rack IS", Some("Value was not specified"));
    check("rack IS {a,b}", Some("only supports Text and Scalar"));
    check("rack IS [1-2]", Some("only supports Text and Scalar"));
    check("rack CLUSTER", None);
    check(" UNIQUE", Some("field"));
}
