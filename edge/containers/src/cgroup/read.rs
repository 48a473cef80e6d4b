//! What control groups tell about themselves, in both versions' files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::spec::{BlockTraffic, Usage};

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
    /// Not everywhere.
    pub(crate) blkio: Option<PathBuf>,
}

pub(crate) fn usage_v1(dirs: &DirsV1) -> anyhow::Result<Usage> {
    let times = read(&dirs.cpuacct, "cpuacct.stat")?;
    let throttling = read(&dirs.cpu, "cpu.stat")?;
    let memory = read(&dirs.memory, "memory.stat")?;
    let (cpu_millis_max, memory_bytes_max) = most_v1(&dirs.cpu, &dirs.memory)?;
    Ok(Usage {
        cpu_user: ticks(keyed(&times, "user").unwrap_or(0)),
        cpu_system: ticks(keyed(&times, "system").unwrap_or(0)),
        cpu_millis_max,
        cpu_periods: keyed(&throttling, "nr_periods").unwrap_or(0),
        cpu_periods_throttled: keyed(&throttling, "nr_throttled").unwrap_or(0),
        cpu_throttled: Duration::from_nanos(keyed(&throttling, "throttled_time").unwrap_or(0)),
        memory_rss_bytes: keyed(&memory, "total_rss").or(keyed(&memory, "rss")).unwrap_or(0),
        memory_bytes: number(&read(&dirs.memory, "memory.usage_in_bytes")?)?,
        memory_bytes_max,
        memory_cache_bytes: keyed(&memory, "total_cache").unwrap_or(0),
        memory_mapped_bytes: keyed(&memory, "total_mapped_file").unwrap_or(0),
        memory_unevictable_bytes: keyed(&memory, "total_unevictable").unwrap_or(0),
        memory_swap_bytes: keyed(&memory, "total_swap"),
        blocks: dirs.blkio.as_deref().map_or_else(Vec::new, blocks_v1),
        processes: number(&read(&dirs.pids, "pids.current")?)?,
    })
}

pub(crate) fn usage_v2(dir: &Path) -> anyhow::Result<Usage> {
    let cpu = read(dir, "cpu.stat")?;
    let memory = read(dir, "memory.stat")?;
    let (cpu_millis_max, memory_bytes_max) = most_v2(dir)?;
    let micros = |key: &str| Duration::from_micros(keyed(&cpu, key).unwrap_or(0));
    Ok(Usage {
        cpu_user: micros("user_usec"),
        cpu_system: micros("system_usec"),
        cpu_millis_max,
        cpu_periods: keyed(&cpu, "nr_periods").unwrap_or(0),
        cpu_periods_throttled: keyed(&cpu, "nr_throttled").unwrap_or(0),
        cpu_throttled: micros("throttled_usec"),
        memory_rss_bytes: keyed(&memory, "anon").unwrap_or(0),
        memory_bytes: number(&read(dir, "memory.current")?)?,
        memory_bytes_max,
        memory_cache_bytes: keyed(&memory, "file").unwrap_or(0),
        memory_mapped_bytes: keyed(&memory, "file_mapped").unwrap_or(0),
        memory_unevictable_bytes: keyed(&memory, "unevictable").unwrap_or(0),
        memory_swap_bytes: read(dir, "memory.swap.current")
            .ok()
            .and_then(|text| number(&text).ok()),
        blocks: read(dir, "io.stat").map_or_else(|_| Vec::new(), |text| blocks_v2(&text)),
        processes: number(&read(dir, "pids.current")?)?,
    })
}

/// Thousandths of a processor and bytes of memory; none where there is no limit.
pub(crate) fn most_v1(cpu: &Path, memory: &Path) -> anyhow::Result<(Option<u64>, Option<u64>)> {
    let (quota, period) = (read(cpu, "cpu.cfs_quota_us")?, read(cpu, "cpu.cfs_period_us")?);
    let bytes: u64 = number(&read(memory, "memory.limit_in_bytes")?)?;
    let bytes = Some(bytes).filter(|bytes| *bytes < MEMORY_UNLIMITED_BYTES);
    Ok((cpu_millis_max(&quota, &period), bytes))
}

pub(crate) fn most_v2(dir: &Path) -> anyhow::Result<(Option<u64>, Option<u64>)> {
    let cpu_max = read(dir, "cpu.max")?;
    let (quota, period) = cpu_max.trim().split_once(' ').context("cpu.max has two words")?;
    Ok((cpu_millis_max(quota, period), read(dir, "memory.max")?.trim().parse().ok()))
}

/// Some kernels count what lies below apart.
fn blocks_v1(dir: &Path) -> Vec<BlockTraffic> {
    let mut all = BTreeMap::new();
    let mut count = |name: &str, field: fn(&mut BlockTraffic, Way) -> &mut u64| {
        let name = format!("blkio.throttle.{name}");
        let text = read(dir, &format!("{name}_recursive")).or_else(|_| read(dir, &name));
        for line in text.unwrap_or_default().lines() {
            let mut words = line.split(' ');
            let (device, way) = (words.next().and_then(device), words.next().and_then(Way::read));
            let number = words.next().and_then(|number| number.parse().ok());
            if let (Some((major, minor)), Some(way), Some(number)) = (device, way, number) {
                let empty = BlockTraffic { major, minor, ..BlockTraffic::default() };
                *field(all.entry((major, minor)).or_insert(empty), way) = number;
            }
        }
    };
    count("io_service_bytes", |traffic, way| match way {
        Way::Read => &mut traffic.read_bytes,
        Way::Write => &mut traffic.written_bytes,
    });
    count("io_serviced", |traffic, way| match way {
        Way::Read => &mut traffic.reads,
        Way::Write => &mut traffic.writes,
    });
    all.into_values().filter(has_traffic).collect()
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Read,
    Write,
}

impl Way {
    fn read(text: &str) -> Option<Self> {
        match text {
            "Read" => Some(Way::Read),
            "Write" => Some(Way::Write),
            _ => None,
        }
    }
}

/// Lines of `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn blocks_v2(text: &str) -> Vec<BlockTraffic> {
    let block = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = words.next().and_then(device)?;
        let all: BTreeMap<&str, u64> = words
            .filter_map(|word| word.split_once('='))
            .filter_map(|(key, value)| Some((key, value.parse().ok()?)))
            .collect();
        let of = |key: &str| all.get(key).copied().unwrap_or(0);
        let (reads, writes) = (of("rios"), of("wios"));
        let (read_bytes, written_bytes) = (of("rbytes"), of("wbytes"));
        Some(BlockTraffic { major, minor, reads, writes, read_bytes, written_bytes })
    };
    text.lines().filter_map(block).filter(has_traffic).collect()
}

fn has_traffic(one: &BlockTraffic) -> bool {
    one.reads > 0 || one.writes > 0
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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

    fn traffic([reads, writes, read_bytes, written_bytes]: [u64; 4]) -> BlockTraffic {
        BlockTraffic { major: 8, minor: 0, reads, writes, read_bytes, written_bytes }
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
                (
                    "memory.stat",
                    "cache 4096\nrss 8192\nmapped_file 1\ntotal_cache 8192\ntotal_rss 16384\n\
                     total_mapped_file 4096\ntotal_swap 0\ntotal_unevictable 12288\n",
                ),
                (
                    "blkio.throttle.io_service_bytes",
                    "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 4608\n8:0 Total 4608\n7:1 Read 0\nTotal 4608\n",
                ),
                (
                    "blkio.throttle.io_serviced",
                    "8:0 Read 2\n8:0 Write 1\n8:0 Total 3\n7:1 Read 0\nTotal 3\n",
                ),
                ("memory.limit_in_bytes", "33554432\n"),
                ("memory.usage_in_bytes", "24576\n"),
                ("pids.current", "3\n"),
            ],
        );
        let here = || dir.path().to_path_buf();
        let blkio = Some(here());
        let dirs = DirsV1 { cpu: here(), cpuacct: here(), memory: here(), pids: here(), blkio };
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
            memory_cache_bytes: 8192,
            memory_mapped_bytes: 4096,
            memory_unevictable_bytes: 12288,
            memory_swap_bytes: Some(0),
            processes: 3,
            blocks: vec![traffic([2, 1, 4096, 512])],
        };
        assert_eq!(usage_v1(&dirs).expect("read"), expected);
        record(
            dir.path(),
            &[("cpu.cfs_quota_us", "-1\n"), ("memory.limit_in_bytes", "9223372036854771712\n")],
        );
        // What lies below is counted, too, where the kernel says so.
        let below = "8:0 Read 9000\n8:0 Write 512\n";
        record(dir.path(), &[("blkio.throttle.io_service_bytes_recursive", below)]);
        let blocks = vec![traffic([2, 1, 9000, 512])];
        let expected = Usage { blocks, ..expected };
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
                (
                    "memory.stat",
                    "anon 8192\nfile 4096\nkernel 100\nfile_mapped 2048\nunevictable 0\n",
                ),
                ("memory.swap.current", "1024\n"),
                (
                    "io.stat",
                    "7:1 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n\
                     8:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n8:16 \n",
                ),
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
            memory_cache_bytes: 4096,
            memory_mapped_bytes: 2048,
            memory_unevictable_bytes: 0,
            memory_swap_bytes: Some(1024),
            processes: 2,
            blocks: vec![traffic([2, 1, 4096, 512])],
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
