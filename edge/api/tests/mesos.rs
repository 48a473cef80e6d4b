//! The Mesos master's API through the door.

mod stage;

use std::io::Read;

use anyhow::Context;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::{Answer, Stage, ask};
use tower::ServiceExt;

async fn running() -> anyhow::Result<Stage> {
    let mut stage = Stage::new()?.with_agent().await?;
    let app = json!({
        "id": "/web", "cmd": "sleep 1", "cpus": 0.1, "mem": 16, "instances": 2,
        "labels": { "a": "b" }, "portDefinitions": [{ "name": "http" }],
    });
    stage.ask("POST", "/v2/apps", app.to_string()).await;
    stage.tasks_become(2, TaskState::Running).await?;
    Ok(stage)
}

async fn get(stage: &Stage, path: &str) -> Value {
    let answer: Answer = ask(&stage.mesos, "GET", path, Body::empty()).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_told_under_each_of_its_names() -> anyhow::Result<()> {
    let stage = running().await?;
    for path in ["/state", "/state.json", "/master/state", "/master/state.json", "/master/state/"] {
        assert_eq!(get(&stage, path).await["pid"], "master@127.60.0.1:5050", "{path}");
    }
    let state = get(&stage, "/master/state").await;
    assert_eq!((&state["version"], &state["cluster"]), (&json!("1.11.0"), &json!("test")));
    assert_eq!((&state["activated_slaves"], &state["leader"]), (&json!(1), &state["pid"]));
    let agent = &state["slaves"][0];
    assert_eq!(agent["pid"], "slave(1)@127.60.0.2:5051");
    assert_eq!(agent["attributes"], json!({ "rack": "a", "ssd": "true" }));
    assert_eq!(agent["resources"]["cpus"], 16.0);
    assert_eq!(agent["resources"]["ports"], "[31000-32000]");
    assert_eq!(agent["used_resources"]["mem"], 32.0);
    let framework = &state["frameworks"][0];
    assert_eq!((&framework["name"], &framework["active"]), (&json!("marathon"), &json!(true)));
    let task = &framework["tasks"][0];
    assert_eq!((&task["state"], &task["slave_id"]), (&json!("TASK_RUNNING"), &agent["id"]));
    assert_eq!(task["labels"][0], json!({ "key": "a", "value": "b" }));
    assert_eq!(task["discovery"]["ports"]["ports"][0]["name"], "http");
    assert_eq!(task["statuses"][0]["state"], "TASK_RUNNING");
    assert!(!state.to_string().contains("null"), "unset fields are left out");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn summaries_count_tasks_by_agent_and_framework() -> anyhow::Result<()> {
    let stage = running().await?;
    let summary = get(&stage, "/state-summary").await;
    let (agent, framework) = (&summary["slaves"][0], &summary["frameworks"][0]);
    assert_eq!((&agent["TASK_RUNNING"], &agent["TASK_FAILED"]), (&json!(2), &json!(0)));
    assert_eq!(agent["framework_ids"], json!([framework["id"]]));
    assert_eq!((&framework["TASK_RUNNING"], &framework["slave_ids"][0]), (&json!(2), &agent["id"]));
    assert_eq!(framework["used_resources"]["cpus"], 0.2);
    let slaves = get(&stage, "/slaves").await;
    let names = slaves["slaves"][0]["used_resources_full"].to_string();
    assert!(names.contains("\"cpus\"") && names.contains("SCALAR"), "{names}");
    assert_eq!(get(&stage, "/slaves?slave_id=none").await["slaves"], json!([]));
    assert_eq!(get(&stage, "/tasks").await["tasks"].as_array().map(Vec::len), Some(2));
    assert_eq!(get(&stage, "/tasks?limit=1").await["tasks"].as_array().map(Vec::len), Some(1));
    let roles = get(&stage, "/roles").await;
    let held =
        roles["roles"].as_array().into_iter().flatten().find(|role| role["name"] == "slave_public");
    assert_eq!(held.map(|role| role["allocated"]["mem"].clone()), Some(json!(32.0)));
    let metrics = get(&stage, "/metrics/snapshot").await;
    assert_eq!(
        (&metrics["master/tasks_running"], &metrics["master/slaves_active"]),
        (&json!(2.0), &json!(1.0))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn old_browsers_and_followers_are_served() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    assert_eq!(get(&stage, "/version").await["version"], "1.11.0");
    let health = ask(&stage.mesos, "GET", "/health", Body::empty()).await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, ""));
    let script = ask(&stage.mesos, "GET", "/version?jsonp=on.load(1)", Body::empty()).await;
    assert_eq!(script.headers["content-type"], "text/javascript");
    assert!(script.text.starts_with("on.load1({") && script.text.ends_with("});"));
    let redirect = ask(&stage.mesos, "GET", "/master/redirect", Body::empty()).await;
    assert_eq!(redirect.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(redirect.headers["location"], "//127.60.0.1:5050");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_calls_are_answered_or_refused() -> anyhow::Result<()> {
    let stage = running().await?;
    let call = async |kind: &str| {
        let body = json!({ "type": kind }).to_string();
        ask(&stage.mesos, "POST", "/api/v1", body).await
    };
    assert_eq!(call("GET_HEALTH").await.json()["get_health"]["healthy"], true);
    let agents = call("GET_AGENTS").await.json();
    let agent = &agents["get_agents"]["agents"][0];
    assert_eq!(agent["agent_info"]["hostname"], "agent.test");
    let tasks = call("GET_TASKS").await.json();
    assert_eq!(tasks["get_tasks"]["tasks"][0]["agent_id"], agent["agent_info"]["id"]);
    assert!(call("GET_FRAMEWORKS").await.text.contains("\"marathon\""));
    let none = call("MAKE_COFFEE").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST, "{}", none.text);
    let bad = ask(&stage.mesos, "POST", "/api/v1", "{}").await;
    assert!(bad.status.is_client_error() && bad.text.contains("type"), "{}", bad.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_set_told_and_removed() -> anyhow::Result<()> {
    let stage = running().await?;
    let send = async |method: &str, path: &str, body: Value| -> Answer {
        ask(&stage.mesos, method, path, Body::from(body.to_string())).await
    };
    let v1 = async |body: Value| -> Answer { send("POST", "/api/v1", body).await };
    let cpus = |value: f64| json!({ "cpus": { "value": value } });
    let update = |role: &str, cpus: Value, force: bool| {
        let configs = [json!({ "role": role, "limits": cpus })];
        let update = json!({ "force": force, "quota_configs": configs });
        json!({ "type": "UPDATE_QUOTA", "update_quota": update })
    };
    let refused = v1(update("slave_public", cpus(0.1), false)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("role slave_public") && refused.text.contains("0.2 of cpus"));
    assert_eq!(v1(update("slave_public", cpus(0.1), true)).await.status, StatusCode::OK);
    let quota = get(&stage, "/quota").await;
    assert_eq!(quota["configs"][0]["limits"], cpus(0.1));
    let roles = get(&stage, "/roles").await;
    let role = roles["roles"].as_array().into_iter().flatten();
    let role = role.into_iter().find(|role| role["name"] == "slave_public").expect("it is used");
    assert_eq!(role["quota"]["limit"], json!({ "cpus": 0.1 }));
    assert_eq!(role["quota"]["consumed"], json!({ "cpus": 0.2, "mem": 32.0 }));
    let scalar = json!({ "name": "cpus", "type": "SCALAR", "scalar": { "value": 2 } });
    let asked = json!({ "role": "eng/web", "guarantee": [scalar] });
    assert_eq!(send("POST", "/quota", asked.clone()).await.status, StatusCode::OK);
    assert_eq!(send("POST", "/quota", asked).await.status, StatusCode::BAD_REQUEST);
    let much = json!({ "name": "cpus", "type": "SCALAR", "scalar": { "value": 2000 } });
    let much = json!({ "role": "ops", "guarantee": [much] });
    assert_eq!(send("POST", "/quota", much).await.status, StatusCode::CONFLICT);
    let told = v1(json!({ "type": "GET_QUOTA" })).await.json();
    assert_eq!(told["get_quota"]["status"]["infos"][0]["guarantee"][0]["scalar"]["value"], 2.0);
    let removed = send("DELETE", "/master/quota/eng/web", json!(null)).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let again = send("DELETE", "/master/quota/eng/web", json!(null)).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    let weights = json!([{ "role": "eng", "weight": 2.5 }]);
    assert_eq!(send("PUT", "/weights", weights.clone()).await.status, StatusCode::OK);
    assert_eq!(get(&stage, "/weights").await, weights);
    let none = json!([{ "role": "eng", "weight": 0 }]);
    assert_eq!(send("PUT", "/weights", none).await.status, StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_long_comes_whole_when_it_is_compressed() -> anyhow::Result<()> {
    let stage = running().await?;
    for path in ["/state", "/state-summary", "/slaves", "/frameworks", "/tasks", "/roles", "/flags"]
    {
        let plain = ask(&stage.mesos, "GET", path, Body::empty()).await.text;
        let request = Request::get(path).header("accept-encoding", "gzip").body(Body::empty())?;
        let packed = stage.mesos.clone().oneshot(request).await?;
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path}");
        let packed = packed.into_body().collect().await.context(path)?.to_bytes();
        let mut told = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut told).context(path)?;
        assert_eq!(told, plain, "{path}");
    }
    Ok(())
}
