//! Pods through the door: created, followed container by container, changed, killed, removed.

mod stage;

use axum::body::Body;
use axum::http::StatusCode;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::Stage;

fn pod(id: &str) -> Value {
    let main = |name: &str| {
        json!({
            "name": name,
            "exec": { "command": { "shell": "sleep 3600" } },
            "resources": { "cpus": 0.1, "mem": 16 },
        })
    };
    let mut web = main("web");
    web["endpoints"] = json!([{ "name": "http", "hostPort": 0, "protocol": ["tcp"] }]);
    json!({ "id": id, "containers": [web, main("side")] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_pod_is_answered_complete_and_is_no_app() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let answer = stage.ask("POST", "/v2/pods", pod("/prod/web").to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let deployment = answer.headers["marathon-deployment-id"].to_str()?.to_owned();
    assert_eq!(answer.headers["location"], "/v2/pods/prod/web");
    let created = answer.json();
    assert_eq!((&created["id"], &created["role"]), (&json!("/prod/web"), &json!("prod")));
    assert_eq!(created["scaling"], json!({ "kind": "fixed", "instances": 1 }));
    assert_eq!(stage.get("/v2/pods/prod/web").await, created);
    assert_eq!(stage.get("/v2/pods").await, json!([created]));
    let deployments = stage.get("/v2/deployments").await;
    assert_eq!(deployments[0]["id"], deployment.as_str());
    assert_eq!(deployments[0]["affectedPods"], json!(["/prod/web"]));
    assert_eq!(deployments[0]["affectedApps"], json!([]));
    let action = &deployments[0]["steps"][0]["actions"][0];
    assert_eq!((&action["action"], &action["pod"]), (&json!("StartPod"), &json!("/prod/web")));
    assert_eq!(deployments[0]["currentActions"][0]["pod"], "/prod/web");
    assert_eq!(stage.get("/v2/apps").await["apps"], json!([]));
    let app = stage.ask("GET", "/v2/apps/prod/web", Body::empty()).await;
    assert_eq!(app.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get("/v2/queue").await["queue"][0]["pod"]["id"], "/prod/web");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_status_follows_its_containers() -> anyhow::Result<()> {
    let mut stage = Stage::new()?.with_agent().await?;
    stage.ask("POST", "/v2/pods", pod("/web").to_string()).await;
    let status = stage.get("/v2/pods/web::status").await;
    assert_eq!(status["status"], "DEGRADED", "{status}");
    stage.tasks_become(2, TaskState::Running).await?;
    let status = stage.get("/v2/pods/web::status").await;
    assert_eq!((&status["status"], &status["spec"]["id"]), (&json!("STABLE"), &json!("/web")));
    let instance = &status["instances"][0];
    assert_eq!(
        (&instance["status"], &instance["agentHostname"]),
        (&json!("STABLE"), &json!("agent.test"))
    );
    let id = instance["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("web.instance-"), "{id}");
    let web = &instance["containers"][0];
    assert_eq!((&web["name"], &web["status"]), (&json!("web"), &json!("TASK_RUNNING")));
    assert_eq!(web["containerId"], format!("{id}.web"));
    let port = web["endpoints"][0]["allocatedHostPort"].as_u64().expect("a port");
    assert!((31_000..=32_000).contains(&port), "{port}");
    assert_eq!(stage.get("/v2/pods::status").await[0]["id"], "/web");
    assert_eq!(stage.get("/v2/tasks").await["tasks"], json!([]), "they are the pod's");
    let reference = instance["specReference"].as_str().expect("a reference");
    assert_eq!(stage.get(reference).await["id"], "/web");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_changed_and_keeps_its_versions() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/pods", pod("/web").to_string()).await;
    let mut more = pod("/web");
    more["scaling"] = json!({ "kind": "fixed", "instances": 2 });
    let locked = stage.ask("PUT", "/v2/pods/web", more.to_string()).await;
    assert_eq!(locked.status, StatusCode::CONFLICT, "{}", locked.text);
    let answer = stage.ask("PUT", "/v2/pods/web?force=true", more.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["scaling"]["instances"], 2);
    assert!(answer.headers.contains_key("marathon-deployment-id"));
    let versions = stage.get("/v2/pods/web::versions").await;
    assert_eq!(versions.as_array().map(Vec::len), Some(2), "{versions}");
    let first = versions[1].as_str().expect("a version");
    let old = stage.get(&format!("/v2/pods/web::versions/{first}")).await;
    assert_eq!((&old["scaling"]["instances"], &old["version"]), (&json!(1), &json!(first)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_killed_by_their_ids() -> anyhow::Result<()> {
    let mut stage = Stage::new()?.with_agent().await?;
    stage.ask("POST", "/v2/pods", pod("/web").to_string()).await;
    stage.tasks_become(2, TaskState::Running).await?;
    let status = stage.get("/v2/pods/web::status").await;
    let id = status["instances"][0]["id"].as_str().expect("an id").to_owned();
    let one = stage.ask("DELETE", &format!("/v2/pods/web::instances/{id}"), "").await;
    assert_eq!(one.status, StatusCode::OK, "{}", one.text);
    let killed = one.json();
    assert_eq!(killed["instanceId"], id.as_str());
    assert_eq!(killed["state"]["condition"], "Running");
    assert_eq!(killed["agentInfo"]["host"], "agent.test");
    let several = stage.ask("DELETE", "/v2/pods/web::instances", json!([id]).to_string()).await;
    assert_eq!(several.status, StatusCode::OK, "{}", several.text);
    let malformed = stage.ask("DELETE", "/v2/pods/web::instances", r#"["x"]"#).await;
    assert_eq!(malformed.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", malformed.text);
    stage.tasks_become(2, TaskState::Killed).await?;
    stage.until("the end of it", |view| !view.services.histories.is_empty()).await;
    let history = stage.get("/v2/pods/web::status").await["terminationHistory"].clone();
    assert_eq!(history[0]["instanceID"], id.as_str());
    assert_eq!(history[0]["containers"].as_array().map(Vec::len), Some(2), "{history}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_pod_is_gone() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/pods", pod("/web").to_string()).await;
    let answer = stage.ask("DELETE", "/v2/pods/web?force=true", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert!(answer.headers.contains_key("marathon-deployment-id"));
    stage.until("no pod", |view| view.services.pods.is_empty()).await;
    assert_eq!(stage.get("/v2/pods").await, json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_with_a_pod_is_refused_with_its_cause() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/pods", pod("/web").to_string()).await;
    stage.ask("POST", "/v2/apps", r#"{"id": "/app", "cmd": "sleep 1"}"#).await;
    let check = async |method: &str, path: &str, body: Value, status: u16, message: &str| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = stage.ask(method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        let told = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(told.contains(message), "{method} {path}: {told}");
    };
    let app = json!({ "cmd": "sleep 1" });
    check("POST", "/v2/pods", pod("/web"), 409, "A pod with id [/web] already exists.").await;
    check("POST", "/v2/pods", pod("/app"), 409, "with id [/app] already exists.").await;
    check("POST", "/v2/pods", json!({}), 422, "Object is not valid").await;
    check("PUT", "/v2/pods/web", pod("/other"), 400, "'/web' does not match").await;
    check("PUT", "/v2/pods/none", pod("/none"), 404, "Pod '/none' does not exist").await;
    check("PUT", "/v2/apps/web", app, 409, "A pod with id [/web] already exists.").await;
    check("DELETE", "/v2/apps/web", Value::Null, 404, "App '/web' does not exist").await;
    check("DELETE", "/v2/pods/app", Value::Null, 404, "Pod '/app' does not exist").await;
    check("GET", "/v2/pods/none::status", Value::Null, 404, "Pod '/none' does not exist").await;
    check("GET", "/v2/pods/web::nothing", Value::Null, 404, "URI not found").await;
    check("POST", "/v2/pods/web", Value::Null, 405, "Method Not Allowed").await;
    Ok(())
}
