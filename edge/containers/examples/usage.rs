//! What it costs to ask what containers use.
//!
//! `cargo run --release -p containers --example usage -- [CONTAINERS] [ROUNDS]` as root.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use containers::spec::{Limits, Logs, Root, Spec};
use containers::{Config, Containers};
use model::confinement::Confinement;
use model::container::Run;
use model::id::ContainerId;

const CONTAINERS_DEFAULT: usize = 500;
const ROUNDS_DEFAULT: u32 = 20;
/// From one round to the next, in an agent that is watched.
const INTERVAL: Duration = Duration::from_secs(10);
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(CONTAINERS_DEFAULT), |n| n.parse())?;
    let rounds = arguments.next().map_or(Ok(ROUNDS_DEFAULT), |n| n.parse())?;
    let dir = tempfile::Builder::new().prefix("usage").tempdir_in("/var/tmp")?;
    let cgroup = format!("/dcos-bench-{}", std::process::id());
    let mut config = Config::new(dir.path().join("run"), dir.path().join("layers"), cgroup);
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("examples lie in a directory")?;
    config.zygote_program = target.join("containers-zygote");
    let (containers, _events) = Containers::open(config).await?;
    let mut all = Vec::new();
    for n in 0..count {
        let spec = spec(dir.path(), &format!("usage-{n}"))?;
        all.push(spec.container.clone());
        containers.launch(spec).await?;
    }
    let begun = spent()?;
    for _ in 0..rounds {
        for container in &all {
            containers.usage(container)?;
        }
    }
    let each = (spent()? - begun) / rounds;
    let share = each.as_secs_f64() / INTERVAL.as_secs_f64() * 100.0;
    println!(
        "{count} containers: {each:?} of a processor a round, {share:.2}% of one every {INTERVAL:?}"
    );
    for container in &all {
        containers.remove(container).await?;
    }
    Ok(())
}

/// By this thread, in its own code and in the kernel.
fn spent() -> anyhow::Result<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = told.split(' ').next().context("a number")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

fn spec(dir: &Path, name: &str) -> anyhow::Result<Spec> {
    let sandbox = dir.join("sandboxes").join(name);
    std::fs::create_dir_all(&sandbox)?;
    Ok(Spec {
        container: ContainerId::new(name),
        sandbox,
        run: Run::Shell("exec sleep 10000".into()),
        environment: Vec::new(),
        user: None,
        root: Root::Host,
        volumes: Vec::new(),
        limits: Limits {
            cpu_millis: 100,
            cpu_millis_max: Some(100),
            memory_bytes_max: Some(MEMORY_BYTES_MAX),
            processes_max: None,
            ..Limits::default()
        },
        terminal: None,
        privileged: false,
        logs: Logs::default(),
        hostname: None,
        rlimits: vec![],
        confinement: Confinement::default(),
        mounts: vec![],
        devices: vec![],
        hooks: vec![],
        pool: None,
        shares: None,
        project: None,
        network: None,
    })
}
