//! Control groups of both versions behind one face: where ours lie, who is in them, what they have used.
//!
//! Version 1 has a tree for each controller; hybrid machines have those and a version 2 tree that controls next to
//! nothing; version 2 machines have one tree.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal};

use crate::spec::Usage;

mod devices;
mod freeze;
mod make;
mod program;
mod read;

pub(crate) use devices::Devices;
pub(crate) use make::Own;
use read::keyed;

/// Killed processes need a moment to leave.
const EMPTYING_MS_MAX: u64 = 5_000;
const EMPTYING_PAUSE_MS: u64 = 2;

/// Whoever removes an empty group does so once, when it ends.
const ENTERING_TRIES_MAX: u32 = 100;

/// Where this machine has its control groups mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    v1: Vec<Hierarchy>,
    v2: Option<PathBuf>,
    /// Whether programs say which devices a container may open.
    programs: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    controllers: Vec<String>,
    mount: PathBuf,
}

impl Hierarchies {
    pub(crate) fn detect() -> anyhow::Result<Hierarchies> {
        let text = std::fs::read_to_string("/proc/self/mountinfo")
            .context("reading /proc/self/mountinfo")?;
        let mut found = Self::parse(&text);
        found.programs = found.is_v2() && program::are_supported();
        anyhow::ensure!(
            found.is_v2() || found.v1("memory").is_some(),
            "no control groups are mounted; mount them below /sys/fs/cgroup"
        );
        Ok(found)
    }

    fn parse(mountinfo: &str) -> Hierarchies {
        let mut found = Hierarchies { v1: Vec::new(), v2: None, programs: false };
        for line in mountinfo.lines() {
            let Some((place, file_system)) = line.split_once(" - ") else { continue };
            let (Some(mount), Some(kind)) =
                (place.split(' ').nth(4), file_system.split(' ').next())
            else {
                continue;
            };
            let mount = PathBuf::from(mount);
            if kind == "cgroup2" && found.v2.is_none() {
                found.v2 = Some(mount);
            } else if kind == "cgroup" {
                let options = file_system.split(' ').nth(2).unwrap_or_default();
                let controllers = options.split(',').map(String::from).collect();
                found.v1.push(Hierarchy { controllers, mount });
            }
        }
        found
    }

    /// Whether version 2 has the controllers.
    pub(crate) fn is_v2(&self) -> bool {
        self.v2.is_some() && self.v1("memory").is_none()
    }

    /// Whether anything says which devices a container may open.
    pub(crate) fn control_devices(&self) -> bool {
        self.programs || self.v1("devices").is_some()
    }

    /// Where a version 1 controller is mounted.
    pub(crate) fn v1(&self, controller: &str) -> Option<&Path> {
        let found = self.v1.iter().find(|h| h.controllers.iter().any(|c| c == controller));
        found.map(|hierarchy| hierarchy.mount.as_path())
    }

    /// The group's directory in every tree, existing or not.
    fn dirs(&self, cgroup: &str) -> Vec<PathBuf> {
        let mounts = self.v1.iter().map(|hierarchy| &hierarchy.mount).chain(&self.v2);
        mounts.map(|mount| below(mount, cgroup)).collect()
    }

    /// The group's directory where `controller` is.
    pub(crate) fn dir(&self, controller: &str, cgroup: &str) -> anyhow::Result<PathBuf> {
        let mount = if self.is_v2() { self.v2.as_deref() } else { self.v1(controller) };
        let mount =
            mount.with_context(|| format!("no control group for {controller} is mounted"))?;
        Ok(below(mount, cgroup))
    }

    /// Moves the calling process in every tree, so that nothing done to its old groups reaches it or its children.
    ///
    /// While the group is there, so are those above it: who ends elsewhere removes only what is empty.
    pub(crate) fn join(&self, cgroup: &str) -> anyhow::Result<()> {
        // A fresh group of this controller has no CPUs and takes nobody; and nobody kills by it.
        let cpuset = self.v1("cpuset").map(|mount| below(mount, cgroup));
        for dir in self.dirs(cgroup) {
            let joined = undisturbed(|| {
                std::fs::create_dir_all(&dir)?;
                if Some(&dir) != cpuset.as_ref() {
                    std::fs::write(dir.join("cgroup.procs"), "0")?;
                }
                Ok(())
            });
            joined.with_context(|| format!("joining {}", dir.display()))?;
        }
        Ok(())
    }

    /// Kills whoever is in the group and removes it. A group that is not there is gone already.
    pub(crate) fn remove(&self, cgroup: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_millis(EMPTYING_MS_MAX);
        for dir in self.dirs(cgroup) {
            while let Err(e) = remove_tree(&dir) {
                let busy = e.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline;
                if !busy {
                    return Err(e).with_context(|| format!("removing {}", dir.display()));
                }
                kill_tree(&dir);
                self.thaw(cgroup);
                std::thread::sleep(Duration::from_millis(EMPTYING_PAUSE_MS));
            }
        }
        Ok(())
    }

    /// To whoever is in the group but one of them.
    pub(crate) fn signal(&self, cgroup: &str, signal: Signal, spared: Pid) {
        // Members are in all trees: the first knows them.
        let Some(dir) = self.dir("memory", cgroup).ok() else { return };
        for pid in members(&dir).into_iter().filter(|pid| *pid != spared) {
            // It may have ended since.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// With the groups above it. Leaves alone what anybody or any other group is in.
    pub(crate) fn remove_if_empty(&self, cgroup: &str) {
        for group in Path::new(cgroup).ancestors().filter_map(Path::to_str) {
            for dir in self.dirs(group).into_iter().filter(|_| !matches!(group, "" | "/")) {
                // The kernel refuses what is in use.
                let _ = std::fs::remove_dir(dir);
            }
        }
    }

    /// A group and those right in it, if nobody is in any of them.
    pub(crate) fn remove_hollow(&self, cgroup: &str) {
        for dir in self.dirs(cgroup) {
            // The kernel refuses what is in use.
            groups_in(&dir).iter().for_each(|below| drop(std::fs::remove_dir(below)));
            let _ = std::fs::remove_dir(&dir);
        }
    }

    /// Of the groups right in a group.
    pub(crate) fn names_in(&self, cgroup: &str) -> Vec<String> {
        // All trees have them, but for those that somebody has removed elsewhere.
        let Ok(dir) = self.dir("memory", cgroup) else { return Vec::new() };
        let names = groups_in(&dir)
            .into_iter()
            .filter_map(|dir| dir.file_name()?.to_str().map(String::from));
        names.collect()
    }

    /// How many thousandths of a processor and how many bytes of memory whoever is in the group may have.
    pub(crate) fn most(&self, cgroup: &str) -> anyhow::Result<(Option<u64>, Option<u64>)> {
        match self.is_v2() {
            true => read::most_v2(&self.dir("", cgroup)?),
            false => read::most_v1(&self.dir("cpu", cgroup)?, &self.dir("memory", cgroup)?),
        }
    }

    pub(crate) fn usage(&self, cgroup: &str) -> anyhow::Result<Usage> {
        if self.is_v2() {
            read::usage_v2(&self.dir("", cgroup)?)
        } else {
            read::usage_v1(&read::DirsV1 {
                cpu: self.dir("cpu", cgroup)?,
                cpuacct: self.dir("cpuacct", cgroup)?,
                memory: self.dir("memory", cgroup)?,
                pids: self.dir("pids", cgroup)?,
                blkio: self.dir("blkio", cgroup).ok(),
            })
        }
    }

    /// Of the group that a process is in, which has the same name in every hierarchy.
    pub(crate) fn usage_around(&self, pid: u32) -> anyhow::Result<Usage> {
        let path = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let wanted = if self.is_v2() { "" } else { "memory" };
        let group = text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, group) = rest.split_once(':')?;
            controllers.split(',').any(|one| one == wanted).then_some(group)
        });
        self.usage(group.with_context(|| format!("no group of {wanted:?} in {path}"))?)
    }

    /// How often the kernel killed in this group for lack of memory.
    pub(crate) fn oom_kills(&self, cgroup: &str) -> anyhow::Result<u64> {
        let name = if self.is_v2() { "memory.events" } else { "memory.oom_control" };
        let path = self.dir("memory", cgroup)?.join(name);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        Ok(keyed(&text, "oom_kill").unwrap_or(0))
    }

    /// The most memory that the group ever had, as far as the kernel tells.
    pub(crate) fn memory_bytes_peak(&self, cgroup: &str) -> Option<u64> {
        let name = if self.is_v2() { "memory.peak" } else { "memory.max_usage_in_bytes" };
        let path = self.dir("memory", cgroup).ok()?.join(name);
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// Whether swap is accounted, so that a limit for it can be set.
    pub(crate) fn limits_swap(&self) -> bool {
        match self.v1("memory") {
            Some(mount) => mount.join("memory.memsw.limit_in_bytes").exists(),
            None => true,
        }
    }
}

/// Cgroup paths begin with a slash.
fn below(mount: &Path, cgroup: &str) -> PathBuf {
    mount.join(cgroup.trim_start_matches('/'))
}

/// Somebody may remove a group above between two steps, for it is empty: then all of them are made again.
fn undisturbed(steps: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut tries = 1;
    loop {
        match steps() {
            Err(e) if is_gone(&e) && tries < ENTERING_TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

/// The file is not there, or was opened in a group that is no more.
fn is_gone(e: &anyhow::Error) -> bool {
    let cause: Option<&std::io::Error> = e.downcast_ref();
    cause.is_some_and(|e| e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(libc::ENODEV))
}

/// Removes the group and those that processes in it have made. Most have none: only who is refused looks for them.
fn remove_tree(dir: &Path) -> std::io::Result<()> {
    if remove_dir(dir).is_ok() {
        return Ok(());
    }
    for below in groups_in(dir) {
        remove_tree(&below)?;
    }
    remove_dir(dir)
}

/// One that is not there is removed.
fn remove_dir(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn kill_tree(dir: &Path) {
    kill_members(dir);
    groups_in(dir).iter().for_each(|below| kill_tree(below));
}

/// Those right below.
fn groups_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.map(|entry| entry.path()).collect()
}

fn members(dir: &Path) -> Vec<Pid> {
    let members = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    members.lines().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw).collect()
}

fn kill_members(dir: &Path) {
    for pid in members(dir) {
        // It may have ended since.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";

    #[test]
    fn the_trees_of_both_versions_are_found() {
        let check = |text: &str, v2: bool, memory: Option<&str>, cpuacct: Option<&str>| {
            let found = Hierarchies::parse(text);
            assert_eq!(found.is_v2(), v2);
            assert_eq!(found.v1("memory"), memory.map(Path::new));
            assert_eq!(found.v1("cpuacct"), cpuacct.map(Path::new));
        };
        let (memory, cpu) = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct");
        check(HYBRID, false, Some(memory), Some(cpu));
        check(UNIFIED, true, None, None);
    }

    #[test]
    fn a_group_has_a_directory_in_every_tree() {
        let check = |text: &str, expected: &[&str]| {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(Hierarchies::parse(text).dirs("/dcos/a"), expected);
        };
        check(UNIFIED, &["/sys/fs/cgroup/dcos/a"]);
        check(
            HYBRID,
            &[
                "/sys/fs/cgroup/cpu,cpuacct/dcos/a",
                "/sys/fs/cgroup/memory/dcos/a",
                "/sys/fs/cgroup/unified/dcos/a",
            ],
        );
    }
}
