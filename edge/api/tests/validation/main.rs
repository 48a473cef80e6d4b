//! One row for each check of Mesos' master on what frameworks send (`src/master/validation.cpp` of Mesos 1.11, from top to
//! bottom, and of `src/common/validation.cpp` what that needs), told through the door and refused for the same reason.
//!
//! Without a meaning here, and so without a row:
//! - of registering agents: their own protocol carries what can be true only;
//! - `offer_filters`, whose values are refused where they are read, and offer constraints: `tests/scheduler.rs`;
//! - principals of who has logged in: `tests/access.rs`;
//! - `ExecutorInfo.framework_id` that is not set: Mesos' master fills it in before it looks, and so does ours;
//! - agents without HIERARCHICAL_ROLE, RESERVATION_REFINEMENT, RESIZE_VOLUME, TASK_RESOURCE_LIMITS: all of ours have them;
//! - operations on resources of providers: `core/kernel/tests/kernel/providers.rs`, for no agent here has one;
//! - resources that are allocated to nobody: as in Mesos, the offer's role is filled in;
//! - inverse offers that are not valid any more: they are answered, and nothing follows from that;
//! - calls of operators: `tests/mesos.rs`.

mod containers;
mod operations;
mod rows;
mod scheduler;
#[path = "../stage/mod.rs"]
mod stage;
mod tasks;

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::rows::Rows;
use crate::scheduler::{Scheduler, info, subscribe};
use crate::stage::{Stage, send};

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let of = |changes: Value| {
        let mut all = info();
        all.as_object_mut().expect("an object").extend(changes.as_object().expect("one").clone());
        all
    };
    let multi = "must not be set when the framework is";
    let rows = [
        (of(json!({ "role": "db" })), multi),
        (of(json!({ "capabilities": [] })), multi),
        (of(json!({ "roles": ["db", "db"] })), "contains duplicate items"),
        (of(json!({ "roles": ["-db"] })), "is not a role"),
        (of(json!({ "roles": ["a//b"] })), "is not a role"),
        (of(json!({ "roles": ["a b"] })), "is not a role"),
        (of(json!({ "id": { "value": "a/b" } })), "is no framework id"),
        (of(json!({ "id": { "value": ".." } })), "is no framework id"),
        (of(json!({ "id": { "value": "x".repeat(256) } })), "is no framework id"),
        (of(json!({ "failover_timeout": -1.0 })), "failover_timeout"),
        (of(json!({ "failover_timeout": 1e300 })), "failover_timeout"),
    ];
    for (info, words) in rows {
        let mut refused = Scheduler::subscribe(&stage, &subscribe(&info)).await;
        let error = refused.until("ERROR").await["error"]["message"].to_string();
        assert!(error.contains(words), "{error} is not {words}: {info}");
    }
    let mut call = subscribe(&info());
    call["subscribe"]["suppressed_roles"] = json!(["other"]);
    let mut refused = Scheduler::subscribe(&stage, &call).await;
    let error = refused.until("ERROR").await["error"]["message"].to_string();
    assert!(error.contains("are not contained in the set of roles"), "{error}");
    let mut own = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let id = own.until("SUBSCRIBED").await["subscribed"]["framework_id"].clone();
    let stolen = subscribe(&of(json!({ "id": id, "principal": "other" })));
    let mut refused = Scheduler::subscribe(&stage, &stolen).await;
    let error = refused.until("ERROR").await["error"]["message"].to_string();
    assert!(error.contains("Changing framework's principal is not allowed."), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_frameworks_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let mut scheduler = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let subscribed = scheduler.until("SUBSCRIBED").await;
    scheduler.id = subscribed["subscribed"]["framework_id"].clone();
    let rows = [
        (json!({ "user": "other" }), "Updating 'FrameworkInfo.user' is unsupported"),
        (json!({ "checkpoint": true }), "Updating 'FrameworkInfo.checkpoint' is unsupported"),
        (json!({ "principal": "other" }), "Changing framework's principal is not allowed."),
        (json!({ "roles": ["db", "db"] }), "contains duplicate items"),
        (json!({ "roles": ["-db"] }), "is not a role"),
        (json!({ "failover_timeout": -1.0 }), "failover_timeout"),
        (json!({ "role": "db" }), "must not be set when the framework is"),
    ];
    let update = |changes: &Value| {
        let mut info = rows::with(info(), changes);
        info["id"] = scheduler.id.clone();
        json!({ "framework_info": info })
    };
    let mut calls: Vec<_> = rows.iter().map(|(changes, words)| (update(changes), *words)).collect();
    let other = json!({ "suppressed_roles": ["other"] });
    let suppressed = rows::with(update(&json!({})), &other);
    calls.push((suppressed, "are not contained in the set of roles"));
    let constraints = json!({ "offer_constraints": { "role_constraints": { "other": {} } } });
    calls.push((rows::with(update(&json!({})), &constraints), "role"));
    for (update, words) in calls {
        let call = json!({ "type": "UPDATE_FRAMEWORK", "update_framework": update });
        let (status, text) = scheduler.says(&call).await;
        assert!(
            status == StatusCode::BAD_REQUEST && text.contains(words),
            "{call}: {status} {text}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let mut scheduler = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let subscribed = scheduler.until("SUBSCRIBED").await;
    scheduler.id = subscribed["subscribed"]["framework_id"].clone();
    let id = |value: &str| json!({ "value": value });
    let mut rows = vec![
        (json!({}), "Expecting 'type' to be present".to_owned()),
        (json!({ "type": "REVIVE", "framework_id": null }), "'framework_id' to be present".into()),
    ];
    let bodies = [
        "ACCEPT",
        "DECLINE",
        "ACCEPT_INVERSE_OFFERS",
        "DECLINE_INVERSE_OFFERS",
        "KILL",
        "SHUTDOWN",
        "ACKNOWLEDGE",
        "ACKNOWLEDGE_OPERATION_STATUS",
        "RECONCILE",
        "RECONCILE_OPERATIONS",
        "MESSAGE",
        "REQUEST",
        "UPDATE_FRAMEWORK",
    ];
    rows.extend(bodies.map(|kind| {
        let words = format!("Expecting '{}' to be present", kind.to_lowercase());
        (json!({ "type": kind }), words)
    }));
    let acknowledge = json!({ "agent_id": id("a"), "task_id": id("t"), "uuid": "AAAA" });
    rows.push((json!({ "type": "ACKNOWLEDGE", "acknowledge": acknowledge }), "UUID".into()));
    let of = |agent: Value, uuid: &str| {
        json!({ "type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status":
            { "agent_id": agent, "operation_id": id("o"), "uuid": uuid } })
    };
    rows.push((of(id("a"), "AAAA"), "UUID".into()));
    rows.push((of(Value::Null, "AAAAAAAAAAAAAAAAAAAAAA=="), "Expecting 'agent_id'".into()));
    let mut other = info();
    other["id"] = id("other");
    let update =
        json!({ "type": "UPDATE_FRAMEWORK", "update_framework": { "framework_info": other } });
    rows.push((update, "differs from 'update_framework.framework_info.id'".into()));
    for (call, words) in rows {
        let (status, text) = scheduler.says(&call).await;
        assert!(
            status == StatusCode::BAD_REQUEST && text.contains(&words),
            "{call}: {status} {text}"
        );
    }
    let mut call = subscribe(&info());
    call["framework_id"] = id("other");
    let request = Request::post("/api/v1/scheduler")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(call.to_string().into())?;
    let text = send(&stage.mesos, request).await.text;
    assert!(text.contains("'framework_id' differs from 'subscribe.framework_info.id'"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let mut scheduler = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let subscribed = scheduler.until("SUBSCRIBED").await;
    scheduler.id = subscribed["subscribed"]["framework_id"].clone();
    let offer = scheduler.until("OFFERS").await["offers"]["offers"][0].clone();
    let rows = Rows { agent: offer["agent_id"].clone(), all: Vec::new() };
    let unknown = json!({ "value": "nothing" });
    let own = &offer["id"];
    for (offers, words) in [
        (json!([]), "no offer is named"),
        (json!([unknown]), "an offer is not valid any more"),
        (json!([own, own]), "an offer is named twice"),
    ] {
        let launch =
            json!({ "type": "LAUNCH", "launch": { "task_infos": [rows.task(&json!({}))] } });
        let accept = json!({ "offer_ids": offers, "operations": [launch] });
        scheduler.says(&json!({ "type": "ACCEPT", "accept": accept })).await;
        let told = scheduler.told(1).await.remove(0);
        assert_eq!(told["state"], "TASK_LOST", "{told}");
        assert!(told["message"].as_str().is_some_and(|said| said.contains(words)), "{told}");
        assert_eq!(told["reason"], "REASON_INVALID_OFFERS");
    }
    Ok(())
}
