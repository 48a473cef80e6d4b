//! Containers that outlive the daemon: roots, cgroups, namespaces, mounts, processes, logs.
//!
//! Three kinds of process work together. The daemon (not ours) holds a [`Containers`] and never sets anything up
//! itself, because that changes working directories and clones without exec, which a threaded process must not do.
//! The zygote is our own binary started as `dcos zygote`: one thread, little memory; it forks shims on request and ends
//! with its daemon. A shim is the parent of one container: it sets it up, holds its output, waits for it and writes
//! down how it ended. Shims outlive daemon and zygote, and a new daemon finds them by the sockets in the run directory.
//!
//! `main` must call [`dispatch`] before anything else, and before any thread is started.

mod cgroup;
mod channel;
mod daemon;
mod filters;
mod keepers;
mod network;
mod packet;
pub mod policy;
mod pools;
pub mod projects;
mod protocol;
mod reach;
mod run_dir;
mod seccomp;
pub mod session;
mod shim;
mod skeleton;
pub mod spec;
mod watch;
mod zygote;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::id::ContainerId;
use model::task::Reason;

use crate::daemon::Daemon;
use crate::policy::Policy;

/// Shims answer within milliseconds, even on a machine that is very busy within seconds.
const SHIM_PATIENCE: Duration = Duration::from_secs(30);

/// Runs the hidden subcommands (`zygote`) and says how `main` must exit; `None` for everything else. Takes the
/// arguments as `std::env::args_os` gives them. Call it first in `main`.
pub fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Option<i32> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != zygote::COMMAND {
        return None;
    }
    let home = arguments.next().unwrap_or_default();
    Some(zygote::main(&home, arguments.next().as_deref()))
}

#[derive(Debug, Clone)]
pub struct Config {
    /// Sockets and exit statuses of the containers, a directory each. Must survive the daemon, not the machine: a tmpfs.
    pub run_dir: PathBuf,
    /// Writable layers of the containers that have an image, a directory each. On a disk.
    pub layer_dir: PathBuf,
    /// The cgroup under which ours lie, in every hierarchy: `/dcos/<instance>`. Nobody else may use it.
    pub cgroup_parent: String,
    /// The binary whose `main` calls [`dispatch`].
    pub zygote_program: PathBuf,
    pub allow_privileged: bool,
    /// What else containers may ask for.
    pub policy: Policy,
    /// A shim that has not answered for so long hangs.
    pub shim_patience: Duration,
    /// How many files a container that does not say may have open, if not as many as the daemon: the soft limit only.
    pub open_files: Option<u64>,
}

impl Config {
    /// Uses the running binary itself as the zygote, and allows no privileged containers.
    pub fn new(run_dir: PathBuf, layer_dir: PathBuf, cgroup_parent: String) -> Self {
        let zygote_program = "/proc/self/exe".into();
        let (allow_privileged, shim_patience) = (false, SHIM_PATIENCE);
        let policy = Policy::default();
        Self {
            run_dir,
            layer_dir,
            cgroup_parent,
            zygote_program,
            allow_privileged,
            policy,
            shim_patience,
            open_files: None,
        }
    }
}

/// The containers of one agent. Clones are the same.
#[derive(Debug, Clone)]
pub struct Containers(Arc<Daemon>);

/// What happened to a container that was launched or recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub container: ContainerId,
    pub exited: Exited,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// What `wait` returned for its main process.
    pub wait_status: i32,
    /// What the runtime did to it before, and why: out of memory, or its shim is gone.
    pub limitation: Option<(Reason, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The container's first process as the host numbers it: the parent of the main process, in the same namespaces.
    pub pid: u32,
}

/// The container never ran and nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct LaunchError {
    pub reason: Reason,
    pub cause: String,
}

/// A container that an earlier daemon launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub container: ContainerId,
    pub state: FoundState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundState {
    /// An event will tell how it ends.
    Alive { pid: u32 },
    /// Ended while no daemon looked. No event will follow.
    Exited(Exited),
}
