//! The master's endpoints: how each may be asked, what they say of themselves, and the log as a file.

mod stage;

use api::logging::{Levels, Logging};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::time::Time;
use serde_json::json;
use stage::{Answer, Stage, ask, send};
use wire::mesos::help::MASTER;
use wire::mesos::master::MasterInfo;

async fn get(router: &Router, path: &str) -> Answer {
    ask(router, "GET", path, Body::empty()).await
}

#[tokio::test]
async fn every_endpoint_names_the_methods_that_it_expects() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    for one in MASTER {
        if one.name.ends_with("/scheduler") {
            continue;
        }
        let wrong = if one.methods == ["POST"] { "GET" } else { "PATCH" };
        let paths = [one.path(), format!("/{}", one.path().trim_start_matches("/master"))];
        for path in paths {
            let refused = ask(&stage.mesos, wrong, &path, Body::empty()).await;
            assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}: {}", refused.text);
            assert_eq!(refused.headers["allow"], one.methods.join(", ").as_str(), "{path}");
            assert!(refused.text.contains("Expecting one of"), "{path}: {}", refused.text);
        }
        if one.methods.contains(&"GET") {
            let told = get(&stage.mesos, &one.path()).await;
            assert_ne!(told.status, StatusCode::NOT_FOUND, "{}: {}", one.path(), told.text);
            assert_ne!(told.status, StatusCode::METHOD_NOT_ALLOWED, "{}", one.path());
        }
    }
    let refused = ask(&stage.mesos, "GET", "/master/quota/dev", Body::empty()).await;
    assert_eq!(refused.headers["allow"], "DELETE");
    for unknown in ["/nothing", "/files/nothing", "/master/nothing", "/api/v2"] {
        assert_eq!(get(&stage.mesos, unknown).await.status, StatusCode::NOT_FOUND, "{unknown}");
    }
    Ok(())
}

#[tokio::test]
async fn help_is_for_people_browsers_and_programs() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let listed = get(&stage.mesos, "/help").await;
    assert!(listed.text.contains("/master/state-summary"), "{}", listed.text);
    let told = get(&stage.mesos, "/help?format=json").await.json();
    assert_eq!(told["processes"][0]["id"], "files", "{told}");
    let one = get(&stage.mesos, "/help/master/tasks").await;
    assert!(one.text.contains("framework_id, task_id"), "{}", one.text);
    let unknown = get(&stage.mesos, "/help/master/none").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{}", unknown.text);
    let browser = Request::get("/help").header("user-agent", "Mozilla/5.0 (X11)");
    let page = send(&stage.mesos, browser.body(Body::empty())?).await;
    assert!(page.text.starts_with("<!DOCTYPE html>"), "{}", page.text);
    Ok(())
}

#[tokio::test]
async fn figures_are_given_within_any_time() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let check = async |path: &str, status: StatusCode| {
        let told = get(&stage.mesos, path).await;
        assert_eq!(told.status, status, "{path}: {}", told.text);
    };
    check("/metrics/snapshot?timeout=10secs", StatusCode::OK).await;
    check("/metrics/snapshot?timeout=soon", StatusCode::BAD_REQUEST).await;
    let machine = get(&stage.mesos, "/system/stats.json").await.json();
    assert!(machine["cpus_total"].as_u64().is_some_and(|cpus| 0 < cpus), "{machine}");
    Ok(())
}

fn with_log(stage: &Stage, file: Option<std::path::PathBuf>) -> Router {
    let flags = file.iter().map(|file| ("external_log_file", file.display().to_string()));
    let info = MasterInfo {
        ip: "127.73.0.1".to_owned(),
        port: 5050,
        hostname: "127.73.0.1".to_owned(),
        cluster: "test".to_owned(),
        started_at: Time(1_700_000_000_000),
        domain: None,
        flags: flags.collect(),
    };
    let logging = Logging::kept_in(file, Levels::new(), Box::new(|_| ()));
    api::mesos::router(stage.handle(), info, logging)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_kept_in_a_file_is_shown() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("dcos.log");
    std::fs::write(&path, "one\ntwo ü\n")?;
    let router = with_log(&stage, Some(path.clone()));
    let log = "path=/master/log";
    assert_eq!(get(&router, "/files/debug").await.json(), json!({ "/master/log": path }));
    let state = get(&router, "/state").await.json();
    assert_eq!(state["external_log_file"], json!(path));
    assert_eq!(state["flags"]["external_log_file"], json!(path));
    let size = get(&router, &format!("/files/read?{log}")).await.json();
    assert_eq!(size, json!({ "data": "", "offset": 11 }));
    let part = get(&router, &format!("/master/files/read.json?{log}&offset=4&length=3")).await;
    assert_eq!(part.json(), json!({ "data": "two", "offset": 4 }));
    let whole = get(&router, &format!("/files/download?{log}")).await;
    assert_eq!(whole.text, "one\ntwo ü\n");
    let call = json!({ "type": "READ_FILE", "read_file": { "path": "/master/log", "offset": 4 } });
    let told = ask(&router, "POST", "/api/v1", call.to_string()).await.json();
    let data = json!(STANDARD.encode("two ü\n"));
    assert_eq!(told["read_file"], json!({ "size": 11, "data": data }), "{told}");
    for (path, cause) in [
        (format!("/files/browse?{log}"), "Cannot browse a file"),
        ("/files/read".to_owned(), "Expecting 'path=value'"),
        (format!("/files/read?{log}&offset=-2"), "Negative offset"),
        (format!("/files/read?{log}&length=x"), "Failed to parse length"),
    ] {
        let refused = get(&router, &path).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}: {}", refused.text);
        assert!(refused.text.contains(cause), "{path}: {}", refused.text);
    }
    let other = get(&router, "/files/read?path=/etc/passwd&offset=0").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "{}", other.text);
    Ok(())
}

#[tokio::test]
async fn a_log_that_is_in_no_file_is_said_to_be_elsewhere() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let router = with_log(&stage, None);
    assert_eq!(get(&router, "/files/debug").await.json(), json!({}));
    let list = json!({ "type": "LIST_FILES", "list_files": { "path": "/master/log" } });
    let refused = [
        get(&router, "/files/read?path=/master/log&offset=0").await,
        ask(&router, "POST", "/api/v1", list.to_string()).await,
    ];
    for refused in refused {
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
        assert!(refused.text.contains("2>> FILE"), "{}", refused.text);
    }
    Ok(())
}
