//! Who is let in where: executors at their agent's socket, callers with credentials at the front door.

use std::process::Command;
use std::time::{Duration, Instant};

use mesos_v1::scheduler::{Call, event};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::frameworks::{PATIENCE, POLL, Scheduler};
use crate::images::MAKE_IMAGES;
use crate::registry::Registry;

/// A cluster that was started with this configuration.
async fn configured(ip: &str, configuration: &str) -> Cluster {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("config.yaml");
    let configuration = configuration.replace("DIR", &dir.path().display().to_string());
    std::fs::write(&file, configuration).expect("written");
    let credentials =
        json!({"credentials": [{"principal": "operator", "secret": "a secret"}]}).to_string();
    std::fs::write(dir.path().join("credentials.json"), credentials).expect("written");
    let flags = ["--config".to_owned(), file.display().to_string()];
    Cluster::start_in(dir, ip, &flags.each_ref().map(String::as_str)).await
}

async fn json_of(cluster: &Cluster, path: &str) -> Value {
    let told = cluster.fetch(&format!("http://{}:5051{path}", cluster.ip)).await;
    told.and_then(|told| serde_json::from_str(&told).ok()).unwrap_or_default()
}

/// What the executor has written into its sandbox, as soon as it has.
async fn written(cluster: &Cluster) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = json_of(cluster, "/state").await;
        let executor = &state["frameworks"][0]["executors"][0];
        if let Some(directory) = executor["directory"].as_str() {
            let path = format!("/files/read?path={directory}/found&offset=0&length=1000");
            let read = json_of(cluster, &path).await;
            if let Some(text) = read["data"].as_str().filter(|text| text.ends_with('\n')) {
                assert_eq!(executor["name"], "looks around", "{state:#}");
                assert_eq!(executor["source"], "a test", "{state:#}");
                return text.to_owned();
            }
        }
        assert!(Instant::now() < deadline, "{state:#}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_with_an_image_finds_its_agents_socket_in_it() {
    let registry = Registry::start("127.80.70.1").await;
    let made = Command::new("sh").arg(MAKE_IMAGES).arg(&registry.address).arg("nginx").output();
    let made = made.expect("sh");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cluster =
        configured("127.80.70.2", "executors:\n  http_executor_domain_sockets: true\n").await;
    let mut scheduler = Scheduler::new(&cluster);
    scheduler.subscribe().await;
    let offers = scheduler.until(event::Type::Offers).await.offers.expect("of that type").offers;
    let image =
        json!({"type": "DOCKER", "docker": {"name": format!("{}/nginx", registry.address)}});
    let scalar = |name: &str, value: f64| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}});
    let look = "ls -l $MESOS_DOMAIN_SOCKET >$MESOS_SANDBOX/found 2>&1; exec sleep 1000";
    let executor = json!({"type": "CUSTOM", "executor_id": {"value": "e"}, "name": "looks around",
        "source": "a test", "command": {"value": look}, "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        "container": {"type": "MESOS", "mesos": {"image": image}}});
    let task = json!({"name": "t", "task_id": {"value": "t"}, "executor": executor,
        "agent_id": {"value": offers[0].agent_id.value}, "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)]});
    let accept = json!({"type": "ACCEPT", "accept": {"offer_ids": [{"value": offers[0].id.value}],
        "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task]}}]}});
    let accept: Call = mesos_v1::json::from_value(accept).expect("well formed");
    scheduler.says(accept).await;
    let found = written(&cluster).await;
    assert!(found.starts_with('s') && found.contains("/mnt/mesos/agent/"), "{found}");
    // It may be faster than the agent hears that it runs.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let containers = json_of(&cluster, "/containers").await;
        if containers[0]["executor_name"] == "looks around" {
            break;
        }
        assert!(Instant::now() < deadline, "{containers:#}");
        tokio::time::sleep(POLL).await;
    }
    let pending = json_of(&cluster, "/containerizer/debug").await;
    assert_eq!(pending, json!({"pending": []}));
    let teardown = json!({"type": "TEARDOWN"});
    scheduler.says(mesos_v1::json::from_value(teardown).expect("well formed")).await;
}

const ASKED_FOR: &str = "mesos_authentication:
  credentials: DIR/credentials.json
  frameworks: true
  agents_readonly: true
  agents_readwrite: true
";

#[tokio::test(flavor = "multi_thread")]
async fn the_front_door_hands_on_credentials_and_their_refusal() {
    let cluster = configured("127.80.71.1", ASKED_FOR).await;
    let slaves = cluster.fetch(&format!("http://{}/mesos/slaves", cluster.ip)).await;
    let slaves: Value = serde_json::from_str(&slaves.expect("an answer")).expect("JSON");
    let agent = slaves["slaves"][0]["id"].as_str().expect("an agent").to_owned();
    let http =
        reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    let subscribe = json!({"type": "SUBSCRIBE",
        "subscribe": {"framework_info": {"user": "root", "name": "stranger"}}});
    let look = json!({"type": "GET_STATE"});
    let (state, call) = (format!("/agent/{agent}/state"), format!("/agent/{agent}/api/v1"));
    for (path, body) in [
        (state.as_str(), None),
        (&call, Some(&look)),
        ("/mesos/api/v1/scheduler", Some(&subscribe)),
    ] {
        for (secret, expected) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some("another"), StatusCode::UNAUTHORIZED),
            (Some("a secret"), StatusCode::OK),
        ] {
            let url = format!("http://{}{path}", cluster.ip);
            let request = match body {
                Some(body) => {
                    http.post(url).header("content-type", "application/json").body(body.to_string())
                }
                None => http.get(url),
            };
            let request = match secret {
                Some(secret) => request.basic_auth("operator", Some(secret)),
                None => request,
            };
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), expected, "{path} {secret:?}");
            let challenged = answer.headers().contains_key("www-authenticate");
            assert_eq!(challenged, expected == StatusCode::UNAUTHORIZED, "{path} {secret:?}");
        }
    }
}
