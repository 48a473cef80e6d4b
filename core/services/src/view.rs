//! What can be asked of services: a snapshot whose clone costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::id::{FrameworkId, Role, Serial, TaskId};
use model::scheduler::Offer;
use model::time::Time;
use placement::demand::Miss;

use crate::explain::Explain;
use crate::spec::{AppId, AppSpec};
use crate::state::{App, Deployment, History, Instance, Version};

/// Durable, except for `queue`, which may be newer than the last commit.
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
    /// Which deployments hold which app.
    pub locked: OrdMap<AppId, OrdSet<Serial>>,
    /// What waits for offers, and why.
    pub queue: OrdMap<AppId, Arc<Waiting>>,
    /// Counts by app, kept so that a list of 10,000 apps need not look at 100,000 instances.
    pub counts: OrdMap<AppId, Counts>,
    /// Those of the apps that are pods.
    pub pods: OrdSet<AppId>,
    /// How the latest instances of each pod ended.
    pub histories: OrdMap<AppId, Arc<History>>,
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
