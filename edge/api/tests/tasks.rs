//! Tasks, deployments, the queue and groups through the door.

mod stage;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use model::task::TaskState;
use serde_json::json;
use stage::Stage;
use tower::ServiceExt;

/// An app whose tasks run.
async fn running(instances: usize) -> anyhow::Result<Stage> {
    let mut stage = Stage::new()?.with_agent().await?;
    let app = json!({ "id": "/web", "cmd": "sleep 1", "cpus": 0.1, "instances": instances });
    let answer = stage.ask("POST", "/v2/apps", app.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    stage.tasks_become(instances, TaskState::Running).await?;
    stage.until("the deployment", |view| view.services.deployments.is_empty()).await;
    Ok(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_by_state_and_as_text() -> anyhow::Result<()> {
    let stage = running(2).await?;
    let count = async |path: &str| {
        stage.get(path).await["tasks"].as_array().map(Vec::len).unwrap_or_default()
    };
    assert_eq!(count("/v2/tasks").await, 2);
    assert_eq!(count("/v2/tasks?status=running").await, 2);
    assert_eq!(count("/v2/tasks?status=staging").await, 0);
    assert_eq!(count("/v2/apps/web/tasks").await, 2);
    assert_eq!(count("/v2/apps/*/tasks").await, 2);
    let request = Request::get("/v2/tasks").header("accept", "text/plain").body(Body::empty())?;
    let text = stage::send(&stage.marathon, request).await.text;
    assert!(text.starts_with("web\t10"), "{text}");
    assert_eq!(text.matches("agent.test:31").count(), 2, "{text}");
    let request = Request::get("/v2/apps/web/tasks").header("accept", "text/plain");
    let of_app = stage::send(&stage.marathon, request.body(Body::empty())?).await;
    assert_eq!(
        (of_app.text, &of_app.headers["content-type"] == "text/plain; charset=utf-8"),
        (text, true)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_task_is_answered_as_it_was() -> anyhow::Result<()> {
    let stage = running(2).await?;
    let ids = stage.task_ids();
    let path = format!("/v2/apps/web/tasks/{}", ids[0]);
    let answer = stage.ask("DELETE", &path, Body::empty()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["task"]["id"], ids[0].as_str());
    let unknown = stage.ask("DELETE", "/v2/apps/web/tasks/web.none", Body::empty()).await;
    assert_eq!(unknown.json()["message"], "Task 'web.none' does not exist");
    let elsewhere = stage.ask("DELETE", "/v2/apps/web/tasks?host=elsewhere", Body::empty()).await;
    assert_eq!(elsewhere.json()["tasks"], json!([]));
    let both = stage.ask("DELETE", "/v2/apps/web/tasks?scale=true&wipe=true", Body::empty()).await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_with_scale_shrinks_the_app_in_a_deployment() -> anyhow::Result<()> {
    let stage = running(3).await?;
    let ids: Vec<String> = stage.task_ids().iter().take(2).map(ToString::to_string).collect();
    let body = json!({ "ids": ids }).to_string();
    let answer = stage.ask("POST", "/v2/tasks/delete?scale=True", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let deployment = answer.json()["deploymentId"].clone();
    assert_eq!(answer.headers["marathon-deployment-id"], deployment.as_str().expect("an id"));
    assert_eq!(stage.get("/v2/apps/web").await["app"]["instances"], 1);
    let bad = stage.ask("POST", "/v2/tasks/delete", r#"{"ids": ["x"]}"#).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let bad = stage.ask("POST", "/v2/tasks/delete", r#"{"ids": [5]}"#).await;
    assert!(bad.text.contains("/ids(0)"), "{}", bad.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_cancelled_with_and_without_a_way_back() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/apps", r#"{"id": "/a", "cmd": "sleep 1"}"#).await;
    let listed = stage.get("/v2/deployments").await[0].clone();
    let keys = ["id", "version", "affectedApps", "affectedPods", "steps", "currentActions"];
    keys.iter().for_each(|key| assert!(listed.get(key).is_some(), "{key} in {listed}"));
    assert_eq!((&listed["currentStep"], &listed["totalSteps"]), (&json!(2), &json!(2)));
    let id = listed["id"].as_str().expect("an id");
    let back = stage.ask("DELETE", &format!("/v2/deployments/{id}"), Body::empty()).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    assert!(back.json()["deploymentId"].is_string());
    stage.until("the way back", |view| view.services.apps.is_empty()).await;
    stage.ask("POST", "/v2/apps", r#"{"id": "/b", "cmd": "sleep 1"}"#).await;
    let id = stage.get("/v2/deployments").await[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/v2/deployments/{id}?force=true");
    let stopped = stage.ask("DELETE", &path, Body::empty()).await;
    assert_eq!((stopped.status, stopped.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert_eq!(stage.get("/v2/apps/b").await["app"]["deployments"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_says_why_an_app_waits() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    stage.ask("POST", "/v2/apps", r#"{"id": "/big", "cmd": "sleep 1", "cpus": 100}"#).await;
    let misses = |view: &cluster::View| view.services.queue.values().any(|w| w.offers_unused > 0);
    stage.until("a refused offer", misses).await;
    let queue = stage.get("/v2/queue?embed=lastUnusedOffers&embed=explain").await["queue"].clone();
    let item = &queue[0];
    assert_eq!((&item["app"]["id"], &item["count"]), (&json!("/big"), &json!(1)));
    assert_eq!(item["delay"], json!({ "timeLeftSeconds": 0, "overdue": true }));
    let unused = &item["lastUnusedOffers"][0];
    assert_eq!(unused["reason"], json!(["InsufficientCpus"]));
    assert_eq!(unused["offer"]["hostname"], "agent.test");
    let steps = item["processedOffersSummary"]["rejectSummaryLastOffers"].clone();
    assert_eq!(steps[4], json!({ "reason": "InsufficientCpus", "declined": 1, "processed": 1 }));
    assert_eq!(steps[5]["processed"], 0);
    let explain = &item["explain"];
    let summary = "Of 1 agents 1 made offers. It needs 100 cpus: 0 of 1 agents, and agent.test lacks only 84 cpus.";
    assert_eq!(explain["summary"], summary);
    let crowd = json!({ "known": 1, "lookedAt": 1, "silent": 0, "offersUnlisted": 0 });
    assert_eq!(explain["agents"], crowd);
    let agent = unused["offer"]["agentId"].clone();
    let lacks = json!({ "demand": "cpus", "lacks": "84 cpus", "missing": 84.0 });
    assert_eq!((&explain["best"]["agentId"], &explain["best"]["missing"]), (&agent, &json!(84.0)));
    let look = &explain["looks"][0];
    assert_eq!((&look["agentId"], &look["lacks"]), (&agent, &json!([lacks])));
    let steps = explain["steps"].as_array().expect("steps");
    let named: Vec<_> = steps.iter().map(|step| step["demand"].clone()).collect();
    assert_eq!(named, ["role", "maintenance", "cpus", "mem", "ports", "scarceGpus"]);
    let cpus = &steps[2];
    assert_eq!(
        (&cpus["reached"], &cpus["passed"], &cpus["metBy"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let brief = stage.get("/v2/queue?embed=explain").await["queue"][0].clone();
    assert_eq!(
        (&brief["explain"]["summary"], &brief["explain"]["looks"]),
        (&json!(summary), &json!(null))
    );
    let plain = stage.get("/v2/queue").await["queue"][0].clone();
    let mut fields: Vec<&String> = plain.as_object().expect("an item").keys().collect();
    fields.sort();
    let known = ["app", "count", "delay", "processedOffersSummary", "role", "since"];
    assert_eq!(fields, known, "old clients find what Marathon has, and nothing else");
    let answer = stage.ask("DELETE", "/v2/queue//big/delay", Body::empty()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_read_as_the_tree_that_ids_form() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    for id in ["/top", "/prod/web", "/prod/data/db"] {
        let app = json!({ "id": id, "cmd": "sleep 1" });
        stage.ask("POST", "/v2/apps", app.to_string()).await;
    }
    let root = stage.get("/v2/groups").await;
    assert_eq!((&root["id"], &root["apps"][0]["id"]), (&json!("/"), &json!("/top")));
    let prod = &root["groups"][0];
    assert_eq!((&prod["id"], &prod["apps"][0]["id"]), (&json!("/prod"), &json!("/prod/web")));
    assert_eq!(prod["groups"][0]["id"], "/prod/data");
    assert_eq!(prod["groups"][0]["apps"][0]["id"], "/prod/data/db");
    let part = stage.get("/v2/groups//prod/data?embed=group.apps").await;
    assert_eq!((&part["id"], part.get("groups")), (&json!("/prod/data"), None));
    assert_eq!(part["apps"][0].get("tasksRunning"), None);
    let none = stage.ask("GET", "/v2/groups/none", Body::empty()).await;
    assert_eq!(none.json()["message"], "Group '/none' does not exist");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn small_questions_have_small_answers() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.ask("GET", "/ping", Body::empty()).await.text, "pong");
    assert_eq!(stage.get("/v2/pods").await, json!([]));
    assert_eq!(stage.ask("HEAD", "/v2/pods", Body::empty()).await.status, StatusCode::OK);
    assert_eq!(stage.get("/v2/leader").await, json!({ "leader": "127.60.0.1:8080" }));
    let info = stage.get("/v2/info").await;
    assert_eq!((&info["name"], &info["elected"]), (&json!("marathon"), &json!(true)));
    assert_eq!(info["marathon_config"]["mesos_role"], "slave_public");
    let pretty = stage.ask("GET", "/v2/leader?pretty", Body::empty()).await.text;
    assert!(pretty.contains("\n  \"leader\""), "{pretty}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_whole_and_compressed_for_who_can_read_that() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let apps: Vec<_> =
        (0..700).map(|n| json!({ "id": format!("/many/a{n}"), "cmd": "sleep 1" })).collect();
    let answer = stage.ask("PUT", "/v2/apps", json!(apps).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let found = stage.get("/v2/apps").await["apps"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(700));
    let request = Request::get("/v2/apps").header("accept-encoding", "gzip").body(Body::empty())?;
    let packed = stage.marathon.clone().oneshot(request).await?;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.into_body().collect().await?.to_bytes();
    assert!(packed.len() > 1_000 && packed.starts_with(b"\x1f\x8b"), "{} bytes", packed.len());
    let pretty = stage.get("/v2/apps?pretty").await["apps"].clone();
    assert_eq!(pretty, found);
    let none = stage.get("/v2/apps?id=absent").await;
    assert_eq!(none, json!({ "apps": [] }));
    Ok(())
}
