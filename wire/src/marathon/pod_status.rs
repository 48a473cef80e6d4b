//! How a pod does: the RAML types `PodStatus`, `PodInstanceStatus`, `ContainerStatus` and `TerminationHistory`.

use model::task::TaskState;
use model::time::Time;
use schemars::JsonSchema;
use serde::Serialize;
use services::spec::AppSpec;
use services::spec::pod::{PodContainer, PodProbe, PodSpec};
use services::state::{self, Ended, Goal, Instance, Member, Termination};
use services::view::View;

use super::pod::{Pod, Resources};
use super::print_pod;
use super::task;
use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    pub id: String,
    pub spec: Pod,
    pub status: &'static str,
    pub status_since: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub instances: Vec<InstanceStatus>,
    pub termination_history: Vec<TerminationHistory>,
    pub last_updated: Spelled,
    pub last_changed: Spelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    pub id: String,
    pub status: &'static str,
    pub status_since: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
    pub conditions: [(); 0],
    pub agent_hostname: String,
    pub agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_zone: Option<String>,
    pub resources: Resources,
    pub networks: Vec<NetworkStatus>,
    pub containers: Vec<ContainerStatus>,
    pub spec_reference: String,
    pub local_volumes: Vec<task::LocalVolumeId>,
    pub last_updated: Spelled,
    pub last_changed: Spelled,
    pub role: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NetworkStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    pub name: String,
    pub status: &'static str,
    pub status_since: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub conditions: Vec<Condition>,
    pub container_id: String,
    pub endpoints: Vec<EndpointStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination: Option<TerminationState>,
    pub last_updated: Spelled,
    pub last_changed: Spelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    pub name: &'static str,
    pub last_changed: Spelled,
    pub last_updated: Spelled,
    pub value: String,
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated_host_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminationState {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminationHistory {
    #[serde(rename = "instanceID")]
    pub instance_id: String,
    pub started_at: Spelled,
    pub terminated_at: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub containers: Vec<ContainerHistory>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerHistory {
    pub container_id: String,
    pub last_known_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination: Option<TerminationState>,
}

const STABLE: &str = "STABLE";
const DEGRADED: &str = "DEGRADED";
const TERMINAL: &str = "TERMINAL";

/// `None` of an app that is no pod.
pub fn pod_status(view: &View, app: &state::App, now: Time) -> Option<PodStatus> {
    let id = &app.spec.id;
    let own = view.instances.get(id).into_iter().flat_map(|all| all.values());
    let instances: Vec<InstanceStatus> =
        own.filter_map(|instance| instance_status(view, app, instance)).collect();
    let since = instances.iter().map(|one| one.status_since.0).max().unwrap_or(now);
    let ended = view.histories.get(id).into_iter().flat_map(|history| &history.ended);
    Some(PodStatus {
        id: id.to_string(),
        spec: print_pod::app(app)?,
        status: pod_state(view, app, &instances),
        status_since: Spelled(since),
        message: None,
        instances,
        // The latest first.
        termination_history: ended.rev().map(termination_history).collect(),
        last_updated: Spelled(now),
        last_changed: Spelled(since),
    })
}

/// Terminal while a deployment removes it, stable while every wanted instance is.
fn pod_state(view: &View, app: &state::App, instances: &[InstanceStatus]) -> &'static str {
    let held = view.locked.get(&app.spec.id).into_iter().flatten();
    let deployments = held.filter_map(|serial| view.deployments.get(serial));
    let stops = |action: &state::Action| {
        action.app == app.spec.id && matches!(action.kind, state::ActionKind::Stop)
    };
    if deployments.flat_map(|one| one.steps.iter().flatten()).any(stops) {
        return TERMINAL;
    }
    let stable = instances.iter().filter(|one| one.status == STABLE).count();
    let wanted = usize::try_from(app.spec.instances).unwrap_or(usize::MAX);
    if stable < wanted { DEGRADED } else { STABLE }
}

/// The spec that the instance was made from, or the present one if that is no longer kept.
fn spec_of<'a>(view: &'a View, app: &'a state::App, instance: &Instance) -> &'a AppSpec {
    let kept = view.versions.get(&(app.spec.id.clone(), instance.version));
    kept.map_or(app.spec.as_ref(), AsRef::as_ref)
}

fn instance_status(view: &View, app: &state::App, one: &Instance) -> Option<InstanceStatus> {
    let pod = spec_of(view, app, one).pod.as_ref()?;
    let containers: Vec<_> =
        one.members.iter().map(|member| container_status(pod, member)).collect();
    let (status, message) = instance_state(one, &containers);
    let since =
        Spelled(one.members.iter().map(|member| member.since).max().unwrap_or(one.staged_at));
    let domain = one.place.domain.as_ref();
    let version = Spelled(one.version.0);
    let addresses = one.members.iter().flat_map(|member| &member.addresses);
    let mut addresses: Vec<String> = addresses.map(|address| address.0.to_string()).collect();
    addresses.dedup();
    Some(InstanceStatus {
        id: one.id(),
        status,
        status_since: since,
        message,
        conditions: [],
        agent_hostname: one.place.host.clone(),
        agent_id: one.place.agent.to_string(),
        agent_region: domain.map(|domain| domain.region.clone()),
        agent_zone: domain.map(|domain| domain.zone.clone()),
        resources: print_pod::resources(pod.total()),
        networks: match addresses.is_empty() {
            true => Vec::new(),
            false => vec![NetworkStatus { name: None, addresses }],
        },
        containers,
        spec_reference: format!("/v2/pods{}::versions/{version}", app.spec.id),
        local_volumes: task::local_volumes(one),
        last_updated: since,
        last_changed: since,
        role: one.role.to_string(),
    })
}

fn instance_state(
    one: &Instance,
    containers: &[ContainerStatus],
) -> (&'static str, Option<&'static str>) {
    match one.state {
        TaskState::Staging | TaskState::Starting => ("STAGING", None),
        TaskState::Unreachable => (DEGRADED, Some("pod instance has become unreachable")),
        TaskState::Running if one.goal == Goal::Running => {
            let unhealthy = |one: &Condition| one.name == HEALTHY && one.value == "false";
            if containers.iter().any(|container| container.conditions.iter().any(unhealthy)) {
                (DEGRADED, Some("at least one container is not healthy"))
            } else {
                (STABLE, None)
            }
        }
        TaskState::Running
        | TaskState::Killing
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => (TERMINAL, None),
    }
}

const HEALTHY: &str = "healthy";

fn container_status(pod: &PodSpec, member: &Member) -> ContainerStatus {
    let spec = pod.containers.iter().find(|one| one.name == member.name);
    let alive = !member.state.is_terminal();
    ContainerStatus {
        name: member.name.clone(),
        status: task::state(member.state),
        status_since: Spelled(member.since),
        message: member.message.clone(),
        conditions: spec.and_then(|spec| health(spec, member)).into_iter().collect(),
        container_id: member.task.to_string(),
        endpoints: spec.filter(|_| alive).map(|spec| endpoints(spec, member)).unwrap_or_default(),
        resources: spec.filter(|_| alive).map(|spec| print_pod::resources(spec.resources)),
        termination: member.termination.as_ref().map(termination),
        last_updated: Spelled(member.changed_at),
        last_changed: Spelled(member.changed_at),
    }
}

/// Of a container with a health check that has come as far as running.
fn health(spec: &PodContainer, member: &Member) -> Option<Condition> {
    spec.health_check.as_ref()?;
    if member.started_at.is_none()
        || matches!(member.state, TaskState::Staging | TaskState::Starting)
    {
        return None;
    }
    let reason = match member.healthy {
        Some(_) => "health-reported-by-mesos",
        None => "health-unreported-by-mesos",
    };
    Some(Condition {
        name: HEALTHY,
        last_changed: Spelled(member.changed_at),
        last_updated: Spelled(member.changed_at),
        value: member.healthy.unwrap_or(false).to_string(),
        reason,
    })
}

fn endpoints(spec: &PodContainer, member: &Member) -> Vec<EndpointStatus> {
    let checked = spec.health_check.as_ref().and_then(|check| match &check.probe {
        PodProbe::Http { endpoint, .. } | PodProbe::Tcp { endpoint } => Some(endpoint),
        PodProbe::Exec(_) => None,
    });
    let mut ports = member.ports.iter().copied();
    let status = |one: &services::spec::pod::Endpoint| EndpointStatus {
        name: one.name.clone(),
        allocated_host_port: one.host_port.and_then(|_| ports.next()),
        healthy: member.healthy.filter(|_| checked == Some(&one.name)),
    };
    spec.endpoints.iter().map(status).collect()
}

fn termination(ended: &Termination) -> TerminationState {
    TerminationState { exit_code: ended.exit_code, message: ended.message.clone() }
}

fn termination_history(ended: &Ended) -> TerminationHistory {
    let container = |member: &Member| ContainerHistory {
        container_id: member.task.to_string(),
        last_known_state: task::state(member.state),
        termination: member.termination.as_ref().map(termination),
    };
    TerminationHistory {
        instance_id: ended.instance.clone(),
        started_at: Spelled(ended.started_at.unwrap_or(ended.staged_at)),
        terminated_at: Spelled(ended.at),
        message: ended.message.clone(),
        containers: ended.members.iter().map(container).collect(),
    }
}
