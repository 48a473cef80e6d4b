//! Into running containers through the front door: as users do at their terminals, and as programs do.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::{Cluster, DCOS, Tasks, task_ids};

const TERMINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/terminal.py");
const WAIT_SECS_MAX: u64 = 30;
const POLL_MS: u64 = 50;

/// Who types what the steps say.
pub(crate) fn user(cluster: &Cluster, words: &[&str], steps: &Value) -> Command {
    let mut user = Command::new("/usr/bin/python3");
    user.arg(TERMINAL).arg(steps.to_string()).arg(DCOS).args(words);
    user.env("DCOS_URL", format!("http://{}", cluster.ip));
    user
}

/// A user at a terminal types what the steps say; gives the exit status. Afterwards the terminal is as it was.
pub(crate) async fn at_a_terminal(cluster: &Cluster, words: &[&str], steps: Value) -> Option<i32> {
    let mut user = user(cluster, words, &steps);
    let output = user.output().await.expect("python3");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("was never shown"), "{words:?}: {said}");
    assert!(!said.contains("was not restored"), "{words:?}: {said}");
    assert!(!said.contains("Traceback"), "{words:?}: {said}");
    output.status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_works_in_a_container_at_a_terminal() {
    let cluster = Cluster::start("127.66.12.1", &[]).await;
    let app = json!({"id": "/sleeper", "cmd": "exec sleep 1000", "cpus": 0.01, "mem": 32});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    cluster.settled("sleeper", 1).await;
    let shell = ["task", "exec", "-it", "sleeper", "sh"];
    let steps = json!([
        ["type", "stty size\n"],
        ["expect", "33 99"],
        ["resize", 44, 111],
        ["type", "while ! stty size | grep 44; do sleep 0.01; done\n"],
        ["expect", "44 111"],
        ["type", "exit 5\n"],
    ]);
    assert_eq!(at_a_terminal(&cluster, &shell, steps).await, Some(5));
    let steps = json!([["type", "echo $((40 + 2))\n"], ["expect", "42"], ["type", "\u{10}\u{11}"]]);
    assert_eq!(at_a_terminal(&cluster, &shell, steps).await, Some(0), "left by keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_takes_over_the_terminal_of_a_task_and_leaves_it_again() {
    let cluster = Cluster::start("127.66.12.2", &[]).await;
    let script = "while read line; do echo heard $line; test $line = end && exit 7; done";
    let app = json!({"id": "/screen", "cmd": script, "cpus": 0.01, "mem": 32, "tty": true,
        "container": {"type": "MESOS"}});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let before = task_ids(&cluster.settled("screen", 1).await);
    let attach = ["task", "attach", "screen"];
    let steps = json!([["type", "me\n"], ["expect", "heard me"], ["type", "\u{10}\u{11}"]]);
    assert_eq!(at_a_terminal(&cluster, &attach, steps).await, Some(0));
    assert_eq!(task_ids(&cluster.settled("screen", 1).await), before, "it runs on");
    let steps = json!([["type", "end\n"], ["expect", "heard end"]]);
    assert_eq!(at_a_terminal(&cluster, &attach, steps).await, Some(7), "as the task ended");
}

/// What the agent answers through the front door.
pub(crate) async fn agent(cluster: &Cluster, id: &str, call: &Value) -> (u16, Value) {
    let url = format!("http://{}/agent/{id}/api/v1", cluster.ip);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let answer = request.body(call.to_string()).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.expect("text")).unwrap_or_default())
}

/// Whether a process of this machine was started so.
fn runs(command: &str) -> bool {
    let wanted = command.replace(' ', "\0");
    let all = fs::read_dir("/proc").expect("readable").flatten();
    let mut commands = all.filter_map(|one| fs::read(one.path().join("cmdline")).ok());
    commands.any(|one| String::from_utf8_lossy(&one).trim_end_matches('\0') == wanted)
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
    while !is_so() {
        assert!(Instant::now() < deadline, "waiting until {what}");
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_containers_outlive_a_killed_daemon_and_sessions_do_not() {
    let mut cluster = Cluster::start("127.66.12.3", &[]).await;
    let app = json!({"id": "/host", "cmd": "exec sleep 1000", "cpus": 0.01, "mem": 32});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    cluster.settled("host", 1).await;
    let state = cluster.fetch(&format!("http://{}/mesos/state", cluster.ip)).await;
    let state: Value = serde_json::from_str(&state.expect("a state")).expect("JSON");
    let task = &state["frameworks"][0]["tasks"][0];
    let id = task["slave_id"].as_str().expect("an id").to_owned();
    let parent = task["statuses"][0]["container_status"]["container_id"].clone();
    let launch = |name: &str, command: &str| {
        json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
            "container_id": {"value": name, "parent": parent}, "command": {"value": command}}})
    };
    let about = |kind: &str, name: &str| {
        json!({"type": kind, kind.to_lowercase(): {
            "container_id": {"value": name, "parent": parent}}})
    };
    for (name, command) in [("one", "exec sleep 4712001"), ("two", "exec sleep 4712002")] {
        let (status, cause) = agent(&cluster, &id, &launch(name, command)).await;
        assert_eq!(status, 200, "{cause}");
    }
    let mut session = Command::new(DCOS)
        .args(["task", "exec", "host", "sleep", "4712003"])
        .env("DCOS_URL", format!("http://{}", cluster.ip))
        .spawn()
        .expect("the binary starts");
    until("the session runs", || runs("sleep 4712003")).await;
    cluster.kill();
    until("the session has ended", || !runs("sleep 4712003")).await;
    assert!(!session.wait().await.expect("a child ends").success());
    assert!(runs("sleep 4712001") && runs("sleep 4712002"));
    cluster.run(Tasks::RunOn).await;

    let asked = json!({"type": "GET_CONTAINERS", "get_containers": {"show_nested": true}});
    let (_, told) = agent(&cluster, &id, &asked).await;
    let told = told["get_containers"]["containers"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = told.iter().map(|one| one["container_id"]["value"].as_str()).collect();
    assert!(names.contains(&Some("one")) && names.contains(&Some("two")), "{names:?}");
    assert_eq!(agent(&cluster, &id, &about("KILL_NESTED_CONTAINER", "one")).await.0, 200);
    let (_, ended) = agent(&cluster, &id, &about("WAIT_NESTED_CONTAINER", "one")).await;
    assert_eq!(ended["wait_nested_container"]["exit_status"], 9);
    assert_eq!(agent(&cluster, &id, &about("REMOVE_NESTED_CONTAINER", "one")).await.0, 200);
    assert_eq!(cluster.ask("DELETE", "/v2/apps/host", "").await.status, 200);
    let left = cluster.data_dir().join("agents/0/containers");
    until("nothing of the other is left", || {
        !runs("sleep 4712002") && fs::read_dir(&left).map_or(0, Iterator::count) == 0
    })
    .await;
}
