//! Entering the namespaces of another container, on behalf of a container's init that is about to be made in them.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use nix::sched::{CloneFlags, setns};
use rustix::fs::FsWord;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::extras::SHARED_MEMORY;
use super::mounts::Detached;
use crate::protocol::Keeper;

const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// Whoever is forked from now on is in them. What comes back is its `/dev/shm`, if that is shared and there is one.
pub(super) fn join(keeper: &Keeper) -> anyhow::Result<Option<Detached>> {
    let number = i32::try_from(keeper.process).ok().and_then(Pid::from_raw);
    let number = number.context("the number of a process")?;
    let gone = "the container whose namespaces it shares has ended";
    let process = pidfd_open(number, PidfdFlags::empty()).context(gone)?;
    // The number may be somebody else's by now; whom the descriptor is of it will stay.
    let groups =
        std::fs::read_to_string(format!("/proc/{}/cgroup", keeper.process)).context(gone)?;
    anyhow::ensure!(groups.lines().any(|line| line.ends_with(&keeper.cgroup)), gone);
    let mut namespaces = CloneFlags::empty();
    namespaces.set(CloneFlags::CLONE_NEWPID, keeper.pid);
    namespaces.set(CloneFlags::CLONE_NEWIPC, keeper.ipc);
    let memory = if keeper.ipc { shared_memory(&process)? } else { None };
    setns(&process, namespaces).context("sharing the namespaces of another container")?;
    Ok(memory)
}

/// Mounts can only be copied by who is among them.
fn shared_memory(process: &std::os::fd::OwnedFd) -> anyhow::Result<Option<Detached>> {
    let own = File::open("/proc/self/ns/mnt").context("our own mounts")?;
    setns(process, CloneFlags::CLONE_NEWNS).context("the mounts of another container")?;
    let copied = Detached::tree(Path::new(SHARED_MEMORY));
    setns(&own, CloneFlags::CLONE_NEWNS).context("coming back to our own mounts")?;
    let copied = match copied {
        Err(Errno::NOENT) => return Ok(None),
        copied => copied.context("the shared memory of another container")?,
    };
    // A privileged container may have put anything there.
    let kind = rustix::fs::fstatfs(&copied).context("the shared memory of another container")?;
    anyhow::ensure!(kind.f_type == TMPFS_MAGIC, "the other container has no memory to share");
    Ok(Some(copied))
}
