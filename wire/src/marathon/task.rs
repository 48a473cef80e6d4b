//! Tasks as Marathon shows them: the RAML types `Task`, `TaskFailure` and `Health`. Borrowed, because there may be many.

use std::net::IpAddr;

use model::agent::CheckTally;
use model::check::CheckStatus;
use model::task::{Address, TaskState};
use schemars::JsonSchema;
use serde::Serialize;
use services::resident::LocalVolume;
use services::state::{self, Instance};
use services::view::View;

use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Identifiable {
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task<'a> {
    pub app_id: &'a str,
    pub health_check_results: Vec<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_result: Option<CheckResult>,
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
    pub local_volumes: Vec<LocalVolumeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<&'a str>,
    pub role: &'a str,
}

/// A volume that outlives the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalVolumeId {
    pub run_spec_id: String,
    pub container_path: String,
    pub uuid: String,
    pub persistence_id: String,
}

/// What one health check of a task has found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub alive: bool,
    pub consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_success: Option<Spelled>,
    pub instance_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Spelled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Spelled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_cause: Option<String>,
}

/// The RAML type `CheckStatus`: what a task's check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    Http(HttpResult),
    Tcp(TcpResult),
    Command(CommandResult),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpResult {
    pub status_code: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TcpResult {
    pub succeeded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandResult {
    pub exit_code: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpAddress {
    pub ip_address: String,
    pub protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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

pub fn task<'a>(view: &View, instance: &'a Instance) -> Task<'a> {
    let place = &instance.place;
    Task {
        app_id: instance.app.as_str(),
        health_check_results: health(view, instance),
        check_result: instance.check.and_then(check_result),
        host: &place.host,
        id: instance.task.as_str(),
        ip_addresses: instance.addresses.iter().map(ip_address).collect(),
        ports: &instance.ports,
        service_ports: service_ports(view, instance),
        slave_id: place.agent.as_str(),
        state: state(instance.state),
        staged_at: Spelled(instance.staged_at),
        started_at: instance.started_at.map(Spelled),
        version: Spelled(instance.version.0),
        local_volumes: local_volumes(instance),
        region: place.domain.as_ref().map(|domain| domain.region.as_str()),
        zone: place.domain.as_ref().map(|domain| domain.zone.as_str()),
        role: instance.role.as_str(),
    }
}

/// Once there is something to tell.
fn check_result(status: CheckStatus) -> Option<CheckResult> {
    match status {
        CheckStatus::Http(found) => {
            found.map(|status_code| CheckResult::Http(HttpResult { status_code }))
        }
        CheckStatus::Tcp(found) => found.map(|succeeded| CheckResult::Tcp(TcpResult { succeeded })),
        CheckStatus::Command(found) => {
            found.map(|exit_code| CheckResult::Command(CommandResult { exit_code }))
        }
    }
}

/// The volumes of a resident. Their uuid is the instance's.
pub fn local_volumes(instance: &Instance) -> Vec<LocalVolumeId> {
    let id = |volume: LocalVolume<'_>| LocalVolumeId {
        run_spec_id: instance.app.to_string(),
        container_path: volume.container_path.to_owned(),
        uuid: instance.uuid.to_string(),
        persistence_id: volume.persistence_id.to_owned(),
    };
    instance.local_volumes().map(id).collect()
}

/// One for each check, once there is something to tell. After a change of leader it is only known whether all is well,
/// until the agent has told the rest again.
fn health(view: &View, instance: &Instance) -> Vec<Health> {
    let instance_id = instance.id();
    let known = view.health.get(&instance.task).filter(|_| instance.healthy.is_some());
    if let Some(tallies) = known {
        return tallies.iter().map(|tally| spell_tally(tally, &instance_id)).collect();
    }
    let healthy = instance.healthy.map(|alive| Health {
        alive,
        consecutive_failures: u32::from(!alive),
        instance_id,
        ..Health::default()
    });
    healthy.into_iter().collect()
}

fn spell_tally(tally: &CheckTally, instance_id: &str) -> Health {
    Health {
        alive: tally.is_alive(),
        consecutive_failures: tally.failures,
        first_success: tally.first_success.map(Spelled),
        instance_id: instance_id.to_owned(),
        last_success: tally.last_success.map(Spelled),
        last_failure: tally.last_failure.map(Spelled),
        last_failure_cause: tally.last_cause.clone(),
    }
}

/// The ports under which load balancers offer the app, as its current spec has them.
fn service_ports(view: &View, instance: &Instance) -> Vec<u16> {
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
