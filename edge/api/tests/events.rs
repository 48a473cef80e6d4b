//! The event stream through the door.

mod stage;

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::Stage;
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(20);

async fn subscribe(stage: &Stage, path: &str) -> anyhow::Result<BodyDataStream> {
    let request = Request::get(path)
        .header("accept", "text/event-stream")
        .header("accept-encoding", "gzip")
        .body(Body::empty())?;
    let response = stage.marathon.clone().oneshot(request).await?;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers().get("content-encoding"), None);
    Ok(response.into_body().into_data_stream())
}

fn read(event: &str) -> anyhow::Result<(String, Value)> {
    let (name, data) = event.split_once('\n').expect("two lines");
    let name = name.strip_prefix("event: ").expect("the event's name first").to_owned();
    let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("then data"))?;
    assert_eq!(data["eventType"], name.as_str());
    assert!(data["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')));
    Ok((name, data))
}

/// The events up to the first of this kind, and those that came with it.
async fn until(stream: &mut BodyDataStream, kind: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let mut events = Vec::new();
    loop {
        let part = tokio::time::timeout(PATIENCE, stream.next()).await?.expect("an open stream")?;
        let text = std::str::from_utf8(&part)?;
        for event in text.split_terminator("\n\n").filter(|event| *event != ":") {
            events.push(read(event)?);
        }
        if events.iter().any(|(name, _)| name == kind) {
            return Ok(events);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_see_an_app_come_to_life() -> anyhow::Result<()> {
    let mut stage = Stage::new()?.with_agent().await?;
    let mut stream = subscribe(&stage, "/v2/events").await?;
    let first = until(&mut stream, "event_stream_attached").await?;
    assert_eq!(first.len(), 1, "it is the very first");
    stage.ask("POST", "/v2/apps", r#"{"id": "/a", "cmd": "sleep 1", "cpus": 0.1}"#).await;
    stage.tasks_become(1, TaskState::Running).await?;
    let events = until(&mut stream, "deployment_success").await?;
    let find = |kind: &str| {
        let found = events.iter().find(|(name, _)| name == kind);
        found.map(|(_, data)| data.clone()).unwrap_or_else(|| panic!("no {kind} in {events:?}"))
    };
    assert_eq!(find("api_post_event")["appDefinition"]["id"], "/a");
    let status = find("status_update_event");
    assert_eq!((&status["appId"], &status["host"]), (&json!("/a"), &json!("agent.test")));
    assert_eq!(status["taskStatus"], "TASK_RUNNING");
    assert_eq!(find("instance_changed_event")["runSpecId"], "/a");
    let plan = find("deployment_info")["plan"].clone();
    assert_eq!(plan["original"]["id"], "/", "old clients read it");
    assert_eq!(find("deployment_success")["plan"]["id"], find("deployment_success")["id"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_choose_what_they_hear() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let path = "/v2/events?event_type=deployment_info&event_type=api_post_event&plan-format=light";
    let mut stream = subscribe(&stage, path).await?;
    stage.ask("POST", "/v2/apps", r#"{"id": "/a", "cmd": "sleep 1"}"#).await;
    let events = until(&mut stream, "deployment_info").await?;
    let only = ["deployment_info", "api_post_event"];
    assert!(events.iter().all(|(name, _)| only.contains(&name.as_str())), "{events:?}");
    let (_, last) = events.last().expect("at least one");
    assert_eq!(last["plan"].get("original"), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_for_a_stream_gets_none() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let answer = stage.ask("GET", "/v2/events", Body::empty()).await;
    assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE);
    assert!(answer.text.contains("text/event-stream"));
    Ok(())
}
