//! What is refused names its cause and what to do; nothing that was sent harms the cluster.

use std::process::{Command, Output};

use serde_json::json;

use crate::cluster::{Cluster, DCOS};

fn up(flags: &[&str]) -> Output {
    Command::new(DCOS).arg("up").args(flags).output().expect("the binary starts")
}

fn refused(output: &Output, words: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    for word in words {
        assert!(err.contains(word), "{word:?} is not in {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_the_setting_that_moves_it() {
    let _marathon = std::net::TcpListener::bind("127.80.13.1:8080").expect("a port of this test");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let data = data.to_str().expect("its path is text");
    let flags = ["--bind", "127.80.13.1", "--data-dir", data];
    refused(&up(&flags), &["127.80.13.1:8080", "Marathon API", "ports.marathon: 8081", "--config"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_its_data_directory_to_itself() {
    let mut cluster = Cluster::start("127.80.13.2", &[]).await;
    let data = cluster.data_dir();
    let data = data.to_str().expect("its path is text");
    let flags = ["--bind", "127.80.13.3", "--data-dir", data];
    let pid = format!("process {}", cluster.pid());
    refused(&up(&flags), &[data, &pid, "--data-dir"]);
    let dump = Command::new(DCOS).args(["store", "dump", "--data-dir", data]).output();
    refused(&dump.expect("the binary starts"), &["in use by another dcos process"]);
}

#[test]
fn settings_that_make_no_sense_are_refused_before_anything_starts() {
    refused(&up(&["--bind", "0.0.0.0"]), &["0.0.0.0", "--insecure-no-auth"]);
    let anywhere = ["--bind", "0.0.0.0", "--insecure-no-auth"];
    refused(&up(&anywhere), &["0.0.0.0", "by which others reach this machine"]);
    refused(&up(&["--config", "/no/such.yaml"]), &["/no/such.yaml"]);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cluster.yaml");
    std::fs::write(&file, "ports: {marathn: 1}").expect("a temporary file");
    let file = file.to_str().expect("its path is text");
    refused(&up(&["--config", file]), &["marathn", "marathon", "mesos_master"]);
    let usage = up(&["--agents", "0"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}

#[test]
fn without_root_it_says_what_to_do() {
    let mut command = Command::new("setpriv");
    // The binary may lie where only root may look; an open descriptor can be executed all the same.
    command.args(["--reuid=65534", "--clear-groups", "/proc/self/fd/0", "up"]);
    command.stdin(std::fs::File::open(DCOS).expect("the binary is there"));
    let output = command.output().expect("setpriv of util-linux");
    refused(&output, &["root", "sudo dcos up"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_apps_are_refused_with_the_cause() {
    let cluster = Cluster::start("127.80.13.4", &[]).await;
    let deep = "[".repeat(100_000);
    let huge = format!(r#"{{"id": "/x", "cmd": "{}"}}"#, "x".repeat(9 << 20));
    let named = json!({"id": "/x", "cmd": "true", "secrets": {"a": {}}}).to_string();
    let faults = json!({"id": "/X y", "cpus": -1, "mem": "much", "instances": 1.5}).to_string();
    let cases: [(&[u8], u16, &str); 8] = [
        (b"", 400, ""),
        (br#"{"id": "/x", "cmd": "#, 400, ""),
        (b"\xff\xfe{}", 400, ""),
        (deep.as_bytes(), 400, ""),
        (huge.as_bytes(), 413, ""),
        (br#"{"id": "/x"}"#, 422, ""),
        (named.as_bytes(), 422, "secrets"),
        (faults.as_bytes(), 422, "mem"),
    ];
    for (body, status, word) in cases {
        let answer = cluster.ask("POST", "/v2/apps", body).await;
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, status, "{start}: {}", answer.body);
        let text = answer.body.to_string();
        assert!(text.contains("message") && text.contains(word), "{start}: {text}");
    }
    assert_eq!(cluster.ask("GET", "/v2/apps", "").await.body, json!({"apps": []}));
    let output = cluster.dcos(&["marathon", "app", "show", "/nothing"]).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains("/nothing"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_shows_the_state_as_json_lines() {
    let mut cluster = Cluster::start("127.80.13.5", &[]).await;
    let app = json!({"id": "/dumped", "cmd": "true", "instances": 0}).to_string();
    assert_eq!(cluster.ask("POST", "/v2/apps", app).await.status, 201);
    assert!(cluster.stop().success());
    let data = cluster.data_dir();
    let data = data.to_str().expect("its path is text");
    let dump = |words: &[&str]| {
        let output =
            Command::new(DCOS).args(["store", "dump", "--data-dir", data]).args(words).output();
        String::from_utf8(output.expect("the binary starts").stdout).expect("text")
    };
    let lines: Vec<serde_json::Value> =
        dump(&[]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let has = |kind: &str| lines.iter().any(|line| line["kind"] == kind);
    assert!(has("App") && has("Version") && has("Agent") && has("Framework"), "{lines:#?}");
    assert!(dump(&["--agent", "0"]).contains("\"machine\":\"node\""));
}
