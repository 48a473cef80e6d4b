//! What an agent knows, as messages of Mesos v1. They are made of the JSON that older clients are shown, for the two say
//! the same.

use mesos_v1::json::{Message, from_value};
use mesos_v1::{AgentInfo, FrameworkInfo};
use model::attributes::AttributeValue;
use model::framework::{Capability, FrameworkInfo as Framework};
use model::id::{AgentId, ContainerId, FrameworkId};
use node::Own;
use serde_json::{Value, json};

use crate::mesos::resource;

/// What is spelled here is right.
fn message<M: Message>(value: Value) -> M {
    from_value(value).expect("it has all that is required")
}

pub(super) fn container(id: &ContainerId) -> mesos_v1::ContainerId {
    mesos_v1::ContainerId { value: id.as_str().to_owned(), parent: None }
}

pub(super) fn agent(own: &Own) -> AgentInfo {
    let info = &own.info;
    let mut spelled = json!({
        "hostname": info.hostname,
        "port": info.port,
        "resources": resource::full(&info.resources),
        "attributes": info.attributes.iter().map(|one| match &one.value {
            AttributeValue::Text(text) => {
                json!({"name": one.name, "type": "TEXT", "text": {"value": text}})
            }
            AttributeValue::Scalar(scalar) => {
                json!({"name": one.name, "type": "SCALAR", "scalar": {"value": scalar.as_f64()}})
            }
            AttributeValue::Ranges(all) => {
                let ranges = resource::ranges(all);
                json!({"name": one.name, "type": "RANGES", "ranges": {"range": ranges}})
            }
            AttributeValue::Set(all) => {
                json!({"name": one.name, "type": "SET", "set": {"item": all}})
            }
        }).collect::<Vec<_>>(),
        "id": {"value": own.agent.as_ref().map_or("", AgentId::as_str)},
    });
    if let Some(domain) = &info.domain {
        spelled["domain"] = json!({"fault_domain": {
            "region": {"name": domain.region}, "zone": {"name": domain.zone},
        }});
    }
    message(spelled)
}

pub(super) fn framework(info: &Framework) -> FrameworkInfo {
    let labels = info.labels.iter().map(|(key, value)| json!({"key": key, "value": value}));
    let capabilities = info.capabilities.iter().map(|one| json!({"type": one.name()}));
    let roles: Vec<&str> = info.roles.iter().map(|role| role.as_str()).collect();
    let mut spelled = json!({
        "user": info.user,
        "name": info.name,
        "id": {"value": info.id.as_ref().map_or("", FrameworkId::as_str)},
        "failover_timeout": info.failover_timeout.as_secs_f64(),
        "checkpoint": info.checkpoint,
        "hostname": info.hostname,
        "principal": info.principal,
        "webui_url": info.webui_url,
        "capabilities": capabilities.collect::<Vec<_>>(),
        "labels": {"labels": labels.collect::<Vec<_>>()},
    });
    match (info.can(Capability::MultiRole), roles.as_slice()) {
        (false, [role]) => spelled["role"] = json!(role),
        _ => spelled["roles"] = json!(roles),
    }
    message(spelled)
}
