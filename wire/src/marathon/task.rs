//! Tasks as Marathon shows them: the RAML types `Task`, `TaskFailure` and `Health`. Borrowed, because there may be many.

use std::net::IpAddr;

use model::task::{Address, TaskState};
use serde::Serialize;
use services::state::{self, Instance};
use services::view::View;

use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identifiable {
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task<'a> {
    pub app_id: &'a str,
    pub health_check_results: Vec<Health>,
    pub host: &'a str,
    pub id: &'a str,
    pub ip_addresses: Vec<IpAddress>,
    pub ports: &'a [u16],
    pub service_ports: Vec<u16>,
    pub slave_id: &'a str,
    pub state: &'static str,
    pub staged_at: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Spelled>,
    pub version: Spelled,
    pub local_volumes: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<&'a str>,
    pub role: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub alive: bool,
    /// Counted where the checks run; here it is only known whether there was one.
    pub consecutive_failures: u32,
    pub instance_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IpAddress {
    pub ip_address: String,
    pub protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure<'a> {
    pub app_id: &'a str,
    pub host: &'a str,
    pub message: &'a str,
    pub state: &'static str,
    pub task_id: &'a str,
    pub timestamp: Spelled,
    pub version: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slave_id: Option<&'a str>,
}

/// `service_ports` are those of its app, see [`service_ports`].
pub fn task(instance: &Instance, service_ports: Vec<u16>) -> Task<'_> {
    let place = &instance.place;
    let health = instance.healthy.map(|alive| Health {
        alive,
        consecutive_failures: u32::from(!alive),
        instance_id: instance.id(),
    });
    Task {
        app_id: instance.app.as_str(),
        health_check_results: health.into_iter().collect(),
        host: &place.host,
        id: instance.task.as_str(),
        ip_addresses: instance.addresses.iter().map(ip_address).collect(),
        ports: &instance.ports,
        service_ports,
        slave_id: place.agent.as_str(),
        state: state(instance.state),
        staged_at: Spelled(instance.staged_at),
        started_at: instance.started_at.map(Spelled),
        version: Spelled(instance.version.0),
        local_volumes: [],
        region: place.domain.as_ref().map(|domain| domain.region.as_str()),
        zone: place.domain.as_ref().map(|domain| domain.zone.as_str()),
        role: instance.role.as_str(),
    }
}

/// The ports under which load balancers offer the app, as its current spec has them.
pub fn service_ports(view: &View, instance: &Instance) -> Vec<u16> {
    let app = view.apps.get(&instance.app);
    app.map(|app| app.spec.ports.iter().map(|port| port.port).collect()).unwrap_or_default()
}

pub fn ip_address(address: &Address) -> IpAddress {
    let protocol = match address.0 {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    };
    IpAddress { ip_address: address.0.to_string(), protocol }
}

pub fn failure<'a>(app_id: &'a str, failure: &'a state::TaskFailure) -> TaskFailure<'a> {
    TaskFailure {
        app_id,
        host: &failure.host,
        message: &failure.message,
        state: state(failure.state),
        task_id: failure.task.as_str(),
        timestamp: Spelled(failure.at),
        version: Spelled(failure.version.0),
        slave_id: failure.agent.as_ref().map(|agent| agent.as_str()),
    }
}

/// As Mesos names them.
pub fn state(state: TaskState) -> &'static str {
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

/// As Marathon names the conditions of instances.
pub fn condition(state: TaskState) -> &'static str {
    match state {
        TaskState::Staging => "Staging",
        TaskState::Starting => "Starting",
        TaskState::Running => "Running",
        TaskState::Killing => "Killing",
        TaskState::Finished => "Finished",
        TaskState::Failed => "Failed",
        TaskState::Killed => "Killed",
        TaskState::Error => "Error",
        TaskState::Dropped => "Dropped",
        TaskState::Unreachable => "Unreachable",
        TaskState::Gone | TaskState::GoneByOperator => "Gone",
        TaskState::Lost | TaskState::Unknown => "Unknown",
    }
}
