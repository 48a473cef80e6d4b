//! How long very many containers take to come up together and to go, and what of their memory is ours.
//!
//! `cargo run --release -p containers --example crowd -- IMAGE_ROOT [COUNT] [MORE]` as root: `COUNT` are brought up and
//! down; then as many and `MORE`, to be weighed. `IMAGE_ROOT` is an unpacked image with `sh` and `sleep`.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use containers::spec::{ImageConfig, Limits, Logs, Root, Spec};
use containers::{Config, Containers, Event};
use futures::stream::{self, StreamExt, TryStreamExt};
use model::confinement::Confinement;
use model::container::Run;
use model::id::ContainerId;
use tokio::sync::mpsc;

const COUNT_DEFAULT: usize = 1_000;
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// As the agent has it.
const LAUNCHES_AT_ONCE: usize = 32;
const KIB_PER_MIB: f64 = 1024.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let image = PathBuf::from(arguments.next().context("IMAGE_ROOT")?);
    let mut number = || arguments.next().map_or(Ok(COUNT_DEFAULT), |n| n.parse());
    let (count, more) = (number().context("COUNT")?, number().context("MORE")?);
    let dir = tempfile::Builder::new().prefix("crowd").tempdir_in("/dev/shm")?;
    let layers = tempfile::Builder::new().prefix("crowd").tempdir_in("/var/tmp")?;
    let run_dir = dir.path().join("run");
    let group = format!("/dcos-bench-{}", std::process::id());
    let mut config = Config::new(run_dir, layers.path().join("layers"), group);
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("the directory of examples")?;
    let groups = PathBuf::from(format!("/sys/fs/cgroup/cpuacct{}", config.cgroup_parent));
    config.zygote_program = target.join("containers-zygote");
    let (containers, mut events) = Containers::open(config).await?;
    let specs: Vec<Spec> = (0..count + more)
        .map(|number| spec(dir.path(), &image, number))
        .collect::<anyhow::Result<_>>()?;
    let crowd = Crowd { containers, groups };
    crowd.up(&specs[..count]).await?;
    crowd.down(&specs[..count], &mut events).await?;
    let pids = crowd.up(&specs).await?;
    weigh(&pids)?;
    crowd.down(&specs, &mut events).await
}

/// The processor time of this process, whose clock ticks a hundred times a second.
fn own() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    /// The name, which may have spaces, ends with the last parenthesis; then come eleven other figures.
    const USER_TIME: usize = 11;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let figures = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let times = figures.skip(USER_TIME).take(2).filter_map(|ticks| ticks.parse::<u32>().ok());
    TICK * times.sum::<u32>()
}

struct Crowd {
    containers: Containers,
    /// Of shims and containers, where the kernel counts their processor time.
    groups: PathBuf,
}

impl Crowd {
    /// Of this process, of shims and of containers until now; a busy machine does not make it longer.
    fn processor_time(&self) -> Duration {
        let counted = std::fs::read_to_string(self.groups.join("cpuacct.usage"));
        let nanos = counted.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        own() + Duration::from_nanos(nanos)
    }

    async fn up(&self, specs: &[Spec]) -> anyhow::Result<Vec<u32>> {
        let (begun, before) = (Instant::now(), self.processor_time());
        let launching = specs.iter().map(|spec| async {
            let started = self.containers.launch(spec.clone()).await?;
            anyhow::Ok(started.pid)
        });
        let pids: Vec<u32> =
            stream::iter(launching).buffer_unordered(LAUNCHES_AT_ONCE).try_collect().await?;
        let spent = self.processor_time().saturating_sub(before);
        println!("{} containers up in {:?}, {spent:?} of processor", pids.len(), begun.elapsed());
        Ok(pids)
    }

    /// From the first request until nothing of any is left.
    async fn down(&self, specs: &[Spec], events: &mut mpsc::Receiver<Event>) -> anyhow::Result<()> {
        let (begun, before) = (Instant::now(), self.processor_time());
        let removing = specs.iter().map(|spec| async {
            self.containers.stop(&spec.container, Duration::ZERO).await?;
            self.containers.remove(&spec.container).await
        });
        let removed: Vec<()> =
            stream::iter(removing).buffer_unordered(LAUNCHES_AT_ONCE).try_collect().await?;
        for _ in specs {
            events.recv().await.context("an end")?;
        }
        let (took, spent) = (begun.elapsed(), self.processor_time().saturating_sub(before));
        println!("{} containers down in {took:?}, {spent:?} of processor", removed.len());
        Ok(())
    }
}

/// Of shims and inits: what they have alone and their share of what they have in common.
fn weigh(inits: &[u32]) -> anyhow::Result<()> {
    let (mut shims, mut own) = (0, 0);
    for init in inits {
        own += pss_kib(*init)?;
        shims += pss_kib(parent_of(*init)?)?;
    }
    let each = |kib: u64| kib as f64 / inits.len() as f64 / KIB_PER_MIB;
    println!("PSS of each: shim {:.3} MiB, init {:.3} MiB", each(shims), each(own));
    Ok(())
}

fn pss_kib(pid: u32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("Pss")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn parent_of(pid: u32) -> anyhow::Result<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(parent.context("a parent")?.trim().parse()?)
}

fn spec(dir: &Path, image: &Path, number: usize) -> anyhow::Result<Spec> {
    let sandbox = dir.join("sandboxes").join(number.to_string());
    std::fs::create_dir_all(&sandbox)?;
    Ok(Spec {
        container: ContainerId::new(format!("c{number}")),
        sandbox,
        run: Run::Exec(vec!["/bin/sleep".into(), "100000".into()]),
        environment: Vec::new(),
        user: None,
        root: Root::Image { layers: vec![image.into()], config: ImageConfig::default() },
        volumes: Vec::new(),
        limits: Limits {
            cpu_millis: 10,
            cpu_millis_max: Some(1_000),
            memory_bytes_max: Some(MEMORY_BYTES_MAX),
            processes_max: None,
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
    })
}
