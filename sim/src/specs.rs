//! Apps at random: every rule that the scheduler follows for an app is asked for by some.

use std::collections::BTreeMap;
use std::time::Duration;

use model::container::{Family, Scheme};
use model::resources::Scalar;
use placement::{Constraint, Operator};
use services::autoscale::{Autoscale, Metric};
use services::spec::network::{Network, NetworkMode};
use services::spec::{
    AppHealthCheck, AppId, AppSpec, Backoff, CheckKind, CheckPort, KillSelection, PortDefinition,
    Process, ReadinessCheck, UnreachableStrategy, UpgradeStrategy,
};

use crate::dice::Dice;
use crate::operator::APPS;
use crate::pod;

/// Few enough that all apps fit the smallest world twice over, upgrades included.
pub fn instances_max(app: &AppId) -> u64 {
    if is_lonely(app) { 5 } else { 2 }
}

fn is_lonely(app: &AppId) -> bool {
    !app.as_str().trim_start_matches('/').contains('/') && !is_pod(app)
}

pub fn is_pod(app: &AppId) -> bool {
    app.as_str().ends_with("/pod")
}

/// A valid app of some random kind.
pub fn spec(id: &AppId, dice: &mut Dice) -> AppSpec {
    let fraction = |dice: &mut Dice| Scalar(dice.between(0, 4) * 250);
    AppSpec {
        instances: u32::try_from(dice.between(0, instances_max(id))).expect("small"),
        constraints: constraints(id, dice),
        upgrade: UpgradeStrategy {
            minimum_health_capacity: fraction(dice),
            maximum_over_capacity: fraction(dice),
        },
        backoff: Backoff { max: Duration::from_secs(10), ..Backoff::default() },
        kill_selection: match dice.chance(500) {
            true => KillSelection::YoungestFirst,
            false => KillSelection::OldestFirst,
        },
        unreachable: match dice.between(0, 3) {
            0 => UnreachableStrategy::Disabled,
            1 => UnreachableStrategy::default(),
            2 => UnreachableStrategy::Enabled {
                inactive_after: Duration::from_secs(5),
                expunge_after: Duration::from_secs(600),
            },
            _ => UnreachableStrategy::Enabled {
                inactive_after: Duration::from_secs(5),
                expunge_after: Duration::from_secs(30),
            },
        },
        dependencies: dependencies(id, dice),
        deployment_timeout: dice.chance(70).then(|| Duration::from_secs(dice.between(5, 120))),
        networks: networks(dice),
        ..match is_pod(id) {
            true => pod::spec(id, dice),
            false => app(id, dice),
        }
    }
}

fn constraints(id: &AppId, dice: &mut Dice) -> Vec<Constraint> {
    let constraint = |field: &str, operator, value: Option<&str>| Constraint {
        field: field.to_owned(),
        operator,
        value: value.map(str::to_owned),
    };
    match dice.between(0, 19) {
        0..=2 if !is_lonely(id) => vec![constraint("hostname", Operator::Unique, None)],
        3..=5 => vec![constraint("hostname", Operator::GroupBy, None)],
        6 => vec![constraint("hostname", Operator::MaxPer, Some("2"))],
        7 => vec![constraint("rack", Operator::Like, Some("a"))],
        // Some worlds have one such machine; no world has the next.
        8 => vec![constraint("ssd", Operator::Is, Some("true"))],
        9 if dice.chance(300) => vec![constraint("rack", Operator::Cluster, Some("nowhere"))],
        _ => vec![],
    }
}

/// On apps that come before it, so that only groups can close a circle.
fn dependencies(id: &AppId, dice: &mut Dice) -> Vec<AppId> {
    let earlier: Vec<&str> = APPS.into_iter().take_while(|app| *app != id.as_str()).collect();
    let one = dice.pick(&earlier).filter(|_| dice.chance(200));
    one.map(|app| app.parse().expect("a well-formed id")).into_iter().collect()
}

/// Few are on a network that is not there, for which they wait.
fn networks(dice: &mut Dice) -> Vec<Network> {
    let bridge = Network { mode: NetworkMode::Bridge, name: None, labels: BTreeMap::new() };
    if dice.chance(15) { vec![bridge] } else { vec![] }
}

fn app(id: &AppId, dice: &mut Dice) -> AppSpec {
    let process = Process::Cmd(format!("run {}", dice.roll()));
    AppSpec {
        cpus: Scalar(dice.between(50, 150)),
        mem: Scalar::whole(dice.between(16, 64)),
        ports: vec![PortDefinition {
            port: 0,
            name: Some("http".to_owned()),
            protocol: "tcp".to_owned(),
            labels: BTreeMap::new(),
            mapping: None,
        }],
        health_checks: if dice.chance(500) { vec![health_check(dice)] } else { vec![] },
        readiness: dice.chance(250).then(|| readiness(dice)),
        autoscale: dice.chance(200).then(|| autoscale(id, dice)),
        ..AppSpec::new(id.clone(), process)
    }
}

fn autoscale(id: &AppId, dice: &mut Dice) -> Autoscale {
    let custom = Metric::Custom("queue".to_owned());
    let metrics = [Metric::Cpu, Metric::Mem, Metric::RequestsPerInstance, custom];
    let delay = |dice: &mut Dice| Duration::from_secs(dice.between(0, 3) * 7);
    Autoscale {
        min: u32::try_from(dice.between(1, 2)).expect("small"),
        max: u32::try_from(dice.between(2, instances_max(id))).expect("small"),
        metric: dice.pick(&metrics).expect("there are some").clone(),
        target: Scalar(500),
        scale_up_delay: delay(dice),
        scale_down_delay: delay(dice),
    }
}

fn readiness(dice: &mut Dice) -> ReadinessCheck {
    ReadinessCheck {
        name: "ready".to_owned(),
        scheme: Scheme::Http,
        path: "/".to_owned(),
        port_name: "http".to_owned(),
        interval: Duration::from_secs(dice.between(1, 5)),
        timeout: Duration::from_secs(1),
        statuses: vec![200],
        preserve_last_response: false,
    }
}

fn health_check(dice: &mut Dice) -> AppHealthCheck {
    AppHealthCheck {
        kind: CheckKind::Http {
            scheme: Scheme::Http,
            path: None,
            port: CheckPort::Index(0),
            family: Family::Ipv4,
            mesos: dice.chance(500),
        },
        grace: Duration::from_secs(10),
        interval: Duration::from_secs(dice.between(2, 10)),
        timeout: Duration::from_secs(2),
        delay: Duration::from_secs(1),
        failures_max: u32::try_from(dice.between(0, 3)).expect("small"),
        ignore_http_1xx: false,
    }
}
