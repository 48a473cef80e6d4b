//! The scheduler API through the door: a framework as it is written for Mesos.

mod stage;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use mesos_v1::codec::Encoding;
use mesos_v1::recordio::Reader;
use mesos_v1::scheduler::Event;
use mesos_v1::scheduler::event::Type;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::{Answer, Stage, ask, send};

const PATIENCE: Duration = Duration::from_secs(20);

/// A scheduler's end of its stream.
struct Scheduler {
    router: Router,
    encoding: Encoding,
    stream: String,
    id: String,
    /// Why it is not subscribed.
    refused: String,
    body: Body,
    reader: Reader,
}

impl Scheduler {
    async fn subscribe(stage: &Stage, info: Value) -> anyhow::Result<Self> {
        Self::subscribe_with(stage, info, Encoding::Json).await
    }

    async fn subscribe_with(
        stage: &Stage,
        info: Value,
        encoding: Encoding,
    ) -> anyhow::Result<Self> {
        Self::subscribe_wanting(stage, info, &Value::Null, encoding).await
    }

    /// Offers of some agents only.
    async fn subscribe_wanting(
        stage: &Stage,
        info: Value,
        constraints: &Value,
        encoding: Encoding,
    ) -> anyhow::Result<Self> {
        let id = info.get("id").cloned();
        let subscribe = json!({ "framework_info": info, "offer_constraints": constraints });
        let call = json!({ "type": "SUBSCRIBE", "framework_id": id, "subscribe": subscribe });
        let call: mesos_v1::scheduler::Call = mesos_v1::json::from_value(call)?;
        let request = Request::post("/api/v1/scheduler")
            .header("content-type", encoding.media_type())
            .header("accept", encoding.media_type())
            .body(encoding.encode(&call).into())?;
        let (parts, body) = open(&stage.mesos, request).await?;
        assert_eq!(parts.status, StatusCode::OK);
        assert_eq!(parts.headers["content-type"], encoding.media_type());
        let stream = parts.headers.get("mesos-stream-id");
        let stream = stream.map_or("", |id| id.to_str().expect("ASCII")).to_owned();
        let (router, reader, id) = (stage.mesos.clone(), Reader::default(), String::new());
        let refused = String::new();
        let mut scheduler = Self { router, encoding, stream, id, refused, body, reader };
        let first = scheduler.next().await?.unwrap_or_default();
        scheduler.id = first.subscribed.map(|one| one.framework_id.value).unwrap_or_default();
        scheduler.refused = first.error.map(|one| one.message).unwrap_or_default();
        Ok(scheduler)
    }

    /// The next event but heartbeats; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            while let Some(record) = self.reader.take()? {
                let event: Event = self.encoding.decode(&record)?;
                if event.r#type() != Type::Heartbeat {
                    return Ok(Some(event));
                }
            }
            match tokio::time::timeout(PATIENCE, self.body.frame()).await? {
                None => return Ok(None),
                Some(frame) => {
                    self.reader.push(&frame?.into_data().unwrap_or_default());
                }
            }
        }
    }

    async fn until(&mut self, kind: Type) -> anyhow::Result<Event> {
        loop {
            let event = self.next().await?;
            let event = event.ok_or_else(|| anyhow::anyhow!("the stream ended before {kind:?}"))?;
            if event.r#type() == kind {
                return Ok(event);
            }
        }
    }

    async fn says(&self, call: Value) -> Answer {
        let mut call = call;
        call["framework_id"] = json!({ "value": self.id });
        let call: mesos_v1::scheduler::Call = mesos_v1::json::from_value(call).expect("valid");
        let request = Request::post("/api/v1/scheduler")
            .header("content-type", self.encoding.media_type())
            .header("mesos-stream-id", &self.stream)
            .body(self.encoding.encode(&call).into());
        send(&self.router, request.expect("valid")).await
    }

    async fn is_accepted(&self, call: Value) {
        let answer = self.says(call.clone()).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, ""), "{call}");
    }
}

async fn open(
    router: &Router,
    request: Request<Body>,
) -> anyhow::Result<(axum::http::response::Parts, Body)> {
    use tower::ServiceExt;
    let answered = router.clone().oneshot(request);
    Ok(tokio::time::timeout(PATIENCE, answered).await??.into_parts())
}

fn info() -> Value {
    json!({ "user": "root", "name": "test", "failover_timeout": 1000.0 })
}

fn task(id: &str, agent: &str) -> Value {
    let scalar = |name: &str, value: f64| json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } });
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": { "value": agent },
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        "command": { "value": "sleep 1" },
    })
}

fn accept(offer: &mesos_v1::Offer, tasks: Value) -> Value {
    json!({ "type": "ACCEPT", "accept": {
        "offer_ids": [{ "value": offer.id.value }],
        "operations": [{ "type": "LAUNCH", "launch": { "task_infos": tasks } }],
        "filters": { "refuse_seconds": 0.0 },
    }})
}

async fn lives(encoding: Encoding) -> anyhow::Result<()> {
    let mut stage = Stage::new()?.with_agent().await?;
    let mut scheduler = Scheduler::subscribe_with(&stage, info(), encoding).await?;
    let offers = scheduler.until(Type::Offers).await?.offers.expect("of that type").offers;
    let offer = &offers[0];
    assert_eq!((offer.hostname.as_str(), offers.len()), ("agent.test", 1));
    assert_eq!(offer.url.as_ref().map(|url| url.address.port), Some(5051));
    assert!(offer.allocation_info.is_none(), "who has one role is not told which");
    let agent = offer.agent_id.value.clone();
    let tasks = json!([task("a", &agent), task("b/c", &agent)]);
    scheduler.is_accepted(accept(offer, tasks)).await;
    let fault = scheduler.until(Type::Update).await?.update.expect("of that type").status;
    assert_eq!(
        (fault.task_id.value.as_str(), fault.state()),
        ("b/c", mesos_v1::TaskState::TaskError)
    );
    assert_eq!(fault.reason(), mesos_v1::task_status::Reason::TaskInvalid);
    stage.tasks_become(1, TaskState::Running).await?;
    let update = scheduler.until(Type::Update).await?.update.expect("of that type").status;
    assert_eq!(update.state(), mesos_v1::TaskState::TaskRunning);
    let uuid = json!(serde_json::from_slice::<Value>(&mesos_v1::json::to_vec(&update))?["uuid"]);
    let seen = json!({ "agent_id": { "value": agent }, "task_id": { "value": "a" }, "uuid": uuid });
    scheduler.is_accepted(json!({ "type": "ACKNOWLEDGE", "acknowledge": seen })).await;
    scheduler.is_accepted(json!({ "type": "RECONCILE", "reconcile": {} })).await;
    let told = scheduler.until(Type::Update).await?.update.expect("of that type").status;
    assert_eq!(told.reason(), mesos_v1::task_status::Reason::Reconciliation);
    let unknown = json!({ "task_id": { "value": "x" } });
    scheduler.is_accepted(json!({ "type": "KILL", "kill": unknown })).await;
    let told = scheduler.until(Type::Update).await?.update.expect("of that type").status;
    assert_eq!(told.task_id.value, "x");
    for kind in ["SUPPRESS", "REVIVE", "REQUEST"] {
        scheduler.is_accepted(json!({ "type": kind, "request": { "requests": [] } })).await;
    }
    scheduler.is_accepted(json!({ "type": "TEARDOWN" })).await;
    while scheduler.next().await?.is_some() {}
    assert!(!stage.handle().read().kernel.frameworks.keys().any(|id| id.as_str() == scheduler.id));
    let again = json!({ "user": "root", "name": "test", "id": { "value": scheduler.id } });
    let refused = request(&stage, &[("content-type", "application/json")], &subscribe(again)).await;
    assert!(refused.text.contains("Framework has been removed"), "{}", refused.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_lives_in_json() -> anyhow::Result<()> {
    lives(Encoding::Json).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_lives_in_protobuf() -> anyhow::Result<()> {
    lives(Encoding::Protobuf).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribes_under_an_id_takes_it_over() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let mut first = Scheduler::subscribe(&stage, info()).await?;
    first.until(Type::Offers).await?;
    let mut again = info();
    again["id"] = json!({ "value": first.id });
    let mut second = Scheduler::subscribe(&stage, again.clone()).await?;
    assert_eq!(second.id, first.id);
    let error = first.until(Type::Error).await?.error.expect("of that type").message;
    assert_eq!(error, "Framework failed over");
    assert!(first.next().await?.is_none(), "the first stream is over");
    second.until(Type::Offers).await?;
    let late = first.says(json!({ "type": "REVIVE" })).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
    assert!(late.text.contains("didn't match the stream ID"), "{}", late.text);
    drop(first);
    second.is_accepted(json!({ "type": "REVIVE" })).await;
    // Its stream's end makes it a framework that is awaited, and it finds itself again.
    let id = model::id::FrameworkId::new(second.id.as_str());
    drop(second);
    let is_lost = |view: &cluster::View| !view.kernel.frameworks[&id].connected;
    stage.until("the loss", is_lost).await;
    let mut third = Scheduler::subscribe(&stage, again).await?;
    third.until(Type::Offers).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_are_spelled_for_what_the_framework_can_read() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let mut info = info();
    info["roles"] = json!(["prod", "dev"]);
    info["capabilities"] = json!([{ "type": "MULTI_ROLE" }, { "type": "RESERVATION_REFINEMENT" }]);
    let mut scheduler = Scheduler::subscribe(&stage, info).await?;
    let event = scheduler.until(Type::Offers).await?;
    let text = String::from_utf8(mesos_v1::json::to_vec(&event))?;
    assert!(text.contains(r#""allocation_info":{"role":""#), "{text}");
    assert!(!text.contains(r#""role":"*""#), "{text}");
    Ok(())
}

fn subscribe(info: Value) -> Value {
    let id = info.get("id").cloned();
    json!({ "type": "SUBSCRIBE", "framework_id": id, "subscribe": { "framework_info": info } })
}

async fn request(stage: &Stage, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut request = Request::post("/master/api/v1/scheduler");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&stage.mesos, request.body(body.to_string().into()).expect("valid")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_turned_away_as_mesos_does() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let scheduler = Scheduler::subscribe(&stage, info()).await?;
    let own = stage.handle().read().kernel.frameworks.keys().next().cloned();
    let own = json!({ "value": own.expect("the services").as_str() });
    let id = json!({ "value": scheduler.id });
    let json = ("content-type", "application/json");
    let check = async |headers: &[(&str, &str)], body: Value, status: u16, text: &str| {
        let answer = request(&stage, headers, &body).await;
        let found = (answer.status.as_u16(), answer.text.contains(text));
        assert_eq!(found, (status, true), "{body}: {}", answer.text);
    };
    let revive = json!({ "type": "REVIVE", "framework_id": id });
    check(&[], revive.clone(), 400, "Expecting 'Content-Type' to be present").await;
    check(&[("content-type", "text/plain")], revive.clone(), 415, "Expecting 'Content-Type' of")
        .await;
    check(&[json], json!({}), 400, "Expecting 'type' to be present").await;
    check(&[json], json!({ "type": "REVIVE" }), 400, "Expecting 'framework_id' to be present")
        .await;
    check(&[json], json!({ "type": "KILL", "framework_id": id }), 400, "Expecting 'kill'").await;
    let accept = json!({ "type": "KILL", "kill": {} });
    check(&[json], accept, 400, "'kill.task_id' is required and missing").await;
    let stranger = json!({ "type": "REVIVE", "framework_id": { "value": "nobody" } });
    check(&[json], stranger, 400, "Framework cannot be found").await;
    let services = json!({ "type": "TEARDOWN", "framework_id": own });
    check(&[json], services, 403, "Framework is not connected via HTTP").await;
    check(&[json], revive.clone(), 400, "should include the 'Mesos-Stream-Id' header").await;
    let wrong = ("mesos-stream-id", "wrong");
    check(&[json, wrong], revive, 400, "The stream ID 'wrong' included in this request").await;
    let new = subscribe(info());
    check(&[json, ("accept", "text/html")], new.clone(), 406, "Expecting 'Accept' to allow").await;
    check(&[json, wrong], new, 400, "should not include the 'Mesos-Stream-Id' header").await;
    let mut differs = subscribe(info());
    differs["framework_id"] = json!({ "value": "a" });
    check(&[json], differs, 400, "'framework_id' differs from").await;
    for (name, value, text) in [
        ("roles", json!(["a"]), "'FrameworkInfo.roles' must not be set"),
        ("role", json!("/a"), "is not a role"),
        ("failover_timeout", json!(-1.0), "failover_timeout"),
        ("id", own, "belongs to the cluster itself"),
    ] {
        let mut info = info();
        info[name] = value;
        check(&[json], subscribe(info), 200, text).await;
    }
    let got = stage::ask(&stage.mesos, "GET", "/api/v1/scheduler", Body::empty()).await;
    assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

/// Agents whose rack is as the predicate says, for the role `*`.
fn rack(predicate: &Value) -> Value {
    let constraint = json!({ "selector": { "attribute_name": "rack" }, "predicate": predicate });
    let groups = json!([{ "attribute_constraints": [constraint] }]);
    json!({ "role_constraints": { "*": { "groups": groups } } })
}

async fn only_wanted_agents_are_offered(encoding: Encoding) -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let not_here = rack(&json!({ "text_equals": { "value": "b" } }));
    let mut scheduler = Scheduler::subscribe_wanting(&stage, info(), &not_here, encoding).await?;
    let told = ask(&stage.mesos, "GET", "/frameworks", "").await.json();
    let told = &told["frameworks"].as_array().expect("a list")[1];
    assert_eq!(told["offer_constraints"], not_here, "{told}");
    let here = rack(&json!({ "text_matches": { "regex": "[a]" } }));
    let info = json!({ "user": "root", "name": "test", "failover_timeout": 1000.0, "id": { "value": scheduler.id } });
    let update = json!({ "type": "UPDATE_FRAMEWORK", "update_framework": {
        "framework_info": info, "offer_constraints": here } });
    let answer = scheduler.says(update).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    // Nothing came before: the first event is the offer of the agent that is wanted now.
    let event = scheduler.next().await?.expect("the stream goes on");
    assert_eq!(event.r#type(), Type::Offers);
    let bad = rack(&json!({ "text_matches": { "regex": "(" } }));
    let update = json!({ "type": "UPDATE_FRAMEWORK", "update_framework": {
        "framework_info": info, "offer_constraints": bad } });
    let answer = scheduler.says(update).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text.contains("Failed to validate") && answer.text.contains("regex"));
    Ok(())
}

#[tokio::test]
async fn only_wanted_agents_are_offered_in_json() -> anyhow::Result<()> {
    only_wanted_agents_are_offered(Encoding::Json).await
}

#[tokio::test]
async fn only_wanted_agents_are_offered_in_protobuf() -> anyhow::Result<()> {
    only_wanted_agents_are_offered(Encoding::Protobuf).await
}

#[tokio::test]
async fn wishes_that_cannot_be_meant_are_told_to_the_subscriber() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let check = async |info: Value, constraints: Value, words: &str| {
        let encoding = Encoding::Json;
        let subscribed = Scheduler::subscribe_wanting(&stage, info, &constraints, encoding).await;
        let scheduler = subscribed.unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!(scheduler.id, "", "{words}");
        assert!(scheduler.refused.contains(words), "{} is not {words}", scheduler.refused);
    };
    let groups = json!([{ "attribute_constraints": [] }]);
    check(info(), json!({ "role_constraints": { "*": { "groups": groups } } }), "empty").await;
    check(info(), json!({ "role_constraints": { "b": { "groups": [] } } }), "role 'b'").await;
    check(info(), rack(&json!({ "text_matches": { "regex": "(" } })), "regex").await;
    check(info(), rack(&json!({})), "predicate").await;
    let least = |role: &str, name: &str, value: f64| {
        let quantities = json!([{ "quantities": { name: { "value": value } } }]);
        let mut info = info();
        info["offer_filters"] =
            json!({ role: { "min_allocatable_resources": { "quantities": quantities } } });
        info
    };
    check(least("b", "cpus", 1.0), Value::Null, "b is not contained").await;
    check(least("*", "cpus", -1.0), Value::Null, "cpus").await;
    let scheduler = Scheduler::subscribe(&stage, least("*", "cpus", 1.0)).await?;
    assert_ne!(scheduler.id, "");
    Ok(())
}
