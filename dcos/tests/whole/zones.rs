//! Agents in different zones of one region.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::Cluster;

fn sleeper(id: &str, instances: u32, constraint: &Value) -> String {
    json!({"id": id, "cmd": "exec sleep 1000", "instances": instances, "cpus": 0.01, "mem": 16,
        "constraints": [constraint]})
    .to_string()
}

fn zones(app: &Value) -> Vec<String> {
    let tasks = app["tasks"].as_array().expect("an app is shown with its tasks");
    let zone = |task: &Value| {
        assert_eq!(task["region"], "eu", "{task}");
        task["zone"].as_str().expect("a zone").to_owned()
    };
    tasks.iter().map(zone).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_are_spread_over_zones_and_kept_in_one() {
    let flags = ["--agents", "2", "--region", "eu", "--zone", "a,b"];
    let cluster = Cluster::start("127.64.1.1", &flags).await;
    let agents = cluster.fetch(&format!("http://{}:5050/slaves", cluster.ip)).await;
    let agents: Value = serde_json::from_str(&agents.expect("an answer")).expect("JSON");
    let zone = |agent: &Value| agent["domain"]["fault_domain"]["zone"]["name"].clone();
    let told: Vec<Value> = agents["slaves"].as_array().expect("agents").iter().map(zone).collect();
    assert!(told.contains(&json!("a")) && told.contains(&json!("b")), "{told:?}");
    for (id, instances, constraint) in [
        ("/spread", 4, json!(["@zone", "GROUP_BY", "2"])),
        ("/kept", 2, json!(["@zone", "IS", "b"])),
        ("/there", 1, json!(["@region", "IS", "eu"])),
        ("/elsewhere", 1, json!(["@zone", "IS", "c"])),
    ] {
        let answer = cluster.ask("POST", "/v2/apps", sleeper(id, instances, &constraint)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let spread = zones(&cluster.settled("spread", 4).await);
    let in_a = spread.iter().filter(|zone| *zone == "a").count();
    assert_eq!(in_a, 2, "{spread:?}");
    let kept: BTreeSet<String> = zones(&cluster.settled("kept", 2).await).into_iter().collect();
    assert_eq!(kept, BTreeSet::from(["b".to_owned()]));
    cluster.settled("there", 1).await;
    assert_eq!(cluster.get("/v2/apps/elsewhere").await["app"]["tasksStaged"], 0);
    let why = cluster.told(&["marathon", "debug", "summary", "/elsewhere"]).await;
    assert!(why.contains("@zone"), "{why}");
    let nodes = cluster.told(&["node", "list"]).await;
    assert!(nodes.contains("eu"), "{nodes}");
}
