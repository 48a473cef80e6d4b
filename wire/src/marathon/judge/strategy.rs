//! How an app is replaced, retried, shrunk and given up.

use model::resources::Scalar;
use services::spec::{Backoff, KillSelection, UnreachableStrategy, UpgradeStrategy};

use super::faults::Faults;
use super::quantity::{Limits, scalar};
use crate::marathon::app::{App, UnreachableStrategy as Written};
use crate::marathon::number::Number;

const BACKOFF_SECONDS: u32 = 1;
const BACKOFF_FACTOR: f64 = 1.15;
const LAUNCH_DELAY_SECONDS: u32 = 300;
/// Everything at once: all old instances stay until their replacements are there.
const CAPACITY: f64 = 1.0;

pub(super) fn upgrade(app: &App, faults: &mut Faults) -> UpgradeStrategy {
    let written = app.upgrade_strategy.clone().unwrap_or_default();
    let mut fraction = |name: &str, given: Option<Number>| {
        let path = format!("/upgradeStrategy/{name}");
        if given.is_some_and(|number| number.0 > 1.0) {
            faults.add(path, "is greater than 1");
            return Scalar::default();
        }
        scalar(&path, given, Limits { default: CAPACITY, min: 0.0 }, faults)
    };
    UpgradeStrategy {
        minimum_health_capacity: fraction("minimumHealthCapacity", written.minimum_health_capacity),
        maximum_over_capacity: fraction("maximumOverCapacity", written.maximum_over_capacity),
    }
}

pub(super) fn backoff(app: &App, faults: &mut Faults) -> Backoff {
    let factor = Limits { default: BACKOFF_FACTOR, min: 1.0 };
    let max = app.max_launch_delay_seconds;
    Backoff {
        initial: faults.seconds("/backoffSeconds", app.backoff_seconds, BACKOFF_SECONDS),
        factor: scalar("/backoffFactor", app.backoff_factor, factor, faults),
        max: faults.seconds("/maxLaunchDelaySeconds", max, LAUNCH_DELAY_SECONDS),
    }
}

pub(super) fn kill_selection(app: &App, faults: &mut Faults) -> KillSelection {
    match app.kill_selection.as_deref() {
        None | Some("YOUNGEST_FIRST") => KillSelection::YoungestFirst,
        Some("OLDEST_FIRST") => KillSelection::OldestFirst,
        Some(_) => {
            faults.add("/killSelection", "must be YOUNGEST_FIRST or OLDEST_FIRST");
            KillSelection::YoungestFirst
        }
    }
}

/// Replaced at once, as DC/OS does: both delays are 0 unless given.
pub(super) fn unreachable(app: &App, faults: &mut Faults) -> UnreachableStrategy {
    let enabled = match &app.unreachable_strategy {
        None => Default::default(),
        Some(Written::Enabled(enabled)) => enabled.clone(),
        Some(Written::Word(word)) => {
            if word != "disabled" {
                faults.add("/unreachableStrategy", "must be \"disabled\" or an object");
            }
            return UnreachableStrategy::Disabled;
        }
    };
    let path = "/unreachableStrategy/inactiveAfterSeconds";
    let inactive_after = faults.seconds(path, enabled.inactive_after_seconds, 0);
    let path = "/unreachableStrategy/expungeAfterSeconds";
    let expunge_after = faults.seconds(path, enabled.expunge_after_seconds, 0);
    if expunge_after < inactive_after {
        faults.add(
            "/unreachableStrategy",
            "inactiveAfterSeconds must be less than or equal to expungeAfterSeconds",
        );
    }
    UnreachableStrategy::Enabled { inactive_after, expunge_after }
}
