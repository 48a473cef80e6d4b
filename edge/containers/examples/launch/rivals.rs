//! The same root, limits, namespaces and, where it can be told, the same kind of seccomp filter under other runtimes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::MEMORY_BYTES_MAX;

/// Docker's default filter, in a package that Podman brings along.
const FILTER: &str = "/usr/share/containers/seccomp.json";

/// `crun` refuses to work where it sees both versions of cgroups, so it does not see the second.
const WITHOUT_UNIFIED: &str =
    "if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec \"$@\"";

/// What the hidden subcommand runs: a program, and its arguments before and after the name of a container.
const SUBCOMMAND: &str = "rival";

/// One after the other, or as many lanes at once, until all have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) count: usize,
    pub(crate) lanes: usize,
}

/// How long each took, and all together.
pub(crate) struct Taken {
    pub(crate) each: Vec<Duration>,
    pub(crate) all: Duration,
}

pub(crate) fn bundle(dir: &Path, root: &Path) -> anyhow::Result<PathBuf> {
    let bundle = dir.join("bundle");
    std::fs::create_dir_all(&bundle)?;
    let made = Command::new("runc").arg("spec").current_dir(&bundle).status();
    ensure!(made.context("starting runc")?.success(), "runc spec failed");
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/sh", "-c", "true"]);
    config["root"] = json!({"path": root, "readonly": false});
    let linux = &mut config["linux"];
    linux["namespaces"] = json!([{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}]);
    linux["resources"]["memory"] = json!({"limit": MEMORY_BYTES_MAX});
    linux["resources"]["cpu"] = json!({"shares": 1024, "quota": 100_000, "period": 100_000});
    match std::fs::read(FILTER) {
        Ok(text) => linux["seccomp"] = filter(&serde_json::from_slice(&text)?),
        Err(_) => println!("crun and runc run without a filter: {FILTER} is not there"),
    }
    // Not allowed without a host name of its own.
    config.as_object_mut().context("an object")?.remove("hostname");
    std::fs::write(&path, config.to_string())?;
    Ok(bundle)
}

/// As the runtimes take it: what holds for a container on this architecture with the usual capabilities.
fn filter(all: &Value) -> Value {
    let is_plain = |one: &&Value| {
        let is_empty = |key: &str| one[key].as_object().is_none_or(serde_json::Map::is_empty);
        is_empty("includes") && is_empty("excludes")
    };
    let plain = all["syscalls"].as_array().into_iter().flatten().filter(is_plain);
    let calls: Vec<Value> = plain
        .map(|one| json!({"names": one["names"], "action": one["action"], "args": one["args"]}))
        .chain([
            json!({"names": ["arch_prctl", "modify_ldt", "chroot"], "action": "SCMP_ACT_ALLOW"}),
        ])
        .collect();
    let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
    json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures, "syscalls": calls})
}

/// In a process of its own, because of its mounts. `command` has `NAME` where a container's name goes.
pub(crate) fn measure(bundle: &Path, command: &[&str], load: Load) -> anyhow::Result<Taken> {
    let told = Command::new("unshare")
        .args(["--mount", "sh", "-c", WITHOUT_UNIFIED, "sh"])
        .arg(std::env::current_exe()?)
        .args([SUBCOMMAND, &load.count.to_string(), &load.lanes.to_string()])
        .args(command)
        .current_dir(bundle)
        .stderr(Stdio::inherit())
        .output()
        .context("starting unshare")?;
    ensure!(told.status.success(), "{}: {}", command.join(" "), told.status);
    let text = String::from_utf8(told.stdout)?;
    let mut nanos = text.lines().map(|line| Ok(Duration::from_nanos(line.parse()?)));
    let all = nanos.next().context("the time of all")??;
    let each = nanos.collect::<anyhow::Result<_>>()?;
    Ok(Taken { each, all })
}

/// Prints what all took, and each, in nanoseconds. `None`: this process is not here for that.
pub(crate) fn run(arguments: &[String]) -> Option<anyhow::Result<()>> {
    let (subcommand, rest) = arguments.split_first()?;
    (subcommand == SUBCOMMAND).then(|| run_all(rest))
}

fn run_all(arguments: &[String]) -> anyhow::Result<()> {
    let [count, lanes, command @ ..] = arguments else { anyhow::bail!("a count and lanes") };
    let (count, lanes): (usize, usize) = (count.parse()?, lanes.parse()?);
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let lane = || -> anyhow::Result<Vec<Duration>> {
        let mut each = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(each);
            }
            each.push(run_one(command, number)?);
        }
    };
    let each = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        let ended = lanes.into_iter().map(|lane| lane.join().expect("lanes do not panic"));
        ended.collect::<anyhow::Result<Vec<_>>>()
    })?;
    println!("{}", begun.elapsed().as_nanos());
    each.iter().flatten().for_each(|one| println!("{}", one.as_nanos()));
    Ok(())
}

fn run_one(command: &[String], number: usize) -> anyhow::Result<Duration> {
    let name = format!("bench-{}-{number}", std::process::id());
    let (program, arguments) = command.split_first().context("a command")?;
    let arguments = arguments.iter().map(|one| if one == "NAME" { &name } else { one });
    let begun = Instant::now();
    let mut run = Command::new(program);
    let status = run.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("starting {program}"))?;
    ensure!(status.success(), "{program}: {status}");
    Ok(begun.elapsed())
}
