//! Ends containers that keep more on the disk than is set aside for them, where the operator has it so.
//!
//! What they keep is the sandbox and the layer over the image, and persistent volumes each by itself. Where the kernel counts
//! it by project it is asked; otherwise sandbox and layer are counted file by file, as `du` does it, and volumes are not.
//! A limit of the kernel's does not make this superfluous: on ext4 the machine's root may go beyond it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::id::ContainerId;
use model::resources::{Resource, ResourceName, Resources};
use model::task::Reason;
use node::{Group, Held};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Hands;
use crate::projects::Projects;
use crate::sandbox::{Run, Tenant};

const BYTES_PER_MIB: u64 = 1 << 20;
/// Their disk is the same, and has other work to do.
const COUNTED_AT_ONCE_MAX: usize = 4;
/// As `stat` counts them, whatever the file system.
const BYTES_PER_BLOCK: u64 = 512;

/// What a container keeps somewhere, and how much that may be.
#[derive(Debug)]
struct Room {
    kept: Kept,
    bytes_max: u64,
}

#[derive(Debug)]
enum Kept {
    Own { sandbox: PathBuf, layer: PathBuf },
    Volume(PathBuf),
}

/// Counts what containers keep, each by itself: one with many files does not hold up the others.
struct Counting {
    turns: Arc<Semaphore>,
    under_way: BTreeSet<ContainerId>,
    all: JoinSet<(ContainerId, Option<(u64, u64)>)>,
}

/// Watches until it is told to end.
pub(super) async fn watch(hands: Hands, every: Duration, ending: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let turns = Arc::new(Semaphore::new(COUNTED_AT_ONCE_MAX));
    let mut counting = Counting { turns, under_way: BTreeSet::new(), all: JoinSet::new() };
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = ticks.tick() => counting.begin(&hands),
            Some(counted) = counting.all.join_next() => {
                let (container, found) = counted.expect("counting does not panic");
                counting.under_way.remove(&container);
                if let Some((used, most)) = found {
                    end(&hands, &container, used, most).await;
                }
            }
        }
    }
}

impl Counting {
    /// Of those that are not being counted still.
    fn begin(&mut self, hands: &Hands) {
        for (container, rooms) in watched(hands) {
            if !self.under_way.insert(container.clone()) {
                continue;
            }
            let (turns, projects) = (self.turns.clone(), hands.tools.projects.clone());
            self.all.spawn(async move {
                let _turn = turns.acquire().await.expect("nobody closes it");
                let found = spawn_blocking(move || too_much(&projects, &rooms)).await;
                (container, found.expect("counting does not panic"))
            });
        }
    }
}

/// Where each of those that run keeps what. What tasks of a program keep is the program's.
fn watched(hands: &Hands) -> Vec<(ContainerId, Vec<Room>)> {
    let view = hands.tools.board.view();
    let mut all: Vec<(ContainerId, Vec<Room>)> = Vec::new();
    let mut programs: BTreeMap<&ContainerId, Resources> = BTreeMap::new();
    for (container, held) in view.held.iter().filter(|(_, held)| held.is_running()) {
        let held: &Arc<Held> = held;
        match held.group.as_ref().filter(|group| group.executor.program.is_some()) {
            Some(Group { container, .. }) => {
                programs.entry(container).or_default().add(&held.info.resources);
            }
            None => {
                let sandbox = hands.tools.sandboxes.path(Tenant::of(container, held)).ok();
                let rooms = sandbox.map(|at| hands.rooms(container, at, &held.info.resources));
                all.push((container.clone(), rooms.unwrap_or_default()));
            }
        }
    }
    for (container, executor) in &view.executors {
        let mut resources = programs.remove(container).unwrap_or_default();
        resources.add(&executor.info.resources);
        let sandbox = hands.tools.sandboxes.run(Run::of_program(container, executor)).ok();
        let rooms = sandbox.map(|at| hands.rooms(container, at, &resources));
        all.push((container.clone(), rooms.unwrap_or_default()));
    }
    all.retain(|(_, rooms)| !rooms.is_empty());
    all
}

impl Hands {
    fn rooms(&self, container: &ContainerId, sandbox: PathBuf, has: &Resources) -> Vec<Room> {
        let layer = self.tools.containers.layer_dir(container);
        let own = Room { kept: Kept::Own { sandbox, layer }, bytes_max: set_aside(has) };
        let volumes = has.iter().filter(|one| one.is_persistent_volume()).filter_map(|one| {
            let kept = Kept::Volume(self.tools.volumes.counted(one)?);
            Some(Room { kept, bytes_max: one.bytes() })
        });
        std::iter::once(own).filter(|own| 0 < own.bytes_max).chain(volumes).collect()
    }

    /// Has the kernel count what a container keeps, where it can, and limit it if the operator wants that. Blocks.
    pub(super) fn count(&self, sandbox: &Path, has: &Resources) -> anyhow::Result<()> {
        self.tools.projects.give(sandbox, self.most(has)).map(drop)
    }

    /// What it may keep, where somebody looks.
    pub(super) fn most(&self, has: &Resources) -> Option<u64> {
        let most = Some(set_aside(has)).filter(|most| 0 < *most);
        most.filter(|_| self.tools.disk_quota.is_some())
    }

    /// What is written over its image is counted with its sandbox, if both are on the same disk.
    pub(super) fn project(&self, container: &ContainerId, sandbox: &Path) -> Option<u32> {
        let project = self.tools.projects.of(sandbox)?;
        let layers = self.tools.containers.layer_dir(container).parent()?.metadata().ok()?;
        (layers.dev() == fs::metadata(sandbox).ok()?.dev()).then_some(project)
    }
}

/// The first room in which there is more than may be. Blocks.
fn too_much(projects: &Projects, rooms: &[Room]) -> Option<(u64, u64)> {
    rooms.iter().find_map(|Room { kept, bytes_max }| {
        let used = kept.used(projects)?;
        (*bytes_max < used).then_some((used, *bytes_max))
    })
}

impl Kept {
    fn used(&self, projects: &Projects) -> Option<u64> {
        match self {
            Kept::Volume(dir) => projects.used(dir),
            Kept::Own { sandbox, layer } => {
                let counted = projects.used(sandbox);
                let (of_sandbox, of_layer) = (projects.of(sandbox), projects.of(layer));
                let is_included = of_sandbox.is_some() && of_sandbox == of_layer;
                let written = if is_included { 0 } else { used(layer) };
                Some(counted.unwrap_or_else(|| used(sandbox)) + written)
            }
        }
    }
}

/// In bytes, of the agent's own disk and without volumes.
fn set_aside(resources: &Resources) -> u64 {
    let is_own = |one: &&Resource| {
        one.name == ResourceName::Disk && !one.is_persistent_volume() && one.disk.is_none()
    };
    resources.iter().filter(is_own).map(Resource::bytes).fold(0, u64::saturating_add)
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
            assert_eq!(set_aside(&resources), expected, "{text}");
        };
        check("cpus:1;disk:64", 64 << 20);
        check("cpus:1", 0);
    }
}
