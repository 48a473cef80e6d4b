//! Who has how much of the disk, where the kernel counts it: each sandbox, with what its container writes over its image,
//! and each persistent volume has a project of its own.
//!
//! There are no books: a directory says which project it has, and a project without files is nobody's. So nothing is
//! forgotten when an agent starts again, and a number is free as soon as all that had it is removed.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use containers::projects::{self, Disk, Keeping};

/// Whoever is ended for what it has is seen to have more than it may only if it can.
const HEADROOM_BYTES: u64 = 10 << 20;

/// What becomes of who wants more than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// It is told that there is no more space.
    Refused,
    /// It is ended.
    Ended,
}

/// Shared by all agents that keep something on the same disks.
#[derive(Debug, Clone)]
pub struct Projects {
    ids: Range<u32>,
    beyond: Beyond,
    /// Which to try first for the next. Whoever looks for one holds it until it is taken.
    next: Arc<Mutex<u32>>,
}

impl Projects {
    /// `ids` are nobody else's on this machine; with none of them nothing is counted by the kernel.
    pub fn new(ids: Range<u32>, beyond: Beyond) -> Self {
        Self { next: Arc::new(Mutex::new(ids.start)), ids, beyond }
    }

    /// Nobody has one.
    pub fn none() -> Self {
        Self::new(0..0, Beyond::Refused)
    }

    /// Has the kernel count what is in the directory by itself and, with `bytes_max`, limit it. Gives nothing back where it
    /// does not count. Blocks.
    pub(crate) fn give(&self, dir: &Path, bytes_max: Option<u64>) -> anyhow::Result<Option<u32>> {
        let say = || format!("counting what is kept in {}", dir.display());
        let Some(disk) = self.disk(dir) else { return Ok(None) };
        let own = projects::of(dir).with_context(say)?;
        let project = match self.ids.contains(&own) {
            true => own,
            false => self.assign(&disk, dir).with_context(say)?,
        };
        let bytes_max = bytes_max.map(|most| match self.beyond {
            Beyond::Refused => most,
            Beyond::Ended => most.saturating_add(HEADROOM_BYTES),
        });
        disk.limit(project, bytes_max).with_context(say)?;
        Ok(Some(project))
    }

    /// What is counted together with the directory. Costs the same however much that is.
    pub(crate) fn used(&self, dir: &Path) -> Option<u64> {
        let project = self.of(dir)?;
        Disk::of(dir).ok()?.used(project).ok().map(|used| used.bytes)
    }

    /// The directory's own.
    pub(crate) fn of(&self, dir: &Path) -> Option<u32> {
        projects::of(dir).ok().filter(|own| self.ids.contains(own))
    }

    /// It is about to be removed with all that is in it: its number may be another's as soon as it is. Blocks.
    pub(crate) fn release(&self, dir: &Path) {
        let Some(project) = self.of(dir) else { return };
        // Before, for afterwards somebody else may have the number. What is left of its limit would do no harm.
        if let Err(cause) = Disk::of(dir).and_then(|disk| disk.limit(project, None)) {
            tracing::debug!(dir = %dir.display(), %cause, "the limit of what is removed stays");
        }
    }

    /// Where the kernel counts.
    fn disk(&self, dir: &Path) -> Option<Disk> {
        if self.ids.is_empty() {
            return None;
        }
        let disk = Disk::of(dir).ok()?;
        match disk.keeping() {
            Keeping::Nothing => None,
            Keeping::Counts | Keeping::Limits => Some(disk),
        }
    }

    fn assign(&self, disk: &Disk, dir: &Path) -> anyhow::Result<u32> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |id: u32| disk.used(id).map(|used| used.files == 0);
        for id in (*next..self.ids.end).chain(self.ids.start..*next) {
            if is_free(id).context("asking who has which project")? {
                projects::assign(dir, id)?;
                *next = if id + 1 < self.ids.end { id + 1 } else { self.ids.start };
                return Ok(id);
            }
        }
        bail!(
            "all of the {} projects are taken; isolation.project_ids may have more",
            self.ids.len()
        )
    }
}
