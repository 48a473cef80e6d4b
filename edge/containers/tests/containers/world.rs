//! A runtime of its own for each test, that leaves nothing on the machine even if the test fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use containers::spec::{Limits, Logs, Root, Spec};
use containers::{Config, Containers, Event, Exited, Found};
use model::confinement::Confinement;
use model::container::Run;
use model::id::ContainerId;
use tokio::sync::mpsc;

static WORLDS: AtomicU32 = AtomicU32::new(0);

/// Nothing here takes longer on a busy or an emulated machine, unless it never ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const ZYGOTE: &str = "dcos-zygote";

pub(crate) struct World {
    pub(crate) containers: Option<Containers>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) config: Config,
    dir: tempfile::TempDir,
    made: u32,
}

impl World {
    pub(crate) async fn open() -> World {
        assert!(rustix::process::geteuid().is_root(), "these tests make containers: run as root");
        let dir = tempfile::tempdir().expect("a directory");
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("/dcos-test-{}-{number}", std::process::id());
        let mut config = Config::new(dir.path().join("run"), dir.path().join("layers"), name);
        config.zygote_program = env!("CARGO_BIN_EXE_containers-zygote").into();
        let (containers, events) = Containers::open(config.clone()).await.expect("opened");
        World { containers: Some(containers), events, config, dir, made: 0 }
    }

    pub(crate) fn containers(&self) -> &Containers {
        self.containers.as_ref().expect("the daemon is up")
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A container on the host's root that may use half a CPU and 64 MB.
    pub(crate) fn spec(&mut self, run: Run) -> Spec {
        self.made += 1;
        let container = ContainerId::new(format!("container-{}", self.made));
        let sandbox = self.dir.path().join("sandboxes").join(container.as_str());
        std::fs::create_dir_all(&sandbox).expect("a sandbox");
        Spec {
            container,
            sandbox,
            run,
            environment: Vec::new(),
            user: None,
            root: Root::Host,
            volumes: Vec::new(),
            limits: Limits {
                cpu_millis: 500,
                cpu_millis_max: Some(500),
                memory_bytes_max: Some(64 * 1024 * 1024),
                processes_max: Some(100),
                ..Limits::default()
            },
            terminal: None,
            privileged: false,
            logs: Logs::default(),
            hostname: None,
            rlimits: vec![],
            mounts: vec![],
            devices: vec![],
            hooks: vec![],
            pool: None,
            shares: None,
            project: None,
            network: None,
            confinement: Confinement::default(),
        }
    }

    pub(crate) async fn launch(&self, spec: &Spec) -> u32 {
        self.containers().launch(spec.clone()).await.expect("launched").pid
    }

    /// Launches, waits for the end and forgets.
    pub(crate) async fn run(&mut self, spec: &Spec) -> Exited {
        self.launch(spec).await;
        let ended = self.end_of(spec).await;
        self.containers().remove(&spec.container).await.expect("removed");
        ended
    }

    /// Ends and forgets.
    pub(crate) async fn kill(&mut self, spec: &Spec) {
        self.containers().stop(&spec.container, Duration::ZERO).await.expect("asked");
        self.end_of(spec).await;
        self.containers().remove(&spec.container).await.expect("removed");
    }

    pub(crate) async fn next_event(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("a container ends in time").expect("events go on")
    }

    pub(crate) async fn end_of(&mut self, spec: &Spec) -> Exited {
        let event = self.next_event().await;
        assert_eq!(event.container, spec.container);
        event.exited
    }

    /// As if the daemon had ended.
    pub(crate) async fn close(&mut self) {
        self.containers = None;
        while self.events.recv().await.is_some() {}
    }

    /// As if it were started again.
    pub(crate) async fn reopen(&mut self) -> Vec<Found> {
        self.close().await;
        let (containers, events) = Containers::open(self.config.clone()).await.expect("opened");
        let found = containers.recover().await.expect("recovered");
        (self.containers, self.events) = (Some(containers), events);
        found
    }

    pub(crate) fn log(&self, spec: &Spec, name: &str) -> String {
        std::fs::read_to_string(spec.sandbox.join(name)).expect("a log")
    }

    pub(crate) async fn wait_for_output(&self, spec: &Spec, output: &str) {
        let written = || self.log(spec, "stdout");
        wait_until("output", || written() == output, written).await;
    }

    /// No mount, no cgroup, no process, no directory of any container.
    pub(crate) async fn check_nothing_is_left(&mut self) {
        let parent = self.config.cgroup_parent.clone();
        let (run_dir, layer_dir) = (self.config.run_dir.clone(), self.config.layer_dir.clone());
        let left = move || {
            let mut left = containers_in(&run_dir);
            left.extend(containers_in(&layer_dir));
            left.extend(cgroups(&parent).into_iter().flat_map(|dir| containers_in(&dir)));
            left.extend(mounts_below(&run_dir));
            left.extend(shims(&parent).into_iter().map(PathBuf::from));
            left
        };
        wait_until("nothing is left", || left().is_empty(), || format!("{:?}", left())).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.containers = None;
        for dir in cgroups(&self.config.cgroup_parent) {
            kill_and_remove(&dir);
        }
    }
}

pub(crate) fn shell(text: &str) -> Run {
    Run::Shell(text.into())
}

pub(crate) fn exec(argv: &[&str]) -> Run {
    Run::Exec(argv.iter().map(ToString::to_string).collect())
}

/// Polls: what the kernel does has no event to wait for.
pub(crate) async fn wait_until(what: &str, holds: impl Fn() -> bool, instead: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: {}", instead());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn containers_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let entries = entries.filter_map(Result::ok).filter(|e| e.path().is_dir());
    // A group and directories that all containers share.
    let all = ["shims", "~places", "~keeper"];
    let shared = |path: &PathBuf| all.iter().any(|name| path.ends_with(name));
    entries.map(|e| e.path()).filter(|path| !shared(path)).collect()
}

/// The group in every hierarchy.
pub(crate) fn cgroups(parent: &str) -> Vec<PathBuf> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
    let lines = mountinfo.lines().filter(|line| line.contains(" - cgroup"));
    let mounts = lines.filter_map(|line| line.split(' ').nth(4));
    mounts
        .map(|mount| Path::new(mount).join(parent.trim_start_matches('/')))
        .filter(|d| d.exists())
        .collect()
}

fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
    let mounts = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    mounts.filter(|mount| mount.starts_with(dir)).collect()
}

/// Process ids.
pub(crate) fn shims(parent: &str) -> Vec<String> {
    members(parent, |name| name == "dcos-shim")
}

/// Shims and inits that wait for a container.
pub(crate) fn spares(parent: &str) -> Vec<String> {
    members(parent, |name| name == "dcos-spare")
}

pub(crate) fn zygotes(parent: &str) -> Vec<String> {
    members(parent, |name| name == ZYGOTE)
}

/// Of the group in which zygote and shims live.
fn members(parent: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let all = cgroups(&format!("{parent}/shims")).into_iter().flat_map(|dir| {
        let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().map(String::from).collect::<Vec<_>>()
    });
    let is_wanted = |pid: &String| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| wanted(name.trim()))
    };
    let mut pids: Vec<String> = all.filter(is_wanted).collect();
    pids.sort();
    pids.dedup();
    pids
}

fn kill_and_remove(dir: &Path) {
    // Who is frozen does not die. Of the two files there is one, if any.
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(dir.join(file)) {
            let _ = file.write_all(word.as_bytes());
        }
    }
    for below in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        if below.path().is_dir() {
            kill_and_remove(&below.path());
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while std::fs::remove_dir(dir).is_err() && dir.exists() && Instant::now() < deadline {
        let members = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        for pid in members
            .lines()
            .filter_map(|pid| pid.parse().ok())
            .filter_map(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
