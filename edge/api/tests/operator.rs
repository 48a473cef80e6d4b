//! The v1 operator API of the master, in both encodings.

mod stage;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use mesos_v1::codec::{Encoding, JSON, PROTOBUF};
use mesos_v1::master::call::{ListFiles, Teardown, Type};
use mesos_v1::master::event::Type as EventType;
use mesos_v1::master::{Call, Event, Response};
use mesos_v1::{FrameworkId, TaskState as SpelledState};
use model::task::TaskState;
use serde_json::json;
use stage::Stage;
use tower::ServiceExt;

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One agent runs one app of two instances.
async fn running() -> anyhow::Result<Stage> {
    let mut stage = Stage::new()?.with_agent().await?;
    let app = json!({ "id": "/web", "cmd": "sleep 1", "instances": 2, "cpus": 0.1, "mem": 16 });
    stage.ask("POST", "/v2/apps", app.to_string()).await;
    stage.tasks_become(2, TaskState::Running).await?;
    Ok(stage)
}

async fn post(stage: &Stage, headers: [(&str, &str); 2], body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    let mut request = Request::post("/api/v1");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(body)).expect("valid");
    let response = stage.mesos.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    (status, response.into_body().collect().await.expect("whole").to_bytes().to_vec())
}

fn of(kind: Type) -> Call {
    Call { r#type: Some(kind.into()), ..Call::default() }
}

async fn ask(stage: &Stage, call: &Call, encoding: Encoding) -> Response {
    let kind = encoding.media_type();
    let headers = [("content-type", kind), ("accept", kind)];
    let (status, body) = post(stage, headers, encoding.encode(call)).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    encoding.decode(&body).expect("a response")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_reads_is_answered_alike_in_both_encodings() -> anyhow::Result<()> {
    let stage = running().await?;
    let calls = [
        Type::GetHealth,
        Type::GetFlags,
        Type::GetVersion,
        Type::GetLoggingLevel,
        Type::GetState,
        Type::GetAgents,
        Type::GetFrameworks,
        Type::GetExecutors,
        Type::GetOperations,
        Type::GetTasks,
        Type::GetRoles,
        Type::GetWeights,
        Type::GetMaster,
        Type::GetQuota,
    ];
    for kind in calls {
        let told = ask(&stage, &of(kind), Encoding::Json).await;
        assert_eq!(told.r#type().as_str_name(), kind.as_str_name());
        assert_eq!(told, ask(&stage, &of(kind), Encoding::Protobuf).await, "{kind:?}");
    }
    let metrics = ask(&stage, &of(Type::GetMetrics), Encoding::Protobuf).await;
    let metrics = metrics.get_metrics.expect("it was asked for").metrics;
    let running = metrics.iter().find(|one| one.name == "master/tasks_running");
    assert_eq!(running.and_then(|one| one.value), Some(2.0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_holds_what_the_calls_for_its_parts_tell() -> anyhow::Result<()> {
    let stage = running().await?;
    let state = ask(&stage, &of(Type::GetState), Encoding::Protobuf).await;
    let state = state.get_state.expect("it was asked for");
    let part = async |kind| ask(&stage, &of(kind), Encoding::Protobuf).await;
    assert_eq!(state.get_tasks, part(Type::GetTasks).await.get_tasks);
    assert_eq!(state.get_agents, part(Type::GetAgents).await.get_agents);
    assert_eq!(state.get_frameworks, part(Type::GetFrameworks).await.get_frameworks);
    assert_eq!(state.get_executors, part(Type::GetExecutors).await.get_executors);
    let tasks = state.get_tasks.expect("it is there").tasks;
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|task| task.state() == SpelledState::TaskRunning));
    let role = tasks[0].resources[0].allocation_info.as_ref().map(|one| one.role().to_owned());
    assert_eq!(role.as_deref(), Some("slave_public"));
    let framework = &state.get_frameworks.expect("it is there").frameworks[0];
    let cpus = framework.allocated_resources.iter().find(|one| one.name == "cpus");
    assert_eq!(cpus.and_then(|one| one.scalar).map(|one| one.value), Some(0.2));
    assert_eq!(framework.framework_info.name, "marathon");
    let agent = &state.get_agents.expect("it is there").agents[0];
    assert_eq!(agent.agent_info.attributes.len(), 2);
    assert!(agent.active && !agent.capabilities.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_that_nobody_speaks_are_refused() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let call = Encoding::Json.encode(&of(Type::GetHealth));
    let check = async |content: &str, accept: &str, body: &[u8], expected: StatusCode| {
        let headers = [("content-type", content), ("accept", accept)];
        let (status, text) = post(&stage, headers, body.to_vec()).await;
        assert_eq!(status, expected, "{content} {accept} {}", String::from_utf8_lossy(&text));
    };
    check(JSON, "*/*", &call, StatusCode::OK).await;
    check(JSON, PROTOBUF, &call, StatusCode::OK).await;
    check("text/plain", JSON, &call, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    check(JSON, "text/html", &call, StatusCode::NOT_ACCEPTABLE).await;
    check(PROTOBUF, JSON, &call, StatusCode::BAD_REQUEST).await;
    check(JSON, JSON, b"{}", StatusCode::BAD_REQUEST).await;
    check(JSON, JSON, br#"{"type":"READ_FILE","read_file":{}}"#, StatusCode::BAD_REQUEST).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_to_be_unknown() -> anyhow::Result<()> {
    let stage = running().await?;
    let send = async |call: Call| {
        let headers = [("content-type", PROTOBUF), ("accept", JSON)];
        post(&stage, headers, Encoding::Protobuf.encode(&call)).await.0
    };
    let files = ListFiles { path: "/master/log".to_owned() };
    let call = Call { list_files: Some(files), ..of(Type::ListFiles) };
    assert_eq!(send(call).await, StatusCode::NOT_FOUND);
    let teardown = |id: &str| {
        let framework_id = FrameworkId { value: id.to_owned() };
        Call { teardown: Some(Teardown { framework_id }), ..of(Type::Teardown) }
    };
    assert_eq!(send(teardown("nobody")).await, StatusCode::BAD_REQUEST);
    // Marathon is part of the cluster.
    assert_eq!(send(teardown("c-0000")).await, StatusCode::CONFLICT);
    assert_eq!(send(of(Type::Teardown)).await, StatusCode::BAD_REQUEST);
    Ok(())
}

/// What a subscriber has heard.
struct Reader {
    body: Body,
    records: mesos_v1::recordio::Reader,
    encoding: Encoding,
}

impl Reader {
    async fn subscribe(stage: &Stage, encoding: Encoding) -> Self {
        let kind = encoding.media_type();
        let request = Request::post("/api/v1")
            .header("content-type", kind)
            .header("accept", kind)
            .header("accept-encoding", "gzip")
            .body(Body::from(encoding.encode(&of(Type::Subscribe))))
            .expect("valid");
        let response = stage.mesos.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("content-encoding").is_none());
        assert_eq!(response.headers()["content-type"], kind);
        let records = mesos_v1::recordio::Reader::default();
        Self { body: response.into_body(), records, encoding }
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(record) = self.records.take().expect("well framed") {
                return self.encoding.decode(&record).expect("an event");
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.expect("an event in time").expect("the stream goes on");
            self.records.push(&frame.expect("readable").into_data().expect("data"));
        }
    }

    /// Goes on until it has heard this.
    async fn until(&mut self, holds: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut heard = Vec::new();
        loop {
            let event = self.next().await;
            let is_last = holds(&event);
            heard.push(event);
            if is_last {
                return heard;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_what_there_is_and_then_everything_once() -> anyhow::Result<()> {
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut stage = running().await?;
        let mut reader = Reader::subscribe(&stage, encoding).await;
        let first = reader.next().await;
        assert_eq!(first.r#type(), EventType::Subscribed);
        let subscribed = first.subscribed.expect("it is its kind");
        assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
        let state = subscribed.get_state.expect("all there is");
        assert_eq!(Some(state), ask(&stage, &of(Type::GetState), encoding).await.get_state);
        assert_eq!(reader.next().await.r#type(), EventType::Heartbeat);
        let app = json!({ "id": "/more", "cmd": "sleep 1", "instances": 3, "mem": 16 });
        stage.ask("POST", "/v2/apps", app.to_string()).await;
        stage.tasks_become(5, TaskState::Running).await?;
        // Those that ran already are heard of once more.
        let is_update = |event: &Event| event.r#type() == EventType::TaskUpdated;
        let mut heard = Vec::new();
        for _ in 0..5 {
            heard.extend(reader.until(is_update).await);
        }
        let count = |kind: EventType| heard.iter().filter(|one| one.r#type() == kind).count();
        assert_eq!((count(EventType::TaskAdded), count(EventType::TaskUpdated)), (3, 5));
        assert_eq!(heard.len(), 8, "{heard:?}");
        let updated = heard.iter().filter_map(|event| event.task_updated.as_ref());
        let mut tasks: Vec<&str> = updated.map(|one| one.status.task_id.value.as_str()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        assert_eq!(tasks.len(), 5);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_join_are_told_of() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let mut reader = Reader::subscribe(&stage, Encoding::Protobuf).await;
    let _stage = stage.with_agent().await?;
    let heard = reader.until(|event| event.r#type() == EventType::AgentAdded).await;
    let added = heard.last().and_then(|event| event.agent_added.as_ref()).expect("its kind");
    assert_eq!(added.agent.agent_info.hostname, "agent.test");
    Ok(())
}
