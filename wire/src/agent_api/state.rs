//! `/state`: the agent, its frameworks, their executors and tasks.
//!
//! Each task has an executor of its own, named after it, as Mesos' command executor is.

use std::collections::{BTreeMap, BTreeSet};

use model::agent::AgentInfo;
use model::attributes::AttributeValue;
use model::container::{DiscoveryInfo, Run};
use model::id::{AgentId, ContainerId, FrameworkId};
use model::resources::{Amount, Resources};
use model::task::{ContainerStatus, TaskState, TaskStatus};
use model::time::Time;
use node::Held;
use serde_json::{Map, Value, json};

use super::MESOS_VERSION;

/// What is told.
#[derive(Debug)]
pub struct AgentState<'a> {
    pub id: Option<&'a AgentId>,
    pub info: &'a AgentInfo,
    pub started_at: Time,
    pub flags: BTreeMap<String, String>,
    pub executors: Vec<Executor<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Executor<'a> {
    pub container: &'a ContainerId,
    pub held: &'a Held,
    /// The sandbox.
    pub directory: &'a str,
    pub life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// The agent holds its task.
    Held,
    /// The end of its task is acknowledged.
    Completed,
}

impl AgentState<'_> {
    pub fn json(&self) -> Value {
        let Self { info, executors, .. } = self;
        let held = |executor: &&Executor<'_>| executor.life == Life::Held;
        let active: BTreeSet<_> =
            executors.iter().filter(held).map(|executor| &executor.held.framework).collect();
        let all: BTreeSet<_> = executors.iter().map(|executor| &executor.held.framework).collect();
        let told = |ids: &BTreeSet<&FrameworkId>| -> Vec<_> {
            ids.iter().map(|id| self.framework(id)).collect()
        };
        let mut state = json!({
            "version": MESOS_VERSION,
            "start_time": seconds(self.started_at),
            "id": self.id.map_or("", AgentId::as_str),
            "pid": format!("slave(1)@{}:{}", info.ip, info.port),
            "hostname": info.hostname,
            "resources": resources(&info.resources),
            "reserved_resources": reserved(&info.resources),
            "unreserved_resources": resources(&info.resources.unreserved()),
            "attributes": attributes(info),
            "flags": self.flags,
            "frameworks": told(&active),
            "completed_frameworks": told(&all.difference(&active).copied().collect()),
        });
        if let Some(domain) = &info.domain {
            let (region, zone) = (&domain.region, &domain.zone);
            state["domain"] = json!({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}});
        }
        state
    }

    /// The agent knows no more of a framework than its id.
    fn framework(&self, id: &FrameworkId) -> Value {
        let told = |life: Life| -> Vec<_> {
            let of = self.executors.iter().filter(|executor| executor.held.framework == *id);
            of.filter(|executor| executor.life == life).map(executor).collect()
        };
        json!({
            "id": id.as_str(),
            "name": "",
            "user": "",
            "failover_timeout": 0.0,
            "checkpoint": true,
            "hostname": "",
            "executors": told(Life::Held),
            "completed_executors": told(Life::Completed),
        })
    }
}

fn executor(executor: &Executor<'_>) -> Value {
    let Executor { container, held, directory, .. } = executor;
    let told = [task(held)];
    let (tasks, queued, completed) = match held.state() {
        state if state.is_terminal() => (&[][..], &[][..], &told[..]),
        TaskState::Staging => (&[][..], &told[..], &[][..]),
        _ => (&told[..], &[][..], &[][..]),
    };
    json!({
        "id": held.info.id.as_str(),
        "name": executor_name(held),
        "source": held.info.id.as_str(),
        "container": container.as_str(),
        "directory": directory,
        "resources": resources(&held.info.resources),
        "role": held.info.role.as_str(),
        "tasks": tasks,
        "queued_tasks": queued,
        "completed_tasks": completed,
    })
}

/// As Mesos names the executor of a command.
pub fn executor_name(held: &Held) -> String {
    let id = &held.info.id;
    let command = match &held.info.command.run {
        Run::Shell(text) => format!("sh -c '{text}'"),
        Run::Exec(argv) => argv.join(" "),
        Run::Image(_) => return format!("Command Executor (Task: {id}) (Command: NO EXECUTABLE)"),
    };
    format!("Command Executor (Task: {id}) (Command: {command})")
}

fn task(held: &Held) -> Value {
    let info = &held.info;
    let mut task = json!({
        "id": info.id.as_str(),
        "name": info.name,
        "framework_id": held.framework.as_str(),
        "executor_id": info.id.as_str(),
        "slave_id": info.agent.as_str(),
        "state": state_name(held.state()),
        "resources": resources(&info.resources),
        "role": info.role.as_str(),
        "statuses": held.latest.iter().map(status).collect::<Vec<_>>(),
        "labels": labels(&info.labels),
    });
    if let Some(user) = &info.command.user {
        task["user"] = user.as_str().into();
    }
    if let Some(found) = &info.discovery {
        task["discovery"] = discovery(found);
    }
    task
}

fn status(status: &TaskStatus) -> Value {
    let mut told = json!({"state": state_name(status.state), "timestamp": seconds(status.at)});
    if let Some(container) = &status.container {
        told["container_status"] = container_status(container);
    }
    if let Some(healthy) = status.healthy {
        told["healthy"] = healthy.into();
    }
    told
}

fn container_status(status: &ContainerStatus) -> Value {
    let protocol = |ip: &std::net::IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let addresses: Vec<_> = status
        .addresses
        .iter()
        .map(|address| json!({"protocol": protocol(&address.0), "ip_address": address.0.to_string()}))
        .collect();
    let mut told = json!({
        "container_id": {"value": status.id.as_str()},
        "network_infos": [{"ip_addresses": addresses}],
    });
    if let Some(pid) = status.pid {
        told["executor_pid"] = pid.into();
    }
    told
}

fn discovery(info: &DiscoveryInfo) -> Value {
    let port = |port: &model::container::DiscoveryPort| {
        let mut told = json!({
            "number": port.number,
            "protocol": port.protocol,
            "labels": {"labels": labels(&port.labels)},
        });
        if let Some(name) = &port.name {
            told["name"] = name.as_str().into();
        }
        told
    };
    let ports: Vec<_> = info.ports.iter().map(port).collect();
    json!({"visibility": "FRAMEWORK", "name": info.name, "ports": {"ports": ports}})
}

fn labels(labels: &[(String, String)]) -> Vec<Value> {
    labels.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn attributes(info: &AgentInfo) -> Value {
    let all = info.attributes.iter().map(|attribute| {
        let value = match &attribute.value {
            AttributeValue::Scalar(scalar) => scalar.as_f64().into(),
            AttributeValue::Text(_) | AttributeValue::Ranges(_) => attribute.value.to_string().into(),
        };
        (attribute.name.clone(), value)
    });
    Value::Object(all.collect())
}

fn reserved(all: &Resources) -> Value {
    let roles: BTreeSet<_> = all.iter().filter_map(|resource| resource.reserved.as_ref()).collect();
    let of = |role| {
        let own = all.iter().filter(|resource| resource.reserved.as_ref() == Some(role));
        Resources::new(own.cloned())
    };
    Value::Object(roles.into_iter().map(|role| (role.to_string(), resources(&of(role)))).collect())
}

/// Sums by name; the four that clients compute with are always there.
pub fn resources(all: &Resources) -> Value {
    let mut told = Map::new();
    let known = [("cpus", all.cpus()), ("gpus", all.gpus()), ("mem", all.mem()), ("disk", all.disk())];
    for (name, sum) in known {
        told.insert(name.to_owned(), sum.as_f64().into());
    }
    for resource in all.iter() {
        let value = match &resource.amount {
            Amount::Scalar(_) if told.contains_key(resource.name.as_str()) => continue,
            Amount::Scalar(scalar) => scalar.as_f64().into(),
            Amount::Ranges(ranges) => ranges.to_string().into(),
            Amount::Set(set) => {
                format!("{{{}}}", set.iter().cloned().collect::<Vec<_>>().join(", ")).into()
            }
        };
        told.insert(resource.name.to_string(), value);
    }
    Value::Object(told)
}

fn seconds(time: Time) -> f64 {
    std::time::Duration::from_millis(time.0).as_secs_f64()
}

/// `TASK_RUNNING` and its like.
fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Staging => "TASK_STAGING",
        TaskState::Starting => "TASK_STARTING",
        TaskState::Running => "TASK_RUNNING",
        TaskState::Killing => "TASK_KILLING",
        TaskState::Finished => "TASK_FINISHED",
        TaskState::Failed => "TASK_FAILED",
        TaskState::Killed => "TASK_KILLED",
        TaskState::Error => "TASK_ERROR",
        TaskState::Lost => "TASK_LOST",
        TaskState::Dropped => "TASK_DROPPED",
        TaskState::Unreachable => "TASK_UNREACHABLE",
        TaskState::Gone => "TASK_GONE",
        TaskState::GoneByOperator => "TASK_GONE_BY_OPERATOR",
        TaskState::Unknown => "TASK_UNKNOWN",
    }
}
