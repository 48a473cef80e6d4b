//! How a pod is placed, replaced, retried, shrunk and given up.

use model::resources::Scalar;
use placement::Constraint;
use services::spec::{Backoff, KillSelection, UnreachableStrategy, UpgradeStrategy};

use super::super::faults::Faults;
use super::super::quantity::{Limits, scalar};
use super::super::{placement as places, strategy};
use super::container::seconds;
use crate::marathon::app::{App, UnreachableStrategy as Written};
use crate::marathon::pod::{self as written, Pod, Scheduling};

/// Half of the old instances stay; a volume cannot have two at a time.
const RESIDENT_HEALTH_CAPACITY: f64 = 0.5;

pub(super) struct Policy {
    pub(super) backoff: Backoff,
    pub(super) upgrade: UpgradeStrategy,
    pub(super) constraints: Vec<Constraint>,
    /// Unset, and never empty.
    pub(super) accepted_roles: Option<Vec<String>>,
    pub(super) kill_selection: KillSelection,
    pub(super) unreachable: UnreachableStrategy,
}

/// A resident pod has persistent volumes.
pub(super) fn judge(pod: &Pod, resident: bool, faults: &mut Faults) -> Policy {
    let policy = pod.scheduling.clone().unwrap_or_default();
    let placement = policy.placement.clone().unwrap_or_default();
    let as_app = App {
        upgrade_strategy: policy.upgrade.clone(),
        kill_selection: policy.kill_selection.clone(),
        unreachable_strategy: policy.unreachable_strategy.clone(),
        ..App::default()
    };
    Policy {
        backoff: backoff(&policy.backoff.clone().unwrap_or_default(), faults),
        upgrade: upgrade(&as_app, resident, faults),
        constraints: constraints(&placement, faults),
        accepted_roles: placement.accepted_resource_roles.filter(|roles| !roles.is_empty()),
        kill_selection: faults
            .within("/scheduling", |faults| strategy::kill_selection(&as_app, faults)),
        unreachable: unreachable(&policy, &as_app, resident, faults),
    }
}

fn backoff(given: &written::Backoff, faults: &mut Faults) -> Backoff {
    faults.within("/scheduling/backoff", |faults| Backoff {
        initial: seconds("/backoff", given.backoff, 1.0, faults),
        factor: scalar(
            "/backoffFactor",
            given.backoff_factor,
            Limits { default: 1.15, min: 0.0 },
            faults,
        ),
        max: seconds("/maxLaunchDelay", given.max_launch_delay, 300.0, faults),
    })
}

fn upgrade(app: &App, resident: bool, faults: &mut Faults) -> UpgradeStrategy {
    if resident && app.upgrade_strategy.is_none() {
        return UpgradeStrategy {
            minimum_health_capacity: Scalar::from_f64(RESIDENT_HEALTH_CAPACITY)
                .expect("a half is a scalar"),
            maximum_over_capacity: Scalar::default(),
        };
    }
    let moved = ("/upgradeStrategy", "/scheduling/upgrade");
    let upgrade = faults.moved(moved, |faults| strategy::upgrade(app, faults));
    if resident && !upgrade.maximum_over_capacity.is_zero() {
        let message = "must be 0 for pods with persistent volumes";
        faults.add("/scheduling/upgrade/maximumOverCapacity", message);
    }
    upgrade
}

fn unreachable(
    policy: &Scheduling,
    app: &App,
    resident: bool,
    faults: &mut Faults,
) -> UnreachableStrategy {
    let disabled = matches!(policy.unreachable_strategy, None | Some(Written::Word(_)));
    if resident && !disabled {
        let message = "unreachableStrategy must be disabled for pods with persistent volumes";
        faults.add("/", message);
    }
    if resident && policy.unreachable_strategy.is_none() {
        return UnreachableStrategy::Disabled;
    }
    faults.within("/scheduling", |faults| strategy::unreachable(app, faults))
}

fn constraints(placement: &written::Placement, faults: &mut Faults) -> Vec<Constraint> {
    let mut all = Vec::new();
    for (n, one) in placement.constraints.iter().flatten().enumerate() {
        let words = [&one.field_name, &one.operator].map(|word| word.clone().unwrap_or_default());
        let words: Vec<String> = words.into_iter().chain(one.value.clone()).collect();
        match places::constraint(&words) {
            Ok(constraint) if all.contains(&constraint) => {}
            Ok(constraint) => all.push(constraint),
            Err(message) => {
                faults.add(format!("/scheduling/placement/constraints({n})"), message);
            }
        }
    }
    all
}
