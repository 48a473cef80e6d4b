//! Users of a container's own: its root is root in there, and one of many on the machine.
//!
//! All that needs the machine's root is done before: a namespace of users is entered last, by a process whose mounts, process
//! numbers and shared memory belong to the machine's. So the container's root has no say in any of them. Its files are the
//! image's and the machine's own, seen through mounts that tell the container's numbers in place of those on the disk.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::Context;
use nix::sched::CloneFlags;
use rustix::fs::{FileType, Gid, Uid};
use rustix::process::WaitOptions;
use rustix::thread::CapabilitySet;

use super::mounts::Detached;
use super::rights;
use super::root::Result;
use super::start::fork_with;
use super::users::Identity;
use crate::policy::IdMap;

/// A namespace, and what it says.
pub(super) struct OwnUsers {
    pub(super) map: IdMap,
    namespace: OwnedFd,
}

/// Made by the shim, which knows what processes are called on the machine. It lives in what holds it.
pub(super) fn make(map: IdMap) -> anyhow::Result<OwnedFd> {
    let (mut until, kept) = std::io::pipe().context("a pipe")?;
    let forked = fork_with(libc::CLONE_NEWUSER)
        .context("a namespace of users; is user.max_user_namespaces large enough?")?;
    let Some(member) = forked else {
        drop(kept);
        // Until nobody holds the other end.
        let _ = until.read(&mut [0]);
        std::process::exit(0);
    };
    let dir = Path::new("/proc").join(member.as_raw_nonzero().to_string());
    let line = format!("0 {} {}", map.first, map.count);
    let made = (|| {
        for file in ["uid_map", "gid_map"] {
            fs::write(dir.join(file), &line)
                .with_context(|| format!("mapping ids by {line:?} in {file}"))?;
        }
        File::open(dir.join("ns/user")).context("opening a namespace of users")
    })();
    drop(kept);
    let _ = rustix::process::waitpid(Some(member), WaitOptions::empty());
    Ok(made?.into())
}

impl OwnUsers {
    pub(super) fn new(map: IdMap, namespace: OwnedFd) -> OwnUsers {
        OwnUsers { map, namespace }
    }

    /// Shows what is mounted there with the container's numbers.
    pub(super) fn show(&self, mount: &Detached, name: &str) -> Result<()> {
        mount.map_ids(&self.namespace).map_err(|e| {
            format!(
                "{name}: its file system cannot show users of the container's own ({e}); say userns=host, or keep it \
                 elsewhere"
            )
        })
    }

    /// The same for a directory, in its place. Only the calling process and its children see it so.
    pub(super) fn cover(&self, dir: &Path) -> Result<()> {
        let name = dir.display().to_string();
        let told = |e: rustix::io::Errno| format!("{name}: {e}");
        let tree = Detached::tree(dir).map_err(told)?;
        self.show(&tree, &name)?;
        let place = File::open(dir).map_err(|e| format!("{name}: {e}"))?;
        tree.put(place).map(drop).map_err(told)
    }

    /// Of the container's root from now on.
    pub(super) fn own(&self, dir: &Path) -> Result<()> {
        let owner = Some(self.map.first);
        std::os::unix::fs::chown(dir, owner, owner).map_err(|e| format!("{}: {e}", dir.display()))
    }

    /// Becomes one of them, and nobody yet.
    pub(super) fn enter(self, identity: &Identity, of_machine: CapabilitySet) -> Result<()> {
        let (uid, gid) = (self.map.of(identity.uid)?, self.map.of(identity.gid)?);
        // Programs open their output again by its name in /dev.
        let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let streams = [input.as_fd(), output.as_fd(), errors.as_fd()];
        let own = |fd: BorrowedFd<'_>| -> rustix::io::Result<()> {
            let kind = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode);
            match kind == FileType::Fifo {
                true => rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))),
                false => Ok(()),
            }
        };
        streams.into_iter().try_for_each(own).map_err(|e| format!("standard streams: {e}"))?;
        nix::sched::setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWUSER)
            .map_err(|e| format!("entering a namespace of users: {e}"))?;
        rights::have_no_more_than(of_machine);
        Ok(())
    }
}
