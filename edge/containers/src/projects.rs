//! Space on a disk that the kernel counts and limits by project: a number that a directory has and that all which is made in
//! it takes on. Ext4 knows projects with its feature `project`, xfs always; both limit them where mounted with `prjquota`.
#![allow(unsafe_code)]

use std::ffi::{CString, OsStr, c_int, c_void};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};

/// Of no project: nobody counts it.
pub const NONE: u32 = 0;

/// In which the kernel takes limits.
const QUOTA_BLOCK_BYTES: u64 = 1024;

/// Of quotas for projects, beside those for users and groups.
const PROJECTS: c_int = 2;
/// Asks which quotas are kept: the command of xfs, which all file systems answer.
const Q_STATE: c_int = (('X' as c_int) << 8) + 8;
const STATE_VERSION: u8 = 1;
const STATE_COUNTS: u16 = 1 << 4;
const STATE_LIMITS: u16 = 1 << 5;

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GET_ATTRIBUTES: libc::Ioctl = 0x801c_581f_u32 as libc::Ioctl;
const SET_ATTRIBUTES: libc::Ioctl = 0x401c_5820_u32 as libc::Ioctl;
/// What is made in a directory takes on its project.
const INHERIT: u32 = 0x200;

/// What a file system does about projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    Nothing,
    /// It tells how much they have, and lets them have more than their limits.
    Counts,
    Limits,
}

/// What a project has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub bytes: u64,
    /// Directories and links, too.
    pub files: u64,
    pub bytes_max: Option<u64>,
}

/// The file system of a directory.
#[derive(Debug)]
pub struct Disk(File);

/// As the kernel has `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Attributes {
    flags: u32,
    extent_bytes: u32,
    extents: u32,
    project: u32,
    copied_extent_bytes: u32,
    rest: [u8; 8],
}

impl Disk {
    pub fn of(dir: &Path) -> io::Result<Self> {
        open(dir).map(Self)
    }

    pub fn keeping(&self) -> Keeping {
        // As large as `struct fs_quota_statv`, whose first bytes are the version, a pad and the flags.
        let mut state = [0_u64; 20];
        state[0] = u64::from_ne_bytes([STATE_VERSION, 0, 0, 0, 0, 0, 0, 0]);
        if self.quotactl(Q_STATE, NONE, (&raw mut state).cast()).is_err() {
            return Keeping::Nothing;
        }
        let [_, _, low, high, ..] = state[0].to_ne_bytes();
        let flags = u16::from_ne_bytes([low, high]);
        match (flags & STATE_COUNTS != 0, flags & STATE_LIMITS != 0) {
            (false, _) => Keeping::Nothing,
            (true, false) => Keeping::Counts,
            (true, true) => Keeping::Limits,
        }
    }

    pub fn used(&self, project: u32) -> io::Result<Used> {
        let mut told = MaybeUninit::<libc::dqblk>::zeroed();
        match self.quotactl(libc::Q_GETQUOTA, project, told.as_mut_ptr().cast()) {
            Ok(()) => (),
            // Xfs knows only those that have had something.
            Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => return Ok(Used::default()),
            Err(cause) => return Err(cause),
        }
        // SAFETY: all of it is numbers, for which zero is as good as what the kernel has written.
        let told = unsafe { told.assume_init() };
        let limit = told.dqb_bhardlimit.saturating_mul(QUOTA_BLOCK_BYTES);
        let bytes_max = (limit != 0).then_some(limit);
        Ok(Used { bytes: told.dqb_curspace, files: told.dqb_curinodes, bytes_max })
    }

    /// How much a project may have; unset, as much as there is. On ext4 a process with CAP_SYS_RESOURCE may have more.
    pub fn limit(&self, project: u32, bytes_max: Option<u64>) -> io::Result<()> {
        // Zero is no limit, so whoever may have nothing may have one block.
        let blocks = bytes_max.map_or(0, |most| (most / QUOTA_BLOCK_BYTES).max(1));
        // SAFETY: all of it is numbers, for which zero is good.
        let mut wanted: libc::dqblk = unsafe { MaybeUninit::zeroed().assume_init() };
        wanted.dqb_bhardlimit = blocks;
        wanted.dqb_valid = libc::QIF_BLIMITS;
        self.quotactl(libc::Q_SETQUOTA, project, (&raw mut wanted).cast())
    }

    fn quotactl(&self, command: c_int, project: u32, told: *mut c_void) -> io::Result<()> {
        let (command, fd) = ((command << 8) | PROJECTS, self.0.as_raw_fd());
        // SAFETY: each command is called with what the kernel reads or writes for it.
        let done = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, command, project, told) };
        match done == 0 {
            true => Ok(()),
            false => match io::Error::last_os_error() {
                // Before Linux 5.14.
                cause if cause.raw_os_error() == Some(libc::ENOSYS) => {
                    self.quotactl_of_device(command, project, told)
                }
                cause => Err(cause),
            },
        }
    }

    fn quotactl_of_device(
        &self,
        command: c_int,
        project: u32,
        told: *mut c_void,
    ) -> io::Result<()> {
        let device = device(self.0.metadata()?.dev())?;
        let project = c_int::from_ne_bytes(project.to_ne_bytes());
        // SAFETY: as above.
        match unsafe { libc::quotactl(command, device.as_ptr(), project, told.cast()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Where the machine has it mounted from.
fn device(number: u64) -> io::Result<CString> {
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let wanted = format!("{major}:{minor}");
    let all = fs::read_to_string("/proc/self/mountinfo")?;
    let source = all.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        (mount.split(' ').nth(2)? == wanted).then(|| source.split(' ').nth(1))?
    });
    let missing = || io::Error::other(format!("the device {wanted} is not mounted"));
    Ok(CString::new(source.ok_or_else(missing)?)?)
}

/// That of a file or directory.
pub fn of(path: &Path) -> io::Result<u32> {
    attributes(&open(path)?).map(|found| found.project)
}

/// Gives a directory, and all that is in it already and on the same file system, to a project. Links and devices take no
/// space worth counting and stay as they are, and so does what others remove or replace meanwhile.
pub fn assign(dir: &Path, project: u32) -> io::Result<()> {
    let top = open(dir)?;
    give(&top, project)?;
    let mut waiting = vec![PathBuf::from(".")];
    while let Some(dir) = waiting.pop() {
        let Ok(opened) = below(&top, &dir) else { continue };
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let is_own = name != "." && name != "..";
            if !is_own || !matches!(entry.file_type(), FileType::Directory | FileType::RegularFile)
            {
                continue;
            }
            let path = dir.join(name);
            let Ok(found) = below(&top, &path) else { continue };
            give(&found, project)?;
            if found.metadata()?.is_dir() {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

/// Wherever links that are put there lead: not out.
fn below(top: &File, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(rustix::fs::openat2(top, path, flags, Mode::empty(), within)?.into())
}

fn give(file: &File, project: u32) -> io::Result<()> {
    let found = attributes(file)?;
    let inherit = if file.metadata()?.is_dir() { INHERIT } else { 0 };
    let wanted = Attributes { project, flags: found.flags | inherit, ..found };
    // SAFETY: the kernel reads as much as it has written.
    match unsafe { libc::ioctl(file.as_raw_fd(), SET_ATTRIBUTES, &raw const wanted) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn attributes(file: &File) -> io::Result<Attributes> {
    let mut found = Attributes::default();
    // SAFETY: the kernel writes as much as there is room for.
    match unsafe { libc::ioctl(file.as_raw_fd(), GET_ATTRIBUTES, &raw mut found) } {
        0 => Ok(found),
        _ => Err(io::Error::last_os_error()),
    }
}

/// No link is followed, and nothing waited for.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}
