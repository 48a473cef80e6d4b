//! Tasks. Borrowed, because there may be many.

use mesos_v1::codec::Encoding;
use model::check::CheckStatus;
use model::container::{
    ContainerInfo, ContainerKind, DiscoveryInfo, DiscoveryPort, HealthCheck, OtherVolume,
    SharedVolume, Visibility, VolumeMode,
};
use model::limits::{Limit, Limits};
use model::resources::Scalar;
use model::task::{ContainerStatus, Task, TaskStatus};
use model::told::StatusMore;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::master::seconds;
use super::operator::container as operator;
use super::resource::{self, Sum};
use super::v1::{bounds, check, linux};
use crate::marathon::task as marathon;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpelledTask<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub framework_id: &'a str,
    /// Empty for tasks without an executor of their own.
    pub executor_id: &'a str,
    pub slave_id: &'a str,
    pub state: &'static str,
    pub resources: Sum,
    pub role: &'a str,
    pub statuses: Vec<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label<'a> {
    pub key: &'a str,
    pub value: &'a str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status<'a> {
    pub state: &'static str,
    pub timestamp: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_status: Option<SpelledContainer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_status: Option<Value>,
}

/// As in `/state` and `/tasks`.
pub fn task(task: &Task) -> SpelledTask<'_> {
    SpelledTask {
        id: task.id.as_str(),
        name: &task.name,
        framework_id: task.framework.as_str(),
        executor_id: task.executor.as_ref().map_or("", |executor| executor.id.as_str()),
        slave_id: task.agent.as_str(),
        state: marathon::state(task.state),
        resources: resource::sum(&task.resources),
        role: task.role.as_str(),
        statuses: statuses(task),
        user: task.user.as_deref(),
        labels: labels(&task.labels),
        discovery: task.discovery.as_ref().map(discovery),
        container: task.container.as_deref().map(container),
        health_check: task.more.as_ref().and_then(|more| more.health_check.as_ref()).map(health),
        limits: limits_of(&task.limits),
    }
}

pub(super) fn limits_of(all: &Limits) -> Option<Value> {
    limits(all, |amount| json!(amount.as_f64()))
}

/// Those that there are. What is not limited is as much as JSON can say of it.
fn limits(limits: &Limits, amount: impl Fn(Scalar) -> Value) -> Option<Value> {
    let spell = |limit: Limit| match limit {
        Limit::Unlimited => json!("Infinity"),
        Limit::Amount(most) => amount(most),
    };
    let named = [("cpus", limits.cpus), ("mem", limits.mem)];
    let all = named.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), spell(limit?))));
    let all: Map<String, Value> = all.collect();
    (!all.is_empty()).then_some(Value::Object(all))
}

/// The message `CheckStatusInfo`: empty where nothing is known.
pub(super) fn check_status(status: CheckStatus) -> Value {
    let found = |name: &str, value: Option<Value>| {
        let of: Map<String, Value> =
            value.map(|value| (name.to_owned(), value)).into_iter().collect();
        Value::Object(of)
    };
    match status {
        CheckStatus::Http(code) => {
            json!({ "type": "HTTP", "http": found("status_code", code.map(Value::from)) })
        }
        CheckStatus::Tcp(succeeded) => {
            json!({ "type": "TCP", "tcp": found("succeeded", succeeded.map(Value::from)) })
        }
        CheckStatus::Command(code) => {
            json!({ "type": "COMMAND", "command": found("exit_code", code.map(Value::from)) })
        }
    }
}

pub(crate) fn labels(labels: &[(String, String)]) -> Vec<Label<'_>> {
    labels.iter().map(|(key, value)| Label { key, value }).collect()
}

/// The message `HealthCheck`.
pub(super) fn health(check: &HealthCheck) -> Value {
    let json = Encoding::Json.encode(&check::spell(check));
    serde_json::from_slice(&json).expect("the codec writes JSON")
}

/// The last of each state, oldest first.
fn statuses(task: &Task) -> Vec<Status<'_>> {
    let Some(latest) = &task.status else { return Vec::new() };
    let earlier = task.earlier.iter().map(|told| Status {
        state: marathon::state(told.state),
        timestamp: seconds(told.at),
        labels: labels_of(told.more.as_deref()),
        container_status: latest
            .container
            .as_ref()
            .filter(|_| told.contained)
            .map(container_status),
        healthy: told.healthy,
        message: told.message.as_deref(),
        check_status: told.check.map(check_status),
    });
    earlier.chain([status(latest)]).collect()
}

fn labels_of(more: Option<&StatusMore>) -> Vec<Label<'_>> {
    more.map(|more| labels(&more.labels)).unwrap_or_default()
}

fn status(status: &TaskStatus) -> Status<'_> {
    Status {
        state: marathon::state(status.state),
        timestamp: seconds(status.at),
        labels: labels_of(status.more.as_deref()),
        container_status: status.container.as_ref().map(container_status),
        healthy: status.healthy,
        message: status.message.as_deref(),
        check_status: status.check.map(check_status),
    }
}

/// Where a task runs, field by field: nearly every task of a large cluster has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpelledContainer<'a> {
    container_id: Nested<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_infos: Option<[Network; 1]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Nested<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Outer<'a>>,
    value: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Outer<'a> {
    value: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Network {
    ip_addresses: Vec<Ip>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Ip {
    ip_address: String,
    protocol: &'static str,
}

fn container_status(status: &ContainerStatus) -> SpelledContainer<'_> {
    let addresses: Vec<Ip> = status.addresses.iter().map(address).collect();
    SpelledContainer {
        container_id: Nested {
            parent: status.parent.as_ref().map(|parent| Outer { value: parent.as_str() }),
            value: status.id.as_str(),
        },
        executor_pid: status.pid,
        network_infos: (!addresses.is_empty()).then_some([Network { ip_addresses: addresses }]),
    }
}

fn address(address: &model::task::Address) -> Ip {
    let marathon::IpAddress { ip_address, protocol } = marathon::ip_address(address);
    Ip { ip_address, protocol }
}

pub(super) fn discovery(info: &DiscoveryInfo) -> Value {
    let ports: Vec<Value> = info.ports.iter().map(discovery_port).collect();
    let mut spelled =
        json!({ "visibility": "FRAMEWORK", "name": info.name, "ports": { "ports": ports } });
    let Some(more) = &info.more else { return spelled };
    spelled["visibility"] = json!(visibility(more.visibility));
    let said = [
        ("environment", &more.environment),
        ("location", &more.location),
        ("version", &more.version),
    ];
    for (name, value) in said.into_iter().filter(|(_, value)| value.is_some()) {
        spelled[name] = json!(value);
    }
    if !more.labels.is_empty() {
        spelled["labels"] = json!({ "labels": labels(&more.labels) });
    }
    spelled
}

fn visibility(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Framework => "FRAMEWORK",
        Visibility::Cluster => "CLUSTER",
        Visibility::External => "EXTERNAL",
    }
}

fn discovery_port(port: &DiscoveryPort) -> Value {
    let mut spelled = json!({ "number": port.number, "protocol": port.protocol });
    if let Some(name) = &port.name {
        spelled["name"] = json!(name);
    }
    if let Some(one) = port.visibility {
        spelled["visibility"] = json!(visibility(one));
    }
    if !port.labels.is_empty() {
        spelled["labels"] = json!({ "labels": labels(&port.labels) });
    }
    spelled
}

pub(super) fn container(info: &ContainerInfo) -> Value {
    let host = |volume: &model::container::Volume| {
        let mode = mode(volume.mode);
        json!({ "container_path": volume.container_path, "host_path": volume.host_path, "mode": mode })
    };
    let shared = |volume: &SharedVolume| {
        let source = json!({ "type": "PARENT", "path": volume.name });
        let source = json!({ "type": "SANDBOX_PATH", "sandbox_path": source });
        json!({ "container_path": volume.container_path, "mode": mode(volume.mode), "source": source })
    };
    let mut spelled = match info.kind {
        ContainerKind::Mesos => mesos_container(info),
        ContainerKind::Docker => docker_container(info),
    };
    let others = info.bounds.iter().flat_map(|bounds| &bounds.volumes).map(other);
    let own = info.volumes.iter().map(host).chain(info.shared.iter().map(shared));
    let volumes: Vec<Value> = own.chain(others).collect();
    if !volumes.is_empty() {
        spelled["volumes"] = json!(volumes);
    }
    if let Some(terminal) = bounds::terminal(info) {
        spelled["tty_info"] = serde_json::from_slice(&mesos_v1::json::to_vec(&terminal))
            .expect("what is spelled is JSON");
    }
    let Some(bounds) = &info.bounds else { return spelled };
    if let Some(hostname) = &bounds.hostname {
        spelled["hostname"] = json!(hostname);
    }
    if let Some(rlimits) = bounds::spell(&bounds.rlimits) {
        spelled["rlimit_info"] = serde_json::from_slice(&mesos_v1::json::to_vec(&rlimits))
            .expect("what is spelled is JSON");
    }
    if let Some(linux) = linux::spell(&bounds.confinement) {
        spelled["linux_info"] = serde_json::from_slice(&mesos_v1::json::to_vec(&linux))
            .expect("what is spelled is JSON");
    }
    spelled
}

fn other(volume: &OtherVolume) -> Value {
    serde_json::from_slice(&mesos_v1::json::to_vec(&operator::other(volume)))
        .expect("what is spelled is JSON")
}

fn mode(mode: VolumeMode) -> &'static str {
    match mode {
        VolumeMode::ReadOnly => "RO",
        VolumeMode::ReadWrite => "RW",
    }
}

fn mesos_container(info: &ContainerInfo) -> Value {
    let image = |image: &model::container::Image| {
        json!({
            "image": {
                "type": "DOCKER",
                "docker": { "name": image.name },
                "cached": !image.force_pull,
            }
        })
    };
    json!({ "type": "MESOS", "mesos": info.image.as_ref().map_or(json!({}), image) })
}

fn docker_container(info: &ContainerInfo) -> Value {
    let image = info.image.as_ref();
    let mut docker = json!({
        "image": image.map_or("", |image| image.name.as_str()),
        "network": operator::network(info).as_str_name(),
        "privileged": info.privileged,
        "force_pull_image": image.is_some_and(|image| image.force_pull),
    });
    if !info.parameters.is_empty() {
        docker["parameters"] = json!(labels(&info.parameters));
    }
    json!({ "type": "DOCKER", "docker": docker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_spelled_where_there_are_any() {
        let check = |cpus: Option<Limit>, mem: Option<Limit>, expected: Option<Value>| {
            let found = limits(&Limits { cpus, mem }, |amount| json!(amount.as_f64()));
            assert_eq!(found, expected);
        };
        let half = Some(Limit::Amount(Scalar(500)));
        check(None, None, None);
        check(half, None, Some(json!({ "cpus": 0.5 })));
        check(half, Some(Limit::Unlimited), Some(json!({ "cpus": 0.5, "mem": "Infinity" })));
    }

    #[test]
    fn a_check_says_what_it_is_even_before_it_has_found_anything() {
        let check =
            |status: CheckStatus, expected: Value| assert_eq!(check_status(status), expected);
        check(CheckStatus::Http(None), json!({ "type": "HTTP", "http": {} }));
        check(
            CheckStatus::Http(Some(503)),
            json!({ "type": "HTTP", "http": { "status_code": 503 } }),
        );
        check(
            CheckStatus::Tcp(Some(false)),
            json!({ "type": "TCP", "tcp": { "succeeded": false } }),
        );
        let command = json!({ "type": "COMMAND", "command": { "exit_code": 3 } });
        check(CheckStatus::Command(Some(3)), command);
    }
}
