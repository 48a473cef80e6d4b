//! The runtime's own part of a launch: no API, no commits, no agent.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use containers::spec::{ImageConfig, Limits, Logs, Root, Spec};
use containers::{Config, Containers};
use model::confinement::Confinement;
use model::container::Run;
use model::id::ContainerId;

use crate::report::Samples;
use crate::rootfs::Rootfs;

/// The same for all runtimes.
pub(crate) const MEMORY_BYTES_MAX: u64 = 64 << 20;
pub(crate) const CPU_MILLIS_MAX: u64 = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Until the program is executed.
    pub(crate) started: Samples,
    /// Until its end is told; the program is `true`.
    pub(crate) ended: Samples,
}

pub(crate) async fn measure(dir: &Path, rootfs: &Rootfs, count: u32) -> Result<Own> {
    let run = tempfile::Builder::new().prefix("dcos-bench").tempdir_in("/run")?;
    let cgroup = format!("/dcos-bench-{}", std::process::id());
    let config = Config::new(run.path().to_owned(), dir.join("written"), cgroup);
    let (containers, mut events) = Containers::open(config).await?;
    let mut own = Own::default();
    for number in 0..count {
        let spec = spec(dir, rootfs, number)?;
        let begun = Instant::now();
        containers.launch(spec.clone()).await?;
        own.started.add(begun.elapsed());
        events.recv().await.context("the end of a container is not told")?;
        own.ended.add(begun.elapsed());
        containers.remove(&spec.container).await?;
    }
    Ok(own)
}

fn spec(dir: &Path, rootfs: &Rootfs, number: u32) -> Result<Spec> {
    let sandbox = dir.join("sandboxes").join(number.to_string());
    std::fs::create_dir_all(&sandbox)?;
    Ok(Spec {
        container: ContainerId::new(format!("own-{number}")),
        sandbox,
        run: Run::Shell("true".into()),
        environment: Vec::new(),
        user: None,
        root: Root::Image { layers: vec![rootfs.dir.clone()], config: ImageConfig::default() },
        volumes: Vec::new(),
        limits: Limits {
            cpu_millis: CPU_MILLIS_MAX,
            cpu_millis_max: Some(CPU_MILLIS_MAX),
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

/// What one durable write of a small block takes on this disk.
pub(crate) fn sync_floor(dir: &Path, count: u32) -> Result<Samples> {
    use std::os::unix::fs::FileExt;
    const BLOCK: [u8; 4096] = [7; 4096];
    let file = std::fs::File::create(dir.join("synced")).context("creating a file to sync")?;
    let mut samples = Samples::default();
    for _ in 0..count {
        let begun = Instant::now();
        file.write_all_at(&BLOCK, 0)?;
        file.sync_data()?;
        samples.add(begun.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(samples)
}
