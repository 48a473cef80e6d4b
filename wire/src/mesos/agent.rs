//! Agents.

use std::collections::BTreeMap;

use kernel::state::{Duty, Standing};
use kernel::view::AgentView;
use model::attributes::{Attribute, AttributeValue, FaultDomain};
use model::id::AgentId;
use model::resources::Resources;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::master::seconds;
use super::resource::{self, Sum};

pub(crate) const CAPABILITIES: [&str; 8] = [
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
];

/// As in `/state` and `/state-summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agent<'a> {
    pub id: &'a str,
    pub hostname: &'a str,
    pub port: u16,
    pub attributes: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Value>,
    pub pid: String,
    pub registered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reregistered_time: Option<f64>,
    pub resources: Sum,
    pub used_resources: Sum,
    pub offered_resources: Sum,
    pub reserved_resources: BTreeMap<String, Sum>,
    pub unreserved_resources: Sum,
    pub active: bool,
    pub deactivated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_info: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_drain_start_time_seconds: Option<f64>,
    pub version: &'static str,
    pub capabilities: [&'static str; 8],
}

/// As in `/slaves`: resources in full as well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FullAgent<'a> {
    #[serde(flatten)]
    pub agent: Agent<'a>,
    pub reserved_resources_full: BTreeMap<String, Vec<Value>>,
    pub unreserved_resources_full: Vec<Value>,
    pub used_resources_full: Vec<Value>,
    pub offered_resources_full: Vec<Value>,
}

/// Registered agents are listed; one that does not answer or is gone for good is not.
pub fn is_registered(agent: &AgentView) -> bool {
    is_admitted(agent) && !agent.recovered
}

/// An earlier leader admitted it, and it has yet to return: it is listed apart.
pub fn is_recovered(agent: &AgentView) -> bool {
    is_admitted(agent) && agent.recovered
}

fn is_admitted(agent: &AgentView) -> bool {
    match agent.agent.standing {
        Standing::Admitted => true,
        Standing::Unreachable { .. } | Standing::Gone { .. } => false,
    }
}

/// As its registration was written down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovered<'a> {
    pub id: &'a str,
    pub hostname: &'a str,
    pub port: u16,
    pub attributes: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Value>,
    pub resources: Sum,
}

pub fn recovered<'a>(id: &'a AgentId, agent: &'a AgentView) -> Recovered<'a> {
    let info = &agent.agent.info;
    Recovered {
        id: id.as_str(),
        hostname: &info.hostname,
        port: info.port,
        attributes: info.attributes.iter().map(attribute).collect(),
        domain: info.domain.as_ref().map(domain),
        resources: resource::sum(&info.resources),
    }
}

pub fn is_unreachable(agent: &AgentView) -> bool {
    match agent.agent.standing {
        Standing::Unreachable { .. } => true,
        Standing::Admitted | Standing::Gone { .. } => false,
    }
}

/// Its resources are offered.
pub fn is_active(agent: &AgentView) -> bool {
    agent.connected && !is_deactivated(agent)
}

/// An operator has taken it out of use.
pub fn is_deactivated(agent: &AgentView) -> bool {
    match agent.agent.duty {
        Duty::Active => false,
        Duty::Deactivated | Duty::Draining(_) | Duty::Drained(_) => true,
    }
}

/// How far an agent is emptied, if it is to be.
pub fn drain_info(duty: &Duty) -> Option<Value> {
    let (state, drain) = match duty {
        Duty::Active | Duty::Deactivated => return None,
        Duty::Draining(drain) => ("DRAINING", drain),
        Duty::Drained(drain) => ("DRAINED", drain),
    };
    let mut config = json!({ "mark_gone": drain.mark_gone });
    if let Some(grace) = drain.grace_max {
        let nanoseconds = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        config["max_grace_period"] = json!({ "nanoseconds": nanoseconds });
    }
    Some(json!({ "state": state, "config": config }))
}

pub fn pid(agent: &AgentView) -> String {
    let info = &agent.agent.info;
    format!("slave(1)@{}:{}", info.ip, info.port)
}

pub fn used(agent: &AgentView) -> Resources {
    let mut used = Resources::default();
    agent.in_use.values().for_each(|part| used.add(part));
    used
}

/// What it has, and what its tasks do not use of that.
pub fn everything(agent: &AgentView) -> Resources {
    let mut all = agent.total().into_owned();
    all.add(&agent.revocable);
    all
}

/// What is offered of each agent.
pub type Offered<'a> = BTreeMap<&'a AgentId, Resources>;

pub fn agent<'a>(id: &'a AgentId, agent: &'a AgentView, offered: &Offered<'_>) -> Agent<'a> {
    let (info, total) = (&agent.agent.info, everything(agent));
    Agent {
        id: id.as_str(),
        hostname: &info.hostname,
        port: info.port,
        attributes: info.attributes.iter().map(attribute).collect(),
        domain: info.domain.as_ref().map(domain),
        pid: pid(agent),
        registered_time: seconds(agent.agent.registered_at),
        reregistered_time: agent.reregistered_at.map(seconds),
        resources: resource::sum(&total),
        used_resources: resource::sum(&used(agent)),
        offered_resources: resource::sum(&part(id, offered)),
        reserved_resources: resource::reserved(&total),
        unreserved_resources: resource::sum(&total.unreserved()),
        active: is_active(agent),
        deactivated: is_deactivated(agent),
        drain_info: drain_info(&agent.agent.duty),
        estimated_drain_start_time_seconds: agent.agent.duty.drain().map(|one| seconds(one.since)),
        version: super::master::VERSION,
        capabilities: CAPABILITIES,
    }
}

/// What is offered of this one.
pub fn part(id: &AgentId, offered: &Offered<'_>) -> Resources {
    offered.get(id).cloned().unwrap_or_default()
}

pub fn full<'a>(id: &'a AgentId, view: &'a AgentView, offered: &Offered<'_>) -> FullAgent<'a> {
    let total = everything(view);
    FullAgent {
        agent: agent(id, view, offered),
        reserved_resources_full: resource::reserved_full(&total),
        unreserved_resources_full: resource::full(&total.unreserved()),
        used_resources_full: resource::full(&used(view)),
        offered_resources_full: resource::full(&part(id, offered)),
    }
}

fn attribute(attribute: &Attribute) -> (String, Value) {
    let value = match &attribute.value {
        AttributeValue::Text(text) => json!(text),
        AttributeValue::Scalar(scalar) => json!(scalar.as_f64()),
        AttributeValue::Ranges(_) | AttributeValue::Set(_) => json!(attribute.value.to_string()),
    };
    (attribute.name.clone(), value)
}

pub(super) fn domain(domain: &FaultDomain) -> Value {
    let (region, zone) = (&domain.region, &domain.zone);
    json!({ "fault_domain": { "region": { "name": region }, "zone": { "name": zone } } })
}
