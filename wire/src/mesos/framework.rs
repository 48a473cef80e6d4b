//! Frameworks.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::view::{FrameworkView, View};
use model::framework::{Capability, FrameworkInfo, Minima};
use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Scalar};
use model::scheduler::Offer;
use model::task::{Task, TaskState};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::command;
use super::master::seconds;
use super::operator::executor::{self, described};
use super::resource::{self, Sum as Spelled};
use super::sums::{Executor, Sum};
use super::task;
use super::v1::wishes;
use super::written::Written;

/// As in `/state-summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Framework<'a> {
    pub id: &'a str,
    pub name: &'a str,
    /// Only frameworks that spoke the protocol before HTTP had one.
    pub pid: &'static str,
    pub used_resources: Spelled,
    pub offered_resources: Spelled,
    pub capabilities: Vec<&'static str>,
    pub hostname: &'a str,
    pub webui_url: &'a str,
    pub active: bool,
    pub connected: bool,
    pub recovered: bool,
}

/// As in `/state` and `/frameworks`: only for [`to_writer`](super::written::to_writer), as its tasks are.
#[derive(Debug, Serialize)]
pub(super) struct FullFramework<'a> {
    #[serde(flatten)]
    pub framework: Framework<'a>,
    pub user: &'a str,
    pub failover_timeout: f64,
    pub checkpoint: bool,
    pub registered_time: f64,
    pub unregistered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<&'a str>,
    pub resources: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    pub tasks: Tasks<'a>,
    pub unreachable_tasks: Tasks<'a>,
    pub completed_tasks: Tasks<'a>,
    pub offers: Vec<Value>,
    pub executors: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<task::Label<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_constraints: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_filters: Option<Value>,
}

/// A framework's tasks, spelled while they are written.
#[derive(Debug)]
pub struct Tasks<'a> {
    view: &'a View,
    framework: &'a FrameworkId,
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Live,
    Unreachable,
    Completed,
}

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let is_unreachable = |task: &&Arc<Task>| task.state == TaskState::Unreachable;
        let known = of(self.view, self.framework);
        let completed = self.view.completed.get(self.framework).into_iter().flatten();
        match self.which {
            Which::Live => {
                out.collect_seq(known.filter(|task| !is_unreachable(task)).map(|one| Written(one)))
            }
            Which::Unreachable => {
                out.collect_seq(known.filter(is_unreachable).map(|one| Written(one)))
            }
            Which::Completed => out.collect_seq(completed.map(|one| Written(one))),
        }
    }
}

/// Tasks that are not over.
pub fn of<'a>(view: &'a View, id: &FrameworkId) -> impl Iterator<Item = &'a Arc<Task>> {
    view.tasks.get(id).into_iter().flat_map(|tasks| tasks.values())
}

pub fn framework<'a>(
    id: &'a FrameworkId,
    framework: &'a FrameworkView,
    sum: &Sum<'_>,
) -> Framework<'a> {
    let info = &framework.framework.info;
    Framework {
        id: id.as_str(),
        name: &info.name,
        pid: "",
        used_resources: resource::sum(&sum.used.resources()),
        offered_resources: resource::sum(&sum.offered.resources()),
        capabilities: info.capabilities.iter().map(|one| one.name()).collect(),
        hostname: &info.hostname,
        webui_url: info.webui_url.as_deref().unwrap_or_default(),
        active: framework.connected && framework.framework.completed_at.is_none(),
        connected: framework.connected,
        recovered: framework.recovered,
    }
}

pub(super) fn full<'a>(
    view: &'a View,
    id: &'a FrameworkId,
    registered: &'a FrameworkView,
    sum: &Sum<'_>,
) -> FullFramework<'a> {
    let info = &registered.framework.info;
    let mut held = sum.used.clone();
    held.add(&sum.offered.resources());
    let multi_role = info.can(Capability::MultiRole);
    FullFramework {
        framework: framework(id, registered, sum),
        user: &info.user,
        failover_timeout: info.failover_timeout.as_secs_f64(),
        checkpoint: info.checkpoint,
        registered_time: seconds(registered.framework.registered_at),
        unregistered_time: registered.framework.completed_at.map_or(0.0, seconds),
        principal: info.principal.as_deref(),
        resources: resource::sum(&held.resources()),
        roles: multi_role.then(|| roles(info)),
        role: (!multi_role).then(|| info.roles.first().map_or("*", |role| role.as_str())),
        tasks: Tasks { view, framework: id, which: Which::Live },
        unreachable_tasks: Tasks { view, framework: id, which: Which::Unreachable },
        completed_tasks: Tasks { view, framework: id, which: Which::Completed },
        offers: sum.offers.iter().map(|offer| spell_offer(offer)).collect(),
        executors: sum.executors.iter().map(spell_executor).collect(),
        labels: task::labels(&info.labels),
        offer_constraints: (!registered.constraints.is_empty())
            .then(|| wishes::told(&registered.constraints)),
        offer_filters: (!info.offer_minima.is_empty()).then(|| offer_filters(&info.offer_minima)),
    }
}

fn spell_executor(one: &Executor<'_>) -> Value {
    let Executor { agent, framework, info, role } = one;
    let kind = if info.program.is_some() { "CUSTOM" } else { "DEFAULT" };
    let described = described(info);
    json!({
        "executor_id": info.id.as_str(),
        "name": described.name(),
        "command": command::given(&described.command.clone().unwrap_or_default()),
        "role": role.as_str(),
        "source": executor::source(info),
        "framework_id": framework.as_str(),
        "slave_id": agent.as_str(),
        "type": kind,
        "resources": resource::sum(&info.resources),
        "labels": task::labels(&info.labels),
    })
}

fn offer_filters(all: &BTreeMap<Role, Minima>) -> Value {
    let set = |one: &BTreeMap<ResourceName, Scalar>| {
        let amounts =
            one.iter().map(|(name, least)| (name.to_string(), json!({ "value": least.as_f64() })));
        json!({ "quantities": amounts.collect::<Map<_, _>>() })
    };
    let role = |(role, minima): (&Role, &Minima)| {
        let quantities: Vec<Value> = minima.iter().map(set).collect();
        let least = json!({ "min_allocatable_resources": { "quantities": quantities } });
        (role.to_string(), least)
    };
    Value::Object(all.iter().map(role).collect())
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
