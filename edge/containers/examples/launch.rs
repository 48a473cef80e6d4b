//! How long a container takes to start and to end, and what its shim costs; with `runc` beside it, if it is there.
//!
//! `cargo run --release -p containers --example launch -- [COUNT] [IMAGE_ROOT]` as root. `IMAGE_ROOT` is an unpacked
//! image, taken as the only layer; without it the host is the root.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use containers::spec::{ImageConfig, Limits, Logs, Root, Spec};
use containers::{Config, Containers};
use model::container::Run;
use model::id::ContainerId;

const COUNT_DEFAULT: usize = 100;
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(COUNT_DEFAULT), |n| n.parse()).context("COUNT")?;
    let image = arguments.next().map(PathBuf::from);
    let dir = tempfile::Builder::new().prefix("launch").tempdir_in("/dev/shm")?;
    let layers = tempfile::Builder::new().prefix("launch").tempdir_in("/var/tmp")?;
    let mut config = Config::new(
        dir.path().join("run"),
        layers.path().join("layers"),
        format!("/dcos-bench-{}", std::process::id()),
    );
    config.zygote_program = zygote()?;
    ours(config, dir.path(), count, image.as_deref()).await?;
    runc(dir.path(), count, image.as_deref())
}

/// Beside the directory of examples.
fn zygote() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target =
        own.parent().and_then(Path::parent).context("examples lie in a directory of their own")?;
    Ok(target.join("containers-zygote"))
}

async fn ours(
    config: Config,
    dir: &Path,
    count: usize,
    image: Option<&Path>,
) -> anyhow::Result<()> {
    let (containers, mut events) = Containers::open(config).await?;
    let (mut starts, mut ends, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..count {
        let spec = spec(dir, &format!("short-{n}"), image, "true")?;
        let begin = Instant::now();
        containers.launch(spec.clone()).await?;
        starts.push(begin.elapsed());
        events.recv().await.context("an end")?;
        whole.push(begin.elapsed());
        let begin = Instant::now();
        containers.remove(&spec.container).await?;
        ends.push(begin.elapsed());
    }
    report("launch until the program is executed", starts);
    report("launch until its end is told", whole);
    report("remove", ends);
    let spec = spec(dir, "long", image, "sleep 60")?;
    let pid = containers.launch(spec.clone()).await?.pid;
    let parent = parent_of(pid)?;
    println!("shim: {}", memory(parent)?);
    println!("init: {}", memory(pid)?);
    containers.stop(&spec.container, Duration::from_secs(1)).await?;
    events.recv().await.context("an end")?;
    containers.remove(&spec.container).await
}

fn spec(dir: &Path, name: &str, image: Option<&Path>, command: &str) -> anyhow::Result<Spec> {
    let sandbox = dir.join("sandboxes").join(name);
    std::fs::create_dir_all(&sandbox)?;
    let root = match image {
        None => Root::Host,
        Some(layer) => Root::Image { layers: vec![layer.into()], config: ImageConfig::default() },
    };
    let limits = Limits {
        cpu_millis: 1000,
        cpu_millis_max: Some(1000),
        memory_bytes_max: Some(MEMORY_BYTES_MAX),
        processes_max: None,
    };
    Ok(Spec {
        container: ContainerId::new(name),
        sandbox,
        run: Run::Shell(command.into()),
        environment: Vec::new(),
        user: None,
        root,
        volumes: Vec::new(),
        limits,
        terminal: None,
        privileged: false,
        logs: Logs::default(),
        hostname: None,
        rlimits: vec![],
    })
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what}: p50 {:?} p90 {:?} p99 {:?} ({} times)", at(50), at(90), at(99), times.len());
}

fn parent_of(pid: u32) -> anyhow::Result<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(parent.context("a parent")?.trim().parse()?)
}

fn memory(pid: u32) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let wanted =
        |line: &&str| ["Private_Dirty", "Pss:", "Rss"].iter().any(|key| line.starts_with(key));
    Ok(text
        .lines()
        .filter(wanted)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", "))
}

/// `runc run` of the same program. It wants a root of its own: the image, or the host's bound to a directory.
fn runc(dir: &Path, count: usize, image: Option<&Path>) -> anyhow::Result<()> {
    let bundle = dir.join("runc");
    std::fs::create_dir_all(&bundle)?;
    if !Command::new("runc").arg("spec").current_dir(&bundle).status().is_ok_and(|s| s.success()) {
        println!("no runc to compare with");
        return Ok(());
    }
    let Some(image) = image else {
        println!("runc needs an image to compare with");
        return Ok(());
    };
    let path = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", "true"]);
    config["root"]["path"] = image.display().to_string().into();
    std::fs::write(&path, config.to_string())?;
    let mut times = Vec::new();
    for n in 0..count {
        let begin = Instant::now();
        let name = format!("bench-{}-{n}", std::process::id());
        let status = Command::new("runc").args(["run", &name]).current_dir(&bundle).status()?;
        anyhow::ensure!(status.success(), "runc run: {status}");
        times.push(begin.elapsed());
    }
    report("runc run until its end", times);
    Ok(())
}
