//! Directories beside the writable layers that no container owns.
//!
//! One has the places where every container with an image has something mounted, as a layer below its image: made once,
//! and not in each container's own layer, where they cost a dozen operations of the disk at its start and as many at its
//! end.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Beside the writable layers. No container can be called so.
const NAME: &str = "~places";

/// What a keeper has instead of an image and a sandbox.
const EMPTY: [&str; 2] = ["~keeper/root", "~keeper/sandbox"];

/// Where Mesos mounts the sandbox in a container with an image.
pub(crate) const SANDBOX_IN_IMAGE: &str = "/mnt/mesos/sandbox";

/// Files of the host that name its network, which containers share.
pub(crate) const NETWORK_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

const DIRS: [&str; 5] = ["/proc", "/dev", "/sys", "/etc", SANDBOX_IN_IMAGE];

/// Made in the directory of all writable layers. It may be there already.
pub(crate) fn make(layer_dirs: &Path) -> io::Result<()> {
    const DIR_MODE: u32 = 0o755;
    const FILE_MODE: u32 = 0o644;
    let inside = |path: &str| layer_dirs.join(NAME).join(path.trim_start_matches('/'));
    let mut dirs = DirBuilder::new();
    dirs.recursive(true).mode(DIR_MODE);
    DIRS.iter().try_for_each(|dir| dirs.create(inside(dir)))?;
    EMPTY.iter().try_for_each(|dir| dirs.create(layer_dirs.join(dir)))?;
    for file in NETWORK_FILES.into_iter().filter(|file| Path::new(file).exists()) {
        let file = File::options().append(true).create(true).open(inside(file))?;
        file.set_permissions(PermissionsExt::from_mode(FILE_MODE))?;
    }
    Ok(())
}

/// Two directories with nothing in them.
pub(crate) fn empty(layer_dirs: &Path) -> [PathBuf; 2] {
    EMPTY.map(|dir| layer_dirs.join(dir))
}

/// That of a container's writable layer. `None`: somebody has removed it, and containers do without.
pub(crate) fn beside(layer_dir: &Path) -> Option<PathBuf> {
    let places = layer_dir.parent()?.join(NAME);
    places.is_dir().then_some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_made_once_and_found_beside_a_layer() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let layer = dir.path().join("container");
        assert_eq!(beside(&layer), None);
        for _ in 0..2 {
            make(dir.path()).expect("made");
        }
        let places = beside(&layer).expect("found");
        assert!(places.join("mnt/mesos/sandbox").is_dir() && places.join("proc").is_dir());
    }
}
