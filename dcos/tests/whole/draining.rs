//! An agent is emptied while the cluster is killed, and used again.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Tasks, task_ids};
use crate::processes;

/// One that does not end when it is asked to.
fn stubborn() -> String {
    let command = "trap '' TERM; while true; do sleep 1; done";
    json!({"id": "/stubborn", "cmd": command, "instances": 3, "cpus": 0.01, "mem": 16,
        "taskKillGracePeriodSeconds": 600})
    .to_string()
}

fn on(app: &Value, agent: &str) -> Vec<String> {
    let tasks = app["tasks"].as_array().expect("an app is shown with its tasks");
    let there = tasks.iter().filter(|task| task["slaveId"] == agent).cloned().collect();
    task_ids(&json!({ "tasks": Value::Array(there) }))
}

async fn status(cluster: &Cluster, agent: &str) -> String {
    let nodes = cluster.told(&["node", "list", "--mesos-id", agent, "--json"]).await;
    let nodes: Value = serde_json::from_str(&nodes).expect("JSON");
    nodes[0]["status"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_agent_is_left_by_all_tasks_though_the_cluster_is_killed_meanwhile() {
    let mut cluster = Cluster::start("127.63.1.1", &["--agents", "2"]).await;
    assert_eq!(cluster.ask("POST", "/v2/apps", stubborn()).await.status, 201);
    let app = cluster.settled("stubborn", 3).await;
    let agent = app["tasks"][0]["slaveId"].as_str().expect("an agent").to_owned();
    let moved = on(&app, &agent);
    cluster.told(&["node", "drain", &agent, "--max-grace-period", "3s"]).await;
    cluster.kill();
    cluster.run(Tasks::Stop).await;
    let words = ["node", "drain", &agent, "--max-grace-period", "3s", "--wait", "--timeout", "60"];
    cluster.told(&words).await;
    assert_eq!(status(&cluster, &agent).await, "DRAINED");
    let app = cluster.settled("stubborn", 3).await;
    assert!(on(&app, &agent).is_empty(), "{app:#}");
    processes::ended(&moved).await;
    cluster.told(&["node", "reactivate", &agent]).await;
    assert_eq!(status(&cluster, &agent).await, "ACTIVE");
    let again = cluster.dcos(&["node", "reactivate", &agent]).await;
    let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && refusal.contains("is not deactivated"), "{refusal}");
    let other = app["tasks"][0]["slaveId"].as_str().expect("an agent");
    for agent in [&agent, other] {
        cluster.told(&["node", "drain", agent, "--max-grace-period", "1s", "--wait"]).await;
    }
    let left = cluster.app_when("stubborn", |app| app["tasksRunning"] == 0).await;
    assert!(task_ids(&left).is_empty(), "{left:#}");
}
