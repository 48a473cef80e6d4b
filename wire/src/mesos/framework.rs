//! Frameworks.

use std::collections::BTreeSet;
use std::sync::Arc;

use kernel::view::{FrameworkView, View};
use model::framework::{Capability, FrameworkInfo};
use model::id::FrameworkId;
use model::resources::Resources;
use model::scheduler::Offer;
use model::task::{Task, TaskState};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::master::seconds;
use super::resource::{self, Sum};
use super::task;

/// As in `/state-summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Framework<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub used_resources: Sum,
    pub offered_resources: Sum,
    pub capabilities: Vec<&'static str>,
    pub hostname: &'a str,
    pub webui_url: &'a str,
    pub active: bool,
    pub connected: bool,
    pub recovered: bool,
}

/// As in `/state` and `/frameworks`.
#[derive(Debug, Serialize)]
pub struct FullFramework<'a> {
    #[serde(flatten)]
    pub framework: Framework<'a>,
    pub user: &'a str,
    pub failover_timeout: f64,
    pub checkpoint: bool,
    pub registered_time: f64,
    pub unregistered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<&'a str>,
    pub resources: Sum,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    pub tasks: Tasks<'a>,
    pub unreachable_tasks: Tasks<'a>,
    pub completed_tasks: Vec<task::SpelledTask<'a>>,
    pub offers: Vec<Value>,
    pub executors: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<task::Label<'a>>,
}

/// A framework's tasks, spelled while they are written.
#[derive(Debug)]
pub struct Tasks<'a> {
    view: &'a View,
    framework: &'a FrameworkId,
    unreachable: bool,
}

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let is_unreachable = |task: &Task| task.state == TaskState::Unreachable;
        let wanted =
            of(self.view, self.framework).filter(|task| is_unreachable(task) == self.unreachable);
        out.collect_seq(wanted.map(|one| task::task(one)))
    }
}

/// Tasks that are not over.
pub fn of<'a>(view: &'a View, id: &FrameworkId) -> impl Iterator<Item = &'a Arc<Task>> {
    view.tasks.get(id).into_iter().flat_map(|tasks| tasks.values())
}

fn used(view: &View, id: &FrameworkId) -> Resources {
    let mut used = Resources::default();
    let mut executors = BTreeSet::new();
    let holds =
        |task: &&Arc<Task>| !task.state.is_terminal() && task.state != TaskState::Unreachable;
    for task in of(view, id).filter(holds) {
        add_scalars(&mut used, &task.resources);
        if let Some(executor) = &task.executor
            && executors.insert((&task.agent, &executor.id))
        {
            add_scalars(&mut used, &executor.resources);
        }
    }
    used
}

/// Ports of different agents may be the same, so they are not summed up.
fn add_scalars(sum: &mut Resources, resources: &Resources) {
    let scalars = resources.unlabelled();
    let only =
        scalars.iter().filter(|one| matches!(one.amount, model::resources::Amount::Scalar(_)));
    sum.add(&Resources::new(only.cloned()));
}

fn offers<'a>(view: &'a View, id: &'a FrameworkId) -> impl Iterator<Item = &'a Arc<Offer>> {
    view.offers.values().filter(move |offer| offer.framework == *id)
}

fn offered(view: &View, id: &FrameworkId) -> Resources {
    let mut offered = Resources::default();
    offers(view, id).for_each(|offer| add_scalars(&mut offered, &offer.resources));
    offered
}

pub fn framework<'a>(
    view: &'a View,
    id: &'a FrameworkId,
    framework: &'a FrameworkView,
) -> Framework<'a> {
    summed(id, framework, &used(view, id), &offered(view, id))
}

/// With sums that the caller has made for all frameworks at once.
pub(super) fn summed<'a>(
    id: &'a FrameworkId,
    framework: &'a FrameworkView,
    used: &Resources,
    offered: &Resources,
) -> Framework<'a> {
    let info = &framework.framework.info;
    Framework {
        id: id.as_str(),
        name: &info.name,
        used_resources: resource::sum(used),
        offered_resources: resource::sum(offered),
        capabilities: info.capabilities.iter().map(|one| capability(*one)).collect(),
        hostname: &info.hostname,
        webui_url: info.webui_url.as_deref().unwrap_or_default(),
        active: framework.connected && framework.framework.completed_at.is_none(),
        connected: framework.connected,
        recovered: false,
    }
}

pub fn full<'a>(
    view: &'a View,
    id: &'a FrameworkId,
    registered: &'a FrameworkView,
) -> FullFramework<'a> {
    let info = &registered.framework.info;
    let (used, offered) = (used(view, id), offered(view, id));
    let mut held = used.clone();
    held.add(&offered);
    let multi_role = info.can(Capability::MultiRole);
    let completed = view.completed.get(id).into_iter().flatten();
    FullFramework {
        framework: summed(id, registered, &used, &offered),
        user: &info.user,
        failover_timeout: info.failover_timeout.as_secs_f64(),
        checkpoint: info.checkpoint,
        registered_time: seconds(registered.framework.registered_at),
        unregistered_time: registered.framework.completed_at.map_or(0.0, seconds),
        principal: info.principal.as_deref(),
        resources: resource::sum(&held),
        roles: multi_role.then(|| roles(info)),
        role: (!multi_role).then(|| info.roles.first().map_or("*", |role| role.as_str())),
        tasks: Tasks { view, framework: id, unreachable: false },
        unreachable_tasks: Tasks { view, framework: id, unreachable: true },
        completed_tasks: completed.map(|one| task::task(one)).collect(),
        offers: offers(view, id).map(|offer| spell_offer(offer)).collect(),
        executors: [],
        labels: task::labels(&info.labels),
    }
}

fn roles(info: &FrameworkInfo) -> Vec<&str> {
    info.roles.iter().map(|role| role.as_str()).collect()
}

fn spell_offer(offer: &Offer) -> Value {
    json!({
        "id": offer.id.as_str(),
        "framework_id": offer.framework.as_str(),
        "allocation_info": { "role": offer.role.as_str() },
        "slave_id": offer.agent_id.as_str(),
        "resources": resource::sum(&offer.resources),
    })
}

fn capability(capability: Capability) -> &'static str {
    match capability {
        Capability::RevocableResources => "REVOCABLE_RESOURCES",
        Capability::TaskKillingState => "TASK_KILLING_STATE",
        Capability::GpuResources => "GPU_RESOURCES",
        Capability::SharedResources => "SHARED_RESOURCES",
        Capability::PartitionAware => "PARTITION_AWARE",
        Capability::MultiRole => "MULTI_ROLE",
        Capability::ReservationRefinement => "RESERVATION_REFINEMENT",
        Capability::RegionAware => "REGION_AWARE",
    }
}

/// As the v1 message `FrameworkInfo` is spelled.
pub(super) fn info(id: &FrameworkId, info: &FrameworkInfo) -> Value {
    let capabilities = info.capabilities.iter().map(|one| json!({ "type": capability(*one) }));
    let mut spelled = json!({
        "id": { "value": id.as_str() },
        "name": info.name,
        "user": info.user,
        "roles": roles(info),
        "failover_timeout": info.failover_timeout.as_secs_f64(),
        "checkpoint": info.checkpoint,
        "hostname": info.hostname,
        "capabilities": capabilities.collect::<Vec<_>>(),
    });
    if let Some(url) = &info.webui_url {
        spelled["webui_url"] = json!(url);
    }
    if let Some(principal) = &info.principal {
        spelled["principal"] = json!(principal);
    }
    spelled
}
