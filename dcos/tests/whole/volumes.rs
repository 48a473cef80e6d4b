//! Instances whose volumes outlive their tasks, their agent's daemon and everything but their app.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, Tasks, task_ids};

const WAIT_SECS_MAX: u64 = 60;

/// Each of its tasks adds a line.
const SCRIPT: &str = "echo $MESOS_TASK_ID >> data/log; exec sleep 1000";

async fn agent(cluster: &Cluster) -> Value {
    let agents = cluster.fetch(&format!("http://{}:5050/slaves", cluster.ip)).await;
    let agents: Value = serde_json::from_str(&agents.expect("an answer")).expect("JSON");
    agents["slaves"][0].clone()
}

/// Waits until these tasks have written, as a container of the latest sees it.
///
/// A running task may not have written yet, and one that is killed before it has never will.
async fn have_written(cluster: &Cluster, tasks: &[String], container: &str) {
    let lines = tasks.iter().map(|task| format!("{task}\n")).collect::<String>();
    let read = ["task", "exec", container, "sh", "-c", "cat data/log || true"];
    cluster.comes_to_tell(&read, &lines).await;
}

/// One task, and not this one.
async fn next(cluster: &Cluster, last: &str) -> String {
    let is_next = |app: &Value| app["tasksRunning"] == 1 && task_ids(app) != [last.to_owned()];
    task_ids(&cluster.app_when("keeper", is_next).await).remove(0)
}

async fn everything_is_given_back(cluster: &Cluster) {
    let deadline = Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
    while agent(cluster).await["reserved_resources"] != json!({}) {
        let agent = agent(cluster).await;
        assert!(Instant::now() < deadline, "still set aside: {agent:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let volumes = cluster.data_dir().join("agents/0/volumes/roles/slave_public");
    let left = || std::fs::read_dir(&volumes).map_or(0, Iterator::count);
    while left() > 0 {
        assert!(Instant::now() < deadline, "{left} volumes are left", left = left());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_keeps_in_its_volume_outlives_task_agent_and_master() {
    let mut cluster = Cluster::start("127.64.2.1", &[]).await;
    let app = json!({"id": "/keeper", "cmd": SCRIPT, "cpus": 0.01, "mem": 16,
        "container": {"type": "MESOS", "volumes": [
            {"containerPath": "data", "mode": "RW", "persistent": {"size": 8}}]}});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let first = cluster.settled("keeper", 1).await;
    let volumes = first["tasks"][0]["localVolumes"].clone();
    let id = volumes[0]["persistenceId"].as_str().expect("it has a volume");
    assert!(id.starts_with("keeper#data#"), "{volumes}");
    let mut tasks = task_ids(&first);
    let volume = cluster.data_dir().join("agents/0/volumes/roles/slave_public").join(id);
    assert!(volume.is_dir(), "{}", volume.display());
    have_written(&cluster, &tasks, "keeper").await;

    let path = format!("/v2/apps/keeper/tasks/{}", tasks[0]);
    assert_eq!(cluster.ask("DELETE", &path, "").await.status, 200);
    tasks.push(next(&cluster, &tasks[0]).await);
    assert!(tasks[1].ends_with("._app.2"), "{tasks:?}");
    let told = cluster.settled("keeper", 1).await;
    assert_eq!(told["tasks"][0]["localVolumes"], volumes);
    have_written(&cluster, &tasks, "keeper").await;

    cluster.kill();
    cluster.run(Tasks::Stop).await;
    assert_eq!(task_ids(&cluster.settled("keeper", 1).await), tasks[1..], "it ran on");
    assert!(cluster.stop().success());
    cluster.run(Tasks::RunOn).await;
    tasks.push(next(&cluster, &tasks[1]).await);
    have_written(&cluster, &tasks, "keeper").await;

    let up = json!({"cmd": format!("true; {SCRIPT}")}).to_string();
    assert_eq!(cluster.ask("PUT", "/v2/apps/keeper", up).await.status, 200);
    tasks.push(next(&cluster, &tasks[2]).await);
    cluster.settled("keeper", 1).await;
    have_written(&cluster, &tasks, "keeper").await;

    assert_eq!(cluster.ask("DELETE", "/v2/apps/keeper", "").await.status, 200);
    cluster.app_when("keeper", Value::is_null).await;
    everything_is_given_back(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_on_the_disk_that_its_app_asks_for() {
    let disks = tempfile::tempdir().expect("a temporary directory");
    let root = |name: &str| disks.path().join(name);
    let scalar = |name: &str, value: u64| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}});
    let path = |name: &str| {
        let mut disk = scalar("disk", 100);
        disk["disk"] = json!({"source": {"type": "PATH", "path": {"root": root(name)}}});
        disk
    };
    let ports = json!({"name": "ports", "type": "RANGES",
        "ranges": {"range": [{"begin": 31000, "end": 31099}]}});
    let all = [scalar("cpus", 1), scalar("mem", 256), scalar("disk", 100), ports];
    let resources = Value::from_iter(all.into_iter().chain([path("one"), path("two")]));
    let cluster = Cluster::start("127.64.2.3", &["--resources", &resources.to_string()]).await;
    let app = json!({"id": "/keeper", "cmd": SCRIPT, "cpus": 0.01, "mem": 16,
        "container": {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW",
            "persistent": {"type": "path", "size": 8, "constraints": [["path", "LIKE", ".*/two"]]}}]}});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let first = cluster.settled("keeper", 1).await;
    let id = first["tasks"][0]["localVolumes"][0]["persistenceId"].as_str().expect("a volume");
    let volume = root("two").join("volumes/roles/slave_public").join(id);
    assert!(volume.is_dir(), "{}", volume.display());
    let mut tasks = task_ids(&first);
    have_written(&cluster, &tasks, "keeper").await;
    let path = format!("/v2/apps/keeper/tasks/{}", tasks[0]);
    assert_eq!(cluster.ask("DELETE", &path, "").await.status, 200);
    tasks.push(next(&cluster, &tasks[0]).await);
    have_written(&cluster, &tasks, "keeper").await;
    assert_eq!(cluster.ask("DELETE", "/v2/apps/keeper", "").await.status, 200);
    cluster.app_when("keeper", Value::is_null).await;
    everything_is_given_back(&cluster).await;
    let deadline = Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
    while volume.exists() {
        assert!(Instant::now() < deadline, "{} is left", volume.display());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_containers_of_a_pod_share_a_volume_that_outlives_them() {
    let cluster = Cluster::start("127.64.2.2", &[]).await;
    let container = |name: &str, command: &str| {
        json!({"name": name, "resources": {"cpus": 0.01, "mem": 16},
            "exec": {"command": {"shell": format!("{command}; exec sleep 1000")}},
            "volumeMounts": [{"name": "kept", "mountPath": "data"}]})
    };
    let pod = json!({"id": "/pair", "containers": [
            container("writer", "echo $MESOS_TASK_ID >> data/log"), container("reader", "true")],
        "volumes": [{"name": "kept", "persistent": {"size": 8}}]});
    assert_eq!(cluster.ask("POST", "/v2/pods", pod.to_string()).await.status, 201);
    let writer_of = |status: &Value| {
        status["instances"][0]["containers"][0]["containerId"].as_str().map(str::to_owned)
    };
    let stable = async |than: &str| {
        let is_next = |status: &Value| {
            status["status"] == "STABLE" && writer_of(status).as_deref() != Some(than)
        };
        let now = cluster.when("/v2/pods/pair::status", is_next).await;
        let id = writer_of(&now).expect("a container has an id");
        (now["instances"][0].clone(), id)
    };
    let reader = |instance: &Value| {
        instance["containers"][1]["containerId"].as_str().expect("an id").to_owned()
    };
    let (first, writer) = stable("").await;
    have_written(&cluster, std::slice::from_ref(&writer), &reader(&first)).await;
    let id = first["id"].as_str().expect("an id").to_owned();
    assert_eq!(first["localVolumes"][0]["containerPath"], "kept");
    let path = format!("/v2/pods/pair::instances/{id}");
    assert_eq!(cluster.ask("DELETE", &path, "").await.status, 200);
    let (second, again) = stable(&writer).await;
    assert_eq!((&second["id"], &second["localVolumes"]), (&first["id"], &first["localVolumes"]));
    have_written(&cluster, &[writer, again], &reader(&second)).await;
    assert_eq!(cluster.ask("DELETE", "/v2/pods/pair", "").await.status, 202);
    everything_is_given_back(&cluster).await;
}
