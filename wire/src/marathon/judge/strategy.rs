//! How an app is replaced, retried, shrunk and given up.

use model::resources::Scalar;
use services::spec::volume::{AppVolume, AppVolumeSource};
use services::spec::{Backoff, KillSelection, UnreachableStrategy, UpgradeStrategy};

use super::faults::Faults;
use super::quantity::{Limits, scalar};
use crate::marathon::app::{App, UnreachableStrategy as Written};
use crate::marathon::number::Number;

/// What keeps an app's instances where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stay {
    /// Its data lies on agents.
    persistent: bool,
    /// It says that it stays, whether it has such data or not.
    pub(super) resident: bool,
    external: bool,
    /// Nobody else can use its volumes meanwhile.
    dvdi: bool,
}

impl Stay {
    pub(super) fn of(app: &App, volumes: &[AppVolume]) -> Self {
        let has = |is: fn(&AppVolumeSource) -> bool| volumes.iter().any(|one| is(&one.source));
        let persistent = has(|source| matches!(source, AppVolumeSource::Persistent(_)));
        let dvdi = has(|source| matches!(source, AppVolumeSource::Dvdi(_)));
        let csi = has(|source| matches!(source, AppVolumeSource::Csi(_)));
        let resident = persistent || app.residency.is_some();
        Self { persistent, resident, external: dvdi || csi, dvdi }
    }
}

/// How an app changes and recovers.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) upgrade: UpgradeStrategy,
    pub(super) backoff: Backoff,
    pub(super) kill_selection: KillSelection,
    pub(super) unreachable: UnreachableStrategy,
}

pub(super) fn judge(app: &App, stay: Stay, faults: &mut Faults) -> Policy {
    residency(app, faults);
    Policy {
        upgrade: upgrade_of(app, stay, faults),
        backoff: backoff(app, faults),
        kill_selection: kill_selection(app, faults),
        unreachable: unreachable_of(app, stay, faults),
    }
}

const BACKOFF_SECONDS: u32 = 1;
const BACKOFF_FACTOR: f64 = 1.15;
const LAUNCH_DELAY_SECONDS: u32 = 300;
/// Everything at once: all old instances stay until their replacements are there.
const CAPACITY: f64 = 1.0;
/// Volumes cannot be in two places: no replacement comes before its predecessor has gone.
const STAYING: UpgradeStrategy =
    UpgradeStrategy { minimum_health_capacity: Scalar(500), maximum_over_capacity: Scalar(0) };

fn upgrade_of(app: &App, stay: Stay, faults: &mut Faults) -> UpgradeStrategy {
    if app.upgrade_strategy.is_none() && (stay.persistent || stay.external) {
        return STAYING;
    }
    let upgrade = upgrade(app, faults);
    let over = upgrade.maximum_over_capacity;
    if app.upgrade_strategy.is_some() && (stay.resident || stay.dvdi) && !over.is_zero() {
        let message = format!("got {over}, expected 0.0");
        faults.add("/upgradeStrategy/maximumOverCapacity", message);
    }
    upgrade
}

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

/// It has no effect, and must make sense all the same.
fn residency(app: &App, faults: &mut Faults) {
    let Some(residency) = &app.residency else { return };
    let path = "/residency/relaunchEscalationTimeoutSeconds";
    if residency.relaunch_escalation_timeout_seconds.is_some_and(|seconds| seconds.0 < 0) {
        faults.add(path, "must be 0 or more");
    }
    if !matches!(
        residency.task_lost_behavior.as_deref(),
        None | Some("WAIT_FOREVER" | "RELAUNCH_AFTER_TIMEOUT")
    ) {
        let message = "must be WAIT_FOREVER or RELAUNCH_AFTER_TIMEOUT";
        faults.add("/residency/taskLostBehavior", message);
    }
}

fn backoff(app: &App, faults: &mut Faults) -> Backoff {
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

/// Who has data on an agent waits for it.
fn unreachable_of(app: &App, stay: Stay, faults: &mut Faults) -> UnreachableStrategy {
    match &app.unreachable_strategy {
        None if stay.persistent => UnreachableStrategy::Disabled,
        Some(Written::Enabled(_)) if stay.resident => {
            faults.add("/", "unreachableStrategy must be disabled for resident tasks");
            UnreachableStrategy::Disabled
        }
        None | Some(Written::Enabled(_) | Written::Word(_)) => unreachable(app, faults),
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
