//! How a tree finds the directory of an entry without leaving itself, and makes room for what is new.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Stat, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::{Before, OPAQUE, Purpose, Tree, UnpackError, disk, refused, shown};
use crate::files;

/// Directories below directories; deeper ones could not be removed again without care.
const DEPTH_MAX: usize = 256;
const IMPLICIT_DIRECTORY_MODE: u32 = 0o755;
/// An archive's names could otherwise make many directories of few bytes.
const IMPLICIT_DIRECTORIES_MAX: usize = 1_000_000;

impl Tree {
    /// Removes what is in the way, unless it is a directory and one is `wanted`.
    pub(super) fn clear(
        &mut self,
        path: &[u8],
        parent: &OwnedFd,
        name: &OsStr,
        wanted: Before,
    ) -> Result<Before, UnpackError> {
        let found = lstat(parent, name).map_err(|e| disk(path, e))?;
        if is_directory(&found) {
            if wanted == Before::Directory {
                return Ok(Before::Directory);
            }
            self.last = None;
            files::remove_below(parent, name)
                .map_err(|error| UnpackError::Disk { what: shown(path), error })?;
            return Ok(Before::Nothing);
        }
        self.last = None;
        rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(|e| disk(path, e))?;
        Ok(if self.is_whiteout(&found) { Before::Whiteout } else { Before::Nothing })
    }

    fn is_whiteout(&self, found: &Stat) -> bool {
        match self.purpose {
            Purpose::Layer => {
                FileType::from_raw_mode(found.st_mode as RawMode) == FileType::CharacterDevice
                    && found.st_rdev == 0
            }
            Purpose::Sandbox { .. } => false,
        }
    }

    /// The directory of these parts, made if need be.
    pub(super) fn parent(
        &mut self,
        entry: &[u8],
        parts: &[&OsStr],
    ) -> Result<Rc<OwnedFd>, UnpackError> {
        if parts.len() > DEPTH_MAX {
            return Err(refused(entry, format!("lies more than {DEPTH_MAX} directories deep")));
        }
        let path: PathBuf = parts.iter().collect();
        if let Some((_, fd)) = self.last.as_ref().filter(|(last, _)| *last == path) {
            return Ok(Rc::clone(fd));
        }
        let fd = match self.open_below(&path) {
            Ok(fd) => Rc::new(fd),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_parent(entry, parts)?,
            Err(Errno::LOOP) => {
                return Err(refused(entry, "goes through symbolic links in a circle".into()));
            }
            Err(Errno::NAMETOOLONG) => {
                return Err(refused(entry, "has a path that is too long".into()));
            }
            Err(error) => return Err(disk(entry, error)),
        };
        self.assert_inside(entry, &fd)?;
        self.last = Some((path, Rc::clone(&fd)));
        Ok(fd)
    }

    fn make_parent(&mut self, entry: &[u8], parts: &[&OsStr]) -> Result<Rc<OwnedFd>, UnpackError> {
        let (name, above) = parts.split_last().expect("the root itself is there");
        let parent = self.parent(entry, above)?;
        self.implied += 1;
        if self.implied > IMPLICIT_DIRECTORIES_MAX {
            let cause = format!(
                "needs more than {IMPLICIT_DIRECTORIES_MAX} directories that the archive does not name"
            );
            return Err(refused(entry, cause));
        }
        let mode = Mode::from_raw_mode(IMPLICIT_DIRECTORY_MODE);
        let hidden = match rustix::fs::mkdirat(&*parent, *name, mode) {
            Ok(()) => false,
            Err(Errno::EXIST)
                if self.is_whiteout(&lstat(&parent, name).map_err(|e| disk(entry, e))?) =>
            {
                self.clear(entry, &parent, name, Before::Directory)?;
                rustix::fs::mkdirat(&*parent, *name, mode).map_err(|e| disk(entry, e))?;
                true
            }
            Err(Errno::EXIST) => {
                let cause = format!(
                    "goes through {:?}, which is no directory of this archive",
                    name.display()
                );
                return Err(refused(entry, cause));
            }
            Err(error) => return Err(disk(entry, error)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&*parent, *name, flags, Mode::empty())
            .map_err(|e| disk(entry, e))?;
        if let Purpose::Sandbox { owner: Some((uid, gid)) } = self.purpose {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::fchown(&fd, owner.0, owner.1).map_err(|e| disk(entry, e))?;
        }
        if hidden {
            make_opaque(entry, &fd)?;
        }
        Ok(Rc::new(fd))
    }

    /// Symbolic links are followed with the tree as the root of the world.
    pub(super) fn open_below(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&*self.root, path, flags, Mode::empty(), resolve)
    }

    /// Links into links could nest directories deeper than any single name does.
    fn assert_inside(&self, entry: &[u8], fd: &OwnedFd) -> Result<(), UnpackError> {
        let too_deep = || refused(entry, format!("lies more than {DEPTH_MAX} directories deep"));
        let path = files::path_of(fd).map_err(|_| too_deep())?;
        let below = path.strip_prefix(&self.root_path);
        let below =
            below.map_err(|_| refused(entry, "lies outside of the archive's directory".into()))?;
        if below.components().count() > DEPTH_MAX { Err(too_deep()) } else { Ok(()) }
    }
}

/// The parts of a name without `.` and `..`; a leading `/` means the root of the tree.
pub(super) fn clean(path: &[u8]) -> Result<Vec<&OsStr>, UnpackError> {
    if path.contains(&0) {
        return Err(refused(path, "has a zero byte in its name".into()));
    }
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => (),
            b".." if parts.pop().is_some() => (),
            b".." => return Err(refused(path, "leads out of the archive by ..".into())),
            name => parts.push(OsStr::from_bytes(name)),
        }
    }
    Ok(parts)
}

pub(super) fn make_opaque(entry: &[u8], directory: &OwnedFd) -> Result<(), UnpackError> {
    rustix::fs::fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty()).map_err(|e| disk(entry, e))
}

pub(super) fn lstat(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<Stat> {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
}

pub(super) fn is_directory(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode as RawMode) == FileType::Directory
}
