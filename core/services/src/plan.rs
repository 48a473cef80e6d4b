//! Which steps lead from the apps as they are to the apps as they are to be.
//!
//! The steps are those of Marathon's `DeploymentPlan.scala`: what is to go is stopped, what is new is started with no
//! instances, then one step for each level of dependencies scales or restarts. Other than there, stopping keeps to the
//! dependencies too, in as many steps.

use std::collections::BTreeMap;

use crate::spec::AppId;
use crate::state::{Action, ActionKind};

/// How an app differs from what it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    New,
    /// Only the number of instances, or down to none.
    Scale,
    /// Every instance is to be replaced.
    Config,
    /// Only what concerns no instance.
    Settings,
    Gone,
}

/// `level` is the length of the longest chain of dependencies below an app.
pub(crate) fn steps(
    differences: &BTreeMap<AppId, Difference>,
    level: impl Fn(&AppId) -> usize,
    is_pod: impl Fn(&AppId) -> bool,
) -> Vec<Vec<Action>> {
    let mut stop: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
    let mut start = Vec::new();
    let mut levels: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
    for (app, difference) in differences {
        let action = |kind| Action { kind, app: app.clone(), pod: is_pod(app) };
        let mut at_level = |kind| levels.entry(level(app)).or_default().push(action(kind));
        match difference {
            Difference::Gone => {
                stop.entry(level(app)).or_default().push(action(ActionKind::Stop));
            }
            Difference::New => {
                start.push(action(ActionKind::Start));
                at_level(ActionKind::Scale);
            }
            Difference::Scale => at_level(ActionKind::Scale),
            Difference::Config => at_level(ActionKind::Restart),
            Difference::Settings => (),
        }
    }
    // What depends on others goes before them, and comes after them.
    let steps = stop.into_values().rev().chain([start]).chain(levels.into_values());
    steps.filter(|step| !step.is_empty()).collect()
}
