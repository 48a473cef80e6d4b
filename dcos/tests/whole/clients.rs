//! Clients: our own command line, and one that nobody here wrote.

use serde_json::json;
use tokio::process::Command;

use crate::cluster::{Cluster, task_ids};

const PYTHON_CLIENT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/marathon_client.py");

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_manages_apps() {
    let cluster = Cluster::start("127.80.12.1", &[]).await;
    let file = cluster.data_dir().join("sleeper.json");
    let app = json!({"id": "/sleeper", "cmd": "echo hello; echo oh >&2; exec sleep 1000", "instances": 2,
        "cpus": 0.01, "mem": 16});
    std::fs::write(&file, app.to_string()).expect("a file beside the data");
    let file = file.to_str().expect("its path is text");
    let added = cluster.told(&["marathon", "app", "add", file, "--wait", "--timeout", "60"]).await;
    assert!(added.contains("Created deployment") && added.contains("is over"), "{added}");
    let list = cluster.told(&["marathon", "app", "list"]).await;
    assert!(list.starts_with("ID        MEM  CPUS  TASKS"), "{list}");
    assert!(list.contains("/sleeper  16   0.01  2/2"), "{list}");
    let services = cluster.told(&["service", "list"]).await;
    assert!(services.contains(&format!("marathon  {}", cluster.ip)), "{services}");
    let again = cluster.dcos(&["marathon", "app", "add", file]).await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    for (words, running) in [
        (&["update", "/sleeper", "instances=3", "--wait"][..], 3),
        (&["stop", "sleeper", "--wait"], 0),
        (&["start", "sleeper", "1", "--wait"], 1),
        (&["restart", "sleeper", "--wait"], 1),
    ] {
        cluster.told(&[&["marathon", "app"], words].concat()).await;
        cluster.settled("sleeper", running).await;
    }
    let versions = cluster.told(&["marathon", "app", "version", "list", "sleeper"]).await;
    let versions: Vec<String> = serde_json::from_str(&versions).expect("JSON");
    assert!(versions.len() >= 4, "{versions:?}");
    let before = cluster.told(&["marathon", "app", "show", "sleeper", "--app-version=-1"]).await;
    assert!(before.contains("\"/sleeper\""), "{before}");
    cluster.told(&["marathon", "app", "remove", "sleeper", "--wait"]).await;
    assert_eq!(cluster.told(&["marathon", "app", "list", "-q"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_looks_into_tasks() {
    let cluster = Cluster::start("127.80.12.2", &[]).await;
    let app = json!({"id": "/talker", "cmd": "echo one; echo two; echo oh >&2; exec sleep 1000", "cpus": 0.01,
        "mem": 32});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let id = task_ids(&cluster.settled("talker", 1).await).remove(0);
    let list = cluster.told(&["task", "list"]).await;
    assert!(list.contains(&id) && list.contains("TASK_RUNNING"), "{list}");
    cluster.comes_to_tell(&["task", "log", "talker"], "one\ntwo\n").await;
    cluster.comes_to_tell(&["task", "log", "--lines", "1", "talker", "stderr"], "oh\n").await;
    assert_eq!(cluster.told(&["task", "ls", "talker"]).await, "stderr  stdout\n");
    let target = cluster.data_dir().join("copy");
    let to = target.to_str().expect("its path is text");
    cluster.told(&["task", "download", "--target-dir", to, "talker"]).await;
    let copy = std::fs::read_to_string(target.join("stdout")).expect("it was downloaded");
    assert_eq!(copy, "one\ntwo\n");
    let environment = cluster.told(&["task", "exec", "talker", "env"]).await;
    assert!(environment.contains(&format!("MESOS_TASK_ID={id}")), "{environment}");
    let failed = cluster.dcos(&["task", "exec", "talker", "sh", "-c", "echo no >&2; exit 7"]).await;
    assert_eq!((failed.status.code(), failed.stderr.as_slice()), (Some(7), &b"no\n"[..]));
    let unknown = cluster.dcos(&["task", "exec", "talker", "no-such-program"]).await;
    assert!(!unknown.status.success(), "{unknown:?}");
    cluster.told(&["task", "kill", "talker"]).await;
    cluster
        .app_when("talker", |app| app["tasksRunning"] == 1 && task_ids(app) != [id.clone()])
        .await;
    assert!(cluster.told(&["task", "list", "--completed", "-q"]).await.contains(&id));
    cluster.comes_to_tell(&["task", "log", "--completed", &id], "one\ntwo\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_inside_takes_standard_input() {
    let cluster = Cluster::start("127.80.12.3", &[]).await;
    let app = json!({"id": "/cat", "cmd": "exec sleep 1000", "cpus": 0.01, "mem": 32});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    cluster.settled("cat", 1).await;
    let script = format!(
        "seq 50000 | DCOS_URL=http://{} $DCOS task exec -i cat sort -n | tail -n 1",
        cluster.ip
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("DCOS", crate::cluster::DCOS);
    let output = shell.output().await.expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "50000\n", "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_writes_while_it_reads_gets_all_and_loses_nothing() {
    let cluster = Cluster::start("127.80.12.5", &[]).await;
    let app = json!({"id": "/cat", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 32});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    cluster.settled("cat", 1).await;
    // More than fits into all the pipes and sockets between here and there.
    let script = format!(
        "seq 3000000 | DCOS_URL=http://{} $DCOS task exec -i cat cat | cksum; seq 3000000 | cksum",
        cluster.ip
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("DCOS", crate::cluster::DCOS);
    let output = shell.output().await.expect("a shell");
    let sums = String::from_utf8(output.stdout).expect("sums are text");
    let sums: Vec<&str> = sums.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_unchanged() {
    let cluster = Cluster::start("127.80.12.4", &[]).await;
    let mut script = Command::new("/usr/bin/python3");
    script.arg(PYTHON_CLIENT).arg(format!("http://{}:8080", cluster.ip));
    let output = script.output().await.expect("python3");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let front_door = format!("http://{}/service/marathon", cluster.ip);
    let again = Command::new("/usr/bin/python3").arg(PYTHON_CLIENT).arg(front_door).output().await;
    let again = again.expect("python3");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}
