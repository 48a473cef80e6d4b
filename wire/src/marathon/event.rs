//! What happened, as `/v2/events` tells it.

use model::id::TaskId;
use model::task::TaskStatus;
use model::time::Time;
use serde_json::{Value, json};
use services::spec::{AppId, AppSpec};
use services::state::{Deployment, Instance};
use services::{Notice, Posted, What};

use super::autoscale;
use super::deployment::{self, PlanFormat};
use super::print;
use super::task::{self, condition};
use super::version::{Spelled, spell};

/// One event of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: &'static str,
    /// A JSON object on one line.
    pub data: String,
}

impl Event {
    fn new(kind: &'static str, at: Time, mut fields: Value) -> Self {
        fields["eventType"] = json!(kind);
        fields["timestamp"] = json!(Spelled(at));
        Self { kind, data: fields.to_string() }
    }
}

/// Said to a subscriber alone, first of all.
pub fn attached(remote_address: &str, at: Time) -> Event {
    Event::new("event_stream_attached", at, json!({ "remoteAddress": remote_address }))
}

/// The kinds of [`events`] that such a notice makes, so that whoever wants none of them need not spell it.
pub fn kinds(what: &What) -> &'static [&'static str] {
    match what {
        What::AppPosted { spec: Some(_), .. } => &["api_post_event", "group_change_success"],
        What::AppPosted { spec: None, .. } => &["group_change_success"],
        What::PodPosted { posted: Posted::Created, .. } => {
            &["pod_created_event", "group_change_success"]
        }
        What::PodPosted { posted: Posted::Updated, .. } => {
            &["pod_updated_event", "group_change_success"]
        }
        What::PodPosted { posted: Posted::Deleted, .. } => {
            &["pod_deleted_event", "group_change_success"]
        }
        What::AppTerminated { .. } => &["app_terminated_event"],
        What::Status { .. } => &["status_update_event"],
        What::InstanceChanged { .. } => &["instance_changed_event"],
        What::InstanceHealthChanged { .. } => {
            &["health_status_changed_event", "instance_health_changed_event"]
        }
        What::CheckFailed { .. } => &["failed_health_check_event"],
        What::UnhealthyKill { .. } => &["unhealthy_instance_kill_event"],
        What::UnknownTerminated { .. } => &["unknown_instance_terminated_event"],
        What::DeploymentInfo { .. } => &["deployment_info"],
        What::DeploymentStepSuccess { .. } => &["deployment_step_success"],
        What::DeploymentStepFailure { .. } => &["deployment_step_failure"],
        What::DeploymentSuccess { .. } => &["deployment_success"],
        What::DeploymentFailed { .. } => &["deployment_failed"],
        What::SchedulerRegistered { .. } => &["scheduler_registered_event"],
        What::SchedulerDisconnected => &["scheduler_disconnected_event"],
        What::Autoscaled { .. } => &["app_autoscaled_event"],
    }
}

/// What one notice tells; some tell the same in an old and a new way.
pub fn events(notice: &Notice, format: PlanFormat) -> Vec<Event> {
    let one = |kind, fields| vec![Event::new(kind, notice.at, fields)];
    match &notice.what {
        What::AppPosted { app, spec: Some(spec) } => {
            vec![posted(notice.at, app, spec), group_changed(notice.at, app)]
        }
        What::AppPosted { app, spec: None } => vec![group_changed(notice.at, app)],
        What::PodPosted { pod, posted } => {
            let fields = json!({ "clientIp": "", "uri": format!("/v2/pods{pod}") });
            vec![Event::new(pod_event(*posted), notice.at, fields), group_changed(notice.at, pod)]
        }
        What::AppTerminated { app } => {
            one("app_terminated_event", json!({ "appId": app.as_str() }))
        }
        What::Status { instance, status } => one("status_update_event", update(instance, status)),
        What::InstanceChanged { instance } => one("instance_changed_event", changed(instance)),
        What::InstanceHealthChanged { instance, healthy } => {
            health_changed(notice.at, instance, *healthy)
        }
        What::CheckFailed { instance, check } => {
            let fields = json!({
                "appId": instance.app.as_str(),
                "instanceId": instance.id(),
                "taskId": instance.task.as_str(),
                "healthCheck": print::check::health_check(check),
            });
            one("failed_health_check_event", fields)
        }
        What::UnhealthyKill { instance, cause } => {
            one("unhealthy_instance_kill_event", unhealthy(instance, cause))
        }
        What::UnknownTerminated { task, .. } => {
            one("unknown_instance_terminated_event", unknown(task))
        }
        What::DeploymentInfo { deployment } => one("deployment_info", step(deployment, format)),
        What::DeploymentStepSuccess { deployment } => {
            one("deployment_step_success", step(deployment, format))
        }
        What::DeploymentStepFailure { deployment } => {
            one("deployment_step_failure", step(deployment, format))
        }
        What::DeploymentSuccess { deployment } => {
            one("deployment_success", ended(deployment, format))
        }
        What::DeploymentFailed { deployment, cause } => {
            let mut fields = ended(deployment, format);
            fields["reason"] = json!(cause);
            one("deployment_failed", fields)
        }
        What::SchedulerRegistered { framework } => one(
            "scheduler_registered_event",
            json!({ "frameworkId": framework.as_str(), "master": "" }),
        ),
        What::SchedulerDisconnected => one("scheduler_disconnected_event", json!({})),
        What::Autoscaled { app, decision } => {
            let mut fields = json!(autoscale::decision(decision));
            fields["appId"] = json!(app.as_str());
            one("app_autoscaled_event", fields)
        }
    }
}

/// Who posted is not known here: notices are the same for all who watch.
fn posted(at: Time, app: &AppId, spec: &AppSpec) -> Event {
    let fields = json!({
        "clientIp": "",
        "uri": format!("/v2/apps{app}"),
        "appDefinition": print::spec(spec),
    });
    Event::new("api_post_event", at, fields)
}

fn pod_event(posted: Posted) -> &'static str {
    match posted {
        Posted::Created => "pod_created_event",
        Posted::Updated => "pod_updated_event",
        Posted::Deleted => "pod_deleted_event",
    }
}

fn group_changed(at: Time, app: &AppId) -> Event {
    let group = app.as_str().rsplit_once('/').map_or("", |(group, _)| group);
    let group = if group.is_empty() { "/" } else { group };
    Event::new("group_change_success", at, json!({ "groupId": group, "version": Spelled(at) }))
}

fn update(instance: &Instance, status: &TaskStatus) -> Value {
    let addresses: Vec<_> = instance.addresses.iter().map(task::ip_address).collect();
    json!({
        "slaveId": instance.place.agent.as_str(),
        "taskId": status.task.as_str(),
        "taskStatus": task::state(status.state),
        "message": status.message.as_deref().unwrap_or_default(),
        "appId": instance.app.as_str(),
        "host": instance.place.host,
        "ipAddresses": addresses,
        "ports": instance.ports,
        "version": spell(instance.version.0),
    })
}

fn changed(instance: &Instance) -> Value {
    json!({
        "instanceId": instance.id(),
        "condition": condition(instance.state),
        "runSpecId": instance.app.as_str(),
        "agentId": instance.place.agent.as_str(),
        "host": instance.place.host,
        "runSpecVersion": spell(instance.version.0),
    })
}

fn health_changed(at: Time, instance: &Instance, healthy: Option<bool>) -> Vec<Event> {
    let alive = healthy.map(|alive| {
        let fields = json!({
            "appId": instance.app.as_str(),
            "instanceId": instance.id(),
            "version": spell(instance.version.0),
            "alive": alive,
        });
        Event::new("health_status_changed_event", at, fields)
    });
    let fields = json!({
        "instanceId": instance.id(),
        "runSpecId": instance.app.as_str(),
        "healthy": healthy,
        "runSpecVersion": spell(instance.version.0),
    });
    let changed = Event::new("instance_health_changed_event", at, fields);
    alive.into_iter().chain([changed]).collect()
}

fn unhealthy(instance: &Instance, cause: &str) -> Value {
    json!({
        "appId": instance.app.as_str(),
        "taskId": instance.task.as_str(),
        "instanceId": instance.id(),
        "version": spell(instance.version.0),
        "reason": cause,
        "host": instance.place.host,
        "slaveId": instance.place.agent.as_str(),
    })
}

/// The task `prod_web.instance-<uuid>._app.1` names its instance and its app.
fn unknown(task: &TaskId) -> Value {
    let text = task.as_str();
    let instance = text.split("._app").next().unwrap_or(text);
    let app = instance.split(".instance-").next().unwrap_or(instance);
    json!({
        "instanceId": instance,
        "runSpecId": format!("/{}", app.replace('_', "/")),
        "condition": "Unknown",
    })
}

fn step(deployment: &Deployment, format: PlanFormat) -> Value {
    json!({
        "plan": deployment::plan(deployment, format),
        "currentStep": deployment::current(deployment),
    })
}

fn ended(deployment: &Deployment, format: PlanFormat) -> Value {
    json!({ "id": deployment.id.to_string(), "plan": deployment::plan(deployment, format) })
}
