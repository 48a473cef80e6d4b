//! Apps through the door: created, read, changed, restarted, deleted.

mod stage;

use axum::body::Body;
use axum::http::StatusCode;
use model::task::TaskState;
use serde_json::{Value, json};
use stage::Stage;

fn sleeper(id: &str) -> String {
    json!({ "id": id, "cmd": "sleep 3600", "cpus": 0.1, "mem": 16 }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_app_is_answered_complete_with_its_deployment() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let answer = stage.ask("POST", "/v2/apps", sleeper("/prod/web")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let app = answer.json();
    let deployment = app["deployments"][0]["id"].as_str().expect("a deployment");
    assert_eq!(answer.headers["marathon-deployment-id"], deployment);
    assert_eq!(answer.headers["location"], "/v2/apps/prod/web");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-marathon-leader"], "http://127.60.0.1:8080");
    assert_eq!(app["id"], "/prod/web");
    assert_eq!(app["role"], "prod");
    assert_eq!(app["tasksRunning"], 0);
    assert_eq!(app["maxLaunchDelaySeconds"], 300);
    assert!(app["portDefinitions"][0]["port"].as_u64().is_some_and(|port| port >= 10_000));
    assert_eq!(stage.get("/v2/deployments").await[0]["id"], deployment);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_found_however_their_slashes_are_written() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/apps", sleeper("prod/web")).await;
    let paths = [
        "/v2/apps/prod/web",
        "/v2/apps//prod/web",
        "/v2/apps/prod/web/",
        "/v2/apps/prod%2Fweb",
        "//v2//apps//prod//web?embed=app.tasks",
    ];
    for path in paths {
        assert_eq!(stage.get(path).await["app"]["id"], "/prod/web", "{path}");
    }
    let found = stage.get("/v2/apps/?embed=apps.tasks").await;
    assert_eq!(found["apps"][0]["tasks"], json!([]));
    assert_eq!(stage.get("/v2/apps/prod/*").await["*"][0]["id"], "/prod/web");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_update_keeps_what_it_does_not_name_and_a_whole_one_does_not()
-> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/apps", sleeper("/web")).await;
    let change = json!({ "labels": { "a": "b" } }).to_string();
    let answer = stage.ask("PUT", "/v2/apps/web?force=true", change.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(answer.json()["deploymentId"].is_string() && answer.json()["version"].is_string());
    let app = stage.get("/v2/apps/web").await["app"].clone();
    assert_eq!((&app["labels"]["a"], &app["cpus"]), (&json!("b"), &json!(0.1)));
    let answer = stage.ask("PATCH", "/v2/apps/web?force=True", r#"{"instances": 2}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(stage.get("/v2/apps/web").await["app"]["instances"], 2);
    let whole = "/v2/apps/web?force=true&partialUpdate=false";
    let answer = stage.ask("PUT", whole, r#"{"cmd": "sleep 1"}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let app = stage.get("/v2/apps/web").await["app"].clone();
    assert_eq!((&app["labels"], &app["cpus"]), (&json!({}), &json!(1.0)));
    let answer = stage.ask("PUT", whole, change).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "no command any more");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_an_unknown_app_creates_it_unless_it_is_a_patch() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let answer = stage.ask("PUT", "/v2/apps/new", r#"{"cmd": "sleep 1"}"#).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let answer = stage.ask("PATCH", "/v2/apps/other", r#"{"cmd": "sleep 1"}"#).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["message"], "App '/other' does not exist");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_apps_change_in_one_deployment_or_none_does() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let both = json!([{ "id": "/a", "cmd": "sleep 1" }, { "id": "/b", "cmd": "sleep 2" }]);
    let answer = stage.ask("PUT", "/v2/apps", both.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(stage.get("/v2/deployments").await.as_array().map(Vec::len), Some(1));
    let faulty = json!([{ "id": "/a", "instances": 3 }, { "id": "/b", "cpus": -1, "mem": "x" }]);
    let answer = stage.ask("PUT", "/v2/apps?force=true", faulty.to_string()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let details = answer.json()["details"].clone();
    let paths: Vec<&str> =
        details.as_array().into_iter().flatten().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths, ["(1)/cpus", "(1)/mem"]);
    assert_eq!(stage.get("/v2/apps/a").await["app"]["instances"], 1);
    let unknown = json!([{ "id": "/a", "instances": 3 }, { "id": "/c", "instances": 1 }]);
    let answer = stage.ask("PATCH", "/v2/apps?force=true", unknown.to_string()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(stage.get("/v2/apps/a").await["app"]["instances"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_goes_back_to_a_version_that_it_had() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/apps", sleeper("/web")).await;
    stage.ask("PUT", "/v2/apps/web?force=true", r#"{"cmd": "sleep 2"}"#).await;
    let versions = stage.get("/v2/apps/web/versions").await["versions"].clone();
    assert_eq!(versions.as_array().map(Vec::len), Some(2));
    let first = versions[1].as_str().expect("a version");
    let old = stage.get(&format!("/v2/apps/web/versions/{first}")).await;
    assert_eq!((&old["cmd"], &old["version"]), (&json!("sleep 3600"), &json!(first)));
    let back = json!({ "version": first }).to_string();
    let answer = stage.ask("PUT", "/v2/apps/web?force=true", back).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(stage.get("/v2/apps/web").await["app"]["cmd"], "sleep 3600");
    let both = json!({ "version": first, "cpus": 1 }).to_string();
    let answer = stage.ask("PUT", "/v2/apps/web?force=true", both).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let missing = stage.ask("GET", "/v2/apps/web/versions/2001-01-01T00:00:00.000Z", "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_cause() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/apps", sleeper("/web")).await;
    let check = async |method: &str, path: &str, body: String, status: u16, message: &str| {
        let answer = stage.ask(method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        let told = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(told.contains(message), "{method} {path}: {told}");
        answer.json()
    };
    check("POST", "/v2/apps", sleeper("/web"), 409, "An app with id [/web] already exists.").await;
    let locked = check("PUT", "/v2/apps/web", r#"{"cpus": 2}"#.into(), 409, "locked").await;
    assert!(locked["deployments"][0]["id"].is_string());
    let inside = check("POST", "/v2/apps", sleeper("/web/inner"), 422, "Object is not valid").await;
    assert_eq!(inside["details"][0]["path"], "/id");
    check("GET", "/v2/apps/none", String::new(), 404, "App '/none' does not exist").await;
    check("GET", "/v2/apps/NONE", String::new(), 404, "App '/NONE' does not exist").await;
    check("DELETE", "/v2/apps/none", String::new(), 404, "App '/none' does not exist").await;
    check("POST", "/v2/apps/none/restart", String::new(), 404, "'/none'").await;
    check("GET", "/v2/apps/none/tasks", String::new(), 404, "'/none'").await;
    check("GET", "/v2/apps/none/versions", String::new(), 404, "'/none'").await;
    check("DELETE", "/v2/apps", String::new(), 405, "Method Not Allowed").await;
    check("DELETE", "/v2/deployments/x", String::new(), 404, "DeploymentPlan x").await;
    check("DELETE", "/v2/queue/none/delay", String::new(), 404, "/none not found").await;
    check("POST", "/v2/groups", String::new(), 400, "Invalid JSON").await;
    check("POST", "/v2/pods", String::new(), 400, "Invalid JSON").await;
    check("DELETE", "/v2/leader?backup=file:///tmp/x", String::new(), 400, "not supported").await;
    check("GET", "/v3/apps", String::new(), 404, "URI not found").await;
    check("GET", "/v2/apps?label=a%3D", String::new(), 400, "label selector").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_apps_are_refused_by_name() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let check = async |body: Vec<u8>, status: u16, cause: &str| {
        let answer = stage.ask("POST", "/v2/apps", body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert!(answer.text.contains(cause), "{cause} in {}", answer.text);
    };
    check(b"".to_vec(), 400, "Invalid JSON").await;
    check(br#"{"id": "/a", "cmd": "#.to_vec(), 400, "line 1 column 20").await;
    check(br#"{"id": "/a"} trailing"#.to_vec(), 400, "trailing").await;
    check(b"{\"id\": \"\xff\"}".to_vec(), 400, "Invalid JSON").await;
    check("[".repeat(100_000).into_bytes(), 400, "recursion limit").await;
    check(vec![b' '; (8 << 20) + 1], 413, "8 MiB").await;
    check(b"[]".to_vec(), 422, "expected an object").await;
    check(br#"{"id": 5, "cmd": ["a"], "instances": "two"}"#.to_vec(), 422, "/instances").await;
    check(br#"{"cmd": "a"}"#.to_vec(), 422, "/id").await;
    check(br#"{"id":"/a","cmd":"b","secrets":{"s":{}}}"#.to_vec(), 422, "must not be empty").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_their_filters_ask_for() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    for (id, label) in [("/prod/web", "web"), ("/prod/db", "db"), ("/test/web", "web")] {
        let app = json!({ "id": id, "cmd": format!("run {id}"), "labels": { "tier": label } });
        let answer = stage.ask("POST", "/v2/apps", app.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    let check = async |query: &str, wanted: &[&str]| {
        let found = stage.get(&format!("/v2/apps{query}")).await;
        let apps = found["apps"].as_array().cloned().unwrap_or_default();
        let ids: Vec<Value> = apps.iter().map(|app| app["id"].clone()).collect();
        assert_eq!(ids, wanted.iter().map(|id| json!(id)).collect::<Vec<_>>(), "{query}");
    };
    check("", &["/prod/db", "/prod/web", "/test/web"]).await;
    check("?id=WEB", &["/prod/web", "/test/web"]).await;
    check("?cmd=prod", &["/prod/db", "/prod/web"]).await;
    check("?label=tier%3D%3Ddb", &["/prod/db"]).await;
    check("?label=tier+in+(web)&id=test", &["/test/web"]).await;
    check("?label=absent", &[]).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_running_tasks_shows_them_and_is_restarted_and_deleted() -> anyhow::Result<()> {
    let mut stage = Stage::new()?.with_agent().await?;
    let app = json!({ "id": "/web", "cmd": "sleep 1", "cpus": 0.1, "instances": 3 });
    stage.ask("POST", "/v2/apps", app.to_string()).await;
    stage.tasks_become(3, TaskState::Running).await?;
    stage.until("the deployment", |view| view.services.deployments.is_empty()).await;
    let path = "/v2/apps/web?embed=app.taskStats&embed=app.readiness";
    let shown = stage.get(path).await["app"].clone();
    assert_eq!((&shown["tasksRunning"], &shown["tasksStaged"]), (&json!(3), &json!(0)));
    assert_eq!(shown["tasks"][0]["host"], "agent.test");
    assert_eq!(shown["tasks"][0]["state"], "TASK_RUNNING");
    assert_eq!(shown["tasks"][0]["servicePorts"][0], shown["portDefinitions"][0]["port"]);
    assert_eq!(shown["deployments"], json!([]));
    assert_eq!(shown["tasksStats"]["totalSummary"]["stats"]["counts"]["running"], 3);
    let listed = stage.get("/v2/apps").await["apps"][0].clone();
    assert_eq!((&listed["tasksRunning"], listed.get("tasks")), (&json!(3), None));
    let answer = stage.ask("POST", "/v2/apps/web/restart", Body::empty()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(stage.get("/v2/deployments").await[0]["affectedApps"], json!(["/web"]));
    let answer = stage.ask("DELETE", "/v2/apps/web", Body::empty()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_yet_is_kept_and_is_why_an_app_waits() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let app = json!({
        "id": "/db",
        "container": {
            "docker": { "image": "db", "network": "BRIDGE" },
            "volumes": [{ "containerPath": "data", "mode": "RW", "persistent": { "size": 512 } }],
        },
    });
    let answer = stage.ask("POST", "/v2/apps", app.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let app = stage.get("/v2/apps/db").await["app"].clone();
    assert_eq!(app["networks"], json!([{ "mode": "container/bridge" }]));
    assert_eq!(app["container"]["volumes"][0]["persistent"]["type"], "root");
    assert_eq!(app["residency"]["taskLostBehavior"], "WAIT_FOREVER");
    assert!(app["container"]["portMappings"][0]["servicePort"].as_u64() >= Some(10_000));
    let item = stage.get("/v2/queue?embed=explain").await["queue"][0].clone();
    let lacks = ["it is on a bridge network: only the host network is there yet"];
    assert_eq!(item["lacks"], json!(lacks));
    let changed = stage.ask("PATCH", "/v2/apps/db?force=true", r#"{"mem": 64}"#).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(stage.get("/v2/tasks").await["tasks"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_a_group_called_tasks_or_versions_can_be_reached() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    for id in ["/a/tasks/b", "/a/versions/b"] {
        let body = json!({ "id": id, "cmd": "sleep 1", "instances": 0 }).to_string();
        // As some editors write files.
        let created = stage.ask("POST", "/v2/apps", format!("\u{feff}{body}")).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        assert_eq!(stage.get(&format!("/v2/apps{id}")).await["app"]["id"], id);
        let removed = stage.ask("DELETE", &format!("/v2/apps{id}"), "").await;
        assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    }
    assert_eq!(stage.get("/v2/apps").await["apps"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_force_their_change_of_one_app_are_all_served() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("POST", "/v2/apps", sleeper("/web")).await;
    let put = |n: usize| {
        let body = json!({ "labels": { "n": n.to_string() } }).to_string();
        stage.ask("PUT", "/v2/apps/web?force=true", body)
    };
    for answer in futures::future::join_all((0..40).map(put)).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    Ok(())
}
