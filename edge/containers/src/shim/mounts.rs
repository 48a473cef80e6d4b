//! Mounts that are made first and put in their place afterwards, and places that no link leads out of.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

/// Links that one path may go through, as the kernel has it.
const LINKS_MAX: usize = 40;

/// A file system, or a part of one, that is mounted nowhere yet.
pub(crate) struct Detached(OwnedFd);

/// What `mount_setattr` is told, as the kernel lays it out.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// A program whose file nobody changes by way of a process that runs it. It is executed by the number of the descriptor.
pub(crate) fn sealed(program: &Path) -> rustix::io::Result<OwnedFd> {
    let own = Detached::tree(program)?;
    own.restrict(MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    Ok(own.0)
}

impl Detached {
    /// A new file system. An option without a value is a flag.
    pub(crate) fn new(
        kind: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> rustix::io::Result<Detached> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            match *value {
                "" => rustix::mount::fsconfig_set_flag(&context, *name)?,
                value => rustix::mount::fsconfig_set_string(&context, *name, value)?,
            }
        }
        rustix::mount::fsconfig_create(&context)?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        rustix::mount::fsmount(&context, flags, attributes).map(Detached)
    }

    /// What is visible at a path of the host, with everything that is mounted below.
    pub(crate) fn tree(path: &Path) -> rustix::io::Result<Detached> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        rustix::mount::open_tree(CWD, path, flags).map(Detached)
    }

    /// The same of what is open.
    pub(crate) fn tree_at(place: &OwnedFd) -> rustix::io::Result<Detached> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        rustix::mount::open_tree(place, "", flags).map(Detached)
    }

    /// Adds to the attributes of the mount and of all that are mounted below it.
    pub(crate) fn restrict(&self, attributes: MountAttrFlags) -> rustix::io::Result<()> {
        set_attributes(self.0.as_raw_fd(), attributes, libc::AT_RECURSIVE)
    }

    /// Shows owners as the namespace of users says, from what is on the disk.
    pub(crate) fn map_ids(&self, users: impl AsFd) -> rustix::io::Result<()> {
        let set = u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits());
        let user_namespace = u64::try_from(users.as_fd().as_raw_fd()).expect("it is open");
        let told = Attributes { set, clear: 0, propagation: 0, user_namespace };
        change(self.0.as_raw_fd(), &told, libc::AT_RECURSIVE)
    }

    /// Mounts it there. What comes back is open and can still be written below, or restricted.
    pub(crate) fn put(self, place: impl AsFd) -> rustix::io::Result<Detached> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&self.0, "", place, "", flags)?;
        Ok(self)
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether this kernel has the youngest of the system calls that mount a container's root: Linux 5.12 or later.
pub(crate) fn are_supported() -> bool {
    const NOTHING: RawFd = -1;
    set_attributes(NOTHING, MountAttrFlags::empty(), 0) != Err(Errno::NOSYS)
}

fn set_attributes(
    mount: RawFd,
    attributes: MountAttrFlags,
    depth: libc::c_int,
) -> rustix::io::Result<()> {
    let set = u64::from(attributes.bits());
    change(mount, &Attributes { set, clear: 0, propagation: 0, user_namespace: 0 }, depth)
}

fn change(mount: RawFd, told: &Attributes, depth: libc::c_int) -> rustix::io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | depth;
    // SAFETY: the kernel reads an empty text and as many bytes as the structure has.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount,
            c"".as_ptr(),
            flags,
            &raw const *told,
            size_of::<Attributes>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}

pub(crate) fn is_dir(place: impl AsFd) -> rustix::io::Result<bool> {
    let stat = rustix::fs::fstat(place)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).expect("the kernel's own error")
}

/// What is wanted at a path, if there is nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dir,
    File,
}

/// A directory as if it were `/`: links in it, which are a stranger's, lead nowhere else.
pub(crate) struct Inside {
    dir: OwnedFd,
    /// Whose is what is made in it, if not ours.
    owner: Option<u32>,
}

impl Inside {
    pub(crate) fn open(dir: &Path) -> rustix::io::Result<Inside> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::empty()).map(|dir| Inside { dir, owner: None })
    }

    pub(crate) fn owned_by(self, owner: Option<u32>) -> Inside {
        Inside { owner, ..self }
    }

    /// The root of what was mounted.
    pub(crate) fn of(mount: &Detached) -> rustix::io::Result<Inside> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(mount, ".", flags, Mode::empty())?;
        Ok(Inside { dir, owner: None })
    }

    /// Adds to the attributes of the mount that it is the root of, and of no other.
    pub(crate) fn restrict(&self, attributes: MountAttrFlags) -> rustix::io::Result<()> {
        set_attributes(self.dir.as_raw_fd(), attributes, 0)
    }

    pub(crate) fn find(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.look(path, OFlags::PATH)
    }

    /// What is at the path; a directory or an empty file is made there if nothing is, and the directories above.
    pub(crate) fn find_or_make(&self, path: &Path, kind: Kind) -> rustix::io::Result<OwnedFd> {
        match self.find(path) {
            Err(Errno::NOENT) => self.make_step_by_step(path, kind),
            found => found,
        }
    }

    fn make_step_by_step(&self, path: &Path, kind: Kind) -> rustix::io::Result<OwnedFd> {
        let mut links = 0;
        // What is still to be gone through, the next part last.
        let mut rest: Vec<PathBuf> = parts(path);
        let mut at = PathBuf::new();
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            let last = rest.is_empty();
            match self.look(&next, OFlags::PATH | OFlags::NOFOLLOW) {
                Err(Errno::NOENT) => self.make(&next, if last { kind } else { Kind::Dir })?,
                Err(e) => return Err(e),
                Ok(found) => {
                    if let Some(target) = link(&found)? {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(Errno::LOOP);
                        }
                        if target.is_absolute() {
                            at = PathBuf::new();
                        }
                        rest.extend(parts(&target));
                        continue;
                    }
                }
            }
            at = next;
        }
        self.look(&at, OFlags::PATH)
    }

    fn make(&self, path: &Path, kind: Kind) -> rustix::io::Result<()> {
        let name = path.file_name().expect("a part was added to it");
        let parent = path.parent().expect("it has a name");
        let dir = self.look(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        let made = match kind {
            Kind::Dir => rustix::fs::mkdirat(&dir, name, Mode::from(0o755)),
            Kind::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(&dir, name, flags, Mode::from(0o644)).map(drop)
            }
        };
        match (made, self.owner) {
            (Err(Errno::EXIST), _) | (Ok(()), None) => Ok(()),
            (Err(e), _) => Err(e),
            (Ok(()), Some(owner)) => {
                let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
                rustix::fs::chownat(&dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn look(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }
}

impl AsFd for Inside {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The names that a path goes through, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    named.collect()
}

/// Where a link leads; `None` if it is none.
fn link(found: &OwnedFd) -> rustix::io::Result<Option<PathBuf>> {
    let stat = rustix::fs::statat(found, "", AtFlags::EMPTY_PATH)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(found, "", Vec::new())?;
    Ok(Some(PathBuf::from(OsStr::from_bytes(target.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_place_is_made_inside_whatever_links_say() {
        let check = |links: &[(&str, &str)], path: &str, kind: Kind, expected: &str| {
            let outside = tempfile::tempdir().expect("a temporary directory");
            let root = outside.path().join("root");
            std::fs::create_dir_all(root.join("etc")).expect("directories");
            for (name, target) in links {
                symlink(target, root.join(name)).expect("a link");
            }
            let inside = Inside::open(&root).expect("opened");
            inside.find_or_make(Path::new(path), kind).expect(path);
            let made = root.join(expected);
            assert_eq!((made.is_dir(), made.is_file()), (kind == Kind::Dir, kind == Kind::File));
            assert_eq!(std::fs::read_dir(outside.path()).expect("read").count(), 1, "{path}");
        };
        check(&[], "/mnt/a/b", Kind::Dir, "mnt/a/b");
        check(&[], "/etc/hosts", Kind::File, "etc/hosts");
        check(&[("mnt", "/other")], "/mnt/a", Kind::Dir, "other/a");
        check(&[("mnt", "../../../other")], "/mnt/a", Kind::Dir, "other/a");
        check(&[("etc/hosts", "../run/hosts")], "/etc/hosts", Kind::File, "run/hosts");
        check(&[("a", "b"), ("b", "/c")], "a/../a/d", Kind::Dir, "c/d");
    }

    #[test]
    fn links_that_lead_in_a_circle_are_an_error() {
        let root = tempfile::tempdir().expect("a temporary directory");
        symlink("b", root.path().join("a")).expect("a link");
        symlink("a", root.path().join("b")).expect("a link");
        let inside = Inside::open(root.path()).expect("opened");
        let refused = inside.find_or_make(Path::new("/a/c"), Kind::Dir);
        assert_eq!(refused.err(), Some(Errno::LOOP));
    }
}
