//! Agents and machines as operators steer them, by the v1 calls and the older endpoints.

mod stage;

use axum::body::Body;
use axum::http::StatusCode;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::{Answer, Stage, ask};

async fn call(stage: &Stage, call: Value) -> Answer {
    ask(&stage.mesos, "POST", "/api/v1", call.to_string()).await
}

async fn get(stage: &Stage, path: &str) -> Value {
    let answer = ask(&stage.mesos, "GET", path, Body::empty()).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()
}

async fn told(stage: &Stage, kind: &str) -> Value {
    call(stage, json!({ "type": kind })).await.json()[kind.to_lowercase()].clone()
}

async fn agent(stage: &Stage) -> Value {
    told(stage, "GET_AGENTS").await["agents"][0].clone()
}

fn steer(kind: &str, id: &Value) -> Value {
    json!({ "type": kind, kind.to_lowercase(): { "agent_id": id } })
}

async fn with_app(instances: usize) -> anyhow::Result<(Stage, Value)> {
    let mut stage = Stage::new()?.with_agent().await?;
    let app =
        json!({ "id": "/web", "cmd": "sleep 1", "instances": instances, "cpus": 0.1, "mem": 16 });
    stage.ask("POST", "/v2/apps", app.to_string()).await;
    stage.tasks_become(instances, TaskState::Running).await?;
    let id = agent(&stage).await["agent_info"]["id"].clone();
    Ok((stage, id))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_drained_and_used_again() -> anyhow::Result<()> {
    let (mut stage, id) = with_app(1).await?;
    let drain = json!({ "type": "DRAIN_AGENT", "drain_agent": {
        "agent_id": id, "max_grace_period": { "seconds": 600 } } });
    assert_eq!(call(&stage, drain.clone()).await.status, StatusCode::OK);
    let shown = agent(&stage).await;
    assert_eq!((&shown["active"], &shown["deactivated"]), (&json!(false), &json!(true)));
    let config =
        json!({ "max_grace_period": { "nanoseconds": 600_000_000_000_u64 }, "mark_gone": false });
    assert_eq!(shown["drain_info"], json!({ "state": "DRAINING", "config": config }));
    assert!(shown["estimated_drain_start_time"]["nanoseconds"].is_u64(), "{shown}");
    let older = get(&stage, "/slaves").await["slaves"][0].clone();
    assert_eq!(older["drain_info"], shown["drain_info"]);
    assert!(older["estimated_drain_start_time_seconds"].is_number(), "{older}");
    let early = call(&stage, steer("REACTIVATE_AGENT", &id)).await;
    assert_eq!(early.status, StatusCode::BAD_REQUEST, "{}", early.text);
    stage.tasks_become(1, TaskState::Killed).await?;
    let drained = |view: &cluster::View| {
        let agent = view.kernel.agents.values().next().expect("one agent");
        matches!(agent.agent.duty, kernel::state::Duty::Drained(_))
    };
    stage.until("drained", drained).await;
    assert_eq!(agent(&stage).await["drain_info"]["state"], "DRAINED");
    assert_eq!(call(&stage, steer("REACTIVATE_AGENT", &id)).await.status, StatusCode::OK);
    let shown = agent(&stage).await;
    assert_eq!((&shown["active"], &shown["drain_info"]), (&json!(true), &Value::Null));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_agents_are_answered_as_mesos_does() -> anyhow::Result<()> {
    let (stage, id) = with_app(1).await?;
    let nobody = json!({ "value": "nobody" });
    let check = async |body: Value, status: StatusCode, cause: &str| {
        let answer = call(&stage, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(answer.text.contains(cause), "{body}: {}", answer.text);
    };
    for kind in ["DRAIN_AGENT", "DEACTIVATE_AGENT", "REACTIVATE_AGENT"] {
        check(steer(kind, &nobody), StatusCode::BAD_REQUEST, "agent nobody is not known").await;
        check(json!({ "type": kind }), StatusCode::BAD_REQUEST, &kind.to_lowercase()).await;
    }
    check(steer("MARK_AGENT_GONE", &nobody), StatusCode::NOT_FOUND, "nobody").await;
    check(steer("REACTIVATE_AGENT", &id), StatusCode::BAD_REQUEST, "is not deactivated").await;
    let negative = json!({ "agent_id": id, "max_grace_period": { "seconds": -1 } });
    let negative = json!({ "type": "DRAIN_AGENT", "drain_agent": negative });
    check(negative, StatusCode::BAD_REQUEST, "non-negative").await;
    check(steer("DEACTIVATE_AGENT", &id), StatusCode::OK, "").await;
    assert_eq!(agent(&stage).await["deactivated"], true);
    check(steer("REACTIVATE_AGENT", &id), StatusCode::OK, "").await;
    check(steer("MARK_AGENT_GONE", &id), StatusCode::OK, "").await;
    check(steer("MARK_AGENT_GONE", &id), StatusCode::OK, "").await;
    assert_eq!(told(&stage, "GET_AGENTS").await["agents"], Value::Null);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_go_down_for_maintenance_and_come_up_again() -> anyhow::Result<()> {
    let (stage, _) = with_app(1).await?;
    let machine = json!({ "hostname": "agent.test", "ip": "127.60.0.2" });
    let unavailability = json!({
        "start": { "nanoseconds": 1_443_830_400_000_000_000_u64 },
        "duration": { "nanoseconds": 3_600_000_000_000_u64 },
    });
    let schedule = json!({ "windows": [
        { "machine_ids": [machine], "unavailability": unavailability } ] });
    assert!(get(&stage, "/maintenance/schedule").await.get("windows").is_none());
    let update = json!({ "type": "UPDATE_MAINTENANCE_SCHEDULE",
        "update_maintenance_schedule": { "schedule": schedule } });
    assert_eq!(call(&stage, update).await.status, StatusCode::OK);
    let status = told(&stage, "GET_MAINTENANCE_STATUS").await["status"].clone();
    assert_eq!(status, json!({ "draining_machines": [{ "id": machine }] }));
    assert_eq!(told(&stage, "GET_MAINTENANCE_SCHEDULE").await["schedule"], schedule);
    assert_eq!(get(&stage, "/master/maintenance/schedule.json").await, schedule);
    let send =
        async |path: &str, body: Value| ask(&stage.mesos, "POST", path, body.to_string()).await;
    let down = send("/machine/down", json!([machine])).await;
    assert_eq!(down.status, StatusCode::OK, "{}", down.text);
    let status = get(&stage, "/maintenance/status").await;
    assert_eq!(status, json!({ "down_machines": [machine] }));
    assert_eq!(told(&stage, "GET_AGENTS").await["agents"], Value::Null);
    let removed = send("/maintenance/schedule", json!({ "windows": [] })).await;
    assert_eq!(removed.status, StatusCode::BAD_REQUEST, "{}", removed.text);
    assert!(removed.text.contains("cannot be removed from the schedule"), "{}", removed.text);
    let up = json!({ "type": "STOP_MAINTENANCE", "stop_maintenance": { "machines": [machine] } });
    assert_eq!(call(&stage, up).await.status, StatusCode::OK);
    assert_eq!(get(&stage, "/maintenance/status").await, json!({}));
    for bad in ["[]", "{}", "[{}]", "[{\"hostname\":\"other\"}]"] {
        let refused = ask(&stage.mesos, "POST", "/machine/up", bad).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}: {}", refused.text);
    }
    let read = ask(&stage.mesos, "GET", "/machine/up", Body::empty()).await;
    assert_eq!(read.status, StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

fn resource(name: &str, size: f64, role: &str) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": size },
        "reservations": [{ "type": "DYNAMIC", "role": role }] })
}

fn form(pairs: &[(&str, &str)]) -> String {
    let encode =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_reserve_and_give_back() -> anyhow::Result<()> {
    let (stage, id) = with_app(1).await?;
    let agent_id = id["value"].as_str().expect("an id").to_owned();
    let reserved = async || {
        let agent = get(&stage, "/slaves").await["slaves"][0].clone();
        agent["reserved_resources"]["db"]["cpus"].as_f64().unwrap_or_default()
    };
    let reserve = |size: f64| {
        json!({ "type": "RESERVE_RESOURCES", "reserve_resources": {
            "agent_id": id, "resources": [resource("cpus", size, "db")] } })
    };
    let answer = call(&stage, reserve(2.0)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(reserved().await, 2.0);
    let answer = call(&stage, reserve(100.0)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    let resources = json!([resource("cpus", 2.0, "db")]).to_string();
    let pairs = [("slaveId", agent_id.as_str()), ("resources", resources.as_str())];
    let answer = ask(&stage.mesos, "POST", "/master/unreserve", form(&pairs)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(reserved().await, 0.0);
    let answer = ask(&stage.mesos, "POST", "/unreserve", form(&pairs)).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    for missing in [&pairs[..1], &pairs[1..]] {
        let answer = ask(&stage.mesos, "POST", "/reserve", form(missing)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        assert!(answer.text.contains("query parameter in the request body"), "{}", answer.text);
    }
    let strange = [("slaveId", "nobody"), ("resources", resources.as_str())];
    let answer = ask(&stage.mesos, "POST", "/reserve", form(&strange)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_make_volumes_and_remove_them() -> anyhow::Result<()> {
    let (stage, id) = with_app(1).await?;
    let agent_id = id["value"].as_str().expect("an id").to_owned();
    let space = resource("disk", 64.0, "db");
    let mut volume = space.clone();
    volume["disk"] = json!({ "persistence": { "id": "v" },
        "volume": { "container_path": "data", "mode": "RW" } });
    let check = async |body: Value, status: StatusCode| {
        let answer = call(&stage, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    };
    let of = |kind: &str, field: &str, one: &Value| json!({ "type": kind, kind.to_lowercase(): { "agent_id": id, field: [one] } });
    check(of("CREATE_VOLUMES", "volumes", &volume), StatusCode::CONFLICT).await;
    check(of("RESERVE_RESOURCES", "resources", &space), StatusCode::ACCEPTED).await;
    check(of("CREATE_VOLUMES", "volumes", &volume), StatusCode::ACCEPTED).await;
    let more = resource("disk", 16.0, "db");
    check(of("RESERVE_RESOURCES", "resources", &more), StatusCode::ACCEPTED).await;
    let grow = json!({ "agent_id": id, "volume": volume, "addition": more });
    let grow = json!({ "type": "GROW_VOLUME", "grow_volume": grow });
    check(grow, StatusCode::ACCEPTED).await;
    volume["scalar"]["value"] = json!(80.0);
    let shrink = json!({ "agent_id": id, "volume": volume, "subtract": { "value": 30.0 } });
    let shrink = json!({ "type": "SHRINK_VOLUME", "shrink_volume": shrink });
    check(shrink, StatusCode::ACCEPTED).await;
    volume["scalar"]["value"] = json!(50.0);
    let volumes = json!([volume]).to_string();
    let pairs = [("slaveId", agent_id.as_str()), ("volumes", volumes.as_str())];
    let answer = ask(&stage.mesos, "POST", "/destroy-volumes", form(&pairs)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    let answer = ask(&stage.mesos, "POST", "/create-volumes", form(&pairs)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    Ok(())
}
