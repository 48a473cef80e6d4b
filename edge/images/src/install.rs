//! How a layer gets into the store: unpacked aside, flushed to the disk, renamed into place, and only then known.

use std::fs;
use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::layer::{self, LayerError, Proof};
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

/// A layer beside the store.
pub(crate) struct Unpacked {
    at: Temporary,
    bytes: u64,
}

/// Blocks.
pub(crate) fn unpack(
    inner: &Inner,
    blob: &Blob,
    proof: Proof,
    archive: impl Read,
) -> Result<Unpacked, LayerError> {
    let at = inner.temporary();
    make_layer(at.path()).map_err(|error| disk(at.path(), error))?;
    let bytes_max = inner.config.layer_bytes_max;
    let bytes = layer::unpack(archive, &blob.digest, proof, at.path(), bytes_max)?;
    Ok(Unpacked { at, bytes })
}

/// Blocks for as long as the disk takes, and nobody should wait for a turn at anything else meanwhile.
pub(crate) fn settle(inner: &Inner, blob: &Blob, unpacked: &Unpacked) -> Result<(), LayerError> {
    let (from, target) = (unpacked.at.path(), inner.layer_path(&blob.digest));
    inner.flush.flush().map_err(|error| disk(from, error))?;
    let place = || match fs::rename(from, &target) {
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
        contents.layers.insert(blob.digest.clone(), unpacked.bytes);
    };
    inner.index.change(place, note).map_err(|error| disk(&target, error))
}

fn disk(path: &Path, error: io::Error) -> LayerError {
    LayerError::Unpack(UnpackError::Disk { what: path.display().to_string(), error })
}

/// The root of a layer, as the root of a file system is: visible for all.
pub(crate) fn make_layer(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
