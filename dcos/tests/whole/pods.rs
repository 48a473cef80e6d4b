//! Pods: containers that share a directory, live through a crash of the daemon, and end together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Tasks};
use crate::processes;

/// One container writes into the volume, the other reads from it.
fn pod() -> Value {
    let container = |name: &str, command: &str| {
        json!({"name": name, "exec": {"command": {"shell": command}}, "resources": {"cpus": 0.01, "mem": 16},
            "volumeMounts": [{"name": "scratch", "mountPath": "shared"}]})
    };
    let mut writer = container("writer", "echo $ENDPOINT_HTTP > shared/port; exec sleep 1000");
    writer["endpoints"] = json!([{"name": "http", "hostPort": 0, "protocol": ["tcp"]}]);
    writer["healthCheck"] = json!({"exec": {"command": {"shell": "test -s shared/port"}},
        "delaySeconds": 0, "intervalSeconds": 1});
    let read = "until test -s shared/port; do sleep 0.1; done; \
        echo $MARATHON_CONTAINER_ID $(cat shared/port); exec sleep 1000";
    json!({"id": "/demo/pod", "containers": [writer, container("reader", read)],
        "volumes": [{"name": "scratch"}], "networks": [{"mode": "host"}],
        "scheduling": {"backoff": {"backoff": 0.1, "maxLaunchDelay": 1}}})
}

/// Polls until the pod does as wanted, and tells how it does.
async fn status_when(cluster: &Cluster, wanted: impl Fn(&Value) -> bool) -> Value {
    cluster.when("/v2/pods/demo/pod::status", wanted).await
}

/// Its only instance and that one's tasks.
fn instance(status: &Value) -> (String, Vec<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = &status["instances"][0];
    let containers = one["containers"].as_array().expect("an instance has containers");
    (text(&one["id"]), containers.iter().map(|one| text(&one["containerId"])).collect())
}

/// The first process of each; others come and go with the health checks.
fn main_processes(tasks: &[String]) -> BTreeMap<String, u32> {
    let all = processes::of_tasks(tasks).into_iter();
    all.filter_map(|(task, pids)| Some((task, pids.first().copied()?))).collect()
}

fn is_stable(status: &Value) -> bool {
    status["status"] == "STABLE" && status["instances"].as_array().is_some_and(|all| all.len() == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_containers_of_a_pod_live_and_end_together() {
    let mut cluster = Cluster::start("127.62.80.1", &[]).await;
    let created = cluster.ask("POST", "/v2/pods", pod().to_string()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let status = status_when(&cluster, is_stable).await;
    let (first, tasks) = instance(&status);
    assert_eq!(tasks, ["writer", "reader"].map(|name| format!("{first}.{name}")));
    let port = &status["instances"][0]["containers"][0]["endpoints"][0]["allocatedHostPort"];
    cluster.comes_to_tell(&["task", "log", &tasks[1]], &format!("reader {port}\n")).await;
    assert_eq!(cluster.told(&["task", "ls", &tasks[1]]).await, "shared  stderr  stdout\n");
    let shown = cluster.told(&["task", "exec", &tasks[0], "cat", "shared/port"]).await;
    assert_eq!(shown, format!("{port}\n"));
    let running = main_processes(&tasks);
    assert_eq!(running.len(), 2, "{running:?}");

    cluster.kill();
    assert_eq!(main_processes(&tasks), running, "tasks run on without a daemon");
    cluster.run(Tasks::Stop).await;
    let status = status_when(&cluster, is_stable).await;
    assert_eq!(instance(&status), (first.clone(), tasks.clone()));
    assert_eq!(main_processes(&tasks), running);

    let pid = i32::try_from(running[&tasks[1]]).ok().and_then(rustix::process::Pid::from_raw);
    // Its parent may have taken it along.
    let _ = rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::KILL);
    let status =
        status_when(&cluster, |status| is_stable(status) && instance(status).0 != first).await;
    processes::ended(&tasks).await;
    let ended = &status["terminationHistory"][0];
    assert_eq!(ended["instanceID"], json!(first), "{ended}");
    let states: Vec<&Value> =
        (0..2).map(|nth| &ended["containers"][nth]["lastKnownState"]).collect();
    assert_eq!(states, ["TASK_KILLED", "TASK_FAILED"]);

    let (second, tasks) = instance(&status);
    let path = format!("/v2/pods/demo/pod::instances/{second}");
    assert_eq!(cluster.ask("DELETE", &path, "").await.status, 200);
    status_when(&cluster, |status| is_stable(status) && instance(status).0 != second).await;
    processes::ended(&tasks).await;
    assert_eq!(cluster.ask("DELETE", "/v2/pods/demo/pod", "").await.status, 202);
    status_when(&cluster, |status| status["status"].is_null()).await;
}
