//! A scheduler that speaks JSON, and says whatever it is told to.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use mesos_v1::recordio::Reader;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::stage::{Stage, send};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Scheduler<'a> {
    pub(crate) stage: &'a Stage,
    stream: String,
    pub(crate) id: Value,
    body: Body,
    reader: Reader,
}

pub(crate) fn info() -> Value {
    json!({
        "user": "root", "name": "judged", "roles": ["db"], "principal": "ops", "failover_timeout": 60.0,
        "capabilities": [{ "type": "MULTI_ROLE" }, { "type": "RESERVATION_REFINEMENT" }],
    })
}

pub(crate) fn subscribe(info: &Value) -> Value {
    json!({ "type": "SUBSCRIBE", "framework_id": info.get("id"), "subscribe": { "framework_info": info } })
}

async fn open(stage: &Stage, call: &Value) -> (String, Body) {
    let request: Request<Body> = Request::post("/api/v1/scheduler")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(call.to_string().into())
        .expect("a request");
    let response = stage.mesos.clone().oneshot(request).await.expect("an answer");
    let stream = response.headers().get("mesos-stream-id");
    let stream = stream.map_or("", |id| id.to_str().expect("ASCII")).to_owned();
    (stream, response.into_body())
}

impl<'a> Scheduler<'a> {
    pub(crate) async fn subscribe(stage: &'a Stage, call: &Value) -> Self {
        let (stream, body) = open(stage, call).await;
        Self { stage, stream, id: Value::Null, body, reader: Reader::default() }
    }

    /// The next event of the type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            while let Some(record) = self.reader.take().expect("a record") {
                let event: Value = serde_json::from_slice(&record).expect("JSON");
                if event["type"] == kind {
                    return event;
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("waited for {kind}"));
            let frame = frame.unwrap_or_else(|| panic!("it ended before {kind}")).expect("a frame");
            self.reader.push(&frame.into_data().unwrap_or_default());
        }
    }

    /// What it is told of tasks and operations, one after the other.
    pub(crate) async fn told(&mut self, count: usize) -> Vec<Value> {
        let mut told = Vec::new();
        while told.len() < count {
            while let Some(record) = self.reader.take().expect("a record") {
                let event: Value = serde_json::from_slice(&record).expect("JSON");
                for (kind, body) in
                    [("UPDATE", "update"), ("UPDATE_OPERATION_STATUS", "update_operation_status")]
                {
                    if event["type"] == kind {
                        told.push(event[body]["status"].clone());
                    }
                }
            }
            if told.len() < count {
                let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
                let frame = frame.unwrap_or_else(|_| panic!("told {}: {told:#?}", told.len()));
                let data = frame.expect("no end").expect("a frame").into_data();
                self.reader.push(&data.unwrap_or_default());
            }
        }
        told
    }

    pub(crate) async fn says(&self, call: &Value) -> (StatusCode, String) {
        let mut call = call.clone();
        if call.get("framework_id").is_none() {
            call["framework_id"] = self.id.clone();
        }
        let request = Request::post("/api/v1/scheduler")
            .header("content-type", "application/json")
            .header("mesos-stream-id", &self.stream)
            .body(call.to_string().into())
            .expect("a request");
        let answer = send(&self.stage.mesos, request).await;
        (answer.status, answer.text)
    }
}
