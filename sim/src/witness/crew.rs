//! An app's instances as the rules count them, and what is wanted of the app now. Written from what users are promised,
//! not from the code that keeps it.

use std::sync::Arc;

use model::id::Serial;
use model::task::TaskState;
use model::time::Time;
use services::spec::{AppId, AppSpec, UnreachableStrategy};
use services::state::{Action, ActionKind, App, Deployment, Goal, Instance, Version};
use services::view::View;

use super::Step;

/// How many there are. Nobody counts whose end was told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Those that are to run.
    pub(crate) total: u32,
    /// Of these, those that serve: running, and as well as their health checks ask for.
    pub(crate) good: u32,
    /// Of these, those that have been unreachable for so long that they are replaced.
    pub(crate) inactive: u32,
    /// Of these, those that cannot be reached.
    pub(crate) unreachable: u32,
    /// Those on their way out whose agent answers.
    pub(crate) leaving: u32,
}

pub(crate) fn count(
    step: &Step<'_>,
    view: &View,
    app: &AppId,
    counts: impl Fn(&Instance) -> bool,
) -> Count {
    let mut sum = Count::default();
    let all = view.instances.get(app).into_iter().flat_map(|all| all.values());
    for one in all.filter(|one| counts(one)) {
        let is_lost = one.state == TaskState::Unreachable;
        match one.goal {
            Goal::Running => {
                sum.total += 1;
                sum.good += u32::from(is_good(view, one));
                sum.unreachable += u32::from(is_lost);
                sum.inactive += u32::from(is_inactive(view, one, step.now));
            }
            Goal::Stopped | Goal::Decommissioned => sum.leaving += u32::from(!is_lost),
        }
    }
    sum
}

pub(crate) fn is_good(view: &View, instance: &Instance) -> bool {
    let is_proven = match instance.healthy {
        Some(healthy) => healthy,
        None => !spec_of(view, instance).is_some_and(|spec| has_checks(spec)),
    };
    instance.state == TaskState::Running && is_proven && instance.ready
}

fn has_checks(spec: &AppSpec) -> bool {
    let of_pod = spec.pod.as_ref().is_some_and(|pod| pod.has_health_checks());
    of_pod || !spec.health_checks.is_empty()
}

pub(crate) fn spec_of<'a>(view: &'a View, instance: &Instance) -> Option<&'a Arc<AppSpec>> {
    view.versions.get(&(instance.app.clone(), instance.version))
}

fn is_inactive(view: &View, instance: &Instance, now: Time) -> bool {
    let strategy = spec_of(view, instance).map(|spec| spec.unreachable);
    match (strategy, instance.unreachable_since) {
        (Some(UnreachableStrategy::Enabled { inactive_after, .. }), Some(since)) => {
            instance.state == TaskState::Unreachable && since + inactive_after <= now
        }
        (Some(_) | None, _) => false,
    }
}

/// Whether an instance that cannot be reached may be given up by now.
pub(crate) fn is_expunged(view: &View, instance: &Instance, now: Time) -> bool {
    let strategy = spec_of(view, instance).map(|spec| spec.unreachable);
    match (strategy, instance.unreachable_since) {
        (Some(UnreachableStrategy::Enabled { expunge_after, .. }), Some(since)) => {
            instance.state == TaskState::Unreachable && since + expunge_after <= now
        }
        (Some(_) | None, _) => false,
    }
}

/// What is wanted of an app now.
#[derive(Debug, Clone)]
pub(crate) enum Aim {
    /// So many of this version, or of those before it that are there.
    Keep {
        count: u32,
        version: Version,
    },
    /// The app's instances are to be replaced by those of its configuration.
    Restart(Arc<App>),
    Nothing,
}

pub(crate) fn aim(view: &View, app: &AppId) -> Aim {
    let keep = |app: &Arc<App>| Aim::Keep { count: app.spec.instances, version: app.version };
    let now = view.apps.get(app);
    let Some((deployment, nth, action)) = held(view, app) else {
        return now.map_or(Aim::Nothing, keep);
    };
    let before = deployment.before.iter().find(|before| before.app == *app);
    let was = before.and_then(|before| before.was.as_ref());
    if deployment.step < nth {
        return was.map_or(Aim::Nothing, keep);
    }
    match (now, action.kind) {
        (Some(app), ActionKind::Restart) if deployment.step == nth => Aim::Restart(Arc::clone(app)),
        (_, ActionKind::Stop) | (None, _) => Aim::Nothing,
        (Some(app), ActionKind::Start | ActionKind::Scale | ActionKind::Restart) => keep(app),
    }
}

pub(crate) fn waits_for_its_step(view: &View, app: &AppId) -> bool {
    held(view, app).is_some_and(|(deployment, nth, _)| deployment.step < nth)
}

/// The deployment that the app is in, and which of its actions decides over the app: the last.
pub(crate) fn held<'a>(
    view: &'a View,
    app: &AppId,
) -> Option<(&'a Arc<Deployment>, u32, &'a Action)> {
    let serial: &Serial = view.locked.get(app)?.get_max()?;
    let deployment = view.deployments.get(serial)?;
    let (nth, action) = last_action(deployment, app)?;
    Some((deployment, nth, action))
}

pub(crate) fn last_action<'a>(
    deployment: &'a Deployment,
    app: &AppId,
) -> Option<(u32, &'a Action)> {
    let steps = (0..).zip(deployment.steps.iter());
    let actions = steps.flat_map(|(nth, actions)| actions.iter().map(move |one| (nth, one)));
    actions.filter(|(_, action)| action.app == *app).last()
}
