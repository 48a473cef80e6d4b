//! Ends containers that keep more on the disk than is set aside for them, where the operator has it so.
//!
//! What they keep is counted file by file, as `du` does it: the sandbox and the layer over the image. Persistent volumes are
//! limited by themselves and do not count.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::id::ContainerId;
use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};
use model::task::Reason;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Hands;
use crate::sandbox::Tenant;

/// In a scalar's thousandths of MiB.
const BYTES_PER_MIB: u64 = 1 << 20;
/// As `stat` counts them, whatever the file system.
const BYTES_PER_BLOCK: u64 = 512;

/// Watches until it is told to end.
pub(super) async fn watch(hands: Hands, every: Duration, ending: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = ticks.tick() => (),
        }
        for (container, dirs, most) in watched(&hands) {
            let counting = spawn_blocking(move || dirs.iter().map(|dir| used(dir)).sum::<u64>());
            let used = counting.await.expect("counting does not panic");
            if used > most {
                end(&hands, &container, used, most).await;
            }
            if ending.is_cancelled() {
                return;
            }
        }
    }
}

/// Where each of those that run keeps what, and how much it may.
fn watched(hands: &Hands) -> Vec<(ContainerId, Vec<PathBuf>, u64)> {
    let view = hands.tools.board.view();
    let running = view.held.iter().filter(|(_, held)| held.is_running());
    let one = |(container, held): (&ContainerId, _)| {
        let held: &std::sync::Arc<node::Held> = held;
        let most = set_aside(&held.info.resources).filter(|most| *most > 0)?;
        let sandbox = hands.tools.sandboxes.path(Tenant::of(container, held)).ok()?;
        let layer = hands.tools.containers.layer_dir(container);
        Some((container.clone(), vec![sandbox, layer], most))
    };
    running.filter_map(one).collect()
}

/// In bytes, of the agent's own disk and without volumes.
fn set_aside(resources: &Resources) -> Option<u64> {
    let is_own = |one: &&Resource| {
        one.name == ResourceName::Disk && !one.is_persistent_volume() && one.disk.is_none()
    };
    let amounts = resources.iter().filter(is_own).filter_map(|one| match &one.amount {
        Amount::Scalar(Scalar(thousandths)) => Some(*thousandths),
        Amount::Ranges(_) | Amount::Set(_) => None,
    });
    let all: u64 = amounts.sum();
    all.checked_mul(BYTES_PER_MIB).map(|all| all / 1000)
}

async fn end(hands: &Hands, container: &ContainerId, used: u64, most: u64) {
    let mib = |bytes: u64| format!("{}MB", bytes / BYTES_PER_MIB);
    let cause = format!("Disk usage ({}) exceeds quota ({})", mib(used), mib(most));
    tracing::warn!(%container, used, most, "a container keeps more on the disk than it may");
    hands.books.limit(container, (Reason::ContainerLimitationDisk, cause));
    if let Err(cause) = hands.tools.containers.stop(container, Duration::ZERO).await {
        // It is tried again at the next look.
        tracing::warn!(%container, cause = format!("{cause:#}"), "it could not be ended");
    }
}

/// On the file system of the directory; what is not there any more is nothing.
fn used(dir: &Path) -> u64 {
    let Ok(root) = fs::symlink_metadata(dir) else { return 0 };
    let (mut sum, mut linked) = (0, BTreeSet::new());
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.dev() != root.dev() {
                continue;
            }
            // A file of several names counts once.
            let is_new = found.is_dir() || found.nlink() < 2 || linked.insert(found.ino());
            sum += if is_new { bytes(&found) } else { 0 };
            if found.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    sum
}

fn bytes(found: &Metadata) -> u64 {
    found.blocks() * BYTES_PER_BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_once_and_holes_are_not() {
        const FILE_BYTES: usize = 1 << 20;
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a/b/file");
        fs::create_dir_all(file.parent().expect("it has one")).expect("made");
        fs::write(&file, vec![1; FILE_BYTES]).expect("written");
        fs::hard_link(&file, dir.path().join("same")).expect("linked");
        std::os::unix::fs::symlink("/", dir.path().join("out")).expect("a link");
        fs::File::create(dir.path().join("hole")).and_then(|f| f.set_len(1 << 30)).expect("made");
        let counted = used(dir.path());
        assert!((1 << 20..1 << 21).contains(&counted), "{counted}");
        assert_eq!(used(&dir.path().join("absent")), 0);
    }

    #[test]
    fn volumes_do_not_count_as_room() {
        let check = |text: &str, expected: u64| {
            let resources: Resources = text.parse().expect("well formed");
            assert_eq!(set_aside(&resources), Some(expected), "{text}");
        };
        check("cpus:1;disk:64", 64 << 20);
        check("cpus:1", 0);
    }
}
