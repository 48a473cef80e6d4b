//! How long a container takes to start and to end, one after the other and many at once, with other runtimes beside it.
//!
//! `cargo run --release -p containers --example launch -- [COUNT] [IMAGE_ROOT]` as root. `IMAGE_ROOT` is an unpacked
//! image, taken as the only layer; without it the host is the root and there is nothing to compare with. For `docker run`,
//! start `dockerd` and `tar -C IMAGE_ROOT -c . | docker import - bench:latest` first.

#![allow(clippy::print_stdout)]

mod rivals;

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

use rivals::{Load, Taken};

const COUNT_DEFAULT: usize = 100;
pub(crate) const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// At a time.
const LANES: [usize; 3] = [1, 4, 32];
/// `docker` finds its daemon as always, by `DOCKER_HOST` or where it is by default.
const DOCKER_IMAGE: &str = "bench:latest";
/// Those with a daemon, or a tenth of our speed.
const SLOW_DIVISOR: usize = 10;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match rivals::run(&arguments) {
        Some(done) => done,
        None => tokio::runtime::Runtime::new()?.block_on(compare(&arguments)),
    }
}

async fn compare(arguments: &[String]) -> anyhow::Result<()> {
    let count = arguments.first().map_or(Ok(COUNT_DEFAULT), |n| n.parse()).context("COUNT")?;
    let image = arguments.get(1).map(PathBuf::from);
    let dir = tempfile::Builder::new().prefix("launch").tempdir_in("/dev/shm")?;
    let layers = tempfile::Builder::new().prefix("launch").tempdir_in("/var/tmp")?;
    let mut config = Config::new(
        dir.path().join("run"),
        layers.path().join("layers"),
        format!("/dcos-bench-{}", std::process::id()),
    );
    config.zygote_program = zygote()?;
    let (containers, mut events) = Containers::open(config).await?;
    let image = image.as_deref();
    let bundle = image.map(|image| rivals::bundle(dir.path(), image)).transpose()?;
    let mut ours = Ours { containers, dir: dir.path(), image, made: 0 };
    for lanes in LANES {
        ours.measure(&mut events, Load { count, lanes }).await?;
        if let (Some(image), Some(bundle)) = (image, &bundle) {
            others(bundle, image, Load { count, lanes })?;
        }
    }
    ours.memory(&mut events).await
}

/// Whoever is there. What fails is told and left out.
fn others(bundle: &Path, image: &Path, load: Load) -> anyhow::Result<()> {
    let root = image.to_str().context("a plain path")?;
    let slow = Load { count: load.count.div_ceil(SLOW_DIVISOR).max(load.lanes), ..load };
    let limits = ["--network", "host", "--memory", "64m", "--cpus", "1"];
    let ulimits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let program = ["/bin/sh", "-c", "true"];
    let named = ["run", "--rm", "--name", "NAME"];
    let podman = ["podman", "--cgroup-manager=cgroupfs", "--runtime=runc"];
    let podman = [&podman[..], &named, &ulimits, &limits, &["--rootfs", root], &program].concat();
    let docker = [&["docker"][..], &named, &limits, &[DOCKER_IMAGE], &program].concat();
    let all: [(&[&str], Load); 5] = [
        (&["crun", "run", "NAME"], load),
        (&["crun", "--cgroup-manager=disabled", "run", "NAME"], load),
        (&["runc", "run", "NAME"], load),
        (&podman, slow),
        (&docker, slow),
    ];
    for (command, load) in all {
        let what = command.iter().take_while(|word| **word != "NAME" && **word != "--rm");
        let what = what.copied().collect::<Vec<_>>().join(" ");
        match rivals::measure(bundle, command, load) {
            Ok(taken) => report(&format!("{what}: until its end"), load, taken),
            Err(cause) => println!("{what}: {}", cause.root_cause()),
        }
    }
    Ok(())
}

/// Beside the directory of examples.
fn zygote() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target =
        own.parent().and_then(Path::parent).context("examples lie in a directory of their own")?;
    Ok(target.join("containers-zygote"))
}

struct Ours<'a> {
    containers: Containers,
    dir: &'a Path,
    image: Option<&'a Path>,
    made: usize,
}

impl Ours<'_> {
    async fn measure(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        load: Load,
    ) -> anyhow::Result<()> {
        let mut specs = Vec::new();
        for _ in 0..load.count {
            specs.push(self.spec("true")?);
        }
        let (begun, containers) = (Instant::now(), &self.containers);
        // The next one starts when one of the lanes has heard of the end of its last.
        let ended = tokio::sync::Mutex::new(events);
        let lanes = stream::iter(&specs).map(|spec| async {
            let begin = Instant::now();
            containers.launch(spec.clone()).await?;
            let started = begin.elapsed();
            ended.lock().await.recv().await.context("an end")?;
            anyhow::Ok((started, begin.elapsed()))
        });
        let times: Vec<_> = lanes.buffer_unordered(load.lanes).try_collect().await?;
        let all = begun.elapsed();
        let (started, whole) = times.into_iter().unzip();
        report("ours: until the program is executed", load, Taken { each: started, all });
        report("ours: until its end", load, Taken { each: whole, all });
        let begun = Instant::now();
        let removing = specs.iter().map(|spec| containers.remove(&spec.container));
        let removed: Vec<()> =
            stream::iter(removing).buffer_unordered(load.lanes).try_collect().await?;
        println!("ours: {} removed in {:?}", removed.len(), begun.elapsed());
        Ok(())
    }

    async fn memory(&mut self, events: &mut mpsc::Receiver<Event>) -> anyhow::Result<()> {
        let spec = self.spec("sleep 60")?;
        let pid = self.containers.launch(spec.clone()).await?.pid;
        println!("shim: {}", memory(parent_of(pid)?)?);
        println!("init: {}", memory(pid)?);
        self.containers.stop(&spec.container, Duration::from_secs(1)).await?;
        events.recv().await.context("an end")?;
        self.containers.remove(&spec.container).await
    }

    fn spec(&mut self, command: &str) -> anyhow::Result<Spec> {
        self.made += 1;
        let name = format!("c{}", self.made);
        let sandbox = self.dir.join("sandboxes").join(&name);
        std::fs::create_dir_all(&sandbox)?;
        let config = ImageConfig::default();
        let root = match self.image {
            None => Root::Host,
            Some(layer) => Root::Image { layers: vec![layer.into()], config },
        };
        let limits = Limits {
            cpu_millis: 1000,
            cpu_millis_max: Some(1000),
            memory_bytes_max: Some(MEMORY_BYTES_MAX),
            processes_max: None,
            ..Limits::default()
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
}

fn report(what: &str, load: Load, taken: Taken) {
    let Taken { mut each, all } = taken;
    each.sort();
    let at = |percent: usize| each[(each.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let (p50, p99, lanes) = (at(50), at(99), load.lanes);
    let rate = each.len() as f64 / all.as_secs_f64();
    println!("{lanes:2} at once · {what}: p50 {p50:.1} ms, p99 {p99:.1} ms, {rate:.0}/s");
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
