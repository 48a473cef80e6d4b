//! What control groups tell about themselves, in both versions' files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::spec::Usage;

/// From this on a version 1 limit means none.
const MEMORY_UNLIMITED_BYTES: u64 = 1 << 60;

/// In which unit version 1 counts user and system time: USER_HZ, part of the kernel's interface.
const TICKS_PER_SECOND: u64 = 100;

/// A container's directory in each version 1 tree that is read.
#[derive(Debug)]
pub(crate) struct DirsV1 {
    pub(crate) cpu: PathBuf,
    pub(crate) cpuacct: PathBuf,
    pub(crate) memory: PathBuf,
    pub(crate) pids: PathBuf,
}

pub(crate) fn usage_v1(dirs: &DirsV1) -> anyhow::Result<Usage> {
    let times = read(&dirs.cpuacct, "cpuacct.stat")?;
    let throttling = read(&dirs.cpu, "cpu.stat")?;
    let quota = read(&dirs.cpu, "cpu.cfs_quota_us")?;
    let period = read(&dirs.cpu, "cpu.cfs_period_us")?;
    let memory = read(&dirs.memory, "memory.stat")?;
    let limit: u64 = number(&read(&dirs.memory, "memory.limit_in_bytes")?)?;
    Ok(Usage {
        cpu_user: ticks(keyed(&times, "user").unwrap_or(0)),
        cpu_system: ticks(keyed(&times, "system").unwrap_or(0)),
        cpu_millis_max: cpu_millis_max(&quota, &period),
        cpu_periods: keyed(&throttling, "nr_periods").unwrap_or(0),
        cpu_periods_throttled: keyed(&throttling, "nr_throttled").unwrap_or(0),
        cpu_throttled: Duration::from_nanos(keyed(&throttling, "throttled_time").unwrap_or(0)),
        memory_rss_bytes: keyed(&memory, "total_rss").or(keyed(&memory, "rss")).unwrap_or(0),
        memory_bytes: number(&read(&dirs.memory, "memory.usage_in_bytes")?)?,
        memory_bytes_max: Some(limit).filter(|limit| *limit < MEMORY_UNLIMITED_BYTES),
        processes: number(&read(&dirs.pids, "pids.current")?)?,
    })
}

pub(crate) fn usage_v2(dir: &Path) -> anyhow::Result<Usage> {
    let cpu = read(dir, "cpu.stat")?;
    let memory = read(dir, "memory.stat")?;
    let cpu_max = read(dir, "cpu.max")?;
    let (quota, period) = cpu_max.trim().split_once(' ').context("cpu.max has two words")?;
    let micros = |key: &str| Duration::from_micros(keyed(&cpu, key).unwrap_or(0));
    Ok(Usage {
        cpu_user: micros("user_usec"),
        cpu_system: micros("system_usec"),
        cpu_millis_max: cpu_millis_max(quota, period),
        cpu_periods: keyed(&cpu, "nr_periods").unwrap_or(0),
        cpu_periods_throttled: keyed(&cpu, "nr_throttled").unwrap_or(0),
        cpu_throttled: micros("throttled_usec"),
        memory_rss_bytes: keyed(&memory, "anon").unwrap_or(0),
        memory_bytes: number(&read(dir, "memory.current")?)?,
        memory_bytes_max: read(dir, "memory.max")?.trim().parse().ok(),
        processes: number(&read(dir, "pids.current")?)?,
    })
}

/// The value of `key` in lines of `key value`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// `-1` and `max` stand for no quota.
fn cpu_millis_max(quota: &str, period: &str) -> Option<u64> {
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota * 1000 / period)
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.trim().parse().with_context(|| format!("{:?} is not a number", text.trim()))
}

fn read(dir: &Path, name: &str) -> anyhow::Result<String> {
    let path = dir.join(name);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(dir: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            std::fs::write(dir.join(name), text).expect("written");
        }
    }

    #[test]
    fn version_1_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        record(
            dir.path(),
            &[
                ("cpuacct.stat", "user 151\nsystem 49\n"),
                ("cpu.stat", "nr_periods 30\nnr_throttled 12\nthrottled_time 1500000000\n"),
                ("cpu.cfs_quota_us", "50000\n"),
                ("cpu.cfs_period_us", "100000\n"),
                ("memory.stat", "cache 4096\nrss 8192\ntotal_cache 8192\ntotal_rss 16384\n"),
                ("memory.limit_in_bytes", "33554432\n"),
                ("memory.usage_in_bytes", "24576\n"),
                ("pids.current", "3\n"),
            ],
        );
        let here = || dir.path().to_path_buf();
        let dirs = DirsV1 { cpu: here(), cpuacct: here(), memory: here(), pids: here() };
        let expected = Usage {
            cpu_user: Duration::from_millis(1510),
            cpu_system: Duration::from_millis(490),
            cpu_millis_max: Some(500),
            cpu_periods: 30,
            cpu_periods_throttled: 12,
            cpu_throttled: Duration::from_millis(1500),
            memory_rss_bytes: 16384,
            memory_bytes: 24576,
            memory_bytes_max: Some(33_554_432),
            processes: 3,
        };
        assert_eq!(usage_v1(&dirs).expect("read"), expected);
        record(
            dir.path(),
            &[("cpu.cfs_quota_us", "-1\n"), ("memory.limit_in_bytes", "9223372036854771712\n")],
        );
        let unlimited = Usage { cpu_millis_max: None, memory_bytes_max: None, ..expected };
        assert_eq!(usage_v1(&dirs).expect("read"), unlimited);
    }

    #[test]
    fn version_2_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let cpu = "usage_usec 2000\nuser_usec 1500\nsystem_usec 500\nnr_periods 3\nnr_throttled 1\n\
                   throttled_usec 250\nnr_bursts 0\nburst_usec 0\n";
        record(
            dir.path(),
            &[
                ("cpu.stat", cpu),
                ("cpu.max", "150000 100000\n"),
                ("memory.stat", "anon 8192\nfile 4096\nkernel 100\n"),
                ("memory.current", "12388\n"),
                ("memory.max", "max\n"),
                ("pids.current", "2\n"),
            ],
        );
        let expected = Usage {
            cpu_user: Duration::from_micros(1500),
            cpu_system: Duration::from_micros(500),
            cpu_millis_max: Some(1500),
            cpu_periods: 3,
            cpu_periods_throttled: 1,
            cpu_throttled: Duration::from_micros(250),
            memory_rss_bytes: 8192,
            memory_bytes: 12388,
            memory_bytes_max: None,
            processes: 2,
        };
        assert_eq!(usage_v2(dir.path()).expect("read"), expected);
        record(dir.path(), &[("cpu.max", "max 100000\n"), ("memory.max", "4096\n")]);
        let limited = Usage { cpu_millis_max: None, memory_bytes_max: Some(4096), ..expected };
        assert_eq!(usage_v2(dir.path()).expect("read"), limited);
    }

    #[test]
    fn a_key_is_a_whole_word() {
        let events = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(keyed(events, "oom"), Some(2));
        assert_eq!(keyed(events, "oom_kill"), Some(1));
        assert_eq!(keyed(events, "oom_kil"), None);
    }
}
