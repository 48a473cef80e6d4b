//! What has to be so before a cluster can start, each with what to do if it is not.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Containers need it: namespaces, cgroups, mounts.
pub(crate) fn is_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "`dcos up` has to run as root, because containers need namespaces, cgroups and mounts. \
         Run it again with sudo: sudo dcos up"
    )
}

/// As many as this process may have: every client of a front door and every follower of a log takes two.
pub(crate) fn raise_open_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("raising the number of files that may be open")
}

/// The data directory, ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

pub(crate) fn lock(data_dir: &Path) -> Result<DataLock> {
    fs::create_dir_all(data_dir).with_context(|| format!("creating {}", data_dir.display()))?;
    let path = data_dir.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // The number only helps; the lock is what counts.
            let _ = file.read_to_string(&mut owner);
            bail!(
                "{} belongs to a cluster that runs already (process {}). Stop that one, or choose another directory \
                 with --data-dir and another address with --bind, such as 127.0.0.2.",
                data_dir.display(),
                owner.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    let mut write = || -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write().with_context(|| format!("writing {}", path.display()))?;
    Ok(DataLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_owner() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = lock(dir.path()).expect("nobody has it");
        let error = lock(dir.path()).expect_err("it is taken").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
        drop(first);
        assert!(lock(dir.path()).is_ok());
    }
}
