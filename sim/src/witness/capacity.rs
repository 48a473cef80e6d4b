//! Who is launched and who is killed.
//!
//! What counts is what the scheduler decides, not what failures take away: a task that dies by itself or is lost may
//! leave an app below its `minimumHealthCapacity`; but nobody who serves is chosen to go while no more than that serve.
//! Whom a user names, who fails checks too often and who was launched and never reported goes at any time: that is
//! nothing that an upgrade decides.
//!
//! A launch keeps to the capacity counting all who are to run and all who are on their way out, on agents that answer,
//! without those who have been unreachable for so long that they are replaced.

use model::id::Serial;
use model::task::TaskState;
use services::spec::UpgradeStrategy;
use services::state::{Goal, Instance};
use services::view::View;

use super::Step;
use super::crew::{Aim, Count, aim, count, is_expunged, is_good};

/// Of an app's instances so many may be on their way out when one is killed for its health: a tenth, and one always.
const LEAVING_PERCENT_MAX: u32 = 10;

/// The record says what becomes of an instance.
pub(super) fn judge(step: &Step<'_>, before: &View, serial: Serial, is: Option<&Instance>) {
    let was = before.instances.values().find_map(|all| all.get(&serial));
    match (was, is) {
        (None, Some(launched)) => may_launch(step, before, launched),
        (Some(was), Some(is)) => {
            if was.goal == Goal::Running && is.goal == Goal::Decommissioned {
                may_kill(step, before, was);
            }
        }
        (Some(was), None) => {
            assert!(
                step.ended.contains(&serial) || is_expunged(before, was, step.now),
                "an instance is forgotten though nobody told its end: {was:?}"
            );
        }
        (None, None) => (),
    }
}

fn may_launch(step: &Step<'_>, view: &View, launched: &Instance) {
    let app = &launched.app;
    let all = count(step, view, app, |_| true);
    let here = (all.total + all.leaving).saturating_sub(all.inactive);
    match aim(view, app) {
        Aim::Keep { count, version } => {
            assert!(here < count, "app {app} wants {count}, has {all:?}, and launches one more");
            assert_eq!(launched.version, version, "app {app} launches another version");
        }
        Aim::Restart(to) => {
            let wanted = to.spec.instances;
            let capacity = capacity(wanted, to.spec.upgrade);
            assert!(
                here < capacity,
                "app {app} has room for {capacity}, has {all:?}, and launches one more"
            );
            let new = count(step, view, app, |one| to.last_config_change_at <= one.version);
            assert!(
                new.total.saturating_sub(new.inactive) < wanted,
                "app {app} wants {wanted} new ones, has {new:?}, and launches one more"
            );
            assert_eq!(launched.version, to.version, "app {app} launches another version");
        }
        Aim::Nothing => panic!("app {app} is to have no instances, and one is launched"),
    }
}

fn may_kill(step: &Step<'_>, view: &View, victim: &Instance) {
    let all = count(step, view, &victim.app, |_| true);
    if step.ill.contains(&victim.serial) {
        return keeps_the_rate(victim, all);
    }
    if victim.tasks().any(|task| step.named.contains(task)) || is_overdue(step, victim) {
        return;
    }
    let app = &victim.app;
    match aim(view, app) {
        Aim::Keep { count, .. } => {
            assert!(
                count < all.total,
                "app {app} wants {count}, has {all:?}, and kills {victim:?}"
            );
            let spares_the_good =
                !is_good(view, victim) || count < all.good || is_spread(view, victim);
            assert!(spares_the_good, "app {app} has {all:?} for {count} and kills one that serves");
        }
        Aim::Restart(to) => {
            let minimum = minimum_healthy(to.spec.instances, to.spec.upgrade);
            assert!(
                victim.version < to.last_config_change_at,
                "app {app} is restarted and kills one that is new: {victim:?}"
            );
            assert!(
                !is_good(view, victim) || minimum < all.good,
                "of app {app} {minimum} are to serve; it has {all:?} and kills {victim:?}"
            );
        }
        Aim::Nothing => (),
    }
}

fn keeps_the_rate(victim: &Instance, all: Count) {
    let most = ((all.total + all.leaving) * LEAVING_PERCENT_MAX).div_ceil(100);
    assert!(
        all.leaving < most,
        "app {}: {most} may be on their way out, {all:?}, and one more is killed for its health",
        victim.app
    );
}

/// It was launched so long ago that it should have been heard of, or should run.
fn is_overdue(step: &Step<'_>, victim: &Instance) -> bool {
    let age = step.now.since(victim.staged_at);
    match victim.state {
        TaskState::Staging => step.config.launch_confirm_timeout <= age,
        TaskState::Starting => step.config.launch_timeout <= age,
        TaskState::Running
        | TaskState::Killing
        | TaskState::Unreachable
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => false,
    }
}

/// Scaling down takes from the fullest group, whoever is in it.
fn is_spread(view: &View, victim: &Instance) -> bool {
    let app = view.apps.get(&victim.app);
    app.is_some_and(|app| {
        let mut constraints = app.spec.constraints.iter();
        constraints.any(|one| one.operator == placement::Operator::GroupBy)
    })
}

fn minimum_healthy(count: u32, strategy: UpgradeStrategy) -> u32 {
    let thousandths = u64::from(count) * strategy.minimum_health_capacity.0;
    u32::try_from(thousandths.div_ceil(1000)).expect("small")
}

/// One more than wanted where all must serve and none may be too many: else there would be no way forward.
fn capacity(count: u32, strategy: UpgradeStrategy) -> u32 {
    let over = u64::from(count) * strategy.maximum_over_capacity.0 / 1000;
    let capacity = count + u32::try_from(over).expect("small");
    capacity + u32::from(capacity == minimum_healthy(count, strategy))
}
