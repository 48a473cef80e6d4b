//! An agent that wants to know who asks.

use std::collections::BTreeMap;

use mesos_v1::authorization::{Credentials, Secret};
use serde_json::{Value, json};

use crate::world::World;

async fn ask(world: &World, path: &str, who: &str, call: Option<Value>) -> (u16, String) {
    let client = reqwest::Client::new();
    let request = match call {
        None => client.get(world.url(path)),
        Some(call) => {
            let posted = client.post(world.url(path)).header("content-type", "application/json");
            posted.header("accept", "application/json").body(call.to_string())
        }
    };
    let request = match who.split_once(':') {
        None => request,
        Some((principal, secret)) => request.basic_auth(principal, Some(secret)),
    };
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let realm = answer.headers().get("www-authenticate").cloned();
    let realm = realm.map(|realm| realm.to_str().expect("text").to_owned());
    (status, realm.unwrap_or_default())
}

pub(crate) async fn who_asks_an_agent_proves_who_it_is() {
    let mut world = World::prepare().await;
    let known = BTreeMap::from([("ops".to_owned(), Secret("s3cret".to_owned()))]);
    let credentials = Credentials(known);
    world.config.access = agent::Access { credentials, readonly: true, readwrite: true };
    world.start().await;
    let (reads, writes) =
        (r#"Basic realm="mesos-agent-readonly""#, r#"Basic realm="mesos-agent-readwrite""#);
    let call = || Some(json!({"type": "GET_LOGGING_LEVEL"}));
    let louder = |level: u32| {
        let set = json!({"level": level, "duration": {"nanoseconds": 1_000_000_000_u64}});
        Some(json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": set}))
    };
    for (path, who, call, status, realm) in [
        ("/health", "", None, 200, ""),
        ("/version", "", None, 200, ""),
        ("/state", "", None, 401, reads),
        ("/state", "ops:wrong", None, 401, reads),
        ("/state", "other:s3cret", None, 401, reads),
        ("/state", "ops:s3cret", None, 200, ""),
        ("/slave(1)/files/debug", "", None, 401, reads),
        ("/api/v1", "", call(), 401, writes),
        ("/api/v1", "ops:s3cret", call(), 200, ""),
        ("/api/v1", "ops:s3cret", louder(2), 200, ""),
        ("/api/v1", "ops:s3cret", louder(7), 400, ""),
        ("/logging/toggle", "", None, 401, writes),
        ("/logging/toggle?level=1&duration=5secs", "ops:s3cret", None, 200, ""),
        ("/logging/toggle?level=1", "ops:s3cret", None, 400, ""),
        // Executors have none of these secrets.
        ("/api/v1/executor", "", Some(json!({})), 400, ""),
    ] {
        let answer = ask(&world, path, who, call.clone()).await;
        assert_eq!(answer, (status, realm.to_owned()), "{path} {who} {call:?}");
    }
    world.config.access.readonly = false;
    world.stop().await;
    world.start().await;
    assert_eq!(ask(&world, "/state", "", None).await.0, 200);
    assert_eq!(ask(&world, "/api/v1", "", call()).await.0, 401);
    world.close().await;
}
