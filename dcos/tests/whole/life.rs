//! The life of a service, and of the daemon beneath it.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use crate::cluster::{Cluster, DCOS, Tasks, task_ids, urls};
use crate::processes;

fn web(instances: u32) -> Value {
    json!({
        "id": "/demo/web", "args": [DCOS, "demo-web"], "instances": instances, "cpus": 0.01, "mem": 32,
        "portDefinitions": [{"port": 0, "name": "http"}],
        "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0, "gracePeriodSeconds": 20,
            "delaySeconds": 0, "intervalSeconds": 1, "timeoutSeconds": 5}],
    })
}

fn sleeper(id: &str, instances: u32) -> String {
    json!({"id": id, "cmd": "exec sleep 1000", "instances": instances, "cpus": 0.01, "mem": 16})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_deployed_answers_scales_and_goes() {
    let cluster = Cluster::start("127.80.10.1", &[]).await;
    let created = cluster.ask("POST", "/v2/apps", web(3).to_string()).await;
    assert_eq!(created.status, 201, "{created:?}");
    cluster.app_when("demo/web", |app| app["tasksHealthy"] == 3).await;
    let app = cluster.settled("demo/web", 3).await;
    for (task, url) in urls(&app) {
        let page = cluster.fetch(&url).await.unwrap_or_default();
        assert!(page.contains(&task), "{url} does not answer as {task}: {page}");
    }
    for instances in [5, 1] {
        let scale = json!({ "instances": instances }).to_string();
        assert_eq!(cluster.ask("PUT", "/v2/apps/demo/web", scale).await.status, 200);
        cluster.settled("demo/web", instances).await;
    }
    let last = task_ids(&cluster.settled("demo/web", 1).await);
    assert_eq!(cluster.ask("DELETE", "/v2/apps/demo/web", "").await.status, 200);
    cluster.app_when("demo/web", Value::is_null).await;
    processes::ended(&last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_neither_tasks_nor_what_was_acknowledged() {
    let mut cluster = Cluster::start("127.80.10.2", &[]).await;
    assert_eq!(cluster.ask("POST", "/v2/apps", sleeper("/kept", 3)).await.status, 201);
    let ids = task_ids(&cluster.settled("kept", 3).await);
    let processes = processes::of_tasks(&ids);
    assert_eq!(processes.len(), 3, "{processes:?}");
    for round in 0..3 {
        let id = format!("/acknowledged-{round}");
        assert_eq!(cluster.ask("POST", "/v2/apps", sleeper(&id, 0)).await.status, 201);
        cluster.kill();
        assert_eq!(processes::of_tasks(&ids), processes, "tasks run on without a daemon");
        cluster.run(Tasks::Stop).await;
        let app = cluster.settled("kept", 3).await;
        assert_eq!((task_ids(&app), processes::of_tasks(&ids)), (ids.clone(), processes.clone()));
        assert_eq!(cluster.ask("GET", &format!("/v2/apps{id}"), "").await.status, 200);
    }
    assert_eq!(cluster.ask("DELETE", "/v2/apps/kept", "").await.status, 200);
    cluster.app_when("kept", Value::is_null).await;
    // A daemon that found tasks again can end them.
    processes::ended(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_while_no_daemon_looks_is_replaced() {
    let mut cluster = Cluster::start("127.80.10.3", &[]).await;
    assert_eq!(cluster.ask("POST", "/v2/apps", sleeper("/brief", 1)).await.status, 201);
    let before = task_ids(&cluster.settled("brief", 1).await);
    cluster.kill();
    for pid in processes::of_tasks(&before).into_values().flatten() {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        // Its parent may have taken it along.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    cluster.run(Tasks::Stop).await;
    cluster
        .app_when("brief", |app| {
            app["tasksRunning"] == 1 && app["tasks"].is_array() && task_ids(app) != before
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_spares_the_tasks_unless_told_otherwise() {
    let mut cluster = Cluster::start("127.80.10.4", &[]).await;
    assert!(cluster.stop().success());
    cluster.run(Tasks::RunOn).await;
    assert_eq!(cluster.ask("POST", "/v2/apps", sleeper("/s", 2)).await.status, 201);
    let ids = task_ids(&cluster.settled("s", 2).await);
    let processes = processes::of_tasks(&ids);
    let status = cluster.stop();
    assert!(status.success(), "{status} {:?}", status.signal());
    assert_eq!(processes::of_tasks(&ids), processes);
    cluster.run(Tasks::Stop).await;
    assert_eq!(task_ids(&cluster.settled("s", 2).await), ids);
    assert!(cluster.stop().success());
    assert!(processes::of_tasks(&ids).is_empty(), "told to stop them");
    cluster.run(Tasks::Stop).await;
    assert_eq!(cluster.settled("s", 2).await["instances"], 2, "the service is wanted as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_machine_are_places_of_their_own() {
    let flags = ["--agents", "3", "--resources", "cpus:3;mem:768;disk:300;ports:[31000-31299]"];
    let cluster = Cluster::start("127.80.11.1", &flags).await;
    let app = json!({"id": "/spread", "cmd": "exec sleep 1000", "instances": 4, "cpus": 0.1, "mem": 16,
        "constraints": [["hostname", "UNIQUE"]]});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let app = cluster.app_when("spread", |app| app["tasksRunning"] == 3).await;
    let hosts = app["tasks"].as_array().expect("tasks").iter().map(|task| task["host"].clone());
    let mut hosts: Vec<String> = hosts.map(|host| host.as_str().expect("a host").into()).collect();
    hosts.sort();
    assert_eq!(hosts, ["127.80.11.1", "127.80.11.2", "127.80.11.3"]);
    let told = cluster.told(&["marathon", "debug", "summary", "spread"]).await;
    let columns = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let unique = "CONSTRAINT hostname UNIQUE 0/3 0.00% 0/3";
    assert!(told.lines().any(|line| columns(line) == unique), "{told}");
}
