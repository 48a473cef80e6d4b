//! What runs on this machine, and on behalf of which task.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Pid;

const END_SECS_MAX: u64 = 20;
const POLL_MS: u64 = 50;

/// The processes of each task that is asked for, by the task's id. A task is told by its environment.
pub(crate) fn of_tasks(ids: &[String]) -> BTreeMap<String, Vec<u32>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended meanwhile.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let task = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(b"MESOS_TASK_ID="));
        let Some(task) = task.map(String::from_utf8_lossy) else { continue };
        if ids.iter().any(|id| *id == task) {
            found.entry(task.into_owned()).or_default().push(pid);
        }
    }
    for pids in found.values_mut() {
        pids.sort_unstable();
    }
    found
}

/// Returns once these tasks have no process any more.
pub(crate) async fn ended(ids: &[String]) {
    let deadline = Instant::now() + Duration::from_secs(END_SECS_MAX);
    loop {
        let left = of_tasks(ids);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "these processes do not end: {left:?}");
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
}

/// Ends what still runs for a cluster whose data is about to be removed, and removes its cgroups and run directories.
pub(crate) fn sweep(cluster: &str) {
    let ours = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let is_ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(cluster))
        };
        entries.map(|entry| entry.path()).filter(is_ours).collect()
    };
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let above = hierarchy.path().join("dcos");
        ours(&above).iter().for_each(|cgroup| remove_cgroups(cgroup));
        // The last one's; the kernel refuses what is in use.
        let _ = fs::remove_dir(above);
    }
    for run_dir in ours(Path::new("/run/dcos")) {
        fs::remove_dir_all(&run_dir).expect("nothing is mounted there any more");
    }
}

/// From the leaves to the root.
fn remove_cgroups(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroups(&entry.path());
        }
    }
    let deadline = Instant::now() + Duration::from_secs(END_SECS_MAX);
    while let Err(error) = fs::remove_dir(cgroup) {
        if error.kind() != ErrorKind::ResourceBusy || Instant::now() >= deadline {
            // A test that has failed already is told of with its own cause.
            assert!(std::thread::panicking(), "{} stays: {error}", cgroup.display());
            return;
        }
        kill_all(cgroup);
        std::thread::sleep(Duration::from_millis(POLL_MS));
    }
}

fn kill_all(cgroup: &Path) {
    let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        // It may have ended just now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
