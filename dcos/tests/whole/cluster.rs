//! A cluster that is started for a test and leaves nothing behind.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::processes;

pub(crate) const DCOS: &str = env!("CARGO_BIN_EXE_dcos");

const START_SECS_MAX: u64 = 30;
const STOP_SECS_MAX: u64 = 30;
const WAIT_SECS_MAX: u64 = 60;
const POLL_MS: u64 = 50;
/// What `crew.rs` takes of the cluster's id.
const INSTANCE_CHARS: usize = 13;

/// What becomes of tasks when the cluster is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    Stop,
    RunOn,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) ip: String,
    dir: TempDir,
    flags: Vec<String>,
    child: Option<Child>,
    /// What the daemon that runs, or ran last, does with them.
    tasks: Tasks,
    http: reqwest::Client,
    /// As far as it is in the names of what lies outside the data directory.
    id: String,
}

/// A status and what came with it: JSON, or a string if it was none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Cluster {
    /// `ip` belongs to the test; so do those that follow it, if it wants more agents.
    pub(crate) async fn start(ip: &str, flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), ip, flags).await
    }

    /// The same, in a directory whose `data` another cluster may have left.
    pub(crate) async fn start_in(dir: TempDir, ip: &str, flags: &[&str]) -> Self {
        let mut cluster = Self {
            ip: ip.to_owned(),
            dir,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            child: None,
            tasks: Tasks::Stop,
            http: reqwest::Client::new(),
            id: String::new(),
        };
        cluster.run(Tasks::Stop).await;
        let metadata = cluster.fetch(&format!("http://{ip}/metadata")).await.unwrap_or_default();
        let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
        let id = metadata["CLUSTER_ID"].as_str().expect("a cluster has an id");
        cluster.id = id[..INSTANCE_CHARS].to_owned();
        cluster
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn spawn(&mut self, tasks: Tasks) {
        let log = File::options().append(true).create(true).open(self.dir.path().join("log"));
        let mut command = Command::new(DCOS);
        command.args(["up", "--bind", &self.ip, "--data-dir"]).arg(self.data_dir());
        command.args(&self.flags);
        if tasks == Tasks::Stop {
            command.arg("--stop-tasks");
        }
        command.stdout(Stdio::null()).stderr(log.expect("a log beside the data"));
        self.child = Some(command.spawn().expect("the binary starts"));
        self.tasks = tasks;
    }

    /// Starts the daemon and waits until it has an agent.
    pub(crate) async fn run(&mut self, tasks: Tasks) {
        self.spawn(tasks);
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while !self.is_ready().await {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "the cluster on {} does not answer\n{}",
                self.ip,
                log()
            );
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    async fn is_ready(&self) -> bool {
        let url = format!("http://{}:5050/state-summary", self.ip);
        let Ok(answer) = self.http.get(url).send().await else { return false };
        let summary: Value = answer.json().await.unwrap_or_default();
        summary["slaves"].as_array().is_some_and(|agents| {
            let is_there = |agent: &Value| agent["active"] == true || agent["deactivated"] == true;
            !agents.is_empty() && agents.iter().all(is_there)
        })
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the cluster runs")
    }

    pub(crate) fn pid(&mut self) -> u32 {
        self.child().id()
    }

    /// SIGKILL, as if the machine had run out of memory.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("the cluster runs");
        child.kill().expect("a child that was not waited for can be killed");
        child.wait().expect("a killed child ends");
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        ended(&mut self.child.take().expect("the cluster runs"))
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let url = format!("http://{}:8080{path}", self.ip);
        let method = method.parse().expect("a method");
        let request = self.http.request(method, url).header("content-type", "application/json");
        let answer = request.body(body.into()).send().await.expect("the cluster answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").await.body
    }

    /// Text from any address, if it answers.
    pub(crate) async fn fetch(&self, url: &str) -> Option<String> {
        self.http.get(url).send().await.ok()?.error_for_status().ok()?.text().await.ok()
    }

    /// Polls until what Marathon answers is as wanted, and gives it.
    pub(crate) async fn when(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
        loop {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} is not as wanted, but {answer:#}");
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    /// The same for what is shown of an app.
    pub(crate) async fn app_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v2/apps/{id}");
        self.when(&path, |answer| wanted(&answer["app"])).await["app"].take()
    }

    /// Polls until so many tasks of an app are running and nothing is under way.
    pub(crate) async fn settled(&self, id: &str, running: u64) -> Value {
        let over = |app: &Value| app["deployments"].as_array().is_some_and(Vec::is_empty);
        self.app_when(id, |app| {
            over(app)
                && app["tasksRunning"] == running
                && app["tasks"].as_array().is_some_and(|tasks| tasks.len() as u64 == running)
        })
        .await
    }

    /// `dcos <words>`, by a user who has set up nothing else.
    pub(crate) async fn dcos(&self, words: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(DCOS);
        command.args(words).env("DCOS_DIR", self.dir.path().join("user"));
        command.env("DCOS_URL", format!("http://{}", self.ip)).stdin(Stdio::null());
        command.output().await.expect("the binary starts")
    }

    /// The same, which has to succeed.
    pub(crate) async fn told(&self, words: &[&str]) -> String {
        let output = self.dcos(words).await;
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {err}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Asks until the answer is the expected one: what a task writes may take a moment to arrive.
    pub(crate) async fn comes_to_tell(&self, words: &[&str], expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
        loop {
            let told = self.told(words).await;
            if told == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{words:?} tells {told:?}, not {expected:?}");
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }
}

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("a child has a number");
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
}

impl Drop for Cluster {
    /// Tasks outlive a daemon that was killed or spares them, so it is started once more to stop them.
    fn drop(&mut self) {
        if self.child.is_some() && self.tasks == Tasks::RunOn {
            self.stop();
        }
        if self.child.is_none() {
            self.spawn(Tasks::Stop);
        }
        self.stop();
        if !self.id.is_empty() {
            processes::sweep(&self.id);
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!(
                "the log of the cluster on {}, the last line first:\n{}",
                self.ip,
                tail.join("\n")
            );
        }
    }
}

/// Agents of a cluster in a process of their own, which ends with their tasks.
#[derive(Debug)]
pub(crate) struct Agents {
    child: Child,
    dir: TempDir,
}

impl Agents {
    /// Beside the master on `ip`; the settings have to name other ports than its agents have.
    pub(crate) fn start(ip: &str, settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("agents.yaml");
        fs::write(&file, settings).expect("a file");
        let log = File::create(dir.path().join("log")).expect("a log");
        let mut command = Command::new(DCOS);
        command.args(["up", "--only", "agents", "--stop-tasks", "--bind", ip, "--config"]);
        command.arg(file).arg("--data-dir").arg(dir.path().join("data"));
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts");
        Self { child, dir }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        ended(&mut self.child);
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.dir.path().join("log")).unwrap_or_default());
        }
    }
}

/// SIGTERM, and the exit status.
fn ended(child: &mut Child) -> ExitStatus {
    terminate(child);
    let deadline = Instant::now() + Duration::from_secs(STOP_SECS_MAX);
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        if Instant::now() >= deadline {
            child.kill().expect("a child that was not waited for can be killed");
            return child.wait().expect("a killed child ends");
        }
        std::thread::sleep(Duration::from_millis(POLL_MS));
    }
}

/// The ids of an app's tasks.
pub(crate) fn task_ids(app: &Value) -> Vec<String> {
    let tasks = app["tasks"].as_array().expect("an app is shown with its tasks");
    let mut ids: Vec<String> =
        tasks.iter().map(|task| task["id"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

/// `http://host:port` of each task.
pub(crate) fn urls(app: &Value) -> Vec<(String, String)> {
    let tasks = app["tasks"].as_array().expect("an app is shown with its tasks");
    let url = |task: &Value| {
        let (host, port) = (task["host"].as_str().expect("a host"), &task["ports"][0]);
        (task["id"].as_str().expect("an id").to_owned(), format!("http://{host}:{port}/"))
    };
    tasks.iter().map(url).collect()
}
