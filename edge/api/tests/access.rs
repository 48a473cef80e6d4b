//! The Mesos master behind credentials.

mod stage;

use api::mesos::access::{Access, Wanted, guard};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesos_v1::authorization::{Credentials, Secret};
use serde_json::{Value, json};
use stage::{Answer, Stage, send};
use tower::ServiceExt;

fn guarded(stage: &Stage, wanted: Wanted) -> Router {
    let credentials = [("ops", "s3cret"), ("app", "other:one")];
    let secret = |(name, secret): (&str, &str)| (name.to_owned(), Secret(secret.to_owned()));
    let credentials = Credentials(credentials.map(secret).into());
    guard(stage.mesos.clone(), Access { credentials, wanted })
}

fn request(method: &str, path: &str, who: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("accept", "application/json");
    let request = request.header("content-type", "application/json");
    let request = match who {
        "" => request,
        who => request.header("authorization", format!("Basic {}", STANDARD.encode(who))),
    };
    request.body(body.to_string().into()).expect("valid")
}

#[tokio::test]
async fn who_has_to_say_who_it_is_is_asked() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let check = async |wanted: Wanted, method: &str, path: &str, who: &str, realm: &str| {
        let router = guarded(&stage, wanted);
        let request = request(method, path, who, &Value::Null);
        let response = router.oneshot(request).await.expect("infallible");
        let told = response.headers().get("www-authenticate");
        let told = told.map_or("", |told| told.to_str().expect("ASCII")).to_owned();
        let is_refused = response.status() == StatusCode::UNAUTHORIZED;
        let expected =
            if realm.is_empty() { String::new() } else { format!("Basic realm=\"{realm}\"") };
        assert_eq!(
            (is_refused, told),
            (!realm.is_empty(), expected),
            "{wanted:?} {method} {path} {who}"
        );
    };
    let both = Wanted::OfBoth;
    check(both, "GET", "/state", "", "mesos-master-readonly").await;
    check(both, "GET", "/master/state", "ops:s3cret", "").await;
    check(both, "GET", "/state", "ops:s3crets", "mesos-master-readonly").await;
    check(both, "GET", "/state", "ops:", "mesos-master-readonly").await;
    check(both, "GET", "/state", "nobody:s3cret", "mesos-master-readonly").await;
    check(both, "GET", "/state", "app:other:one", "").await;
    check(both, "PUT", "/weights", "", "mesos-master-readwrite").await;
    check(both, "POST", "/api/v1", "", "mesos-master-readwrite").await;
    check(both, "POST", "/api/v1/scheduler", "", "mesos-master-scheduler").await;
    check(both, "POST", "/master/api/v1/scheduler/", "", "mesos-master-scheduler").await;
    check(both, "GET", "/health", "", "").await;
    check(both, "GET", "/master/redirect", "", "").await;
    check(Wanted::OfFrameworks, "GET", "/state", "", "").await;
    check(Wanted::OfFrameworks, "POST", "/api/v1/scheduler", "", "mesos-master-scheduler").await;
    check(Wanted::OfOperators, "POST", "/api/v1/scheduler", "", "").await;
    check(Wanted::OfOperators, "GET", "/state", "", "mesos-master-readonly").await;
    Ok(())
}

fn reservation(by: Option<&str>) -> Value {
    json!({ "name": "disk", "type": "SCALAR", "scalar": { "value": 64.0 },
        "reservations": [{ "type": "DYNAMIC", "role": "db", "principal": by }] })
}

fn volume(by: Option<&str>) -> Value {
    let mut volume = reservation(Some("ops"));
    volume["disk"] = json!({ "persistence": { "id": "v", "principal": by },
        "volume": { "container_path": "data", "mode": "RW" } });
    volume
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_reserves_bears_its_name() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let id = {
        let view = stage.handle().read();
        let agent = view.kernel.agents.keys().next();
        json!({ "value": agent.expect("it joined").as_str() })
    };
    let router = guarded(&stage, Wanted::OfFrameworks);
    let check = async |who: &str, kind: &str, field: &str, one: Value, expected: StatusCode| {
        let asked = json!({ "agent_id": id, field: [one] });
        let call = json!({ "type": kind, kind.to_lowercase(): asked });
        let answer = send(&router, request("POST", "/api/v1", who, &call)).await;
        assert_eq!(answer.status, expected, "{who:?} {call}: {}", answer.text);
    };
    let (refused, done) = (StatusCode::BAD_REQUEST, StatusCode::ACCEPTED);
    for (field, kind, one) in [
        ("resources", "RESERVE_RESOURCES", reservation as fn(Option<&str>) -> Value),
        ("volumes", "CREATE_VOLUMES", volume),
    ] {
        check("ops:s3cret", kind, field, one(Some("app")), refused).await;
        check("ops:s3cret", kind, field, one(None), refused).await;
        check("ops:s3cret", kind, field, one(Some("ops")), done).await;
    }
    let shown = send(&router, request("GET", "/slaves", "", &Value::Null)).await.json();
    let shown = &shown["slaves"][0]["reserved_resources_full"]["db"][0];
    assert_eq!(shown["reservations"][0]["principal"], "ops", "{shown}");
    assert_eq!(shown["disk"]["persistence"]["principal"], "ops", "{shown}");
    // Who need not say who it is may name anybody.
    check("", "DESTROY_VOLUMES", "volumes", volume(Some("ops")), done).await;
    check("", "UNRESERVE_RESOURCES", "resources", reservation(Some("ops")), done).await;
    check("", "RESERVE_RESOURCES", "resources", reservation(Some("app")), done).await;
    Ok(())
}

fn subscribe(who: &str, principal: Option<&str>) -> Request<Body> {
    let info = json!({ "user": "root", "name": "test", "principal": principal });
    let call = json!({ "type": "SUBSCRIBE", "subscribe": { "framework_info": info } });
    request("POST", "/api/v1/scheduler", who, &call)
}

#[tokio::test]
async fn a_framework_is_who_it_has_proved_to_be() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let router = guarded(&stage, Wanted::OfFrameworks);
    let refused = send(&router, subscribe("ops:s3cret", Some("app"))).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.text.contains("Authenticated principal 'ops' does not match"),
        "{}",
        refused.text
    );
    for principal in [Some("ops"), None] {
        let response = router.clone().oneshot(subscribe("ops:s3cret", principal)).await?;
        assert_eq!(response.status(), StatusCode::OK, "{principal:?}");
        let view = stage.handle().read();
        let known =
            view.kernel.frameworks.iter().find(|(_, one)| one.framework.info.name == "test");
        let (id, known) = known.expect("it is subscribed");
        assert_eq!(known.framework.info.principal.as_deref(), Some("ops"));
        // Another one's calls are not its own.
        let revive = json!({ "type": "REVIVE", "framework_id": { "value": id.as_str() } });
        let stranger = request_with_stream(&router, "app:other:one", &revive, &response).await;
        assert_eq!(stranger.status, StatusCode::BAD_REQUEST, "{}", stranger.text);
        assert!(stranger.text.contains("does not match"), "{}", stranger.text);
        let own = request_with_stream(&router, "ops:s3cret", &revive, &response).await;
        assert_eq!(own.status, StatusCode::ACCEPTED, "{}", own.text);
        let teardown = json!({ "type": "TEARDOWN", "framework_id": { "value": id.as_str() } });
        request_with_stream(&router, "ops:s3cret", &teardown, &response).await;
        stage.until("a teardown", |view| !view.kernel.frameworks.contains_key(id)).await;
    }
    Ok(())
}

async fn request_with_stream(
    router: &Router,
    who: &str,
    call: &Value,
    stream: &axum::http::Response<Body>,
) -> Answer {
    let mut request = request("POST", "/api/v1/scheduler", who, call);
    let id = stream.headers()["mesos-stream-id"].clone();
    request.headers_mut().insert("mesos-stream-id", id);
    send(router, request).await
}
