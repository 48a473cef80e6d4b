//! The v1 operator API of the master: the calls that read. The others are known by name.

use kernel::view::View;
use model::task::TaskState;
use model::time::Time;
use serde::Deserialize;
use serde_json::{Value, json};

use super::master::{self, MasterInfo, seconds};
use super::{agent, framework, resource, task};

/// A call as it comes in. Its other fields belong to the calls that are not answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    #[serde(rename = "type")]
    pub kind: String,
}

/// `None` for a call that this release does not answer.
pub fn answer(kind: &str, view: &View, info: &MasterInfo) -> Option<Value> {
    let (name, answer) = match kind {
        "GET_HEALTH" => ("get_health", json!({ "healthy": true })),
        "GET_VERSION" => ("get_version", json!({ "version_info": { "version": master::VERSION } })),
        "GET_MASTER" => ("get_master", get_master(view, info)),
        "GET_AGENTS" => ("get_agents", get_agents(view)),
        "GET_FRAMEWORKS" => ("get_frameworks", get_frameworks(view)),
        "GET_TASKS" => ("get_tasks", get_tasks(view)),
        "GET_STATE" => ("get_state", get_state(view)),
        _ => return None,
    };
    let mut spelled = json!({ "type": kind });
    spelled[name] = answer;
    Some(spelled)
}

fn get_master(view: &View, info: &MasterInfo) -> Value {
    json!({
        "master_info": {
            "id": view.cluster,
            "pid": info.pid(),
            "port": info.port,
            "hostname": info.hostname,
            "version": master::VERSION,
            "address": { "hostname": info.hostname, "ip": info.ip, "port": info.port },
        },
        "start_time": seconds(info.started_at),
        "elected_time": seconds(view.elected_at),
    })
}

fn nanoseconds(time: Time) -> Value {
    json!({ "nanoseconds": time.0.saturating_mul(1_000_000) })
}

fn get_agents(view: &View) -> Value {
    let offered = view.offered();
    let registered = view.agents.iter().filter(|(_, one)| agent::is_registered(one));
    let spell = |(id, one): (&model::id::AgentId, &std::sync::Arc<kernel::view::AgentView>)| {
        let mut spelled = json!({
            "agent_info": agent::info(id, one),
            "active": agent::is_active(one),
            "deactivated": agent::is_deactivated(one),
            "version": master::VERSION,
            "pid": agent::pid(one),
            "registered_time": nanoseconds(one.agent.registered_at),
            "total_resources": resource::full(&one.total()),
            "allocated_resources": resource::full(&agent::used(one)),
            "offered_resources": resource::full(&agent::part(id, &offered)),
        });
        if let Some(at) = one.reregistered_at {
            spelled["reregistered_time"] = nanoseconds(at);
        }
        if let Some(info) = agent::drain_info(&one.agent.duty) {
            spelled["drain_info"] = info;
        }
        if let Some(drain) = one.agent.duty.drain() {
            spelled["estimated_drain_start_time"] = nanoseconds(drain.since);
        }
        spelled
    };
    json!({ "agents": registered.map(spell).collect::<Vec<Value>>() })
}

fn get_frameworks(view: &View) -> Value {
    let spell =
        |(id, one): (&model::id::FrameworkId, &std::sync::Arc<kernel::view::FrameworkView>)| {
            json!({
                "framework_info": framework::info(id, &one.framework.info),
                "active": one.connected && one.framework.completed_at.is_none(),
                "connected": one.connected,
                "recovered": false,
                "registered_time": nanoseconds(one.framework.registered_at),
            })
        };
    let registered: Vec<Value> = view.frameworks.iter().map(spell).collect();
    let completed: Vec<Value> = view.completed_frameworks.iter().map(spell).collect();
    json!({ "frameworks": registered, "completed_frameworks": completed })
}

fn get_tasks(view: &View) -> Value {
    let all = view.tasks.values().flat_map(|tasks| tasks.values());
    let (unreachable, tasks): (Vec<_>, Vec<_>) =
        all.partition(|task| task.state == TaskState::Unreachable);
    let completed = view.completed.values().flatten();
    json!({
        "tasks": tasks.into_iter().map(|one| task::full(one)).collect::<Vec<Value>>(),
        "unreachable_tasks": unreachable.into_iter().map(|one| task::full(one)).collect::<Vec<Value>>(),
        "completed_tasks": completed.map(|one| task::full(one)).collect::<Vec<Value>>(),
    })
}

fn get_state(view: &View) -> Value {
    json!({
        "get_tasks": get_tasks(view),
        "get_executors": {},
        "get_frameworks": get_frameworks(view),
        "get_agents": get_agents(view),
    })
}
