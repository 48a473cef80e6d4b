//! What a user's terminal promises when a process in a container has it: keys that are signals, sizes, exit statuses, every
//! byte; and that it is the user's own again, however it ends.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::attach::{at_a_terminal, until, user};
use crate::cluster::{Cluster, DCOS, Tasks};

/// Ctrl-C, Ctrl-D, Ctrl-Z and Ctrl-\.
const INTERRUPT: &str = "\u{3}";
const END: &str = "\u{4}";
const SUSPEND: &str = "\u{1a}";
const QUIT: &str = "\u{1c}";
/// More than any buffer on the way holds.
const INPUT_BYTES: usize = 3 << 20;

async fn with_app(ip: &str, app: Value) -> Cluster {
    let cluster = Cluster::start(ip, &[]).await;
    let id = app["id"].as_str().expect("an app has an id").trim_start_matches('/').to_owned();
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    cluster.settled(&id, 1).await;
    cluster
}

fn sleeper() -> Value {
    json!({"id": "/sleeper", "cmd": "exec sleep 1000", "cpus": 0.01, "mem": 64})
}

async fn at(cluster: &Cluster, command: &[&str], steps: Value, status: i32) {
    let words = [&["task", "exec", "-it", "sleeper"], command].concat();
    assert_eq!(at_a_terminal(cluster, &words, steps).await, Some(status), "{command:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_the_process_and_its_end_is_the_commands() {
    let cluster = with_app("127.78.12.1", sleeper()).await;
    at(&cluster, &["true"], json!([]), 0).await;
    at(&cluster, &["false"], json!([]), 1).await;
    at(&cluster, &["sh", "-c", "exit 200"], json!([]), 200).await;
    at(&cluster, &["sh", "-c", "kill -9 $$"], json!([]), 137).await;
    let trap = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let steps = json!([["expect", "ready"], ["raw"], ["type", INTERRUPT], ["expect", "caught"]]);
    at(&cluster, &["sh", "-c", trap], steps, 9).await;
    let steps = json!([["raw"], ["insist", INTERRUPT]]);
    at(&cluster, &["sleep", "1000"], steps, 130).await;
    let steps = json!([["raw"], ["insist", QUIT]]);
    at(&cluster, &["sleep", "1000"], steps, 131).await;
    let steps = json!([["type", "one\n"], ["expect", "one\r\none"], ["type", END]]);
    at(&cluster, &["cat"], steps, 0).await;
    let steps = json!([
        ["raw"],
        ["type", "echo be$((1))gun; sleep 1000\n"],
        ["expect", "be1gun"],
        ["insist", SUSPEND, "Stopped"],
        ["insist", "exit 3\n"],
    ]);
    at(&cluster, &["sh"], steps, 3).await;
    let missing = ["task", "exec", "-it", "sleeper", "/no/such/program"];
    let steps = json!([["expect", "/no/such/program"]]);
    assert_ne!(at_a_terminal(&cluster, &missing, steps).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_may_be_wide_and_change_its_size_while_much_is_written() {
    let cluster = with_app("127.78.12.2", sleeper()).await;
    let line = "x".repeat(1000);
    let script = "while ! stty size | grep -x '50 1000'; do sleep 0.05; done
        echo $(printf %01000d 0 | tr 0 x); trap 'stty size' WINCH; echo waits
        while ! stty size | grep -q 7; do sleep 0.05; done; seq 20000; stty size";
    let steps = json!([
        ["resize", 50, 1000],
        ["expect", "50 1000"],
        ["expect", line],
        ["expect", "waits"],
        ["resize", 7, 1],
        ["expect", "7 1"],
        ["expect", "19999"],
        ["expect", "7 1"],
    ]);
    at(&cluster, &["sh", "-c", script], steps, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_goes_through_and_the_end_of_input_is_told() {
    let cluster = with_app("127.78.12.3", sleeper()).await;
    let bytes: Vec<u8> = (0..INPUT_BYTES).map(|n| (n * n / 7 + n).to_le_bytes()[0]).collect();
    let mut command = Command::new(DCOS);
    command.args(["task", "exec", "-i", "sleeper", "sh", "-c", "cat; echo done >&2; exit 4"]);
    command.env("DCOS_URL", format!("http://{}", cluster.ip));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut input = child.stdin.take().expect("it is piped");
    let typed = bytes.clone();
    let typing = tokio::spawn(async move { input.write_all(&typed).await });
    let output = child.wait_with_output().await.expect("it ends");
    typing.await.expect("no panic").expect("all is read");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stdout.len(), bytes.len());
    assert!(output.stdout == bytes, "other bytes came back");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "done\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_the_users_again_when_the_server_goes() {
    let mut cluster = with_app("127.78.12.4", sleeper()).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let there = dir.path().join("there");
    let words = ["task", "exec", "-it", "sleeper", "sh", "-c", "echo ready; exec sleep 1000"];
    let steps = json!([["expect", "ready"], ["raw"], ["touch", there], ["expect", "connection"]]);
    let mut user = user(&cluster, &words, &steps);
    let user = tokio::spawn(async move { user.output().await.expect("python3") });
    until("the session runs", || there.exists()).await;
    cluster.kill();
    let output = user.await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "{said}");
    assert_ne!(output.status.code(), Some(0));
    cluster.run(Tasks::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_attaches_types_into_the_task_itself() {
    let script = "trap 'echo caught' INT; stty size; while :; do sleep 0.05; done";
    let app = json!({"id": "/sleeper", "cmd": script, "cpus": 0.01, "mem": 64, "tty": true,
        "container": {"type": "MESOS"}});
    let cluster = with_app("127.78.12.5", app).await;
    let words = ["task", "attach", "sleeper"];
    let steps = json!([["raw"], ["insist", INTERRUPT, "caught"], ["type", "\u{10}\u{11}"]]);
    assert_eq!(at_a_terminal(&cluster, &words, steps).await, Some(0));
}
