//! How deployments proceed: in the order of the dependencies, one step after another, each only when all of it is done;
//! and they end because they are done, or because somebody or their time limit said so.

use std::collections::{BTreeMap, BTreeSet};

use model::id::Serial;
use services::group::GroupId;
use services::spec::{AppId, AppSpec};
use services::state::{Action, ActionKind, App, Deployment};
use services::view::View;
use services::{Cancel, Order};

use super::Step;
use super::crew::{count, is_good, last_action};

/// Which actions of each deployment's current step have been seen complete.
#[derive(Debug, Default)]
pub(super) struct Reached(BTreeMap<Serial, (u32, BTreeSet<AppId>)>);

impl Reached {
    pub(super) fn look(&mut self, step: &Step<'_>, view: &View) {
        for (serial, deployment) in &view.deployments {
            let known = self.0.entry(*serial).or_default();
            if known.0 != deployment.step {
                *known = (deployment.step, BTreeSet::new());
            }
            for action in deployment.current_actions() {
                if !known.1.contains(&action.app) && is_complete(step, view, action) {
                    known.1.insert(action.app.clone());
                }
            }
        }
    }

    /// A deployment begins, goes on or ends.
    pub(super) fn judge(&self, step: &Step<'_>, serial: Serial, before: &View, after: &View) {
        let Some(was) = before.deployments.get(&serial) else { return };
        match after.deployments.get(&serial) {
            Some(is) => {
                assert_eq!(is.step, was.step + 1, "a deployment goes from step to step: {is:?}");
                self.is_over(was);
            }
            None if step.succeeded.contains(&was.id) => {
                let last = was.steps.len() - 1;
                assert_eq!(usize::try_from(was.step), Ok(last), "it skips steps: {was:?}");
                self.is_over(was);
            }
            None => may_fail(step, was, before),
        }
    }

    fn is_over(&self, was: &Deployment) {
        let reached = self.0.get(&was.serial).filter(|(step, _)| *step == was.step);
        for action in was.current_actions() {
            let is_reached = reached.is_some_and(|(_, apps)| apps.contains(&action.app));
            assert!(is_reached, "step {} is over without {action:?} of {was:?}", was.step);
        }
    }
}

/// Whether what the action is for is there.
fn is_complete(step: &Step<'_>, view: &View, action: &Action) -> bool {
    let id = &action.app;
    let all = count(step, view, id, |_| true);
    let app = view.apps.get(id);
    match (action.kind, app) {
        (ActionKind::Start, _) => true,
        (ActionKind::Stop, _) | (_, None) => all.total + all.leaving == 0,
        (ActionKind::Scale, Some(app)) => {
            let wanted = app.spec.instances;
            let latest = count(step, view, id, |one| one.version == app.version);
            let proven = latest.total == latest.good + latest.unreachable;
            (all.total - all.inactive..=all.total).contains(&wanted) && all.leaving == 0 && proven
        }
        (ActionKind::Restart, Some(app)) => {
            let is_new = |app: &App, version| app.last_config_change_at <= version;
            let instances = view.instances.get(id).into_iter().flat_map(|all| all.values());
            let good = instances.filter(|one| is_new(app, one.version) && is_good(view, one));
            let good = good.filter(|one| one.goal == services::state::Goal::Running).count();
            let old = count(step, view, id, |one| !is_new(app, one.version));
            u32::try_from(good).expect("small") >= app.spec.instances
                && old.total == 0
                && all.leaving == 0
        }
    }
}

/// A deployment is over before it is done because somebody said so, or its time is up.
fn may_fail(step: &Step<'_>, was: &Deployment, before: &View) {
    assert!(step.failed.contains_key(&was.id), "a deployment vanishes without a word: {was:?}");
    let is_late = |one: &Deployment| one.deadline.is_some_and(|at| at <= step.now);
    let is_told = match step.order {
        Some(Order::Deploy { force, .. } | Order::KillTasks { force, .. }) => *force,
        Some(Order::Cancel { deployment, how: Cancel::Stop }) => *deployment == was.id,
        // It may hold what others have taken over since.
        Some(Order::Cancel { how: Cancel::Rollback, .. }) => true,
        Some(Order::Report { .. } | Order::Plan { .. } | Order::ResetDelay { .. }) | None => {
            before.deployments.values().any(|one| is_late(one))
        }
    };
    assert!(is_told || is_late(was), "a deployment fails for no reason: {was:?}");
}

/// What a new deployment does comes after what it depends on, and goes before it.
pub(super) fn keeps_the_order(first: &View, last: &View) {
    let is_new = |serial: &&Serial| !first.deployments.contains_key(*serial);
    for serial in last.deployments.keys().filter(is_new) {
        let deployment = &last.deployments[serial];
        let actions = deployment.steps.iter().flatten();
        let apps: BTreeSet<&AppId> = actions.map(|action| &action.app).collect();
        let last_of = |app| last_action(deployment, app).expect("it is one of its actions");
        for app in &apps {
            let (at, action) = last_of(app);
            let is_stop = action.kind == ActionKind::Stop;
            let view = if is_stop { first } else { last };
            let Some(spec) = view.apps.get(*app).map(|app| &app.spec) else { continue };
            for other in apps.iter().filter(|other| *other != app && depends(view, spec, other)) {
                let (below, theirs) = last_of(other);
                match (is_stop, theirs.kind == ActionKind::Stop) {
                    (true, true) => {
                        assert!(at < below, "{app} stops before {other}: {deployment:?}")
                    }
                    (false, false) => {
                        assert!(below < at, "{app} comes after {other}: {deployment:?}")
                    }
                    (true, false) | (false, true) => (),
                }
            }
        }
    }
}

/// Itself, or through a group that it lies in; on the app, or on a group that the app lies in.
fn depends(view: &View, spec: &AppSpec, on: &AppId) -> bool {
    let around = view.groups.iter().filter(|(group, _)| group.holds(&spec.id));
    let of_groups = around.flat_map(|(_, group)| &group.dependencies);
    let names = |one: &AppId| one == on || GroupId::Path(one.clone()).holds(on);
    spec.dependencies.iter().chain(of_groups).any(names)
}

/// Whoever takes an app over by force ends the deployment that held it.
pub(super) fn has_one_holder(view: &View) {
    for (app, by) in &view.locked {
        assert!(by.len() == 1, "app {app} is held by {by:?}");
    }
}
