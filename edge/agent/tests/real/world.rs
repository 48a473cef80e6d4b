//! A master, an agent, and a place on the disk of their own; nothing of them stays, even if a test fails.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agent::AgentConfig;
use containers::Containers;
use model::agent::{FromAgent, HeldTask, TellKilling, ToAgent};
use model::container::CommandInfo;
use model::id::{AgentId, FrameworkId, Role, TaskId, Uuid};
use model::operation::Operated;
use model::task::{TaskInfo, TaskState, TaskStatus};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::master::Master;

const IP: &str = "127.30.0.7";
/// What is swept is gone by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Each world takes the next; an agent's socket may linger a while after its test.
static PORTS: AtomicU16 = AtomicU16::new(20_000);

pub(crate) struct World {
    pub(crate) master: Master,
    hearing: mpsc::UnboundedReceiver<FromAgent>,
    pub(crate) config: AgentConfig,
    agent: Option<(JoinHandle<anyhow::Result<()>>, CancellationToken)>,
    /// An update may be told twice, if the agent ends before it hears the acknowledgement.
    acknowledged: Vec<Uuid>,
    dir: tempfile::TempDir,
}

pub(crate) fn framework() -> FrameworkId {
    FrameworkId::new("f")
}

pub(crate) fn shell(id: &str, command: &str) -> TaskInfo {
    TaskInfo::plain(
        TaskId::new(id),
        AgentId::new("S0"),
        Role::star(),
        "cpus:0.5;mem:64".parse().expect("well formed"),
        CommandInfo::shell(command),
    )
}

impl World {
    /// With an agent that is registered.
    pub(crate) async fn open() -> Self {
        let mut world = Self::prepare().await;
        assert_eq!(world.start().await, []);
        world
    }

    /// With an agent that is not started.
    pub(crate) async fn prepare() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make containers: run as root");
        let dir = tempfile::tempdir().expect("a directory");
        let (master, address, hearing) = Master::start(IP).await;
        let config = config(dir.path(), address).await;
        Self { master, hearing, config, agent: None, acknowledged: vec![], dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the agent; gives what it says it holds.
    pub(crate) async fn start(&mut self) -> Vec<HeldTask> {
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(agent::run(self.config.clone(), shutdown.clone()));
        self.agent = Some((running, shutdown));
        self.registered().await
    }

    /// Waits until the agent registers; gives what it says it holds.
    pub(crate) async fn registered(&mut self) -> Vec<HeldTask> {
        let registered = async {
            loop {
                if let Some(FromAgent::Register { tasks, .. }) = self.hearing.recv().await {
                    return tasks;
                }
            }
        };
        let (running, _) = self.agent.as_mut().expect("it was started");
        tokio::select! {
            tasks = registered => tasks,
            ended = running => panic!("the agent has ended: {ended:?}"),
        }
    }

    pub(crate) async fn stop(&mut self) {
        let (running, shutdown) = self.agent.take().expect("it runs");
        shutdown.cancel();
        running.await.expect("no panic").expect("a clean end");
    }

    /// The machine goes down and comes up: whatever ran is gone, and so is what was not on a disk.
    pub(crate) async fn reboot(&mut self) {
        self.stop().await;
        sweep(self.config.containers.clone()).await;
        std::fs::remove_dir_all(&self.config.containers.run_dir).expect("removed");
        self.config.boot = "second".to_owned();
    }

    pub(crate) async fn run(&self, task: TaskInfo) {
        self.master
            .say(ToAgent::Run { framework: framework(), task, killing: TellKilling::No, of: None })
            .await;
    }

    pub(crate) async fn kill(&self, id: &str) {
        let (task, grace) = (TaskId::new(id), Some(Duration::from_millis(500)));
        self.master
            .say(ToAgent::Kill { framework: framework(), task, grace, grace_max: None })
            .await;
    }

    /// The next message that is what is asked for.
    pub(crate) async fn hear<T>(&mut self, wanted: impl Fn(FromAgent) -> Option<T>) -> T {
        loop {
            let message = self.hearing.recv().await.expect("the master listens");
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }

    /// The next update, acknowledged. A slow launch is not worth mentioning.
    pub(crate) async fn update(&mut self) -> TaskStatus {
        loop {
            let Some(FromAgent::Update { status, .. }) = self.hearing.recv().await else {
                continue;
            };
            let uuid = status.uuid.expect("an agent's updates have one");
            let task = status.task.clone();
            self.master.say(ToAgent::Acknowledge { framework: framework(), task, uuid }).await;
            let told_before = self.acknowledged.contains(&uuid);
            self.acknowledged.push(uuid);
            if !told_before && status.state != TaskState::Starting {
                return status;
            }
        }
    }

    /// How the operation went, acknowledged.
    pub(crate) async fn operated(&mut self, operation: Uuid) -> Operated {
        loop {
            let Some(FromAgent::Operated { operated, .. }) = self.hearing.recv().await else {
                continue;
            };
            if operated.uuid == operation {
                let uuid = operated.latest.uuid.expect("what is over has one");
                self.master.say(ToAgent::AcknowledgeOperation { operation, uuid }).await;
                return *operated;
            }
        }
    }

    /// The next update must be of this state.
    pub(crate) async fn expect(&mut self, state: TaskState) -> TaskStatus {
        let status = self.update().await;
        assert_eq!(status.state, state, "{status:?}");
        status
    }

    /// The next end of a task.
    pub(crate) async fn ended(&mut self) -> TaskStatus {
        loop {
            let status = self.update().await;
            if status.state.is_terminal() {
                return status;
            }
        }
    }

    /// Runs until it is over; gives the last status and what it wrote.
    pub(crate) async fn finish(&mut self, task: TaskInfo) -> (TaskStatus, String) {
        let id = task.id.clone();
        self.run(task).await;
        let status = self.ended().await;
        let path = self.sandbox(id.as_str()).join("stdout");
        (status, std::fs::read_to_string(path).unwrap_or_default())
    }

    /// The newest one of a task.
    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        let below = format!("slaves/S0/frameworks/f/executors/{id}/runs/latest");
        self.config.dir.join(below)
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut(&AgentConfig) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.config) {
            assert!(Instant::now() < deadline, "waiting until {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{IP}:{}{path}", self.config.port)
    }

    /// What the agent's API answers.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(self.url(path)).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Ends the agent and whatever it left.
    pub(crate) async fn close(mut self) {
        if self.agent.is_some() {
            self.stop().await;
        }
        sweep(self.config.containers.clone()).await;
    }
}

impl Drop for World {
    /// A test that fails closes nothing: what it left is swept by a thread of its own.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        if let Some((running, _)) = self.agent.take() {
            running.abort();
        }
        let config = self.config.containers.clone();
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(sweep(config));
        });
        drop(swept.join());
    }
}

/// Kills and removes every container, then their cgroups.
async fn sweep(config: containers::Config) {
    let parent = config.cgroup_parent.clone();
    let (containers, events) = Containers::open(config).await.expect("opened");
    for found in containers.recover().await.expect("recovered") {
        containers.remove(&found.container).await.expect("removed");
    }
    drop((containers, events));
    let deadline = Instant::now() + PATIENCE;
    // The zygote lives in one of them until it has noticed that nobody needs it any more.
    while !cgroups(&parent).iter().all(|group| remove_group(group)) {
        assert!(Instant::now() < deadline, "the cgroups of {parent} do not go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The group in every hierarchy.
fn cgroups(parent: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
    let lines = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let points = lines.filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    let groups = points.map(|point| point.join(parent.trim_start_matches('/')));
    groups.filter(|group| group.exists()).collect()
}

/// With those below it; false if some process is still there.
fn remove_group(group: &Path) -> bool {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    let mut below = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    let emptied = below.all(|path| remove_group(&path));
    emptied && std::fs::remove_dir(group).is_ok()
}

/// What is shown as the log.
pub(crate) const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Of no real log.
#[derive(Debug, Default)]
struct Level(AtomicU32);

impl agent::Levels for Level {
    fn level(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn change(&self, level: u32, _: Duration) -> Result<(), String> {
        if 3 < level {
            return Err("too much".to_owned());
        }
        self.0.store(level, Ordering::Relaxed);
        Ok(())
    }

    fn time(&self, text: &str) -> Option<Duration> {
        text.strip_suffix("secs")?.parse().map(Duration::from_secs).ok()
    }

    /// Any file will do.
    fn file(&self) -> Option<&Path> {
        Some(Path::new(LOG))
    }
}

async fn config(dir: &Path, master: String) -> AgentConfig {
    let port = PORTS.fetch_add(1, Ordering::Relaxed);
    let ip: IpAddr = IP.parse().expect("an ip");
    let slot = dir.join("agents/0");
    std::fs::create_dir_all(&slot).expect("made");
    let cgroup = format!("/dcos-test-agent-{}-{port}", std::process::id());
    let containers = containers::Config::new(dir.join("run"), dir.join("layers"), cgroup);
    let images = images::Store::open(&dir.join("images"), images::Config::default()).await;
    let fetcher = images::Fetcher::new(
        &dir.join("fetched"),
        images::FetchLimits::default(),
        images::Sources::default(),
    );
    AgentConfig {
        reconfiguration: agent::Reconfiguration::Additive,
        recovery_timeout: Duration::from_secs(900),
        oversubscribe: None,
        disk_quota: None,
        projects: agent::Projects::none(),
        dir: slot,
        master,
        ip,
        port,
        hostname: "here".to_owned(),
        resources: Some("cpus:4;mem:1024;ports:[31000-31010]".parse().expect("well formed")),
        gpus: vec![],
        attributes: vec![],
        domain: None,
        containers,
        images: images.expect("opened"),
        fetcher: fetcher.expect("made"),
        logs: agent::LogPolicy::default(),
        host_paths: agent::HostPaths::default(),
        stop_tasks: false,
        recover: true,
        boot: "first".to_owned(),
        node: node::Config {
            // On a busy machine an executor takes its time to come back.
            reregistration_timeout: Duration::from_secs(45),
            ..node::Config::default()
        },
        door: agent::Door::default(),
        access: agent::Access::default(),
        levels: std::sync::Arc::new(Level::default()),
        docker: None,
        gc_disk_headroom: 0.1,
    }
}
