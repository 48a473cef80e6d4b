//! The published document: it names every endpoint, and whatever is answered is what it promises.

mod stage;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use jsonschema::Validator;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::{Answer, Stage};

/// Everything that Marathon's documentation lists, without the root of each noun.
const ENDPOINTS: [&str; 43] = [
    "get /v2/apps",
    "post /v2/apps",
    "put /v2/apps",
    "patch /v2/apps",
    "get /v2/apps/{app_id}",
    "put /v2/apps/{app_id}",
    "patch /v2/apps/{app_id}",
    "delete /v2/apps/{app_id}",
    "post /v2/apps/{app_id}/restart",
    "post /v2/apps/{app_id}/metrics/{metric}",
    "get /v2/apps/{app_id}/tasks",
    "delete /v2/apps/{app_id}/tasks",
    "delete /v2/apps/{app_id}/tasks/{task_id}",
    "get /v2/apps/{app_id}/versions",
    "get /v2/apps/{app_id}/versions/{version}",
    "get /v2/pods",
    "post /v2/pods",
    "get /v2/pods::status",
    "get /v2/pods/{pod_id}",
    "put /v2/pods/{pod_id}",
    "delete /v2/pods/{pod_id}",
    "get /v2/pods/{pod_id}::status",
    "get /v2/pods/{pod_id}::versions",
    "delete /v2/pods/{pod_id}::instances",
    "delete /v2/pods/{pod_id}::instances/{instance_id}",
    "get /v2/groups",
    "get /v2/groups/apps",
    "get /v2/groups/{group_id}/apps",
    "put /v2/groups/{group_id}",
    "patch /v2/groups/{group_id}",
    "delete /v2/groups/{group_id}",
    "get /v2/deployments",
    "delete /v2/deployments/{deployment_id}",
    "get /v2/tasks",
    "post /v2/tasks/delete",
    "get /v2/queue",
    "delete /v2/queue/{app_id}/delay",
    "get /v2/events",
    "get /v2/info",
    "delete /v2/leader",
    "get /metrics",
    "get /logging",
    "post /logging",
];

/// Says of each answer whether it is promised.
struct Promise {
    document: Value,
}

impl Promise {
    fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().expect("paths");
        let of = |(path, methods): (&String, &Value)| -> Vec<String> {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(|method| format!("{method} {path}")).collect()
        };
        paths.iter().flat_map(of).collect()
    }

    /// Asks, and compares with the status that is expected and with the document.
    async fn check(&self, stage: &Stage, operation: &str, path: &str, body: &Value, status: u16) {
        let (method, _) = operation.split_once(' ').expect("two words");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = stage.ask(&method.to_uppercase(), path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{operation}: {}", answer.text);
        self.keeps(operation, &answer);
    }

    fn keeps(&self, operation: &str, answer: &Answer) {
        let (status, text) = (answer.status, &answer.text);
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let responses = &self.document["paths"][path][method]["responses"];
        let response = &responses[status.as_u16().to_string()];
        assert!(response.is_object(), "{operation} does not promise {status}: {text}");
        let schema = &response["content"]["application/json"]["schema"];
        let is_json =
            answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if schema.is_null() || !is_json {
            return;
        }
        let whole =
            json!({ "$ref": "#/made", "components": self.document["components"], "made": schema });
        let validator: Validator = jsonschema::validator_for(&whole).expect("a valid schema");
        let body: Value = serde_json::from_str(text).expect("JSON");
        let faults: Vec<String> = validator
            .iter_errors(&body)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert_eq!(faults, Vec::<String>::new(), "{operation} {status}: {text}");
    }
}

async fn promise(stage: &Stage) -> Promise {
    Promise { document: stage.get("/v2/openapi.json").await }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_every_endpoint_and_no_other() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let promise = promise(&stage).await;
    let named = promise.operations();
    for endpoint in ENDPOINTS {
        assert!(named.contains(endpoint), "{endpoint} is missing");
    }
    for operation in named {
        let (method, path) = operation.split_once(' ').expect("two words");
        let path = path
            .replace("{app_id}", "none")
            .replace("{pod_id}", "none")
            .replace("{group_id}", "none")
            .replace("{task_id}", "none.instance-1._app.1")
            .replace("{instance_id}", "none.instance-1")
            .replace("{deployment_id}", "none")
            .replace("{version}", "2020-01-01T00:00:00.000Z");
        let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
        let answer = match path.as_str() {
            // It has no end.
            "/v2/events" => continue,
            _ => stage::send(&stage.marathon, request.body(Body::empty())?).await,
        };
        assert!(!answer.text.contains("URI not found"), "{operation} is not there");
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{operation}");
        promise.keeps(&operation, &answer);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_promises() -> anyhow::Result<()> {
    let mut stage = Stage::new()?.with_agent().await?;
    let promise = promise(&stage).await;
    let app = json!({ "id": "/shop/web", "cmd": "sleep 1", "cpus": 0.1, "labels": { "a": "b" } });
    let container = json!({
        "name": "main",
        "exec": { "command": { "shell": "sleep 1" } },
        "resources": { "cpus": 0.1, "mem": 32 },
        "endpoints": [{ "name": "http", "hostPort": 0 }],
        "healthCheck": { "tcp": { "endpoint": "http" } },
    });
    let pod = json!({ "id": "/shop/pod", "containers": [container] });
    let huge = json!({ "id": "/shop/huge", "cmd": "sleep 1", "cpus": 1000 });
    let check = async |stage: &Stage, operation: &str, path: &str, body: &Value, status: u16| {
        promise.check(stage, operation, path, body, status).await;
    };
    check(&stage, "post /v2/apps", "/v2/apps", &app, 201).await;
    check(&stage, "post /v2/apps", "/v2/apps", &app, 409).await;
    check(&stage, "post /v2/apps", "/v2/apps", &json!({ "id": "/x" }), 422).await;
    check(&stage, "post /v2/pods", "/v2/pods", &pod, 201).await;
    check(&stage, "post /v2/apps", "/v2/apps?force=true", &huge, 201).await;
    let none = &Value::Null;
    check(&stage, "get /v2/deployments", "/v2/deployments", none, 200).await;
    let queue = "/v2/queue?embed=lastUnusedOffers&embed=explain";
    check(&stage, "get /v2/queue", queue, none, 200).await;
    stage.tasks_become(2, TaskState::Running).await?;
    check(&stage, "get /v2/queue", queue, none, 200).await;
    let all = "/v2/apps?embed=apps.failures&embed=apps.taskStats&embed=apps.readiness";
    check(&stage, "get /v2/apps", all, none, 200).await;
    let web = "/v2/apps/shop/web";
    check(&stage, "get /v2/apps/{app_id}", web, none, 200).await;
    check(&stage, "patch /v2/apps/{app_id}", &format!("{web}?force=true"), &json!({}), 200).await;
    let groups =
        "/v2/groups?embed=group.groups&embed=group.apps&embed=group.pods&embed=group.apps.tasks";
    check(&stage, "get /v2/groups", groups, none, 200).await;
    check(&stage, "get /v2/groups/{group_id}/apps", "/v2/groups/shop/apps", none, 200).await;
    check(&stage, "get /v2/tasks", "/v2/tasks", none, 200).await;
    check(&stage, "get /v2/pods::status", "/v2/pods::status", none, 200).await;
    check(&stage, "get /v2/pods/{pod_id}", "/v2/pods/shop/pod", none, 200).await;
    let dry = json!({ "apps": [app] });
    let group = "/v2/groups/shop?dryRun=true";
    check(&stage, "put /v2/groups/{group_id}", group, &dry, 200).await;
    let kill = format!("{web}/tasks");
    check(&stage, "delete /v2/apps/{app_id}/tasks", &kill, none, 200).await;
    check(&stage, "get /v2/info", "/v2/info", none, 200).await;
    check(&stage, "get /metrics", "/metrics", none, 200).await;
    check(&stage, "delete /v2/apps/{app_id}", web, none, 200).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_about_the_service_and_plans_are_what_the_document_promises() -> anyhow::Result<()>
{
    let stage = Stage::new()?;
    let promise = promise(&stage).await;
    let check = async |operation: &str, path: &str, body: &Value, status: u16| {
        promise.check(&stage, operation, path, body, status).await;
    };
    let none = &Value::Null;
    let new = json!({ "id": "/new", "apps": [{ "id": "a", "cmd": "sleep 1" }] });
    check("post /v2/groups", "/v2/groups?dryRun=true", &new, 200).await;
    check("post /v2/groups/{group_id}", "/v2/groups/new?dryRun=true", &new, 200).await;
    check("get /v2/groups/{group_id}", "/v2/groups/new", none, 404).await;
    check("get /logging", "/logging", none, 200).await;
    let level = |level: &str| json!({ "logger": "engine", "level": level, "durationSeconds": 60 });
    check("post /logging", "/logging", &level("debug"), 200).await;
    check("post /logging", "/logging", &level("loud"), 422).await;
    check("delete /v2/leader", "/v2/leader?backup=file:///tmp/x", none, 400).await;
    check("delete /v2/leader", "/v2/leader", none, 200).await;
    Ok(())
}
