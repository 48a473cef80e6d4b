//! What the disk is asked for: copies with holes, files that are all there or not at all, removal.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::tree::Segment;

/// Runs of zeros of this length become holes; it is what file systems allocate at least.
const HOLE_BYTES: usize = 4096;
static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];

#[derive(Debug)]
pub(crate) enum CopyError {
    Read(io::Error),
    /// Than so many bytes.
    TooLarge(u64),
    Write(io::Error),
}

/// Writes a new file of `size` bytes from its segments, leaves holes where there are zeros, and tells how much was
/// written. What `from` has in its memory goes from there to the kernel: no byte is copied in between.
pub(crate) fn copy_segments(
    to: &File,
    size: u64,
    segments: &[Segment],
    from: &mut dyn BufRead,
) -> Result<u64, CopyError> {
    let (mut written, mut end) = (0, 0);
    for segment in segments {
        let mut done = 0;
        while done < segment.bytes {
            let left = usize::try_from(segment.bytes - done).unwrap_or(usize::MAX);
            let piece = from.fill_buf().map_err(CopyError::Read)?;
            let piece = &piece[..left.min(piece.len())];
            if piece.is_empty() {
                return Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            let wrote = write_without_zeros(to, segment.offset + done, piece);
            let wrote = wrote.map_err(CopyError::Write)?;
            (written, end) = (written + wrote.bytes, end.max(wrote.end));
            let used = piece.len();
            done += used as u64;
            from.consume(used);
        }
    }
    end_at(to, end, size)?;
    Ok(written)
}

/// Writes everything that comes to a new file, up to `bytes_max`, and leaves holes where there are zeros.
pub(crate) fn copy_all(
    to: &File,
    from: &mut dyn BufRead,
    bytes_max: u64,
) -> Result<u64, CopyError> {
    let (mut size, mut written, mut end) = (0, 0, 0);
    loop {
        let piece = from.fill_buf().map_err(CopyError::Read)?;
        let used = piece.len();
        if used == 0 {
            break;
        }
        if size + used as u64 > bytes_max {
            return Err(CopyError::TooLarge(bytes_max));
        }
        let wrote = write_without_zeros(to, size, piece).map_err(CopyError::Write)?;
        (written, end) = (written + wrote.bytes, end.max(wrote.end));
        size += used as u64;
        from.consume(used);
    }
    end_at(to, end, size)?;
    Ok(written)
}

/// A file that ends in a hole is longer than what was written. The others are as long as they should be, and to say so
/// again would cost as much as to write them.
fn end_at(file: &File, end: u64, size: u64) -> Result<(), CopyError> {
    if end == size { Ok(()) } else { file.set_len(size).map_err(CopyError::Write) }
}

struct Wrote {
    bytes: u64,
    /// Behind the last of them.
    end: u64,
}

fn write_without_zeros(to: &File, offset: u64, bytes: &[u8]) -> io::Result<Wrote> {
    let mut wrote = Wrote { bytes: 0, end: 0 };
    let mut write = |from: usize, until: usize| {
        if from < until {
            to.write_all_at(&bytes[from..until], offset + from as u64)?;
            wrote.bytes += (until - from) as u64;
            wrote.end = offset + until as u64;
        }
        io::Result::Ok(())
    };
    let mut from = 0;
    // Blocks of the file: pieces need not begin where one does.
    let within = usize::try_from(offset % HOLE_BYTES as u64).expect("it is less than a block");
    let first = (HOLE_BYTES - within) % HOLE_BYTES;
    for (number, block) in bytes.get(first..).unwrap_or_default().chunks(HOLE_BYTES).enumerate() {
        if block == ZEROS {
            let at = first + number * HOLE_BYTES;
            write(from, at)?;
            from = at + HOLE_BYTES;
        }
    }
    write(from, bytes.len())?;
    Ok(wrote)
}

/// Replaces a file so that after a crash it has the old or the new contents.
pub(crate) fn write_durably(path: &Path, contents: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    sync_directory(path.parent().expect("a file lies in a directory"))
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Where an open directory lies.
pub(crate) fn path_of(fd: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Removes a whole directory below an open one. By its descriptor and not by its path, where another archive that is
/// unpacked beside this one may have put a link meanwhile; below it no link is followed.
pub(crate) fn remove_below(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    fs::remove_dir_all(Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name))
}

/// Whether the disk is full or the user's share of it.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a directory that only we can look into: files of other users may lie below, set-uid ones too.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Makes a directory anew, without what an earlier process left in it.
pub(crate) fn make_empty(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => (),
    }
    make_private(path)
}
