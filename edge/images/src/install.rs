//! How a layer gets into the store: unpacked aside, flushed to the disk, renamed into place, and only then known.

use std::fs;
use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::layer::{self, LayerError};
use crate::manifest::Blob;
use crate::store::Inner;
use crate::tree::UnpackError;
use crate::{files, index};

/// Removed with whatever is in it when it goes out of scope, unless it was renamed.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let removed =
            if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "a temporary file stays until the next start");
            }
            Ok(()) | Err(_) => (),
        }
    }
}

/// Blocks. The turn at unpacking ends before the flush: the processor need not wait for the disk.
pub(crate) fn install(
    inner: &Arc<Inner>,
    blob: &Blob,
    archive: impl Read,
    turn: OwnedSemaphorePermit,
) -> Result<(), LayerError> {
    let (unpacked, target) = (inner.temporary(), inner.layer_path(&blob.digest));
    let disk = |path: &Path| {
        let what = path.display().to_string();
        move |error: io::Error| LayerError::Unpack(UnpackError::Disk { what, error })
    };
    make_layer(unpacked.path()).map_err(disk(unpacked.path()))?;
    let bytes_max = inner.config.layer_bytes_max;
    let bytes = layer::unpack(archive, &blob.digest, unpacked.path(), bytes_max)?;
    drop(turn);
    inner.flush.flush().map_err(disk(unpacked.path()))?;
    let place = || match fs::rename(unpacked.path(), &target) {
        Ok(()) => files::sync_directory(target.parent().expect("a layer lies in the store")),
        // Whoever began before us and was given up has finished after all.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    };
    let note = |contents: &mut index::Contents, (): &()| {
        contents.layers.insert(blob.digest.clone(), bytes);
    };
    inner.index.change(place, note).map_err(disk(&target))
}

/// The root of a layer, as the root of a file system is: visible for all.
pub(crate) fn make_layer(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
