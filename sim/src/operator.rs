//! A restless operator: puts, scales, restarts, deletes, kills and cancels, apps and whole groups, at random.

use std::time::Duration;

use cluster::Input;
use model::id::Uuid;
use model::resources::Scalar;
use services::group::{GroupId, GroupUpdate};
use services::spec::{AppId, AppSpec};
use services::view::View;
use services::{Cancel, Change, Kill, Order};

use crate::dice::Dice;
use crate::parcel::Parcel;
use crate::specs::{instances_max, is_pod, spec};
use crate::world::World;

/// What comes later may depend on what comes before it.
pub const APPS: [&str; 13] = [
    "/a",
    "/b",
    "/group/c",
    "/group/d",
    "/group/deep/e",
    "/f",
    "/group/pod",
    "/pod",
    "/tree/leaf/v",
    "/tree/leaf/w",
    "/tree/pod",
    "/tree/x",
    "/tree/y",
];

const GROUPS: [&str; 6] = ["/group", "/group/deep", "/tree", "/tree", "/tree/leaf", "/tree/bare"];

/// From one deed to the next.
const PAUSE_MS_MAX: u64 = 5_000;

/// Groups are scaled up as long as none of their apps has more than this.
const SCALED_MAX: u32 = 4;

/// What was asked for, to be compared with what is true later.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Put(AppId),
    Delete(AppId),
    Restart(AppId),
    Group(Regrouped),
    Cancel(Uuid),
    Kill,
    Report(AppId),
    ResetDelay(AppId),
}

/// What an order does with a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Regrouped {
    pub group: GroupId,
    /// Apps that are there afterwards, in whatever version.
    pub there: Vec<AppId>,
    /// Apps that are not.
    pub gone: Vec<AppId>,
}

impl Asked {
    /// Whether it may change this app.
    pub fn touches(&self, app: &AppId) -> bool {
        match self {
            Asked::Put(own) | Asked::Delete(own) | Asked::Restart(own) => own == app,
            Asked::Group(regrouped) => regrouped.group.holds(app),
            Asked::Cancel(_) | Asked::Kill => true,
            Asked::Report(_) | Asked::ResetDelay(_) => false,
        }
    }
}

/// How the next order is given.
struct How {
    force: bool,
    timeout: Option<Duration>,
}

impl How {
    fn deploy(&self, change: Change) -> Order {
        Order::Deploy { changes: vec![change], force: self.force, timeout: self.timeout }
    }
}

impl World {
    pub fn operate(&mut self) {
        if self.weather.loss_permille == 0 {
            return self.lift_duties();
        }
        let pause = self.dice.between(100, PAUSE_MS_MAX);
        self.send_in(pause, Parcel::OperatorActs);
        if self.dice.chance(150) {
            self.steer();
        }
        if let Some((asked, order)) = self.think_of_something() {
            self.ask(asked, order);
        }
    }

    pub fn ask(&mut self, asked: Asked, order: Order) {
        let Some(cluster) = self.master.machine() else { return };
        if !self.history.may_ask(&asked) {
            return;
        }
        let view = cluster.view().services;
        self.trace(|| format!("operator asks: {asked:?} {}", shown(&order)));
        self.history.asked(&asked, &order, &view);
        let seed = self.dice.roll();
        self.tell_master(Some(asked), Input::Services { order, seed });
    }

    fn think_of_something(&mut self) -> Option<(Asked, Order)> {
        let app: AppId = self.dice.pick(&APPS)?.parse().expect("a well-formed id");
        let force = self.dice.chance(100);
        let seconds = self.dice.between(1, 100);
        let is_timed = self.dice.chance(100);
        let how = How { force, timeout: is_timed.then(|| Duration::from_secs(seconds)) };
        let view = self.master.machine()?.view().services;
        let exists = view.apps.get(&app);
        Some(match self.dice.between(0, 15) {
            0 if exists.is_some() => (Asked::Delete(app.clone()), how.deploy(Change::Delete(app))),
            1 if exists.is_some() => {
                (Asked::Restart(app.clone()), how.deploy(Change::Restart(app)))
            }
            2 => (Asked::ResetDelay(app.clone()), Order::ResetDelay { app }),
            3 | 4 => (Asked::Kill, self.some_kill(&view, force)?),
            5 => {
                let running: Vec<_> = view.deployments.values().map(|one| one.id).collect();
                let deployment = *self.dice.pick(&running)?;
                let cancel = *self.dice.pick(&[Cancel::Rollback, Cancel::Stop])?;
                (Asked::Cancel(deployment), Order::Cancel { deployment, how: cancel })
            }
            6 | 7 if exists.is_some() => {
                let current = exists.expect("just looked");
                let most = instances_max(&app);
                let instances = u32::try_from(self.dice.between(0, most)).expect("small");
                let bounds = current.spec.autoscale.as_ref().filter(|_| instances > 0);
                let instances = bounds.map_or(instances, |one| instances.clamp(one.min, one.max));
                if instances == current.spec.instances {
                    // Nothing would change, its version included.
                    return None;
                }
                let spec = AppSpec { instances, ..(*current.spec).clone() };
                (Asked::Put(app), how.deploy(Change::Put { spec, base: Some(current.version) }))
            }
            8..=11 => {
                let (regrouped, change) = self.regroup(&view)?;
                (Asked::Group(regrouped), how.deploy(change))
            }
            _ => {
                let base = exists.map(|current| current.version);
                let spec = spec(&app, &mut self.dice);
                (Asked::Put(app), how.deploy(Change::Put { spec, base }))
            }
        })
    }

    /// Of one task, or of all of an app's.
    fn some_kill(&mut self, view: &View, force: bool) -> Option<Order> {
        let tasks: Vec<_> = view.tasks.keys().cloned().collect();
        let one = self.dice.pick(&tasks)?.clone();
        let app = &view.tasks[&one].app;
        let of_app = view.tasks.iter().filter(|(_, instance)| instance.app == *app);
        let tasks = match self.dice.chance(250) {
            true => of_app.map(|(task, _)| task.clone()).collect(),
            false => vec![one],
        };
        let kill = *self.dice.pick(&[Kill::Replace, Kill::Scale, Kill::Wipe])?;
        Some(Order::KillTasks { tasks, kill, force })
    }

    fn regroup(&mut self, view: &View) -> Option<(Regrouped, Change)> {
        let group: GroupId = self.dice.pick(&GROUPS)?.parse().expect("a well-formed id");
        let inside: Vec<AppId> = view.apps_in(&group).map(|(app, _)| app.clone()).collect();
        let exists = view.has_group(&group);
        let what =
            |there: Vec<AppId>, gone: Vec<AppId>| Regrouped { group: group.clone(), there, gone };
        Some(match self.dice.between(0, 5) {
            0 if exists => (what(vec![], inside), Change::DeleteGroup(group)),
            1 if exists => {
                let by = Scalar(*self.dice.pick(&[500, 500, 1_000, 1_500, 2_000])?);
                let too_many = |(_, app): (&AppId, &std::sync::Arc<services::state::App>)| {
                    u64::from(app.spec.instances) * by.0 > u64::from(SCALED_MAX) * 1_000
                };
                if view.apps_in(&group).any(too_many) {
                    return None;
                }
                (what(inside, vec![]), Change::ScaleGroup { group, by })
            }
            2 if exists => {
                let versions = view.group_versions(&group);
                let to = *self.dice.pick(&versions)?;
                (what(vec![], vec![]), Change::RollBackGroup { group, to })
            }
            _ => {
                let update = some_update(&group, &mut self.dice);
                let named = named(&update);
                let gone = inside.into_iter().filter(|app| is_gone(&update, app)).collect();
                let change = match exists {
                    true => Change::PutGroup(update),
                    false => Change::CreateGroup(update),
                };
                (what(named, gone), change)
            }
        })
    }
}

/// Some of the apps that may lie in it, and what they all depend on.
fn some_update(group: &GroupId, dice: &mut Dice) -> GroupUpdate {
    let all = APPS.iter().map(|app| app.parse::<AppId>().expect("a well-formed id"));
    let direct: Vec<AppId> = all.filter(|app| GroupId::of(app) == *group).collect();
    let mut some = |of_pods: bool| {
        let of_kind = direct.iter().filter(|app| is_pod(app) == of_pods);
        let chosen: Vec<AppId> = of_kind.filter(|_| dice.chance(750)).cloned().collect();
        let specs = chosen.iter().map(|app| spec(app, dice)).collect();
        dice.chance(700).then_some(specs)
    };
    let (apps, pods) = (some(false), some(true));
    let below = format!("{}/leaf", group.as_str()).parse::<GroupId>().expect("a well-formed id");
    let has_leaf = APPS.iter().any(|app| app.starts_with(below.as_str()));
    let groups = (has_leaf && dice.chance(400)).then(|| {
        let keeps = dice.chance(700);
        keeps.then(|| some_update(&below, dice)).into_iter().collect()
    });
    let dependencies = dice.chance(400).then(|| {
        let on = dice.pick(&["/a", "/pod", "/group/deep", "/group"]);
        let on = on.filter(|on| !group.as_str().starts_with(*on));
        on.map(|on| on.parse().expect("a well-formed id")).into_iter().collect()
    });
    GroupUpdate { id: group.clone(), apps, pods, groups, dependencies, enforce_role: None }
}

/// The apps that are put with it.
fn named(update: &GroupUpdate) -> Vec<AppId> {
    let own = update.apps.iter().chain(&update.pods).flatten().map(|spec| spec.id.clone());
    own.chain(update.groups.iter().flatten().flat_map(named)).collect()
}

/// Whether the app lies where the update names all that is to be, and is not named.
fn is_gone(update: &GroupUpdate, app: &AppId) -> bool {
    let is_named = |specs: &[AppSpec]| specs.iter().any(|spec| spec.id == *app);
    if GroupId::of(app) == update.id {
        let kind = if is_pod(app) { &update.pods } else { &update.apps };
        return kind.as_ref().is_some_and(|specs| !is_named(specs));
    }
    let Some(groups) = &update.groups else { return false };
    let around = groups.iter().find(|group| group.id.holds(app));
    around.is_none_or(|group| is_gone(group, app))
}

fn shown(order: &Order) -> String {
    match order {
        Order::Deploy { changes, force, timeout } => {
            let text = format!("force {force}, timeout {timeout:?}: {changes:?}");
            text.chars().take(300).collect()
        }
        Order::KillTasks { .. }
        | Order::Cancel { .. }
        | Order::ResetDelay { .. }
        | Order::Plan { .. }
        | Order::Report { .. } => format!("{order:?}").chars().take(200).collect(),
    }
}
