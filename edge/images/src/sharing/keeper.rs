//! The holder's side: layers as they came, for others.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Holder, Sharing, secret};
use crate::files;

#[derive(Debug)]
pub(crate) struct Keeper {
    dir: PathBuf,
    bytes_max: u64,
    pub(super) own: Holder,
    giving: Arc<Semaphore>,
}

/// A layer for another agent. Others have to wait while it lives, so it goes with the last byte.
#[derive(Debug)]
pub struct Given {
    pub file: File,
    pub bytes: u64,
    _turn: OwnedSemaphorePermit,
}

/// Why another agent does not get a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGiven {
    /// It does not know our token.
    Stranger,
    Absent,
    /// Enough others get layers.
    Busy,
}

impl Keeper {
    pub(crate) fn open(dir: PathBuf, sharing: &Sharing) -> io::Result<Self> {
        files::make_private(&dir)?;
        Ok(Self {
            dir,
            bytes_max: sharing.kept_bytes_max,
            own: Holder { address: sharing.address.clone(), token: secret()? },
            giving: Arc::new(Semaphore::new(sharing.given_max)),
        })
    }

    /// Takes an archive in and lets the oldest go that have no room beside it. One that is gone has been taken in, or
    /// removed, by somebody else. Blocks.
    pub(crate) fn keep(&self, digest: &str, archive: &Path) -> io::Result<()> {
        let taken = match fs::metadata(archive) {
            Ok(about) if about.len() > self.bytes_max => return fs::remove_file(archive),
            Ok(_) => fs::rename(archive, self.path(digest)),
            Err(error) => Err(error),
        };
        match taken {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            taken => taken?,
        }
        let mut all = self.all()?;
        all.sort_by_key(|(_, about)| about.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let mut bytes: u64 = all.iter().map(|(_, about)| about.len()).sum();
        for (path, about) in all {
            if bytes <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            bytes -= about.len();
        }
        Ok(())
    }

    /// Of what is kept, all but these go.
    pub(crate) fn keep_only(&self, is_kept: impl Fn(&str) -> bool) -> io::Result<()> {
        let doomed = self.all()?.into_iter().filter(|(path, _)| !is_kept(&digest_of(path)));
        doomed.into_iter().try_for_each(|(path, _)| fs::remove_file(path))
    }

    pub(crate) fn digests(&self) -> io::Result<Vec<String>> {
        Ok(self.all()?.iter().map(|(path, _)| digest_of(path)).collect())
    }

    pub(crate) fn give(&self, digest: &str, token: &str) -> Result<Given, NotGiven> {
        // Hashed, so that the time it takes tells nothing of how much was right.
        if Sha256::digest(token) != Sha256::digest(&self.own.token) {
            return Err(NotGiven::Stranger);
        }
        let is_of_digest = |letter: char| letter.is_ascii_alphanumeric() || letter == ':';
        if !digest.chars().all(is_of_digest) {
            return Err(NotGiven::Absent);
        }
        let file = File::open(self.path(digest)).map_err(|_| NotGiven::Absent)?;
        let bytes = file.metadata().map_err(|_| NotGiven::Absent)?.len();
        let turn = Arc::clone(&self.giving).try_acquire_owned().map_err(|_| NotGiven::Busy)?;
        Ok(Given { file, bytes, _turn: turn })
    }

    fn all(&self) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
        fs::read_dir(&self.dir)?
            .map(|entry| entry.and_then(|one| Ok((one.path(), one.metadata()?))))
            .collect()
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(digest.replace(':', "-"))
    }
}

fn digest_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().replace('-', ":")
}
