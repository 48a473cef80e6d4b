//! Which containers of callers there are, written down before they are started and until they are removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use model::id::ContainerId;
use serde::{Deserialize, Serialize};

use super::Lineage;

/// Besides what the runtime knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) lineage: Lineage,
    /// As the runtime calls it.
    pub(crate) container: String,
    /// What it was started with, if it is on its own.
    pub(crate) resources: Option<String>,
    pub(crate) image: Option<String>,
}

/// A directory of entries, and one of sandboxes. All of it blocks.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    entries: PathBuf,
    sandboxes: PathBuf,
}

impl Ledger {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { entries: dir.join("guests"), sandboxes: dir.join("containers") }
    }

    pub(crate) fn sandbox(&self, container: &ContainerId) -> PathBuf {
        self.sandboxes.join(container.as_str())
    }

    fn path(&self, container: &str) -> PathBuf {
        self.entries.join(container)
    }

    /// Whole or not at all, and on the disk.
    pub(crate) fn write(&self, entry: &Entry) -> anyhow::Result<()> {
        let path = self.path(&entry.container);
        let say = || format!("writing {}", path.display());
        fs::create_dir_all(&self.entries).with_context(say)?;
        let partial = self.entries.join(format!(".{}", entry.container));
        let bytes = serde_json::to_vec(entry).with_context(say)?;
        let written = || -> io::Result<()> {
            let mut file = File::create(&partial)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.entries)?.sync_all()
        };
        written().with_context(say)
    }

    /// With its sandbox. The entry goes last, so that what is broken off is done again.
    pub(crate) fn remove(&self, container: &ContainerId) -> anyhow::Result<()> {
        let gone = |removed: io::Result<()>| match removed {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let say = || format!("removing what container {container} has left");
        gone(fs::remove_dir_all(self.sandbox(container))).with_context(say)?;
        gone(fs::remove_file(self.path(container.as_str()))).with_context(say)
    }

    pub(crate) fn read(&self) -> anyhow::Result<Vec<Entry>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.entries).into_iter().flatten().flatten() {
            // What begins with a dot was never finished.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                let path = entry.path();
                let say = || format!("reading {}", path.display());
                let bytes = fs::read(&path).with_context(say)?;
                all.push(serde_json::from_slice(&bytes).with_context(say)?);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_until_it_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::new(dir.path());
        assert_eq!(ledger.read().expect("nothing yet"), []);
        let (task, own) = (ContainerId::new("t"), ContainerId::new("t.own"));
        let entry = Entry {
            lineage: Lineage::of_task(&ContainerId::new("own"), Some(&task)),
            container: own.to_string(),
            resources: None,
            image: Some("nginx".to_owned()),
        };
        ledger.write(&entry).expect("written");
        fs::create_dir_all(ledger.sandbox(&own).join("sub")).expect("made");
        fs::write(dir.path().join("guests/.half"), "{").expect("written");
        assert_eq!(ledger.read().expect("readable"), [entry]);
        ledger.remove(&own).expect("removed");
        ledger.remove(&own).expect("what is gone may be removed");
        assert!(ledger.read().expect("readable").is_empty() && !ledger.sandbox(&own).exists());
    }
}
