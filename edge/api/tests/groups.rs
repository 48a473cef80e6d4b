//! Groups through the door: created, planned, scaled, taken back, removed.

mod stage;

use axum::http::StatusCode;
use serde_json::{Value, json};
use stage::Stage;

fn sleeper(id: &str, instances: u32) -> Value {
    json!({ "id": id, "cmd": "sleep 3600", "cpus": 0.1, "mem": 16, "instances": instances })
}

fn shop() -> Value {
    let mut web = sleeper("web", 2);
    web["dependencies"] = json!(["data/db"]);
    let data = json!({ "id": "data", "apps": [sleeper("db", 1)] });
    let front = json!({ "id": "front", "dependencies": ["../data"] });
    json!({ "id": "/shop", "groups": [data, front], "apps": [web] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_group_is_there_with_everything_in_it() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let answer = stage.ask("POST", "/v2/groups", shop().to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.headers["location"], "/v2/groups/shop");
    let told = answer.json();
    assert_eq!(
        answer.headers["marathon-deployment-id"],
        told["deploymentId"].as_str().expect("an id")
    );
    assert!(told["version"].is_string());
    let group = stage.get("/v2/groups/shop").await;
    assert_eq!((&group["id"], &group["apps"][0]["id"]), (&json!("/shop"), &json!("/shop/web")));
    assert_eq!(group["groups"][0]["apps"][0]["id"], "/shop/data/db");
    assert_eq!(group["groups"][1]["dependencies"], json!(["/shop/data"]));
    assert_eq!(group["apps"][0]["dependencies"], json!(["/shop/data/db"]));
    assert_eq!(group["enforceRole"], true);
    assert_eq!(group["apps"][0]["role"], "shop");
    let again = stage.ask("POST", "/v2/groups", shop().to_string()).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert!(again.text.contains("Use PUT to change this group"), "{}", again.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_steps_and_does_nothing() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let answer = stage.ask("PUT", "/v2/groups/shop?dryRun=true", shop().to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let steps = answer.json()["steps"].clone();
    let first = &steps[0]["actions"][0];
    assert_eq!(
        (&first["action"], &first["app"]),
        (&json!("StartApplication"), &json!("/shop/data/db"))
    );
    assert_eq!(stage.get("/v2/apps").await["apps"], json!([]));
    assert_eq!(stage.get("/v2/deployments").await, json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_changed_scaled_and_taken_back() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("PUT", "/v2/groups/shop", shop().to_string()).await;
    let scaled = stage.ask("PUT", "/v2/groups/shop?force=true", r#"{"scaleBy": 1.5}"#).await;
    assert_eq!(scaled.status, StatusCode::OK, "{}", scaled.text);
    assert_eq!(stage.get("/v2/apps/shop/web").await["app"]["instances"], 3);
    assert_eq!(stage.get("/v2/apps/shop/data/db").await["app"]["instances"], 2);
    let fewer = json!({ "apps": [sleeper("web", 1), sleeper("more", 1)] });
    let put = stage.ask("PUT", "/v2/groups/shop?force=true", fewer.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    let apps = stage.get("/v2/groups/shop").await["apps"].clone();
    assert_eq!(apps.as_array().map(Vec::len), Some(2), "{apps}");
    let versions = stage.get("/v2/groups/shop/versions").await;
    let first = versions.as_array().and_then(|all| all.last()).expect("versions").clone();
    let path = format!("/v2/groups/shop/versions/{}", first.as_str().expect("text"));
    let then = stage.get(&path).await;
    assert_eq!(then["apps"][0]["instances"], 2, "{then}");
    let back = json!({ "version": first }).to_string();
    let back = stage.ask("PUT", "/v2/groups/shop?force=true", back).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    assert_eq!(stage.get("/v2/apps/shop/web").await["app"]["instances"], 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_role_is_enforced_as_it_says() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("PUT", "/v2/groups/shop", shop().to_string()).await;
    let patch = stage.ask("PATCH", "/v2/groups/shop?force=true", r#"{"enforceRole": false}"#).await;
    assert_eq!(patch.status, StatusCode::OK, "{}", patch.text);
    assert_eq!(stage.get("/v2/groups/shop").await["enforceRole"], false);
    let inner = stage.ask("PATCH", "/v2/groups/shop/data", r#"{"enforceRole": true}"#).await;
    assert_eq!(inner.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", inner.text);
    let mut other = sleeper("/shop/other", 1);
    other["role"] = json!("slave_public");
    let posted = stage.ask("POST", "/v2/apps?force=true", other.to_string()).await;
    assert_eq!(posted.status, StatusCode::CREATED, "{}", posted.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_below_a_group_are_listed() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("PUT", "/v2/groups/shop", shop().to_string()).await;
    stage.ask("POST", "/v2/apps", sleeper("/alone", 1).to_string()).await;
    let check = async |path: &str, expected: &[&str]| {
        let told = stage.get(path).await;
        let ids: Vec<&Value> =
            told.as_array().expect("a list").iter().map(|app| &app["id"]).collect();
        assert_eq!(ids, expected, "{path}");
    };
    let all = ["/alone", "/shop/data/db", "/shop/web"];
    check("/v2/groups/apps", &all).await;
    check("/v2/groups/shop/apps", &all[1..]).await;
    check("/v2/groups/shop/data/apps", &all[1..2]).await;
    check("/v2/groups/none/apps", &[]).await;
    stage.ask("PUT", "/v2/groups/apps", json!({ "apps": [sleeper("a", 1)] }).to_string()).await;
    assert_eq!(
        stage.get("/v2/groups/apps").await["id"],
        "/apps",
        "a group of that name goes first"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_group_takes_everything_along() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("PUT", "/v2/groups/shop", shop().to_string()).await;
    let answer = stage.ask("DELETE", "/v2/groups/shop?force=true", "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    stage.until("no app", |view| view.services.apps.is_empty()).await;
    let gone = stage.ask("GET", "/v2/groups/shop", "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_group_is_told_with_its_path() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let check = async |body: Value, paths: &[&str]| {
        let answer = stage.ask("PUT", "/v2/groups/shop", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        let details = answer.json()["details"].clone();
        let told: Vec<_> =
            details.as_array().expect("details").iter().map(|d| &d["path"]).collect();
        assert_eq!(told, paths, "{}", answer.text);
    };
    check(json!([]), &["/"]).await;
    check(json!({ "apps": [{ "id": "web" }] }), &["/apps(0)"]).await;
    check(json!({ "apps": [sleeper("/else", 1)] }), &["/apps(0)/id"]).await;
    check(json!({ "apps": [sleeper("a", 1), { "id": 3, "cmd": "x" }] }), &["/apps(1)/id"]).await;
    check(json!({ "groups": [{ "apps": [] }] }), &["/groups(0)/id"]).await;
    let inner = json!({ "id": "a", "groups": [{ "id": "b", "apps": [sleeper("C", 1)] }] });
    check(json!({ "groups": [inner] }), &["/groups(0)/groups(0)/apps(0)/id"]).await;
    check(json!({ "dependencies": ["x y"] }), &["/dependencies(0)"]).await;
    check(json!({ "version": "yesterday" }), &["/"]).await;
    let none = stage.ask("DELETE", "/v2/groups/none", "").await;
    assert_eq!(none.json()["message"], "Group '/none' does not exist");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_that_a_group_shows_can_be_gone_back_to() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    stage.ask("PUT", "/v2/groups/shop", shop().to_string()).await;
    let put = stage.ask("PUT", "/v2/groups/shop?force=true", r#"{"apps": []}"#).await;
    let version = put.json()["version"].clone();
    for path in ["/v2/groups/shop", "/v2/groups"] {
        assert_eq!(stage.get(path).await["version"], version, "{path}");
    }
    let root = stage.get("/v2/groups").await;
    assert_eq!(root["groups"][0]["version"], version, "{root}");
    let path = format!("/v2/groups/shop/versions/{}", version.as_str().expect("text"));
    assert_eq!(stage.get(&path).await["version"], version);
    let back = json!({ "version": version }).to_string();
    let back = stage.ask("PUT", "/v2/groups/shop?force=true", back).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    assert_eq!(stage.get("/v2/groups/shop").await["apps"], json!([]), "what was removed stays so");
    let gone = stage.ask("DELETE", "/v2/groups/shop?force=true", "").await;
    assert_eq!(stage.get("/v2/groups").await["version"], gone.json()["version"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_top_level_groups_enforce_their_role_and_others_are_told_so_once() -> anyhow::Result<()>
{
    let stage = Stage::new()?;
    stage.ask("PUT", "/v2/groups/shop", shop().to_string()).await;
    for body in [r#"{"enforceRole": true}"#, "{}"] {
        let answer = stage.ask("PATCH", "/v2/groups/shop/data", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        let errors = &answer.json()["details"][0]["errors"];
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_no_group_can_have_is_told_to_whoever_wants_to_make_one() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    for method in ["PUT", "POST"] {
        let answer = stage.ask(method, "/v2/groups/Shop", "{}").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        assert_eq!(answer.json()["details"][0]["path"], "/id");
    }
    assert_eq!(stage.ask("GET", "/v2/groups/Shop", "").await.status, StatusCode::NOT_FOUND);
    Ok(())
}
