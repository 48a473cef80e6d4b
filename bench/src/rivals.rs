//! The same rootfs under `crun run`, `runc run` and `docker run`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::own::{CPU_MILLIS_MAX, MEMORY_BYTES_MAX};
use crate::report::Samples;
use crate::rootfs::Rootfs;

const DOCKER_START_MAX: Duration = Duration::from_secs(60);
const ASK_MS: u64 = 100;
const PERIOD_US: u64 = 100_000;

/// One runtime of the OCI, many times; a process of its own because of its mounts.
#[derive(Debug, Clone, Args)]
pub(crate) struct OciFlags {
    runtime: String,
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    count: u32,
}

/// Prints what each run took, in nanoseconds.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn run_oci(flags: &OciFlags) -> Result<()> {
    for number in 0..flags.count {
        let name = format!("bench-{}-{number}", std::process::id());
        let begun = Instant::now();
        let status = Command::new(&flags.runtime)
            .args(["run", &name])
            .current_dir(&flags.bundle)
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("starting {}", flags.runtime))?;
        ensure!(status.success(), "{} run: {status}", flags.runtime);
        println!("{}", begun.elapsed().as_nanos());
    }
    Ok(())
}

/// `crun` refuses to work where it sees both versions of cgroups, so it does not see the second.
const WITHOUT_UNIFIED: &str =
    "if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec \"$@\"";

/// `true` until it has ended.
pub(crate) fn oci(runtime: &str, dir: &Path, rootfs: &Rootfs, count: u32) -> Result<Samples> {
    let bundle = bundle(dir, rootfs)?;
    let told = Command::new("unshare")
        .args(["--mount", "sh", "-c", WITHOUT_UNIFIED, "sh"])
        .arg(std::env::current_exe().context("finding this program")?)
        .args(["oci", runtime, "--count", &count.to_string(), "--bundle"])
        .arg(bundle)
        .stderr(Stdio::inherit())
        .output()
        .context("starting unshare")?;
    ensure!(told.status.success(), "{runtime}: {}", told.status);
    let mut samples = Samples::default();
    for line in String::from_utf8(told.stdout)?.lines() {
        samples.add(Duration::from_nanos(line.parse()?));
    }
    Ok(samples)
}

fn bundle(dir: &Path, rootfs: &Rootfs) -> Result<PathBuf> {
    let bundle = dir.join("bundle");
    let path = bundle.join("config.json");
    if path.exists() {
        return Ok(bundle);
    }
    fs::create_dir_all(&bundle)?;
    let status = Command::new("runc").arg("spec").current_dir(&bundle).status();
    ensure!(status.context("starting runc")?.success(), "runc spec failed");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/sh", "-c", "true"]);
    config["root"] = json!({"path": rootfs.dir, "readonly": false});
    config["linux"]["resources"]["memory"] = json!({"limit": MEMORY_BYTES_MAX});
    let quota = PERIOD_US * CPU_MILLIS_MAX / 1_000;
    config["linux"]["resources"]["cpu"] =
        json!({"shares": 1024, "quota": quota, "period": PERIOD_US});
    fs::write(&path, config.to_string())?;
    Ok(bundle)
}

/// A daemon with everything of its own, so that it meets nobody's images and rules.
pub(crate) struct Docker {
    daemon: Child,
    socket: String,
    run: tempfile::TempDir,
    image: &'static str,
}

#[derive(Debug, Default)]
pub(crate) struct DockerTimes {
    /// `docker run -d` until it returns: the container has started.
    pub(crate) started: Samples,
    /// `docker run` of `true` until it returns.
    pub(crate) ended: Samples,
}

impl Docker {
    pub(crate) fn start(dir: &Path, rootfs: &Rootfs) -> Result<Self> {
        // Sockets have short names only.
        let run = tempfile::Builder::new().prefix("bench-docker").tempdir_in("/run")?;
        let socket = format!("unix://{}/docker.sock", run.path().display());
        let log = File::create(dir.join("dockerd.log"))?;
        let daemon = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--host", &socket])
            .arg("--data-root")
            .arg(dir.join("docker"))
            .arg("--exec-root")
            .arg(run.path().join("exec"))
            .arg("--pidfile")
            .arg(run.path().join("pid"))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting dockerd; it is in Debian's package docker.io")?;
        let mut docker = Self { daemon, socket, run, image: "bench:latest" };
        docker.until_answered(dir)?;
        let layer = dir.join("layer.tar");
        rootfs.write_layer(&layer)?;
        let layer = layer.to_str().context("a plain path")?.to_owned();
        docker.call(&["import", &layer, docker.image])?;
        Ok(docker)
    }

    fn until_answered(&mut self, dir: &Path) -> Result<()> {
        let begun = Instant::now();
        while self.call(&["version"]).is_err() {
            let gone = self.daemon.try_wait()?.is_some();
            if gone || begun.elapsed() > DOCKER_START_MAX {
                let log = fs::read_to_string(dir.join("dockerd.log")).unwrap_or_default();
                bail!("dockerd does not answer:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(ASK_MS));
        }
        Ok(())
    }

    fn call(&self, arguments: &[&str]) -> Result<String> {
        let mut docker = Command::new("docker");
        let told = docker.args(["--host", &self.socket]).args(arguments).output()?;
        let error = String::from_utf8_lossy(&told.stderr);
        ensure!(told.status.success(), "docker {}: {error}", arguments.join(" "));
        Ok(String::from_utf8(told.stdout)?.trim().to_owned())
    }

    pub(crate) fn measure(&self, count: u32) -> Result<DockerTimes> {
        let mut times = DockerTimes::default();
        let memory = MEMORY_BYTES_MAX.to_string();
        let common = ["--network", "host", "--memory", &memory, "--cpus", "1", self.image];
        for _ in 0..count {
            let begun = Instant::now();
            let run = [&["run", "--detach"][..], &common, &["/bin/sleep", "1000"]].concat();
            let container = self.call(&run)?;
            times.started.add(begun.elapsed());
            self.call(&["rm", "--force", &container])?;
            let begun = Instant::now();
            let run = [&["run", "--rm"][..], &common, &["/bin/true"]].concat();
            self.call(&run)?;
            times.ended.add(begun.elapsed());
        }
        Ok(times)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.daemon.wait();
        // What it leaves mounted keeps its directories from going.
        for mounted in ["exec/netns/default", "exec"] {
            let path = self.run.path().join(mounted);
            let _ = rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH);
        }
    }
}
