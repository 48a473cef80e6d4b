//! What an earlier release wrote, in the hands of this one.
//!
//! `recorded/first-release.tar.gz` is the state of a cluster of two agents on 127.80.16.1, which was killed in the middle of
//! an upgrade of `/web/front`; the master's and the agents' stores and nothing else. It is never written anew: a release
//! that changes what is kept adds a recording of its own.

use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::{Cluster, task_ids};

const FIRST_RELEASE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/whole/recorded/first-release.tar.gz");
/// The cluster's, and so the start of the ids of its agents and frameworks.
const CLUSTER_ID: &str = "3f21deac-82ee-4c40-b4e5-dfc7ccc4ae32";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_on_with_what_the_first_release_wrote() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("a directory of the test's own");
    let unpacked = Command::new("tar").arg("xzf").arg(FIRST_RELEASE).arg("-C").arg(&data).status();
    assert!(unpacked.expect("tar starts").success());
    let cluster = Cluster::start_in(dir, "127.80.16.1", &["--agents", "2"]).await;

    let agents = cluster.fetch("http://127.80.16.1:5050/slaves").await.expect("an answer");
    for nth in 0..2 {
        let id = format!("{CLUSTER_ID}-S{nth}");
        assert!(agents.contains(&id), "{id} is not among {agents}");
    }
    // Its tasks are gone and replaced; the upgrade that it was in ends.
    for (id, running) in [("shop/db/pg", 1), ("shop/cart", 1), ("web/front", 2)] {
        let app = cluster.settled(id, running).await;
        assert!(task_ids(&app).iter().all(|task| task.contains(".instance-")), "{app:#}");
    }
    let front = cluster.get("/v2/apps/web/front").await["app"].take();
    assert_eq!(
        (&front["version"], &front["labels"]["team"]),
        (&json!("2026-11-22T18:47:26.888Z"), &json!("b"))
    );
    assert_eq!(front["killSelection"], "OLDEST_FIRST");
    assert_eq!(
        front["unreachableStrategy"],
        json!({"inactiveAfterSeconds": 60, "expungeAfterSeconds": 120})
    );
    let before = cluster.get("/v2/apps/web/front/versions/2026-11-22T18:46:50.894Z").await;
    assert_eq!(before["labels"]["team"], "a", "{before:#}");
    assert_eq!(cluster.get("/v2/apps/stopped").await["app"]["mem"], 32.0);
    let waits = cluster.get("/v2/apps/waits").await["app"].take();
    assert_eq!(waits["deployments"].as_array().map(Vec::len), Some(1), "{waits:#}");
    assert_eq!(cluster.get("/v2/apps/fails").await["app"]["backoffSeconds"], 3600);
    let is_stable = |status: &Value| status["status"] == "STABLE";
    cluster.when("/v2/pods/pair::status", is_stable).await;
}
