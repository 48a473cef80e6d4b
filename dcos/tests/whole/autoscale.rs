//! Apps that are scaled by what their agent measures of their tasks.

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Instances; as few as make a difference, for each takes all that it can get.
const MOST: u64 = 2;

async fn grows(cluster: &Cluster, id: &str, mut app: Value, metric: &str, target: f64) {
    app["id"] = json!(format!("/{id}"));
    app["autoscale"] = json!({"min": 1, "max": MOST, "metric": metric, "target": target,
        "scaleUpDelaySeconds": 1, "scaleDownDelaySeconds": 600});
    let answer = cluster.ask("POST", "/v2/apps", app.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let app = cluster.app_when(id, |app| app["tasksRunning"] == MOST).await;
    assert_eq!(app["instances"], MOST);
    let decision = &app["autoscaleDecisions"][0];
    assert_eq!((&decision["from"], &decision["to"]), (&json!(1), &json!(MOST)), "{decision}");
    assert_eq!(decision["metric"], metric);
    assert!(decision["value"].as_f64() > Some(target), "{decision}");
    assert_eq!(cluster.ask("DELETE", &format!("/v2/apps/{id}"), "").await.status, 200);
    cluster.app_when(id, Value::is_null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_busy_gets_more_instances_within_its_bounds() {
    let cluster = Cluster::start("127.64.3.1", &[]).await;
    let burns = json!({"cmd": "while :; do :; done", "cpus": 0.02, "mem": 16});
    grows(&cluster, "burner", burns, "cpu", 0.5).await;
    let holds = "x=$(head -c 8000000 /dev/zero | tr '\\0' x); while :; do sleep 1; done";
    let hoards = json!({"cmd": holds, "cpus": 0.01, "mem": 64});
    grows(&cluster, "hoarder", hoards, "mem", 0.05).await;
}
