//! What an agent had checkpointed is put aside, so that it starts as a new one. Nothing is thrown away.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Below the agent's directory; each time makes one more within.
const ASIDE: &str = "put-aside";

/// Its own store, and what it knows of containers that callers started.
const CHECKPOINTS: [&str; 2] = ["state.redb", "guests"];

/// Tells where it is, if there was anything.
pub(crate) fn put(dir: &Path) -> anyhow::Result<()> {
    let there = |name: &&str| dir.join(name).exists();
    let found: Vec<&str> = CHECKPOINTS.into_iter().filter(there).collect();
    if found.is_empty() {
        return Ok(());
    }
    let to = make(&dir.join(ASIDE))?;
    for name in found {
        let (from, to) = (dir.join(name), to.join(name));
        fs::rename(&from, &to)
            .with_context(|| format!("moving {} to {}", from.display(), to.display()))?;
    }
    tracing::warn!(
        at = %to.display(),
        "this is a new agent: what the one before it had checkpointed is put aside, and its tasks end"
    );
    Ok(())
}

/// The first that is not there yet.
fn make(parent: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let mut number = 1_u64;
    loop {
        let dir = parent.join(number.to_string());
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(cause) => return Err(cause).with_context(|| format!("creating {}", dir.display())),
        }
    }
}
