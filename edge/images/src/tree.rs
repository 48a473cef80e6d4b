//! A directory that archives are unpacked into and that nothing gets out of.
//!
//! Names in an archive are the archive's author's. Two things keep them inside: a name is cleaned as text first (a
//! `..` that climbs out is refused by name), and its directory is then opened by the kernel with the root of the tree
//! as the root of the world, so that a symbolic link that the archive brought along, absolute or not, leads to a
//! place inside the tree. The last part of a name is never followed.

mod inside;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use crate::files;
use inside::{clean, is_directory, lstat, make_opaque};

/// Set-uid bits and the like, which only an image may bring.
const PLAIN_MODE: u32 = 0o777;
const ALL_MODE: u32 = 0o7777;
const COPY_BYTES: usize = 128 * 1024;
const OPAQUE: &str = "trusted.overlay.opaque";

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The archive's author is to blame.
    #[error("entry {entry:?} {cause}")]
    Unsafe { entry: String, cause: String },
    /// Not an archive, or not all of it.
    #[error("{0}")]
    Broken(String),
    #[error("it is larger than {0} bytes when unpacked")]
    TooLarge(u64),
    /// Our own disk.
    #[error("{what}: {error}")]
    Disk { what: String, error: io::Error },
}

/// What the tree is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A layer keeps owners, devices, capabilities and whiteouts.
    Layer,
    /// A sandbox gets plain files, of this owner or of ours.
    Sandbox { owner: Option<(u32, u32)> },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970; now if unset.
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Special {
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
}

/// A run of a file's bytes that the archive holds; what lies between is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Tree {
    root: Rc<OwnedFd>,
    root_path: PathBuf,
    purpose: Purpose,
    /// The directory of the last entry: archives name the files of a directory one after the other.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Made for entries that lie deeper than any directory that was named.
    implied: usize,
    /// A directory's time changes with each file in it, so it is set at the end.
    times: Vec<(PathBuf, Timestamps)>,
    /// Of files' contents, holes left out.
    pub(crate) bytes: u64,
}

/// What was found where something new is to be.
#[derive(PartialEq, Eq)]
enum Before {
    Nothing,
    Whiteout,
    Directory,
}

impl Tree {
    pub(crate) fn open(root: &Path, purpose: Purpose) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())?;
        let root_path = files::path_of(&fd)?;
        Ok(Self {
            root: Rc::new(fd),
            root_path,
            purpose,
            last: None,
            implied: 0,
            times: Vec::new(),
            bytes: 0,
        })
    }

    /// Makes a directory, or gives one that is there its attributes.
    pub(crate) fn directory(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let parts = clean(path)?;
        let Some((name, above)) = parts.split_last() else {
            // A sandbox is the agent's, whatever an archive says of `./`.
            return match self.purpose {
                Purpose::Layer => {
                    self.dress_directory(path, &Rc::clone(&self.root), PathBuf::new(), attributes)
                }
                Purpose::Sandbox { .. } => Ok(()),
            };
        };
        let parent = self.parent(path, above)?;
        let before = match rustix::fs::mkdirat(&*parent, *name, Mode::RWXU) {
            Ok(()) => Before::Nothing,
            Err(Errno::EXIST) => {
                let before = self.clear(path, &parent, name, Before::Directory)?;
                if before != Before::Directory {
                    rustix::fs::mkdirat(&*parent, *name, Mode::RWXU).map_err(|e| disk(path, e))?;
                }
                before
            }
            Err(error) => return Err(disk(path, error)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made =
            rustix::fs::openat(&*parent, *name, flags, Mode::empty()).map_err(|e| disk(path, e))?;
        if before == Before::Whiteout {
            make_opaque(path, &made)?;
        }
        self.dress_directory(path, &Rc::new(made), parts.iter().collect(), attributes)
    }

    /// Writes a file of `size` bytes, of which `data` holds the segments.
    pub(crate) fn file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        size: u64,
        segments: &[Segment],
        data: &mut dyn BufRead,
    ) -> Result<(), UnpackError> {
        let file = self.create(path, attributes)?;
        let copied = files::copy_segments(&file, size, segments, data);
        self.finish_file(path, attributes, file, copied)
    }

    /// Writes a file of everything that `data` yields, which may be no more than `bytes_max`.
    pub(crate) fn stream(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        data: &mut dyn Read,
        bytes_max: u64,
    ) -> Result<(), UnpackError> {
        let file = self.create(path, attributes)?;
        let mut data = BufReader::with_capacity(COPY_BYTES, data);
        let copied = files::copy_all(&file, &mut data, bytes_max);
        self.finish_file(path, attributes, file, copied)
    }

    /// Moves a file of ours into the tree.
    pub(crate) fn adopt(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        from: &Path,
    ) -> Result<(), UnpackError> {
        let moved = self.place(path, |parent, name| {
            rustix::fs::renameat_with(rustix::fs::CWD, from, parent, name, RenameFlags::NOREPLACE)?;
            rustix::fs::openat(
                parent,
                name,
                OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
        });
        match moved {
            Ok(fd) => self.dress(path, &fd, attributes),
            Err(UnpackError::Disk { error, .. })
                if error.kind() == io::ErrorKind::CrossesDevices =>
            {
                let reader = std::fs::File::open(from);
                let mut reader =
                    reader.map_err(|error| UnpackError::Disk { what: shown(path), error })?;
                self.stream(path, attributes, &mut reader, u64::MAX)
            }
            Err(error) => Err(error),
        }
    }

    /// With as much of its mode as may be there before its owner is: each later change costs the disk a note.
    fn create(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<std::fs::File, UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(attributes.mode & PLAIN_MODE);
        self.place(path, |parent, name| rustix::fs::openat(parent, name, flags, mode))
            .map(Into::into)
    }

    fn finish_file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        file: std::fs::File,
        copied: Result<u64, files::CopyError>,
    ) -> Result<(), UnpackError> {
        self.bytes += copied.map_err(|error| match error {
            files::CopyError::Read(error) => {
                UnpackError::Broken(format!("{}: {error}", shown(path)))
            }
            files::CopyError::TooLarge(bytes_max) => UnpackError::TooLarge(bytes_max),
            files::CopyError::Write(error) => UnpackError::Disk { what: shown(path), error },
        })?;
        let fd = OwnedFd::from(file);
        self.dress(path, &fd, attributes)?;
        rustix::fs::futimens(&fd, &times(attributes)).map_err(|e| disk(path, e))
    }

    pub(crate) fn symlink(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        target: &[u8],
    ) -> Result<(), UnpackError> {
        let (uid, gid) = self.owner(attributes);
        self.place(path, |parent, name| {
            rustix::fs::symlinkat(OsStr::from_bytes(target), parent, name)?;
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::utimensat(parent, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// A second name for a file that this tree already has.
    pub(crate) fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        let refuse = |why: &str| {
            refused(path, format!("is a hard link to {:?}, which {why}", shown(target)))
        };
        let parts = clean(target).map_err(|_| refuse("leads out of the archive"))?;
        let Some((target_name, above)) = parts.split_last() else {
            return Err(refuse("is a directory"));
        };
        if clean(path)? == parts {
            return Ok(());
        }
        let from = self
            .open_below(&above.iter().collect::<PathBuf>())
            .map_err(|_| refuse("is not in the archive"))?;
        let linked = self.place(path, |parent, name| {
            rustix::fs::linkat(&from, *target_name, parent, name, AtFlags::empty())
        });
        linked.map_err(|error| match error {
            UnpackError::Disk { error, .. }
                if Errno::from_io_error(&error) == Some(Errno::NOENT) =>
            {
                refuse("is not in the archive before it")
            }
            UnpackError::Disk { error, .. }
                if Errno::from_io_error(&error) == Some(Errno::PERM) =>
            {
                refuse("is a directory")
            }
            other @ (UnpackError::Unsafe { .. }
            | UnpackError::Broken(_)
            | UnpackError::TooLarge(_)
            | UnpackError::Disk { .. }) => other,
        })
    }

    pub(crate) fn special(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        special: Special,
    ) -> Result<(), UnpackError> {
        match self.purpose {
            Purpose::Layer => (),
            Purpose::Sandbox { .. } => return Err(refused(path, "is a device or a pipe".into())),
        }
        let (kind, device) = match special {
            Special::Character { major, minor } => {
                (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
            }
            Special::Block { major, minor } => {
                (FileType::BlockDevice, rustix::fs::makedev(major, minor))
            }
            Special::Fifo => (FileType::Fifo, 0),
        };
        let (uid, gid) = self.owner(attributes);
        let mode = Mode::from_raw_mode(attributes.mode & ALL_MODE);
        self.place(path, |parent, name| {
            rustix::fs::mknodat(parent, name, kind, mode, device)?;
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
            rustix::fs::utimensat(parent, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Hides what the layers below have under this name, as overlayfs understands it.
    pub(crate) fn whiteout(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        let parts = clean(path)?;
        let Some((name, above)) = parts.split_last() else {
            return Err(refused(path, "hides the root itself".into()));
        };
        let parent = self.parent(path, above)?;
        match rustix::fs::mknodat(&*parent, *name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // What this layer itself brings is not hidden by its own whiteouts; of a directory, only what lies below.
            Err(Errno::EXIST)
                if is_directory(&lstat(&parent, name).map_err(|e| disk(path, e))?) =>
            {
                self.opaque(path)
            }
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(disk(path, error)),
        }
    }

    /// Hides everything that the layers below have in this directory.
    pub(crate) fn opaque(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        let parts = clean(path)?;
        let directory = self.parent(path, &parts)?;
        make_opaque(path, &directory)
    }

    /// Sets what could not be set before.
    pub(crate) fn finish(mut self) -> Result<u64, UnpackError> {
        for (path, times) in std::mem::take(&mut self.times).into_iter().rev() {
            // Gone, if a later entry took its place.
            if let Ok(fd) = self.open_below(&path) {
                rustix::fs::futimens(&fd, &times)
                    .map_err(|e| disk(path.as_os_str().as_bytes(), e))?;
            }
        }
        Ok(self.bytes)
    }

    /// Puts something new under a name, in the place of what an earlier entry put there.
    fn place<T>(
        &mut self,
        path: &[u8],
        put: impl Fn(&OwnedFd, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<T, UnpackError> {
        let parts = clean(path)?;
        let Some((name, above)) = parts.split_last() else {
            return Err(refused(path, "has no name".into()));
        };
        let parent = self.parent(path, above)?;
        match put(&parent, name) {
            Err(Errno::EXIST) => {
                self.clear(path, &parent, name, Before::Nothing)?;
                put(&parent, name).map_err(|e| disk(path, e))
            }
            done => done.map_err(|e| disk(path, e)),
        }
    }

    fn dress_directory(
        &mut self,
        entry: &[u8],
        fd: &Rc<OwnedFd>,
        path: PathBuf,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        self.dress(entry, fd, attributes)?;
        self.times.push((path, times(attributes)));
        Ok(())
    }

    /// The owner first: a change of owner takes set-uid bits and capabilities away.
    fn dress(
        &self,
        entry: &[u8],
        fd: &OwnedFd,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let (uid, gid) = self.owner(attributes);
        let (mode, xattrs) = match self.purpose {
            Purpose::Layer => (attributes.mode & ALL_MODE, &attributes.xattrs[..]),
            Purpose::Sandbox { .. } => (attributes.mode & PLAIN_MODE, &[][..]),
        };
        let is = rustix::fs::fstat(fd).map_err(|e| disk(entry, e))?;
        let is_theirs = uid.is_none_or(|uid| uid.as_raw() == is.st_uid)
            && gid.is_none_or(|gid| gid.as_raw() == is.st_gid);
        if !is_theirs {
            rustix::fs::fchown(fd, uid, gid).map_err(|e| disk(entry, e))?;
        }
        if !is_theirs || is.st_mode & ALL_MODE != mode {
            rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)).map_err(|e| disk(entry, e))?;
        }
        for (name, value) in xattrs {
            match rustix::fs::fsetxattr(fd, name.as_os_str(), value, XattrFlags::empty()) {
                // A file system without user attributes still runs the image.
                Ok(()) | Err(Errno::NOTSUP) => (),
                Err(error) => return Err(disk(entry, error)),
            }
        }
        Ok(())
    }

    fn owner(&self, attributes: &Attributes) -> (Option<Uid>, Option<Gid>) {
        match self.purpose {
            Purpose::Layer => {
                (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))
            }
            Purpose::Sandbox { owner: Some((uid, gid)) } => {
                (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            }
            Purpose::Sandbox { owner: None } => (None, None),
        }
    }
}

pub(crate) fn refused(entry: &[u8], cause: String) -> UnpackError {
    UnpackError::Unsafe { entry: shown(entry), cause }
}

/// Whether a layer's root hides all layers below.
pub(crate) fn is_opaque(layer: &Path) -> bool {
    let mut value = [0_u8; 1];
    rustix::fs::lgetxattr(layer, OPAQUE, &mut value).is_ok() && value == *b"y"
}

fn times(attributes: &Attributes) -> Timestamps {
    let (tv_sec, tv_nsec) =
        attributes.mtime.map_or((0, UTIME_NOW), |(secs, nanos)| (secs, nanos.into()));
    let time = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: time, last_modification: time }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn disk(entry: &[u8], error: Errno) -> UnpackError {
    match error {
        Errno::NAMETOOLONG => refused(entry, "has a name that is too long".into()),
        error => UnpackError::Disk { what: shown(entry), error: error.into() },
    }
}
