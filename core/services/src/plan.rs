//! Which steps lead from the apps as they are to the apps as they are to be.
//!
//! The steps are those of Marathon's `DeploymentPlan.scala`: one that stops what is to go, one that starts what is new
//! with no instances, then one for each level of dependencies that scales or restarts.

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
    Gone,
}

/// `level` is the length of the longest chain of dependencies below an app.
pub(crate) fn steps(
    differences: &BTreeMap<AppId, Difference>,
    level: impl Fn(&AppId) -> usize,
    is_pod: impl Fn(&AppId) -> bool,
) -> Vec<Vec<Action>> {
    let mut stop = Vec::new();
    let mut start = Vec::new();
    let mut levels: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
    for (app, difference) in differences {
        let action = |kind| Action { kind, app: app.clone(), pod: is_pod(app) };
        let mut at_level = |kind| levels.entry(level(app)).or_default().push(action(kind));
        match difference {
            Difference::Gone => stop.push(action(ActionKind::Stop)),
            Difference::New => {
                start.push(action(ActionKind::Start));
                at_level(ActionKind::Scale);
            }
            Difference::Scale => at_level(ActionKind::Scale),
            Difference::Config => at_level(ActionKind::Restart),
        }
    }
    // What depends on others is named before them.
    stop.sort_by_key(|action| std::cmp::Reverse(level(&action.app)));
    let steps = [stop, start].into_iter().chain(levels.into_values());
    steps.filter(|step| !step.is_empty()).collect()
}
