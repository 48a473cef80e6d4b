//! What can be asked of services: a snapshot whose clone costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::agent::CheckTally;
use model::check::Readiness;
use model::id::{FrameworkId, Role, Serial, TaskId};
use model::scheduler::Offer;
use model::time::Time;
use placement::demand::Miss;

use crate::autoscale::Autoscaled;
use crate::explain::Explain;
use crate::group::{Group, GroupId};
use crate::past::{self, GroupThen, Past};
use crate::spec::{AppId, AppSpec};
use crate::state::{App, Deployment, History, Instance, Version};

/// Durable, except for `queue`, `health` and `readiness`, which may be newer than the last commit.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub framework: Option<FrameworkId>,
    pub apps: OrdMap<AppId, Arc<App>>,
    pub versions: OrdMap<(AppId, Version), Arc<AppSpec>>,
    /// By app, in the order of their creation.
    pub instances: OrdMap<AppId, OrdMap<Serial, Arc<Instance>>>,
    /// A pod's instance is here once for each of its members.
    pub tasks: OrdMap<TaskId, Arc<Instance>>,
    pub deployments: OrdMap<Serial, Arc<Deployment>>,
    /// Those that carry something, or that somebody put; the others follow from the ids of the apps.
    pub groups: OrdMap<GroupId, Arc<Group>>,
    /// What top-level groups do that do not say whether they enforce their role.
    pub enforce_group_role: bool,
    /// How apps were scaled by their use, lately.
    pub autoscaled: OrdMap<AppId, Arc<Autoscaled>>,
    /// What deployments changed in each top-level group; see [`View::group_versions`].
    pub(crate) past: OrdMap<(GroupId, Version), Arc<Past>>,
    /// Which deployments hold which app.
    pub locked: OrdMap<AppId, OrdSet<Serial>>,
    /// What waits for offers, and why.
    pub queue: OrdMap<AppId, Arc<Waiting>>,
    /// What the health checks of each task have found; nothing of tasks whose agents have not told it yet.
    pub health: OrdMap<TaskId, Arc<Vec<CheckTally>>>,
    /// What the readiness check of each task found last, as far as its agent has told.
    pub readiness: OrdMap<TaskId, Arc<Readiness>>,
    /// Counts by app, kept so that a list of 10,000 apps need not look at 100,000 instances.
    pub counts: OrdMap<AppId, Counts>,
    /// Those of the apps that are pods.
    pub pods: OrdSet<AppId>,
    /// How the latest instances of each pod ended.
    pub histories: OrdMap<AppId, Arc<History>>,
}

impl View {
    /// The apps that lie somewhere in a group.
    pub fn apps_in(&self, group: &GroupId) -> impl Iterator<Item = (&AppId, &Arc<App>)> {
        let (from, until) = group.inside();
        self.apps.range(from..until)
    }

    /// Groups with records below a group.
    pub fn groups_in(&self, group: &GroupId) -> impl Iterator<Item = (&GroupId, &Arc<Group>)> {
        let (from, until) = group.inside();
        self.groups.range(GroupId::Path(from)..GroupId::Path(until))
    }

    /// Whether there is such a group: the root always is.
    pub fn has_group(&self, group: &GroupId) -> bool {
        *group == GroupId::Root
            || self.groups.contains_key(group)
            || self.apps_in(group).next().is_some()
            || self.groups_in(group).next().is_some()
    }

    /// Whether new apps in a top-level group take its name as their role.
    pub fn enforces_role(&self, group: &GroupId) -> bool {
        let own = self.groups.get(group).and_then(|group| group.enforce_role);
        own.unwrap_or(self.enforce_group_role)
    }

    /// The versions of a group that can be gone back to, the newest first.
    pub fn group_versions(&self, group: &GroupId) -> Vec<Version> {
        past::versions(self, group)
    }

    /// The first of [`group_versions`](Self::group_versions), without looking at the others.
    pub fn group_version(&self, group: &GroupId) -> Option<Version> {
        past::newest(self, group)
    }

    /// A group as it was at one of its versions.
    pub fn group_at(&self, group: &GroupId, version: Version) -> Option<GroupThen> {
        past::at(self, group, version)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Launched and not yet running.
    pub staged: u32,
    pub running: u32,
    pub healthy: u32,
    pub unhealthy: u32,
}

/// An app with instances that are yet to be launched.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    pub count: u32,
    pub role: Role,
    pub since: Time,
    /// What it needs that is not there yet; while there is anything, offers are not looked at.
    pub lacks: Arc<[String]>,
    /// Not before, because earlier launches failed.
    pub delayed_until: Option<Time>,
    pub offers_processed: u32,
    pub offers_unused: u32,
    pub last_used_at: Option<Time>,
    pub last_unused_at: Option<Time>,
    /// Since the launch attempt began: how often each reason was the first to refuse.
    pub misses: BTreeMap<Miss, u32>,
    /// The last offer of each agent that did not fit, with all reasons.
    pub last_unused: BTreeMap<model::id::AgentId, Unused>,
    pub explain: Explain,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Unused {
    pub offer: Arc<Offer>,
    pub misses: Vec<Miss>,
    pub at: Time,
}
