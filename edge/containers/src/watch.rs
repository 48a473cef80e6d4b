//! Waits for the ends of containers and tells of them: one task that owns the waiting for all.

use std::path::PathBuf;
use std::sync::Arc;

use model::id::ContainerId;
use model::task::Reason;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cgroup::Hierarchies;
use crate::channel::Channel;
use crate::keepers::is_keeper;
use crate::protocol::{Answer, Status};
use crate::{Event, Exited, run_dir};

/// What `wait` returns for a killed process.
const KILLED: i32 = 9;

/// A container to be watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) container: ContainerId,
    pub(crate) run_dir: PathBuf,
    pub(crate) cgroup: String,
    pub(crate) channel: Channel,
}

/// Ends when nobody can bring more containers, or nobody listens.
pub(crate) async fn watch_all(
    mut new: mpsc::UnboundedReceiver<Watched>,
    events: mpsc::Sender<Event>,
    hierarchies: Arc<Hierarchies>,
) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            watched = new.recv() => match watched {
                Some(watched) => { waiting.spawn(watch(watched, Arc::clone(&hierarchies))); }
                None => return,
            },
            Some(ended) = waiting.join_next() => {
                let event = ended.expect("watching does not panic and is not cancelled");
                tracing::debug!(container = %event.container, status = event.exited.wait_status, "container has ended");
                // Those who miss it end by themselves, or never need it.
                if is_keeper(&event.container) {
                    continue;
                }
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn watch(watched: Watched, hierarchies: Arc<Hierarchies>) -> Event {
    let Watched { container, run_dir, cgroup, channel } = watched;
    loop {
        match channel.receive().await.map(|packet| packet.map(|packet| packet.message)) {
            Ok(Some(Answer::Exited(status))) => return Event { container, exited: status.into() },
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                let exited = without_shim(run_dir, cgroup, hierarchies).await;
                return Event { container, exited };
            }
        }
    }
}

/// How a container ended whose shim does not answer: as the shim has written, or because it was killed with its shim.
pub(crate) async fn without_shim(
    run_dir: PathBuf,
    cgroup: String,
    hierarchies: Arc<Hierarchies>,
) -> Exited {
    let look = move || match run_dir::read_status(&run_dir) {
        Ok(Some(status)) => Exited::from(status),
        Ok(None) | Err(_) => lost(&run_dir, &cgroup, &hierarchies),
    };
    tokio::task::spawn_blocking(look).await.expect("looking for a status does not panic")
}

fn lost(run_dir: &std::path::Path, cgroup: &str, hierarchies: &Hierarchies) -> Exited {
    let mut cause = "the container's shim was killed, and the container with it".to_string();
    let complaints = run_dir::read_complaints(run_dir);
    if !complaints.is_empty() {
        cause = format!("{cause}; its last words: {complaints}");
    }
    // Its init has seen the shim go and ended; this makes sure of it.
    if let Err(e) = hierarchies.remove(cgroup) {
        cause = format!("{cause}; its processes could not be removed: {e:#}");
    }
    Exited { wait_status: KILLED, limitation: Some((Reason::ExecutorTerminated, cause)) }
}

impl From<Status> for Exited {
    fn from(status: Status) -> Self {
        let limitation = status.limitation.map(|limitation| (limitation.reason, limitation.cause));
        Exited { wait_status: status.wait_status, limitation }
    }
}
