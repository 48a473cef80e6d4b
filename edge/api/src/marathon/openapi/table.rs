//! Every endpoint: what may be asked with it, what it takes, and what it answers.

use serde_json::{Value, json};
use wire::marathon::app::App;
use wire::marathon::app_info::AppInfo;
use wire::marathon::autoscale::Report;
use wire::marathon::deployment::{DeploymentResult, Planned, StepInfo};
use wire::marathon::group::GroupInfo;
use wire::marathon::instance::Instance;
use wire::marathon::logging::LoggerChange;
use wire::marathon::metrics::Metrics;
use wire::marathon::pod::Pod;
use wire::marathon::pod_status::PodStatus;
use wire::marathon::version::Spelled;

use super::schemas::{self, Make, array, of};

#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Param],
    pub(super) body: Option<Make>,
    pub(super) told: &'static [Told],
    /// Told with an `Error`.
    pub(super) failures: &'static [u16],
}

#[derive(Clone, Copy)]
pub(super) enum Param {
    Flag(&'static str),
    Text(&'static str),
    /// May be said several times.
    Words(&'static str, &'static [&'static str]),
}

#[derive(Clone, Copy)]
pub(super) enum Told {
    Json(u16, Make),
    /// Of this media type.
    Text(u16, &'static str),
    Nothing(u16),
}

use Param::{Flag, Text, Words};
use Told::{Json, Nothing};

/// What every question can come to, and every order.
const READ: &[u16] = &[400, 404, 413, 503];
const WRITE: &[u16] = &[400, 403, 404, 409, 413, 422, 503, 507];

const APP_EMBEDS: &[&str] = &[
    "apps.tasks",
    "apps.counts",
    "apps.deployments",
    "apps.readiness",
    "apps.lastTaskFailure",
    "apps.failures",
    "apps.taskStats",
];
const ONE_APP_EMBEDS: &[&str] = &[
    "app.tasks",
    "app.counts",
    "app.deployments",
    "app.readiness",
    "app.lastTaskFailure",
    "app.failures",
    "app.taskStats",
];
const GROUP_EMBEDS: &[&str] = &[
    "group.groups",
    "group.apps",
    "group.pods",
    "group.apps.tasks",
    "group.apps.counts",
    "group.apps.deployments",
    "group.apps.readiness",
    "group.apps.lastTaskFailure",
    "group.apps.failures",
    "group.apps.taskStats",
];
const FORCE: &[Param] = &[Flag("force"), Text("deploymentTimeoutSeconds")];
const CHANGE: &[Param] = &[Flag("force"), Flag("partialUpdate"), Text("deploymentTimeoutSeconds")];
const GROUP: &[Param] = &[Flag("force"), Flag("dryRun"), Text("deploymentTimeoutSeconds")];
const KILL: &[Param] = &[Text("host"), Flag("scale"), Flag("wipe"), Flag("force")];
const DEPLOYED: &[Told] = &[Json(200, of::<DeploymentResult>)];
const CREATED_OR_PLANNED: &[Told] = &[Json(201, of::<DeploymentResult>), Json(200, of::<Planned>)];
const TEXT: &str = "text/plain; charset=utf-8";

const fn get(path: &'static str, summary: &'static str, told: &'static [Told]) -> Endpoint {
    Endpoint { method: "GET", path, summary, query: &[], body: None, told, failures: READ }
}

const fn order(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    told: &'static [Told],
) -> Endpoint {
    Endpoint { method, path, summary, query: FORCE, body: None, told, failures: WRITE }
}

impl Endpoint {
    const fn with(self, query: &'static [Param]) -> Self {
        Self { query, ..self }
    }

    const fn takes(self, body: Make) -> Self {
        Self { body: Some(body), ..self }
    }
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    get("/v2/apps", "Lists apps.", &[Json(200, schemas::apps)]).with(&[
        Text("cmd"),
        Text("id"),
        Text("label"),
        Words("embed", APP_EMBEDS),
    ]),
    order("POST", "/v2/apps", "Creates an app.", &[Json(201, of::<AppInfo<'static>>)])
        .takes(of::<App>),
    order("PUT", "/v2/apps", "Changes apps, and creates those that are not there.", DEPLOYED)
        .takes(array::<App>)
        .with(CHANGE),
    order("PATCH", "/v2/apps", "Changes apps.", DEPLOYED).takes(array::<App>),
    get("/v2/apps/{app_id}", "Shows an app.", &[Json(200, schemas::app)])
        .with(&[Words("embed", ONE_APP_EMBEDS)]),
    order(
        "PUT",
        "/v2/apps/{app_id}",
        "Changes an app, or creates it.",
        &[Json(200, of::<DeploymentResult>), Json(201, of::<DeploymentResult>)],
    )
    .takes(of::<App>)
    .with(CHANGE),
    order("PATCH", "/v2/apps/{app_id}", "Changes an app.", DEPLOYED).takes(of::<App>),
    order("DELETE", "/v2/apps/{app_id}", "Removes an app.", DEPLOYED),
    order("POST", "/v2/apps/{app_id}/restart", "Replaces all instances of an app.", DEPLOYED),
    order(
        "POST",
        "/v2/apps/{app_id}/metrics/{metric}",
        "Reports a number by which an app is scaled, as the average over its instances.",
        &[Nothing(204)],
    )
    .takes(of::<Report>)
    .with(&[]),
    get(
        "/v2/apps/{app_id}/tasks",
        "Lists the tasks of an app; as text, where it listens.",
        &[Json(200, schemas::tasks), Told::Text(200, TEXT)],
    ),
    order(
        "DELETE",
        "/v2/apps/{app_id}/tasks",
        "Kills tasks of an app.",
        &[Json(200, schemas::killed)],
    )
    .with(KILL),
    order(
        "DELETE",
        "/v2/apps/{app_id}/tasks/{task_id}",
        "Kills a task.",
        &[Json(200, schemas::killed_one)],
    )
    .with(KILL),
    get("/v2/apps/{app_id}/versions", "Lists versions.", &[Json(200, schemas::versions)]),
    get("/v2/apps/{app_id}/versions/{version}", "Shows a version.", &[Json(200, of::<App>)]),
    get(
        "/v2/tasks",
        "Lists tasks; as text, where each app listens.",
        &[Json(200, schemas::tasks), Told::Text(200, TEXT)],
    )
    .with(&[Words("status", &["running", "staging"]), Text("containerNetworks")]),
    order("POST", "/v2/tasks/delete", "Kills tasks.", &[Json(200, schemas::killed)])
        .takes(schemas::ids)
        .with(&[Flag("scale"), Flag("wipe"), Flag("force")]),
    get("/v2/pods", "Lists pods.", &[Json(200, array::<Pod>)]),
    order("POST", "/v2/pods", "Creates a pod.", &[Json(201, of::<Pod>)]).takes(of::<Pod>),
    get("/v2/pods::status", "Says how all pods do.", &[Json(200, array::<PodStatus>)]),
    get("/v2/pods/{pod_id}", "Shows a pod.", &[Json(200, of::<Pod>)]),
    order("PUT", "/v2/pods/{pod_id}", "Changes a pod.", &[Json(200, of::<Pod>)]).takes(of::<Pod>),
    order("DELETE", "/v2/pods/{pod_id}", "Removes a pod.", &[Nothing(202)]),
    get("/v2/pods/{pod_id}::status", "Says how a pod does.", &[Json(200, of::<PodStatus>)]),
    get("/v2/pods/{pod_id}::versions", "Lists versions.", &[Json(200, array::<Spelled>)]),
    get("/v2/pods/{pod_id}::versions/{version}", "Shows a version.", &[Json(200, of::<Pod>)]),
    order(
        "DELETE",
        "/v2/pods/{pod_id}::instances",
        "Kills instances of a pod.",
        &[Json(200, array::<Instance>)],
    )
    .takes(array::<String>)
    .with(&[Flag("wipe"), Flag("force")]),
    order(
        "DELETE",
        "/v2/pods/{pod_id}::instances/{instance_id}",
        "Kills an instance of a pod.",
        &[Json(200, of::<Instance>)],
    )
    .with(&[Flag("wipe"), Flag("force")]),
    get("/v2/groups", "Shows the tree of groups.", &[Json(200, of::<GroupInfo<'static>>)])
        .with(&[Words("embed", GROUP_EMBEDS)]),
    order("POST", "/v2/groups", "Creates a group.", CREATED_OR_PLANNED)
        .takes(schemas::group_update)
        .with(GROUP),
    order("PUT", "/v2/groups", "Puts the root.", &[Json(200, schemas::deployed_or_planned)])
        .takes(schemas::group_update)
        .with(GROUP),
    order("DELETE", "/v2/groups", "Removes everything.", DEPLOYED),
    get("/v2/groups/versions", "Lists versions of the root.", &[Json(200, array::<Spelled>)]),
    get("/v2/groups/apps", "Lists all apps.", &[Json(200, array::<AppInfo<'static>>)])
        .with(&[Words("embed", GROUP_EMBEDS)]),
    get(
        "/v2/groups/{group_id}/apps",
        "Lists all apps below a group.",
        &[Json(200, array::<AppInfo<'static>>)],
    )
    .with(&[Words("embed", GROUP_EMBEDS)]),
    get("/v2/groups/{group_id}", "Shows a group.", &[Json(200, of::<GroupInfo<'static>>)])
        .with(&[Words("embed", GROUP_EMBEDS)]),
    order("POST", "/v2/groups/{group_id}", "Creates a group.", CREATED_OR_PLANNED)
        .takes(schemas::group_update)
        .with(GROUP),
    order(
        "PUT",
        "/v2/groups/{group_id}",
        "Puts a group, scales it, or takes it back to a version.",
        &[Json(200, schemas::deployed_or_planned)],
    )
    .takes(schemas::group_update)
    .with(GROUP),
    order("PATCH", "/v2/groups/{group_id}", "Says whether a group enforces its role.", DEPLOYED)
        .takes(schemas::enforce_role),
    order("DELETE", "/v2/groups/{group_id}", "Removes a group and all in it.", DEPLOYED),
    get("/v2/groups/{group_id}/versions", "Lists versions.", &[Json(200, array::<Spelled>)]),
    get(
        "/v2/groups/{group_id}/versions/{version}",
        "Shows a group as it was.",
        &[Json(200, of::<GroupInfo<'static>>)],
    ),
    get("/v2/deployments", "Lists deployments.", &[Json(200, array::<StepInfo>)]),
    order(
        "DELETE",
        "/v2/deployments/{deployment_id}",
        "Ends a deployment, with force without a way back.",
        &[Json(200, of::<DeploymentResult>), Nothing(202)],
    ),
    get("/v2/queue", "Lists what waits to be launched, and why.", &[Json(200, schemas::queue)])
        .with(&[Words("embed", &["lastUnusedOffers", "explain"])]),
    order(
        "DELETE",
        "/v2/queue/{app_id}/delay",
        "Lets an app be launched at once.",
        &[Nothing(204)],
    )
    .with(&[]),
    Endpoint {
        failures: &[406, 413],
        ..get("/v2/events", "Tells what happens.", &[Told::Text(200, "text/event-stream")])
            .with(&[Text("event_type"), Words("plan-format", &["light"])])
    },
    get("/v2/info", "Says who answers.", &[Json(200, schemas::info)]),
    get("/v2/leader", "Says who leads.", &[Json(200, schemas::leader)]),
    Endpoint {
        failures: &[400, 503],
        ..order(
            "DELETE",
            "/v2/leader",
            "Steps down, and leads again from what is stored.",
            &[Json(200, schemas::message)],
        )
        .with(&[Text("backup"), Text("restore")])
    },
    get("/v2/plugins", "Lists plugins: there are none.", &[Json(200, schemas::plugins)]),
    get("/v2/openapi.json", "This document.", &[Json(200, schemas::object)]),
    get("/ping", "Answers pong.", &[Told::Text(200, TEXT), Json(200, of::<String>)]),
    get("/logging", "Says how much is logged, of whom.", &[Json(200, schemas::loggers)]),
    order(
        "POST",
        "/logging",
        "Changes how much is logged, for good or for a while.",
        &[Json(200, of::<LoggerChange>)],
    )
    .takes(of::<LoggerChange>)
    .with(&[]),
    get("/metrics", "Counts and measures.", &[Json(200, of::<Metrics>)]),
    get("/metrics/prometheus", "The same as Prometheus reads it.", &[Told::Text(200, TEXT)]),
];

/// What stands for a name in a path.
pub(super) fn segment(name: &str) -> Value {
    const ID: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(/[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";
    match name {
        "app_id" | "pod_id" | "group_id" => json!({ "type": "string", "pattern": ID }),
        "version" => json!({ "type": "string", "format": "date-time" }),
        "deployment_id" => json!({ "type": "string", "format": "uuid" }),
        _ => {
            json!({ "type": "string", "pattern": "^[a-z0-9_]+\\.instance-[0-9a-f-]+(\\.[a-z0-9_]+)*$" })
        }
    }
}
