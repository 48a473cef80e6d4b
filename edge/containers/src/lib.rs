//! Containers that outlive the daemon: roots, cgroups, namespaces, mounts, processes, logs.
//!
//! Three kinds of process work together. The daemon (not ours) holds a [`Containers`] and never sets anything up
//! itself, because that changes working directories and clones without exec, which a threaded process must not do.
//! The zygote is our own binary started as `dcos zygote`: one thread, little memory; it forks shims on request and ends
//! with its daemon. A shim is the parent of one container: it sets it up, holds its output, waits for it and writes
//! down how it ended. Shims outlive daemon and zygote, and a new daemon finds them by the sockets in the run directory.
//!
//! `main` must call [`dispatch`] before anything else, and before any thread is started.

pub mod session;
pub mod spec;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use model::id::ContainerId;
use model::task::Reason;
use tokio::sync::mpsc;

use crate::session::Session;
use crate::spec::{Exec, Spec, Usage};

/// Runs the hidden subcommands (`zygote`) and says how `main` must exit; `None` for everything else. Call it first in `main`.
pub fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Option<i32> {
    let _ = arguments;
    unimplemented!()
}

#[derive(Debug, Clone)]
pub struct Config {
    /// Sockets, exit statuses and writable layers of the containers, a directory each. Must survive the daemon, not the machine.
    pub run_dir: PathBuf,
    /// The cgroup under which ours lie, in every hierarchy: `/dcos/<instance>`.
    pub cgroup_parent: String,
    /// The binary whose `main` calls [`dispatch`].
    pub zygote_program: PathBuf,
    pub allow_privileged: bool,
}

impl Config {
    /// Uses the running binary itself as the zygote.
    pub fn new(run_dir: PathBuf, cgroup_parent: String) -> Self {
        Self {
            run_dir,
            cgroup_parent,
            zygote_program: "/proc/self/exe".into(),
            allow_privileged: false,
        }
    }
}

/// The containers of one agent. Clones are the same.
#[derive(Debug, Clone)]
pub struct Containers {}

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
    /// The main process as the host numbers it.
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

impl Containers {
    /// Starts the zygote. Needs root.
    pub async fn open(config: Config) -> anyhow::Result<(Containers, mpsc::Receiver<Event>)> {
        let _ = config;
        unimplemented!()
    }

    /// Finds what an earlier daemon left in the run directory. Call it once, before the first launch.
    pub async fn recover(&self) -> anyhow::Result<Vec<Found>> {
        unimplemented!()
    }

    /// Returns when the program has been executed. From then on an event will tell how it ends.
    pub async fn launch(&self, spec: Spec) -> Result<Started, LaunchError> {
        let _ = spec;
        unimplemented!()
    }

    /// SIGTERM to every process, and SIGKILL after `grace`, even if the daemon is gone by then. Returns at once; a
    /// container that has ended already is no error. A second call can only shorten the grace.
    pub async fn stop(&self, container: &ContainerId, grace: Duration) -> anyhow::Result<()> {
        let _ = (container, grace);
        unimplemented!()
    }

    /// Sends a signal to the main process.
    pub async fn signal(&self, container: &ContainerId, signal: i32) -> anyhow::Result<()> {
        let _ = (container, signal);
        unimplemented!()
    }

    /// Starts one more process in the container's namespaces, cgroup and confinement.
    pub async fn exec(&self, container: &ContainerId, exec: Exec) -> anyhow::Result<Session> {
        let _ = (container, exec);
        unimplemented!()
    }

    pub fn usage(&self, container: &ContainerId) -> anyhow::Result<Usage> {
        let _ = container;
        unimplemented!()
    }

    /// Forgets an ended container: its writable layer, its status. The sandbox stays. An alive one is killed first.
    pub async fn remove(&self, container: &ContainerId) -> anyhow::Result<()> {
        let _ = container;
        unimplemented!()
    }
}
