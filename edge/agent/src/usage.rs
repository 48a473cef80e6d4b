//! What a container uses, as Mesos' `ResourceStatistics`: processors, memory and block devices of its control groups, network
//! of its own, its sandbox on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use containers::spec::{BlockTraffic, Usage};
use mesos_v1::ResourceStatistics;
use mesos_v1::cgroup_info::blkio::throttling;
use mesos_v1::cgroup_info::blkio::{Operation, Statistics, Value};
use mesos_v1::device::Number;
use model::resources::{Resources, Scalar};
use procfs::process::Process;

use crate::clock::wall;

/// How old what is told of a disk may be. Mesos looks every 15 s; a sandbox may have many files.
const DISK_AGE_MAX: Duration = Duration::from_secs(60);
/// Of a sandbox that nobody asks for any more nothing is remembered.
const DISK_FORGET_AFTER: Duration = Duration::from_secs(600);
/// Files of one sandbox; beyond them it is told as if there were no more.
const FILES_MAX: usize = 1_000_000;
const BLOCK_BYTES: u64 = 512;
/// In a scalar's thousandths of MiB.
const BYTES_PER_MIB: u64 = 1 << 20;

/// What else there is to tell of a container.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    pub(crate) resources: Option<&'a Resources>,
    pub(crate) pid: Option<u32>,
    pub(crate) disk_bytes: Option<u64>,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and thousandths fit a float")]
pub(crate) fn statistics(usage: &Usage, around: Around<'_>) -> ResourceStatistics {
    let count = |number: u64| Some(u32::try_from(number).unwrap_or(u32::MAX));
    let limit = usage.cpu_millis_max.map(|millis| millis as f64 / 1000.0);
    let Around { resources, pid, disk_bytes } = around;
    let disk = resources.map(Resources::disk).filter(|disk| !disk.is_zero());
    let told = ResourceStatistics {
        timestamp: wall().0 as f64 / 1000.0,
        processes: count(usage.processes),
        cpus_user_time_secs: Some(usage.cpu_user.as_secs_f64()),
        cpus_system_time_secs: Some(usage.cpu_system.as_secs_f64()),
        cpus_limit: limit.or_else(|| Some(resources?.cpus().as_f64())),
        cpus_soft_limit: resources.map(|resources| resources.cpus().as_f64()),
        cpus_nr_periods: count(usage.cpu_periods),
        cpus_nr_throttled: count(usage.cpu_periods_throttled),
        cpus_throttled_time_secs: Some(usage.cpu_throttled.as_secs_f64()),
        mem_total_bytes: Some(usage.memory_bytes),
        mem_limit_bytes: usage.memory_bytes_max,
        mem_rss_bytes: Some(usage.memory_rss_bytes),
        mem_anon_bytes: Some(usage.memory_rss_bytes),
        mem_cache_bytes: Some(usage.memory_cache_bytes),
        mem_file_bytes: Some(usage.memory_cache_bytes),
        mem_mapped_file_bytes: Some(usage.memory_mapped_bytes),
        mem_unevictable_bytes: Some(usage.memory_unevictable_bytes),
        mem_swap_bytes: usage.memory_swap_bytes,
        disk_limit_bytes: disk.map(|Scalar(disk)| disk.saturating_mul(BYTES_PER_MIB) / 1000),
        disk_used_bytes: disk_bytes,
        blkio_statistics: blocks(&usage.blocks),
        ..ResourceStatistics::default()
    };
    match pid.and_then(network) {
        None => told,
        Some(network) => network.told_in(told),
    }
}

fn blocks(all: &[BlockTraffic]) -> Option<Statistics> {
    let values = |read: u64, written: u64| {
        let told = [
            (Operation::Read, read),
            (Operation::Write, written),
            (Operation::Total, read.saturating_add(written)),
        ];
        told.map(|(op, value)| Value { op: Some(op.into()), value: Some(value) }).to_vec()
    };
    let one = |one: &BlockTraffic| throttling::Statistics {
        device: Some(Number { major_number: one.major.into(), minor_number: one.minor.into() }),
        io_serviced: values(one.reads, one.writes),
        io_service_bytes: values(one.read_bytes, one.written_bytes),
    };
    let throttling = all.iter().map(one).collect();
    (!all.is_empty()).then(|| Statistics { throttling, ..Statistics::default() })
}

/// Through all devices of a network but the loopback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Network {
    received: Traffic,
    sent: Traffic,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traffic {
    bytes: u64,
    packets: u64,
    errors: u64,
    dropped: u64,
}

impl Traffic {
    fn add(&mut self, [bytes, packets, errors, dropped]: [u64; 4]) {
        self.bytes += bytes;
        self.packets += packets;
        self.errors += errors;
        self.dropped += dropped;
    }
}

impl Network {
    fn told_in(self, told: ResourceStatistics) -> ResourceStatistics {
        let Self { received, sent } = self;
        ResourceStatistics {
            net_rx_bytes: Some(received.bytes),
            net_rx_packets: Some(received.packets),
            net_rx_errors: Some(received.errors),
            net_rx_dropped: Some(received.dropped),
            net_tx_bytes: Some(sent.bytes),
            net_tx_packets: Some(sent.packets),
            net_tx_errors: Some(sent.errors),
            net_tx_dropped: Some(sent.dropped),
            ..told
        }
    }
}

/// Of a process that has a network of its own. What goes over the machine's is nobody's in particular.
fn network(pid: u32) -> Option<Network> {
    let of = |who: &str| fs::metadata(format!("/proc/{who}/ns/net")).map(|about| about.ino());
    if of(&pid.to_string()).ok()? == of("self").ok()? {
        return None;
    }
    let devices = Process::new(i32::try_from(pid).ok()?).ok()?.dev_status().ok()?;
    let mut all = Network::default();
    for one in devices.into_values().filter(|one| one.name != "lo") {
        all.received.add([one.recv_bytes, one.recv_packets, one.recv_errs, one.recv_drop]);
        all.sent.add([one.sent_bytes, one.sent_packets, one.sent_errs, one.sent_drop]);
    }
    Some(all)
}

/// How much of the disk sandboxes take. Looked for by one thread at a time and remembered for a while, so that whoever
/// asks never waits for it. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskMeter(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    all: BTreeMap<PathBuf, Measure>,
    is_measuring: bool,
}

#[derive(Debug)]
struct Measure {
    bytes: Option<u64>,
    measured_at: Option<Instant>,
    asked_at: Instant,
}

impl DiskMeter {
    /// The last that is known; nothing at first.
    pub(crate) fn used(&self, sandbox: PathBuf) -> Option<u64> {
        let now = Instant::now();
        let mut known = self.lock();
        let empty = Measure { bytes: None, measured_at: None, asked_at: now };
        let measure = known.all.entry(sandbox).or_insert(empty);
        measure.asked_at = now;
        let (bytes, is_old) = (measure.bytes, measure.is_old(now));
        if is_old && !known.is_measuring {
            known.is_measuring = true;
            let meter = self.clone();
            // It ends by itself when all are young enough, and holds nothing that somebody waits for.
            tokio::task::spawn_blocking(move || meter.measure());
        }
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are due. Blocks.
    fn measure(&self) {
        loop {
            let now = Instant::now();
            let mut known = self.lock();
            known.all.retain(|_, one| now.duration_since(one.asked_at) < DISK_FORGET_AFTER);
            let due = known.all.iter().find(|(_, one)| one.is_old(now));
            let Some(sandbox) = due.map(|(sandbox, _)| sandbox.clone()) else {
                known.is_measuring = false;
                return;
            };
            drop(known);
            let bytes = disk_bytes(&sandbox);
            if let Some(one) = self.lock().all.get_mut(&sandbox) {
                (one.bytes, one.measured_at) = (bytes, Some(Instant::now()));
            }
        }
    }
}

impl Measure {
    fn is_old(&self, now: Instant) -> bool {
        self.measured_at.is_none_or(|at| now.saturating_duration_since(at) > DISK_AGE_MAX)
    }
}

/// As `du` counts: blocks, a file of several names once, and nothing that is mounted or linked there.
fn disk_bytes(root: &Path) -> Option<u64> {
    let about = fs::symlink_metadata(root).ok()?;
    let (device, mut bytes) = (about.dev(), about.blocks() * BLOCK_BYTES);
    let (mut files, mut seen) = (0, BTreeSet::new());
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        // It may be gone by now.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            files += 1;
            if files > FILES_MAX {
                return Some(bytes);
            }
            let Ok(about) = entry.metadata() else { continue };
            if about.dev() != device
                || (about.nlink() > 1 && !about.is_dir() && !seen.insert(about.ino()))
            {
                continue;
            }
            bytes += about.blocks() * BLOCK_BYTES;
            if about.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_disk_is_measured_as_du_does() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).expect("made");
        fs::write(at("a/b/file"), vec![1; 100_000]).expect("written");
        fs::write(at("small"), "x").expect("written");
        fs::hard_link(at("a/b/file"), at("again")).expect("linked");
        std::os::unix::fs::symlink("/usr", at("link")).expect("linked");
        let told = Command::new("du").args(["-s", "-B1"]).arg(dir.path()).output().expect("du");
        let told = String::from_utf8(told.stdout).expect("text");
        let told: u64 = told.split_whitespace().next().expect("a number").parse().expect("one");
        assert_eq!(disk_bytes(dir.path()), Some(told));
        assert_eq!(disk_bytes(&at("nothing")), None);
    }

    #[tokio::test]
    async fn what_is_asked_for_is_known_soon_and_not_looked_for_all_the_time() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("file"), vec![1; 50_000]).expect("written");
        let meter = DiskMeter::default();
        let bytes = loop {
            if let Some(bytes) = meter.used(dir.path().to_owned()) {
                break bytes;
            }
            tokio::task::yield_now().await;
        };
        assert!(bytes >= 50_000);
        fs::write(dir.path().join("more"), vec![1; 50_000]).expect("written");
        assert_eq!(meter.used(dir.path().to_owned()), Some(bytes));
    }

    #[test]
    fn only_a_network_of_its_own_is_told() {
        assert_eq!(network(std::process::id()), None);
        let mut apart =
            Command::new("unshare").args(["-n", "sleep", "1000"]).spawn().expect("root");
        let own = fs::metadata("/proc/self/ns/net").expect("it is there").ino();
        let theirs = || fs::metadata(format!("/proc/{}/ns/net", apart.id())).map(|at| at.ino());
        while theirs().is_ok_and(|theirs| theirs == own) {
            std::thread::yield_now();
        }
        assert_eq!(network(apart.id()), Some(Network::default()), "nothing has been sent yet");
        apart.kill().expect("killed");
        apart.wait().expect("reaped");
    }

    #[test]
    fn usage_is_told_in_the_words_of_mesos() {
        let traffic = BlockTraffic { major: 8, reads: 2, writes: 1, ..BlockTraffic::default() };
        let usage = Usage { memory_cache_bytes: 7, blocks: vec![traffic], ..Usage::default() };
        let resources: Resources = "cpus:0.5;mem:64;disk:10".parse().expect("resources");
        let around = Around { resources: Some(&resources), pid: None, disk_bytes: Some(9) };
        let told = mesos_v1::json::to_vec(&statistics(&usage, around));
        let told: serde_json::Value = serde_json::from_slice(&told).expect("JSON");
        assert_eq!(told["disk_limit_bytes"], 10 << 20);
        assert_eq!((&told["disk_used_bytes"], &told["mem_cache_bytes"]), (&9.into(), &7.into()));
        let device = &told["blkio_statistics"]["throttling"][0];
        assert_eq!(device["device"]["major_number"], 8);
        assert_eq!(device["io_serviced"][2], serde_json::json!({"op": "TOTAL", "value": 3}));
        assert_eq!(told["net_rx_bytes"], serde_json::Value::Null);
    }
}
