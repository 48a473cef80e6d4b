//! What is put into a container besides the agent's own directories: paths of the machine that an operator has to allow or
//! that share mounts with it, images, secrets.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::container::VolumeMode;
use model::secret::Secret;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{MountAttrFlags, MountFlags};

use super::mounts::Detached;
use super::root::{
    DATA, Growing, READ_ONLY_MOUNT, Result, make_dir, overlay, own_like, stays_below, told,
};
use crate::spec::{Mount, Source, Spec};

const SECRET_MODE: u32 = 0o400;
const SECRETS: &str = "secrets";

/// What has to be taken hold of before the container's mounts are cut off from the machine's: by place among the mounts.
pub(super) fn peers(spec: &Spec) -> Result<Vec<Option<Detached>>> {
    let peer = |mount: &Mount| match &mount.source {
        Source::Host { root, path, both_ways: true } => {
            let whole = root.join(path);
            shared_mount(&whole)?;
            open_beneath(root, path).map(Some)
        }
        Source::Host { both_ways: false, .. } | Source::Layers(_) | Source::Secret(_) => Ok(None),
    };
    spec.mounts.iter().map(peer).collect()
}

impl Growing<'_> {
    /// Puts all of them in their places, in order.
    pub(super) fn mounts(&mut self) -> Result<()> {
        let peers = std::mem::take(&mut self.peers);
        let all = self.launch.spec.mounts.iter().zip(peers);
        all.enumerate().try_for_each(|(n, (mount, peer))| self.mount(n, mount, peer))
    }

    fn mount(&self, n: usize, mount: &Mount, peer: Option<Detached>) -> Result<()> {
        stays_below(&mount.container_path)?;
        let target = self.target(&mount.container_path)?.display().to_string();
        let (source, attributes) = match &mount.source {
            Source::Host { root, path, .. } => {
                let source = peer.map_or_else(|| open_beneath(root, path), Ok)?;
                self.show(&source, &root.join(path).display().to_string())?;
                (source, self.files)
            }
            Source::Layers(layers) => (self.image(n, layers)?, self.files),
            Source::Secret(secret) => (self.secret(n, secret)?, DATA),
        };
        let attributes = match mount.mode {
            VolumeMode::ReadOnly => attributes | READ_ONLY_MOUNT,
            VolumeMode::ReadWrite => attributes,
        };
        self.put(source, &target, attributes)
    }

    /// The image's files, under a layer that goes with the container.
    fn image(&self, n: usize, layers: &[PathBuf]) -> Result<Detached> {
        let name = format!("volume-{n}");
        let (path, writable) = (self.launch.run_dir.join(&name), self.launch.layer_dir.join(&name));
        make_dir(&path, 0o755)?;
        make_dir(&writable, 0o700)?;
        let no_devices = self.files.contains(MountAttrFlags::MOUNT_ATTR_NODEV);
        let flags = if no_devices { MountFlags::NODEV } else { MountFlags::empty() };
        overlay(layers, &writable, &path, (flags, self.users))?;
        Detached::tree(&path).map_err(|e| told(&path.display().to_string(), e))
    }

    /// A file in memory, in a file system that only this container has. Its user may read it.
    fn secret(&self, n: usize, secret: &Secret) -> Result<Detached> {
        let dir = self.launch.run_dir.join(SECRETS).join(n.to_string());
        let failed = |e: std::io::Error| format!("a secret's file: {e}");
        make_dir(&dir, 0o700)?;
        let place = File::open(&dir).map_err(failed)?;
        Detached::new("tmpfs", &[("mode", "0700")], DATA)
            .and_then(|mount| mount.put(&place))
            .map_err(|e| told("a secret", e))?;
        // What was opened before lies under what is mounted now.
        let path = dir.join("value");
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(SECRET_MODE);
        let mut file = options.open(&path).map_err(failed)?;
        file.write_all(secret.bytes()).map_err(failed)?;
        let sandbox = File::open(&self.launch.spec.sandbox).map_err(failed)?;
        own_like(&file, &sandbox).map_err(|e| format!("a secret's file: {e}"))?;
        if let Some(users) = self.users {
            let owner = file.metadata().map_err(failed)?;
            let (uid, gid) = (users.map.of(owner.uid())?, users.map.of(owner.gid())?);
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid)).map_err(failed)?;
        }
        Detached::tree(&path).map_err(|e| told("a secret", e))
    }
}

/// Whoever may write below the root may put links there: none is followed, so nothing else is reached.
fn open_beneath(root: &Path, path: &Path) -> Result<Detached> {
    let whole = root.join(path);
    let failed = |e: rustix::io::Errno| match e {
        rustix::io::Errno::NOENT => {
            format!("volume: {} does not exist on the host", whole.display())
        }
        rustix::io::Errno::LOOP | rustix::io::Errno::XDEV => format!(
            "volume: {} has become a link, and those are not followed below {}",
            whole.display(),
            root.display()
        ),
        e => format!("volume {}: {e}", whole.display()),
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened: OwnedFd = rustix::fs::open(root, flags, Mode::empty()).map_err(failed)?;
    let opened = match path.as_os_str().is_empty() {
        true => opened,
        false => {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            rustix::fs::openat2(&opened, path, flags, Mode::empty(), resolve).map_err(failed)?
        }
    };
    Detached::tree_at(&opened).map_err(failed)
}

/// Mounts go both ways only where the machine shares them.
fn shared_mount(path: &Path) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo");
    let table = table.map_err(|e| format!("asking what is mounted: {e}"))?;
    match is_shared(&table, path) {
        true => Ok(()),
        false => Err(format!(
            "volume {}: it is in no shared mount, so mounts in the container cannot reach the host; run 'mount \
             --make-shared' for what it is in",
            path.display()
        )),
    }
}

/// Of the mount that the path is in: the last of the deepest, for it hides the others.
fn is_shared(table: &str, path: &Path) -> bool {
    let mounts = table.lines().filter_map(|line| {
        let (place, _) = line.split_once(" - ")?;
        let at = place.split(' ').nth(4)?.replace("\\040", " ");
        let is_shared = place.split(' ').skip(6).any(|word| word.starts_with("shared:"));
        path.starts_with(&at).then_some((Path::new(&at).components().count(), is_shared))
    });
    mounts.max_by_key(|(depth, _)| *depth).is_some_and(|(_, is_shared)| is_shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_says_whether_it_is_shared() {
        let table = "\
22 27 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:28 / /data rw,relatime - ext4 /dev/vdb rw
32 31 0:29 / /data/a\\040b rw,relatime master:2 shared:7 - tmpfs tmpfs rw
33 31 0:30 / /data/slave rw,relatime master:2 - tmpfs tmpfs rw
";
        let check = |path: &str, expected: bool| {
            assert_eq!(is_shared(table, Path::new(path)), expected, "{path}");
        };
        check("/srv", true);
        check("/data", false);
        check("/database", true);
        check("/data/a b/c", true);
        check("/data/slave", false);
    }
}
