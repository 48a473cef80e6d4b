//! A container's groups, made and limited before anybody is in them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Devices, Hierarchies, below, is_gone, program, undisturbed};
use crate::protocol::Pool;
use crate::spec::Limits;

/// Controllers of version 1 for which a container has a group of its own. Not `cpuset`, whose fresh groups have no
/// processors and take nobody.
const OWN_V1: [&str; 7] = ["cpu", "cpuacct", "memory", "pids", "devices", "freezer", "blkio"];

/// Of both versions.
const CPU: &str = "cpu";
const SWAP_V1: &str = "memory.memsw.limit_in_bytes";
const SWAP_V2: &str = "memory.swap.max";

/// Of version 1 only.
const DEVICES: &str = "devices";

/// What version 2 has to hand on from group to group before it can be limited.
const HANDED_ON_V2: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// Mesos gives a CPU so many shares, and nobody fewer than the kernel takes.
const SHARES_PER_CPU: u64 = 1024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
const WEIGHT_MAX: u64 = 10_000;

/// In which the CPU time that a quota allows is used up.
const CPU_PERIOD_MICROS: u64 = 100_000;
const CPU_QUOTA_MICROS_MIN: u64 = 1_000;

/// A container's own group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) cgroup: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) devices: Devices<'a>,
}

/// A file of a controller and what is written to it.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: &'static str,
    file: &'static str,
    value: String,
}

fn setting(controller: &'static str, file: &'static str, value: impl ToString) -> Setting {
    Setting { controller, file, value: value.to_string() }
}

impl Hierarchies {
    /// Makes the group in every tree that limits or counts and moves a process into it. Its CPU time is not limited yet.
    /// Until somebody is in it anybody may remove it, and its pool.
    pub(crate) fn make(&self, own: Own<'_>, pool: Option<&Pool>, pid: u32) -> anyhow::Result<()> {
        undisturbed(|| {
            if let Some(pool) = pool.filter(|pool| !self.is_there(&pool.cgroup)) {
                self.make_pool(&pool.cgroup, &pool.limits)?;
            }
            self.make_empty(own)?;
            self.admit(own.cgroup, pid)
        })
    }

    /// Makes a group for the groups of several containers, or changes the limits of one that is there.
    pub(crate) fn make_pool(&self, cgroup: &str, limits: &Limits) -> anyhow::Result<()> {
        if !self.is_there(cgroup) {
            for dir in self.own_dirs(cgroup) {
                fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
                // Kernels before 5.11 only count what lies below if they are told so. Later ones have no other way.
                let _ = fs::write(dir.join("memory.use_hierarchy"), "1");
            }
            if let Some(mount) = self.v2.as_ref().filter(|_| self.is_v2()) {
                hand_on(mount, cgroup)?;
            }
        }
        self.limit(cgroup, limits)
    }

    fn is_there(&self, cgroup: &str) -> bool {
        self.own_dirs(cgroup).iter().all(|dir| dir.exists())
    }

    fn make_empty(&self, Own { cgroup, limits, devices }: Own<'_>) -> anyhow::Result<()> {
        for dir in self.own_dirs(cgroup) {
            fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        if let Some(mount) = self.v2.as_ref().filter(|_| self.is_v2()) {
            hand_on(mount, cgroup)?;
        }
        let mut settings = self.settings(limits, devices);
        settings.retain(|one| one.controller != CPU && self.can_set(cgroup, one));
        self.write_all(cgroup, &settings)?;
        self.ask_program(cgroup, devices)
    }

    /// Version 2 has no controller of devices.
    fn ask_program(&self, cgroup: &str, devices: Devices<'_>) -> anyhow::Result<()> {
        if !self.programs || !devices.limits() {
            return Ok(());
        }
        let group = self.dir("", cgroup)?;
        program::attach(&group, &devices.program())
            .with_context(|| format!("saying which devices may be opened in {}", group.display()))
    }

    /// What is left to be limited in a group when the program runs: who prepares it is in the group, too, and would be
    /// kept waiting by a small share or quota. If the group is gone, so are those who were in it: they have ended, or
    /// whoever removed it has moved them elsewhere.
    pub(crate) fn limit_cpu(&self, cgroup: &str, limits: &Limits) -> anyhow::Result<()> {
        let mut settings = self.settings(limits, Devices::AllBut(&[]));
        settings.retain(|one| one.controller == CPU);
        match self.write_all(cgroup, &settings) {
            Err(cause) if is_gone(&cause) => Ok(()),
            written => written,
        }
    }

    fn settings(&self, limits: &Limits, devices: Devices) -> Vec<Setting> {
        match self.is_v2() {
            true => settings_v2(limits),
            false => settings_v1(limits, devices, self.limits_swap()),
        }
    }

    /// Takes away the limits that a group may have and is not to have any more.
    fn lifted(&self, limits: &Limits) -> impl Iterator<Item = Setting> {
        let all = match self.is_v2() {
            true => [
                setting(CPU, "cpu.max", format!("max {CPU_PERIOD_MICROS}")),
                setting("memory", SWAP_V2, "max"),
                setting("memory", "memory.max", "max"),
            ],
            false => [
                setting(CPU, "cpu.cfs_quota_us", -1),
                setting("memory", SWAP_V1, -1),
                setting("memory", "memory.limit_in_bytes", -1),
            ],
        };
        let (cpu, memory) = (limits.cpu_millis_max.is_none(), limits.memory_bytes_max.is_none());
        all.into_iter().filter(move |one| if one.controller == CPU { cpu } else { memory })
    }

    /// Kernels that do not count swap have no file for it.
    fn can_set(&self, cgroup: &str, one: &Setting) -> bool {
        let is_swap = matches!(one.file, SWAP_V1 | SWAP_V2);
        !is_swap || self.dir(one.controller, cgroup).is_ok_and(|dir| dir.join(one.file).exists())
    }

    fn write_all(&self, cgroup: &str, settings: &[Setting]) -> anyhow::Result<()> {
        let is_same = |a: &Setting, b: &Setting| (a.controller, a.file) == (b.controller, b.file);
        settings.chunk_by(is_same).try_for_each(|same| self.write(cgroup, same))
    }

    /// One value after the other, all for the same file.
    fn write(&self, cgroup: &str, same: &[Setting]) -> anyhow::Result<()> {
        let Some(Setting { controller, file, .. }) = same.first() else { return Ok(()) };
        let path = self.dir(controller, cgroup)?.join(file);
        let opened = OpenOptions::new().write(true).open(&path);
        let mut opened = opened.with_context(|| format!("opening {}", path.display()))?;
        same.iter().try_for_each(|Setting { value, .. }| {
            let written = opened.write_all(value.as_bytes());
            written.with_context(|| format!("writing {value:?} to {}", path.display()))
        })
    }

    /// Makes a group in another's, which has to be there and limits both, and moves a process into it. What its own
    /// limits take away it has less than the other.
    pub(crate) fn make_within(
        &self,
        Own { cgroup, limits, devices }: Own<'_>,
        pid: u32,
    ) -> anyhow::Result<()> {
        let is_limited = *limits != Limits::default();
        if is_limited && self.is_v2() {
            bail!(
                "version 2 of control groups cannot limit a container apart from the one that it lies in: leave out \
                 resources, limits and 'share_cgroups'"
            );
        }
        for dir in self.own_dirs(cgroup) {
            fs::create_dir(&dir).with_context(|| {
                format!("creating {}; has the container that it lies in ended?", dir.display())
            })?;
        }
        let mut settings = self.settings(limits, devices);
        settings.retain(|one| match is_limited {
            true => one.controller != CPU && self.can_set(cgroup, one),
            false => one.controller == DEVICES,
        });
        self.write_all(cgroup, &settings)?;
        self.ask_program(cgroup, devices)?;
        self.admit(cgroup, pid)
    }

    /// Changes the limits of a group that is there.
    pub(crate) fn limit(&self, cgroup: &str, limits: &Limits) -> anyhow::Result<()> {
        let mut settings = self.settings(limits, Devices::AllBut(&[]));
        settings.extend(self.lifted(limits));
        settings.retain(|one| self.can_set(cgroup, one));
        // Version 1 refuses to go below what is used; version 2 would kill.
        if self.is_v2() && limits.memory_bytes_max < self.memory_bytes(cgroup) {
            settings.retain(|one| one.file != "memory.max");
        }
        let is_amount = |one: &&Setting| matches!(one.controller, CPU | "memory");
        let amounts: Vec<&Setting> = settings.iter().filter(is_amount).collect();
        let write = |one: &&Setting| {
            let path = self.dir(one.controller, cgroup)?.join(one.file);
            fs::write(&path, &one.value)
                .with_context(|| format!("writing {:?} to {}", one.value, path.display()))
        };
        // Memory must never be above memory and swap together, so on the way up the first of the two has to wait.
        let refused: Vec<&Setting> =
            amounts.iter().filter(|one| write(one).is_err()).copied().collect();
        refused.iter().try_for_each(write)
    }

    fn memory_bytes(&self, cgroup: &str) -> Option<u64> {
        let path = self.dir("memory", cgroup).ok()?.join("memory.current");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// Moves a process into the group that was made. With version 1 the first move of any process in a while waits
    /// several milliseconds, for a grace period of the kernel's.
    fn admit(&self, cgroup: &str, pid: u32) -> anyhow::Result<()> {
        for dir in self.own_dirs(cgroup) {
            let path = dir.join("cgroup.procs");
            fs::write(&path, pid.to_string())
                .with_context(|| format!("moving process {pid} into {}", dir.display()))?;
        }
        Ok(())
    }

    fn own_dirs(&self, cgroup: &str) -> Vec<PathBuf> {
        if self.is_v2() {
            return self.v2.iter().map(|mount| below(mount, cgroup)).collect();
        }
        let is_own = |controller: &String| OWN_V1.contains(&controller.as_str());
        let own = self.v1.iter().filter(|hierarchy| hierarchy.controllers.iter().any(is_own));
        own.map(|hierarchy| below(&hierarchy.mount, cgroup)).collect()
    }
}

/// Lets every group on the way down limit its children, as far as this machine has the controllers.
fn hand_on(mount: &Path, cgroup: &str) -> anyhow::Result<()> {
    let there = fs::read_to_string(mount.join("cgroup.controllers"))
        .with_context(|| format!("reading the controllers of {}", mount.display()))?;
    let there: Vec<&str> = there.split_whitespace().collect();
    let wanted: Vec<String> = HANDED_ON_V2
        .iter()
        .filter(|controller| there.contains(controller))
        .map(|controller| format!("+{controller}"))
        .collect();
    let wanted = wanted.join(" ");
    let group = below(mount, cgroup);
    let parents = group.ancestors().skip(1).take_while(|dir| dir.starts_with(mount));
    let mut downwards: Vec<&Path> = parents.collect();
    downwards.reverse();
    for dir in downwards {
        let path = dir.join("cgroup.subtree_control");
        fs::write(&path, &wanted)
            .with_context(|| format!("writing {wanted:?} to {}", path.display()))?;
    }
    Ok(())
}

fn shares(limits: &Limits) -> u64 {
    limits
        .cpu_shares
        .unwrap_or(limits.cpu_millis * SHARES_PER_CPU / 1000)
        .clamp(SHARES_MIN, SHARES_MAX)
}

fn quota_micros(millis: u64) -> u64 {
    (millis * CPU_PERIOD_MICROS / 1000).max(CPU_QUOTA_MICROS_MIN)
}

fn settings_v1(limits: &Limits, devices: Devices<'_>, limits_swap: bool) -> Vec<Setting> {
    let mut all = vec![setting("cpu", "cpu.shares", shares(limits))];
    let orders = devices.orders().into_iter();
    all.extend(orders.map(|(file, value)| setting(DEVICES, file, value)));
    if let Some(millis) = limits.cpu_millis_max {
        all.push(setting("cpu", "cpu.cfs_period_us", CPU_PERIOD_MICROS));
        all.push(setting("cpu", "cpu.cfs_quota_us", quota_micros(millis)));
    }
    if let Some(bytes) = limits.memory_bytes_max {
        all.push(setting("memory", "memory.limit_in_bytes", bytes));
        if limits_swap {
            let with_swap = bytes.saturating_add(limits.swap_bytes_max.unwrap_or(0));
            let most = if with_swap == u64::MAX { "-1".into() } else { with_swap.to_string() };
            all.push(setting("memory", SWAP_V1, most));
        }
    }
    if let Some(bytes) = limits.memory_bytes_kept {
        all.push(setting("memory", "memory.soft_limit_in_bytes", bytes));
    }
    if let Some(processes) = limits.processes_max {
        all.push(setting("pids", "pids.max", processes));
    }
    all
}

fn settings_v2(limits: &Limits) -> Vec<Setting> {
    // As the kernel's documentation maps the one range to the other.
    let weight = 1 + (shares(limits) - SHARES_MIN) * (WEIGHT_MAX - 1) / (SHARES_MAX - SHARES_MIN);
    let mut all = vec![setting("cpu", "cpu.weight", weight)];
    if let Some(millis) = limits.cpu_millis_max {
        let value = format!("{} {CPU_PERIOD_MICROS}", quota_micros(millis));
        all.push(setting("cpu", "cpu.max", value));
    }
    if let Some(bytes) = limits.memory_bytes_max {
        all.push(setting("memory", "memory.max", bytes));
        let swap = limits.swap_bytes_max.unwrap_or(0);
        let swap = if swap == u64::MAX { "max".into() } else { swap.to_string() };
        all.push(setting("memory", SWAP_V2, swap));
    }
    if let Some(bytes) = limits.memory_bytes_kept {
        all.push(setting("memory", "memory.low", bytes));
    }
    if let Some(processes) = limits.processes_max {
        all.push(setting("pids", "pids.max", processes));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(cpu_millis: u64, cpu_millis_max: Option<u64>) -> Limits {
        Limits { cpu_millis, cpu_millis_max, ..Limits::default() }
    }

    fn value<'a>(settings: &'a [Setting], file: &str) -> Option<&'a str> {
        settings.iter().find(|setting| setting.file == file).map(|setting| setting.value.as_str())
    }

    #[test]
    fn cpus_become_shares_and_a_quota() {
        let check = |limits: Limits, shares: &str, weight: &str, quota: Option<&str>| {
            let v1 = settings_v1(&limits, Devices::AllBut(&[]), true);
            let v2 = settings_v2(&limits);
            assert_eq!(value(&v1, "cpu.shares"), Some(shares));
            assert_eq!(value(&v1, "cpu.cfs_quota_us"), quota);
            assert_eq!(value(&v2, "cpu.weight"), Some(weight));
            let max = quota.map(|quota| format!("{quota} 100000"));
            assert_eq!(value(&v2, "cpu.max"), max.as_deref());
        };
        check(limits(500, Some(500)), "512", "20", Some("50000"));
        check(limits(1, Some(1)), "2", "1", Some("1000"));
        check(limits(2_000, None), "2048", "79", None);
        check(limits(1_000_000, None), "262144", "10000", None);
    }

    #[test]
    fn memory_is_limited_with_its_swap_where_that_is_counted() {
        let limits = Limits { memory_bytes_max: Some(1 << 20), ..limits(100, None) };
        let swap = |counted| {
            let settings = settings_v1(&limits, Devices::AllBut(&[]), counted);
            value(&settings, "memory.memsw.limit_in_bytes").map(String::from)
        };
        assert_eq!((swap(true).as_deref(), swap(false)), (Some("1048576"), None));
        let v2 = settings_v2(&limits);
        assert_eq!(value(&v2, "memory.max"), Some("1048576"));
        assert_eq!(value(&v2, "memory.swap.max"), Some("0"));
        let more =
            |swap_bytes_max| Limits { swap_bytes_max: Some(swap_bytes_max), ..limits.clone() };
        let check = |swap: u64, v1: &str, v2: &str| {
            let (old, new) =
                (settings_v1(&more(swap), Devices::AllBut(&[]), true), settings_v2(&more(swap)));
            assert_eq!(value(&old, "memory.memsw.limit_in_bytes"), Some(v1));
            assert_eq!(value(&new, "memory.swap.max"), Some(v2));
        };
        check(1 << 20, "2097152", "1048576");
        check(u64::MAX, "-1", "max");
    }

    #[test]
    fn what_is_set_aside_is_left_when_memory_runs_short() {
        let limits = Limits { memory_bytes_kept: Some(4096), ..limits(100, None) };
        let v1 = settings_v1(&limits, Devices::AllBut(&[]), true);
        assert_eq!(value(&v1, "memory.soft_limit_in_bytes"), Some("4096"));
        assert_eq!(value(&settings_v2(&limits), "memory.low"), Some("4096"));
    }

    #[test]
    fn groups_of_version_2_hand_on_what_the_machine_has() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let mount = tree.path();
        fs::create_dir_all(mount.join("dcos/x/c")).expect("directories");
        fs::write(mount.join("cgroup.controllers"), "cpuset cpu memory pids\n").expect("written");
        hand_on(mount, "/dcos/x/c").expect("handed on");
        for dir in ["", "dcos", "dcos/x"] {
            let written = fs::read_to_string(mount.join(dir).join("cgroup.subtree_control"));
            assert_eq!(written.expect(dir), "+cpu +memory +pids", "{dir:?}");
        }
        assert!(!mount.join("dcos/x/c/cgroup.subtree_control").exists());
    }
}
