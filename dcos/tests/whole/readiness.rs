//! A deployment that waits for an app to say that it is ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cluster::{Cluster, Tasks};

const IP: &str = "127.61.1.1";
const PORT: u16 = 31_500;

/// A page in the place of the app's: answers with a status that the test chooses.
async fn page() -> Arc<AtomicU16> {
    let status = Arc::new(AtomicU16::new(503));
    let shown = Arc::clone(&status);
    let answer = move || {
        let status = StatusCode::from_u16(shown.load(Ordering::Relaxed)).expect("a status");
        std::future::ready((status, format!("phase {}", status.as_u16())))
    };
    let at = SocketAddr::new(IP.parse().expect("an address"), PORT);
    let listener = TcpListener::bind(at).await.expect("the test's own address");
    let service = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, service).await.expect("it serves") });
    status
}

fn app() -> String {
    json!({
        "id": "/slow", "cmd": "exec sleep 1000", "instances": 1, "cpus": 0.01, "mem": 16,
        "portDefinitions": [{"port": PORT, "name": "api"}], "requirePorts": true,
        "readinessChecks": [{"name": "plan", "path": "/v1/plan", "portName": "api",
            "intervalSeconds": 2, "timeoutSeconds": 1, "preserveLastResponse": true}],
        "check": {"http": {"portIndex": 0, "path": "/v1/plan"},
            "delaySeconds": 0, "intervalSeconds": 1, "timeoutSeconds": 1},
        "resourceLimits": {"cpus": 2, "mem": "unlimited"},
    })
    .to_string()
}

fn status_of(result: &Value) -> Option<u64> {
    result["lastResponse"]["status"].as_u64()
}

/// What the deployment under way tells of its readiness checks.
async fn results(cluster: &Cluster) -> Vec<Value> {
    let deployments = cluster.get("/v2/deployments").await;
    let actions = deployments[0]["currentActions"].as_array().cloned().unwrap_or_default();
    let all = actions.iter().flat_map(|one| one["readinessCheckResults"].as_array().cloned());
    all.flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_lasts_until_its_app_says_that_it_is_ready() {
    let status = page().await;
    let mut cluster = Cluster::start(IP, &[]).await;
    assert_eq!(cluster.ask("POST", "/v2/apps", app()).await.status, 201);
    let is_waiting = |app: &Value| {
        let deployments = app["deployments"].as_array().map_or(0, Vec::len);
        let checked = &app["tasks"][0]["checkResult"]["http"]["statusCode"];
        app["tasksRunning"] == 1 && deployments == 1 && *checked == 503
    };
    cluster.app_when("slow", is_waiting).await;
    let waits = "slow?embed=app.readiness&embed=app.counts&embed=app.deployments&embed=app.tasks";
    let answered = |app: &Value| status_of(&app["readinessCheckResults"][0]) == Some(503);
    let shown = cluster.app_when(waits, answered).await["readinessCheckResults"][0].clone();
    assert_eq!((&shown["name"], &shown["ready"]), (&json!("plan"), &json!(false)));
    assert_eq!(shown["lastResponse"]["body"], "phase 503");
    assert_eq!(results(&cluster).await, [shown]);

    cluster.kill();
    cluster.run(Tasks::Stop).await;
    cluster.app_when(waits, answered).await;
    cluster.app_when("slow", is_waiting).await;

    status.store(200, Ordering::Relaxed);
    cluster.settled("slow", 1).await;
    let checked = |app: &Value| app["tasks"][0]["checkResult"]["http"]["statusCode"] == 200;
    cluster.app_when("slow", checked).await;
    assert_eq!(cluster.get("/v2/deployments").await, json!([]));
    assert_eq!(
        cluster.get(&format!("/v2/apps/{waits}")).await["app"]["readinessCheckResults"],
        json!([])
    );

    let limits = cluster.fetch(&format!("http://{IP}:5050/tasks")).await.expect("an answer");
    let limits: Value = serde_json::from_str(&limits).expect("JSON");
    assert_eq!(limits["tasks"][0]["limits"], json!({"cpus": 2.0, "mem": "Infinity"}));
    let used = cluster.fetch(&format!("http://{IP}:5051/monitor/statistics")).await;
    let used: Value = serde_json::from_str(&used.expect("an answer")).expect("JSON");
    assert_eq!(used[0]["statistics"]["cpus_limit"], json!(2.0), "{used}");
}
