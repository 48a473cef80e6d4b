//! `dcos task`, `dcos node` and `dcos cluster`.

use cli::settings::Env;

use crate::fake::{self, Fake, Told};

const STATE: &str = r#"{"id": "m-1", "hostname": "127.0.0.1", "pid": "master@127.0.0.1:5050", "slaves": [
    {"id": "a-1", "hostname": "127.0.0.1", "pid": "slave(1)@127.0.0.1:5051", "active": true}],
  "frameworks": [{"name": "marathon", "user": "root", "tasks": [
    {"id": "web.1", "name": "web", "state": "TASK_RUNNING", "slave_id": "a-1", "framework_id": "f",
     "executor_id": "", "statuses": [{"container_status": {"container_id": {"value": "c-1"}}}]}],
   "completed_tasks": [
    {"id": "old.1", "name": "old", "state": "TASK_FAILED", "slave_id": "a-1", "framework_id": "f"}]},
   {"name": "other", "tasks": [
    {"id": "x.1", "name": "x", "state": "TASK_RUNNING", "slave_id": "a-9", "framework_id": "g"}]}]}"#;

const SANDBOX: &str =
    "%2Fvar%2Flib%2Fmesos%2Fslave%2Fslaves%2Fa-1%2Fframeworks%2Ff%2Fexecutors%2Fweb.1%2Fruns%2Fc-1";

fn file(verb: &str, path: &str) -> String {
    format!("GET /agent/a-1/files/{verb}?path={SANDBOX}{path}")
}

fn fake() -> Fake {
    Fake::default().answer("GET /mesos/state", 200, STATE)
}

fn shown(out: &str) -> Told {
    Told { ended: Ok(0), out: out.into(), err: String::new() }
}

#[tokio::test]
async fn tasks_of_every_framework_are_listed() {
    let expected = "\
NAME  HOST       USER  STATE         ID     AGENT ID  REGION  ZONE
web   127.0.0.1  root  TASK_RUNNING  web.1  a-1       N/A     N/A
x                      TASK_RUNNING  x.1    a-9       N/A     N/A
";
    assert_eq!(fake().run(&["task", "list"], "").await, shown(expected));
    assert_eq!(
        fake().run(&["task", "list", "-q", "--all"], "").await,
        shown("old.1\nweb.1\nx.1\n")
    );
    assert_eq!(fake().run(&["task", "list", "-q", "--completed"], "").await, shown("old.1\n"));
    assert_eq!(fake().run(&["task", "list", "-q", "--agent-id", "a-9"], "").await, shown("x.1\n"));
    let none = fake().run(&["task", "list", "old"], "").await;
    assert!(none.ended.is_err_and(|error| error.contains("--completed")));
}

#[tokio::test]
async fn the_end_of_a_log_is_printed() {
    let fake = fake()
        .answer(
            &format!("{}&offset=-1", file("read", "%2Fstdout")),
            200,
            r#"{"data":"","offset":6}"#,
        )
        .answer(
            &format!("{}&offset=0&length=6", file("read", "%2Fstdout")),
            200,
            r#"{"data":"a\nb\nc\n","offset":0}"#,
        );
    assert_eq!(fake.run(&["task", "log", "--lines", "2", "web"], "").await, shown("b\nc\n"));
    let missing = fake.run(&["task", "log", "web", "nothing"], "").await;
    assert!(missing.ended.is_err_and(|error| error.contains("cannot access 'nothing'")));
}

#[tokio::test]
async fn a_log_is_followed_until_its_sandbox_is_gone() {
    let from = format!("{}&lines=1", file("follow", "%2Fstdout"));
    let fake = fake().answer(&from, 200, "c\nd\n\u{fffd}");
    let told = fake.run(&["task", "log", "--follow", "--lines", "1", "web"], "").await;
    assert_eq!(told.out, "c\nd\n\u{fffd}", "{told:?}");
    assert!(told.ended.is_ok() && told.err.contains("is gone"), "{told:?}");
    let missing = fake.run(&["task", "log", "--follow", "web", "nothing"], "").await;
    assert!(missing.ended.is_err_and(|error| error.contains("cannot access 'nothing'")));
}

#[tokio::test]
async fn files_are_listed_and_downloaded() {
    let entries = r#"[{"path":"/x/stdout","mode":"-rw-r--r--","nlink":1,"uid":"root","gid":"root","size":3,
        "mtime":0},{"path":"/x/pipe","mode":"prw-r--r--","nlink":1,"uid":"root","gid":"root","size":0,"mtime":0}]"#;
    let fake = fake().answer(&file("browse", ""), 200, entries).answer(
        &file("download", "%2Fstdout"),
        200,
        "abc",
    );
    assert_eq!(fake.run(&["task", "ls", "web"], "").await, shown("stdout  pipe\n"));
    let expected = "\
MODE        LINKS  UID   GID   SIZE  DATE                 NAME
-rw-r--r--  1      root  root  3     01 Jan 70 00:00 UTC  stdout
prw-r--r--  1      root  root  0     01 Jan 70 00:00 UTC  pipe
";
    assert_eq!(fake.run(&["task", "ls", "--long", "web"], "").await, shown(expected));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let target = dir.path().to_str().expect("its path is text");
    let told = fake.run(&["task", "download", "--target-dir", target, "web"], "").await;
    assert_eq!(told.out, format!("{target}/stdout\n"));
    assert!(told.err.contains("skipped ./pipe"), "{told:?}");
    let saved = std::fs::read_to_string(dir.path().join("stdout"));
    assert_eq!(saved.expect("it was saved"), "abc");
}

#[tokio::test]
async fn tasks_of_other_frameworks_are_not_killed() {
    let told = fake().run(&["task", "kill", "x.1"], "").await;
    assert!(told.ended.is_err_and(|error| error.contains("belongs to the framework other")));
    let kill = "POST /service/marathon/v2/tasks/delete?scale=false&wipe=false";
    let fake = fake().answer(kill, 200, r#"{"tasks": [{"id": "web.1"}]}"#);
    assert_eq!(fake.run(&["task", "kill", "web"], "").await, shown("Killed tasks: [web.1]\n"));
}

#[tokio::test]
async fn nodes_are_agents_and_masters() {
    let expected = "\
HOSTNAME   IP         PUBLIC IP(S)  ID   TYPE             STATUS  REGION  ZONE
127.0.0.1  127.0.0.1                a-1  agent            ACTIVE  N/A     N/A
127.0.0.1  127.0.0.1                m-1  master (leader)          N/A     N/A
";
    assert_eq!(fake().run(&["node", "list"], "").await, shown(expected));
}

#[tokio::test]
async fn a_cluster_is_set_up_used_and_forgotten() {
    let fake = Fake::default()
        .answer("GET /metadata", 200, r#"{"CLUSTER_ID": "0a-1"}"#)
        .answer("GET /mesos/state-summary", 200, r#"{"cluster": "lab"}"#)
        .answer("GET /dcos-metadata/dcos-version.json", 200, r#"{"version": "0.1.0"}"#)
        .answer("GET /service/marathon/ping", 200, "pong");
    let url = fake.url().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dcos = async |words: &[&str]| {
        fake::run(Env { dir: dir.path().to_owned(), ..Env::default() }, words, "").await
    };
    let before = dcos(&["marathon", "ping"]).await.ended.expect_err("nothing is set up");
    assert!(before.contains("dcos cluster setup http://127.0.0.1"), "{before}");
    let told = dcos(&["cluster", "setup", &url]).await;
    assert_eq!(told, shown(&format!("Attached to lab (0a-1) at {url}\n")));
    assert_eq!(dcos(&["marathon", "ping"]).await.ended, Ok(0));
    let list = dcos(&["cluster", "list"]).await.out;
    assert!(list.contains(&format!("*  lab   0a-1  AVAILABLE  0.1.0    {url}")), "{list}");
    assert_eq!(dcos(&["config", "set", "core.timeout", "9"]).await.ended, Ok(0));
    assert_eq!(dcos(&["config", "show", "core.timeout"]).await, shown("9\n"));
    let unknown = dcos(&["config", "set", "core.tmeout", "9"]).await.ended.expect_err("misspelt");
    assert!(unknown.contains("dcos config keys"), "{unknown}");
    assert_eq!(dcos(&["cluster", "remove", "lab"]).await, shown("Removed lab (0a-1)\n"));
    assert!(dcos(&["marathon", "ping"]).await.ended.is_err());
}
