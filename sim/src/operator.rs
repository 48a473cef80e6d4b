//! A restless operator: puts, scales, restarts, deletes, kills and cancels, at random.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::Input;
use model::container::{Family, Scheme};
use model::id::Uuid;
use model::resources::Scalar;
use placement::{Constraint, Operator};
use services::spec::{
    AppHealthCheck, AppId, AppSpec, Backoff, CheckKind, CheckPort, PortDefinition, Process,
    UnreachableStrategy, UpgradeStrategy,
};
use services::{Cancel, Change, Kill, Order};

use crate::dice::Dice;
use crate::parcel::Parcel;
use crate::pod;
use crate::world::World;

pub const APPS: [&str; 8] =
    ["/a", "/b", "/group/c", "/group/d", "/group/deep/e", "/f", "/group/pod", "/pod"];

/// From one deed to the next.
const PAUSE_MS_MAX: u64 = 8_000;

/// What was asked for, to be compared with what is true later.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Put(AppId),
    Delete(AppId),
    Restart(AppId),
    Cancel(Uuid),
    Kill,
}

impl Asked {
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Asked::Put(app) | Asked::Delete(app) | Asked::Restart(app) => Some(app),
            Asked::Cancel(_) | Asked::Kill => None,
        }
    }
}

impl World {
    pub fn operate(&mut self) {
        if self.weather.loss_permille == 0 {
            return;
        }
        let pause = self.dice.between(100, PAUSE_MS_MAX);
        self.send_in(pause, Parcel::OperatorActs);
        if let Some((asked, order)) = self.think_of_something() {
            self.ask(asked, order);
        }
    }

    pub fn ask(&mut self, asked: Asked, order: Order) {
        if !self.master.is_running() || !self.history.may_ask(&asked) {
            return;
        }
        self.trace(|| format!("operator asks: {asked:?}"));
        let force = match &order {
            Order::Deploy { force, .. } | Order::KillTasks { force, .. } => *force,
            Order::Cancel { .. }
            | Order::ResetDelay { .. }
            | Order::Plan { .. }
            | Order::Report { .. } => false,
        };
        self.history.asked(&asked, force);
        let seed = self.dice.roll();
        self.tell_master(Some(asked), Input::Services { order, seed });
    }

    fn think_of_something(&mut self) -> Option<(Asked, Order)> {
        let app: AppId = self.dice.pick(&APPS)?.parse().expect("a well-formed id");
        let force = self.dice.chance(150);
        let deploy = |change| Order::Deploy { changes: vec![change], force, timeout: None };
        let view = self.master.machine()?.view().services;
        let exists = view.apps.get(&app);
        Some(match self.dice.between(0, 9) {
            0 if exists.is_some() => (Asked::Delete(app.clone()), deploy(Change::Delete(app))),
            1 if exists.is_some() => (Asked::Restart(app.clone()), deploy(Change::Restart(app))),
            2 | 3 => {
                let tasks: Vec<_> = view.tasks.keys().cloned().collect();
                let tasks = vec![self.dice.pick(&tasks)?.clone()];
                let kill = *self.dice.pick(&[Kill::Replace, Kill::Scale, Kill::Wipe])?;
                (Asked::Kill, Order::KillTasks { tasks, kill, force })
            }
            4 => {
                let running: Vec<_> = view.deployments.values().map(|one| one.id).collect();
                let deployment = *self.dice.pick(&running)?;
                let how = *self.dice.pick(&[Cancel::Rollback, Cancel::Stop])?;
                (Asked::Cancel(deployment), Order::Cancel { deployment, how })
            }
            5 | 6 if exists.is_some() => {
                let current = exists.expect("just looked");
                let most = instances_max(&app);
                let instances = u32::try_from(self.dice.between(0, most)).expect("small");
                if instances == current.spec.instances {
                    // Nothing would change, its version included.
                    return None;
                }
                let spec = AppSpec { instances, ..(*current.spec).clone() };
                (Asked::Put(app), deploy(Change::Put { spec, base: Some(current.version) }))
            }
            _ => {
                let base = exists.map(|current| current.version);
                let spec = spec(&app, &mut self.dice);
                (Asked::Put(app), deploy(Change::Put { spec, base }))
            }
        })
    }
}

/// Few enough that all apps fit the smallest world twice over, upgrades included.
fn instances_max(app: &AppId) -> u64 {
    if app.as_str().starts_with("/group/") || is_pod(app) { 2 } else { 5 }
}

fn is_pod(app: &AppId) -> bool {
    app.as_str().ends_with("/pod")
}

/// A valid app of some random kind.
pub fn spec(id: &AppId, dice: &mut Dice) -> AppSpec {
    let unique = id.as_str().starts_with("/group/") && dice.chance(500);
    let operator = if dice.chance(500) { Operator::Unique } else { Operator::GroupBy };
    let constraint = Constraint { field: "hostname".to_owned(), operator, value: None };
    let fraction = |dice: &mut Dice| Scalar(dice.between(0, 2) * 500);
    AppSpec {
        instances: u32::try_from(dice.between(0, instances_max(id))).expect("small"),
        constraints: if unique { vec![constraint] } else { vec![] },
        upgrade: UpgradeStrategy {
            minimum_health_capacity: fraction(dice),
            maximum_over_capacity: fraction(dice),
        },
        backoff: Backoff { max: Duration::from_secs(10), ..Backoff::default() },
        unreachable: match dice.between(0, 2) {
            0 => UnreachableStrategy::Disabled,
            1 => UnreachableStrategy::default(),
            _ => UnreachableStrategy::Enabled {
                inactive_after: Duration::from_secs(5),
                expunge_after: Duration::from_secs(30),
            },
        },
        ..match is_pod(id) {
            true => pod::spec(id, dice),
            false => app(id, dice),
        }
    }
}

fn app(id: &AppId, dice: &mut Dice) -> AppSpec {
    let process = Process::Cmd(format!("run {}", dice.roll()));
    AppSpec {
        cpus: Scalar(dice.between(50, 150)),
        mem: Scalar::whole(dice.between(16, 64)),
        ports: vec![PortDefinition {
            port: 0,
            name: None,
            protocol: "tcp".to_owned(),
            labels: BTreeMap::new(),
            mapping: None,
        }],
        health_checks: if dice.chance(500) { vec![health_check(dice)] } else { vec![] },
        ..AppSpec::new(id.clone(), process)
    }
}

fn health_check(dice: &mut Dice) -> AppHealthCheck {
    AppHealthCheck {
        kind: CheckKind::Http {
            scheme: Scheme::Http,
            path: None,
            port: CheckPort::Index(0),
            family: Family::Ipv4,
            mesos: true,
        },
        grace: Duration::from_secs(10),
        interval: Duration::from_secs(dice.between(2, 10)),
        timeout: Duration::from_secs(2),
        delay: Duration::from_secs(1),
        failures_max: u32::try_from(dice.between(0, 3)).expect("small"),
        ignore_http_1xx: false,
    }
}
