//! What the disk is asked for: copies with holes, files that are all there or not at all, removal.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::tree::Segment;

const COPY_BYTES: usize = 128 * 1024;
/// Runs of zeros of this length become holes; it is what file systems allocate at least.
const HOLE_BYTES: usize = 4096;

#[derive(Debug)]
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Writes a file of `size` bytes from its segments, leaves holes where there are zeros, and tells how much was written.
pub(crate) fn copy_segments(
    to: &File,
    size: u64,
    segments: &[Segment],
    from: &mut dyn Read,
) -> Result<u64, CopyError> {
    let mut buffer = vec![0_u8; COPY_BYTES];
    let mut written = 0;
    for segment in segments {
        let mut done = 0;
        while done < segment.bytes {
            let wanted =
                usize::try_from(segment.bytes - done).unwrap_or(usize::MAX).min(COPY_BYTES);
            from.read_exact(&mut buffer[..wanted]).map_err(CopyError::Read)?;
            written += write_without_zeros(to, segment.offset + done, &buffer[..wanted])
                .map_err(CopyError::Write)?;
            done += wanted as u64;
        }
    }
    to.set_len(size).map_err(CopyError::Write)?;
    Ok(written)
}

/// Writes everything that comes, up to `bytes_max`, and leaves holes where there are zeros.
pub(crate) fn copy_all(to: &File, from: &mut dyn Read, bytes_max: u64) -> Result<u64, CopyError> {
    let mut buffer = vec![0_u8; COPY_BYTES];
    let (mut size, mut written) = (0, 0);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        if size + read as u64 > bytes_max {
            return Err(CopyError::Read(io::Error::other(format!(
                "it is larger than {bytes_max} bytes when unpacked"
            ))));
        }
        written += write_without_zeros(to, size, &buffer[..read]).map_err(CopyError::Write)?;
        size += read as u64;
    }
    to.set_len(size).map_err(CopyError::Write)?;
    Ok(written)
}

fn write_without_zeros(to: &File, offset: u64, bytes: &[u8]) -> io::Result<u64> {
    let is_hole = |block: &[u8]| block.len() == HOLE_BYTES && block.iter().all(|byte| *byte == 0);
    let (mut written, mut at) = (0, 0);
    for run in
        bytes.chunks(HOLE_BYTES).collect::<Vec<_>>().chunk_by(|a, b| is_hole(a) == is_hole(b))
    {
        let run_bytes: usize = run.iter().map(|block| block.len()).sum();
        if !is_hole(run[0]) {
            to.write_all_at(&bytes[at..at + run_bytes], offset + at as u64)?;
            written += run_bytes as u64;
        }
        at += run_bytes;
    }
    Ok(written)
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
