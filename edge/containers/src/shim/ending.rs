//! The end of a container: its last output, why it ended, and that nothing of it is left.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use model::task::Reason;
use rustix::process::{Pid, Signal, WaitOptions};

use super::connections::Connections;
use super::{KILLED, Place, Shim};
use crate::cgroup::Hierarchies;
use crate::protocol::{Answer, Limitation, Status};
use crate::run_dir::{STATUS, STATUS_BYTES_KEPT, STATUS_PARTIAL};

impl Shim<'_> {
    /// Init has ended, and with it every process of the container.
    pub(super) fn finish(mut self, wait_status: i32) -> i32 {
        for index in 0..self.outputs.len() {
            self.drain(index);
        }
        let status = Status { wait_status, limitation: self.limitation(wait_status) };
        // The daemon kills and removes what a shim leaves, if it should come to that.
        let _ = self.hierarchies.remove(&self.place.cgroup);
        let written = write_status(&self.place.run_dir, &status);
        self.connections.end_sessions(KILLED);
        self.connections.tell_subscribers(&Answer::Exited(status));
        i32::from(written.is_err())
    }

    /// All writers are gone, so what can be read now is all there is.
    fn drain(&mut self, index: usize) {
        let output = &mut self.outputs[index];
        while let Ok(length @ 1..) = rustix::io::read(&output.from, &mut self.buffer[..]) {
            output.keep(&self.buffer[..length]);
        }
        output.log.close();
    }

    /// Out of memory only if that can have ended it: a program may survive the death of a child.
    fn limitation(&self, wait_status: i32) -> Option<Limitation> {
        let kills = self.hierarchies.oom_kills(&self.place.cgroup).unwrap_or(0);
        if kills == 0 || wait_status == 0 {
            return None;
        }
        // In a pool it may have been the one that was killed for what all in it had.
        let pool = self.place.pool.as_deref();
        let limit = self.limits.memory_bytes_max.or_else(|| self.hierarchies.most(pool?).ok()?.1);
        let limit = limit.map_or("none".into(), megabytes);
        let peak = self.hierarchies.memory_bytes_peak(pool.unwrap_or(&self.place.cgroup));
        let peak = peak.map_or("unknown".into(), megabytes);
        let cause = format!("Memory limit exceeded: Requested: {limit} Maximum Used: {peak}");
        Some(Limitation { reason: Reason::ContainerLimitationMemory, cause })
    }
}

/// As Mesos writes amounts of memory.
fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes / (1024 * 1024))
}

/// It never ran: leave nothing, then say so.
pub(super) fn give_up(
    place: &Place,
    hierarchies: &Hierarchies,
    connections: &Connections,
    failed: &Answer,
) -> i32 {
    clear(place, hierarchies);
    connections.tell_subscribers(failed);
    0
}

/// What cannot be removed is left to the daemon, which tries again.
pub(super) fn clear(place: &Place, hierarchies: &Hierarchies) {
    kill_children();
    let _ = hierarchies.remove(&place.cgroup);
    let _ = std::fs::remove_dir_all(&place.layer_dir);
    let _ = std::fs::remove_dir_all(&place.run_dir);
}

/// Init and whoever it has left to us, until there is none.
fn kill_children() {
    let us = std::process::id();
    loop {
        let children = std::fs::read_to_string(format!("/proc/{us}/task/{us}/children"));
        let children = children.unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        if children.trim().is_empty() || rustix::process::wait(WaitOptions::empty()).is_err() {
            break;
        }
    }
}

/// Takes the space that the status will need, while there is some: it must be possible to tell how a container has ended
/// when others have filled up everything meanwhile.
pub(super) fn keep_room(run_dir: &Path) -> anyhow::Result<()> {
    let path = run_dir.join(STATUS_PARTIAL);
    std::fs::write(&path, [0; STATUS_BYTES_KEPT])
        .with_context(|| format!("keeping room in {}", path.display()))
}

/// Whole or not at all, whenever the machine stops. Into the room that was kept.
fn write_status(run_dir: &Path, status: &Status) -> std::io::Result<()> {
    let bytes = minicbor::to_vec(status).map_err(std::io::Error::other)?;
    let partial = run_dir.join(STATUS_PARTIAL);
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&partial)?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len().try_into().map_err(std::io::Error::other)?)?;
    file.sync_all()?;
    std::fs::rename(&partial, run_dir.join(STATUS))?;
    File::open(run_dir)?.sync_all()
}
