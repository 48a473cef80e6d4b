//! Where output goes: the `stdout` and `stderr` files of a sandbox and their older brothers, the machine's journal, or both.
//!
//! The sandbox belongs to the task, which may have put anything in a file's place: links are not followed, and only
//! regular files are written to.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FileType, Mode, OFlags};

use super::Stream;
use super::journal::Journal;
use crate::spec::{LogFiles, Logs};

/// Of one stream.
pub(crate) struct Log {
    files: Option<LogFile>,
    journal: Option<Journal>,
}

impl Log {
    pub(crate) fn open(sandbox: &Path, stream: Stream, logs: &Logs) -> anyhow::Result<Self> {
        let (name, limits) = match stream {
            Stream::Output | Stream::Terminal => ("stdout", &logs.stdout),
            Stream::Errors => ("stderr", &logs.stderr),
        };
        let files = limits.as_ref().map(|limits| LogFile::open(sandbox, name, limits));
        let journal = logs.journal.as_ref().map(|journal| Journal::new(journal, stream));
        Ok(Self { files: files.transpose()?, journal: journal.transpose()? })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some(files) = &mut self.files {
            files.write(bytes);
        }
        if let Some(journal) = &mut self.journal {
            journal.write(bytes);
        }
    }

    /// Nothing follows.
    pub(crate) fn close(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.flush();
        }
    }
}

struct LogFile {
    sandbox: OwnedFd,
    name: &'static str,
    limits: LogFiles,
    file: Option<File>,
    written: u64,
}

impl LogFile {
    /// Appends if it is there already.
    fn open(sandbox: &Path, name: &'static str, limits: &LogFiles) -> anyhow::Result<LogFile> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let dir = rustix::fs::open(sandbox, flags, Mode::empty())
            .with_context(|| format!("opening the sandbox {}", sandbox.display()))?;
        let mut log =
            LogFile { sandbox: dir, name, limits: limits.clone(), file: None, written: 0 };
        log.reopen().with_context(|| format!("{}/{name}", sandbox.display()))?;
        Ok(log)
    }

    /// Output must never hold up its program: what cannot be written (no space left) is lost.
    fn write(&mut self, bytes: &[u8]) {
        let more = u64::try_from(bytes.len()).expect("lengths fit in 64 bits");
        if self.written > 0 && self.written + more > self.limits.file_bytes_max {
            self.rotate();
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.written += more;
        }
    }

    fn rotate(&mut self) {
        self.file = None;
        let names: Vec<String> = std::iter::once(self.name.to_string())
            .chain((1..=self.limits.old_files_max).map(|n| format!("{}.{n}", self.name)))
            .collect();
        for pair in names.windows(2).rev() {
            // Not all of them need to be there yet.
            let _ = rustix::fs::renameat(&self.sandbox, &pair[0], &self.sandbox, &pair[1]);
        }
        if names.len() == 1 {
            let _ = rustix::fs::unlinkat(&self.sandbox, self.name, rustix::fs::AtFlags::empty());
        }
        // Without a file the output is lost until the next rotation succeeds.
        let _ = self.reopen();
    }

    fn reopen(&mut self) -> anyhow::Result<()> {
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.sandbox, self.name, flags, Mode::from(0o644))?;
        let stat = rustix::fs::fstat(&file)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        anyhow::ensure!(regular, "not a regular file");
        anyhow::ensure!(stat.st_nlink == 1, "a file with several names");
        own_like(&file, &self.sandbox)?;
        self.written = u64::try_from(stat.st_size).unwrap_or(0);
        self.file = Some(File::from(file));
        Ok(())
    }
}

/// The task's user owns the sandbox and so its logs.
fn own_like(file: impl AsFd, sandbox: impl AsFd) -> rustix::io::Result<()> {
    let owner = rustix::fs::fstat(sandbox)?;
    let (uid, gid) =
        (rustix::fs::Uid::from_raw(owner.st_uid), rustix::fs::Gid::from_raw(owner.st_gid));
    rustix::fs::fchown(file, Some(uid), Some(gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(dir: &Path, name: &str) -> Option<String> {
        std::fs::read_to_string(dir.join(name)).ok()
    }

    #[test]
    fn the_newest_output_is_kept_in_a_bounded_number_of_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let limits = LogFiles { file_bytes_max: 4, old_files_max: 2 };
        let mut log = LogFile::open(dir.path(), "stdout", &limits).expect("opened");
        for text in ["aaaa", "bb", "bb", "cccc", "ddddddd", "e"] {
            log.write(text.as_bytes());
        }
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(contents(dir.path(), name).as_deref(), expected, "{name}");
        };
        check("stdout", Some("e"));
        check("stdout.1", Some("ddddddd"));
        check("stdout.2", Some("cccc"));
        check("stdout.3", None);
    }

    #[test]
    fn a_link_in_the_place_of_a_log_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("victim"), "precious").expect("written");
        std::os::unix::fs::symlink("victim", dir.path().join("stdout")).expect("linked");
        assert!(LogFile::open(dir.path(), "stdout", &LogFiles::default()).is_err());
        std::fs::remove_file(dir.path().join("stdout")).expect("removed");
        std::fs::hard_link(dir.path().join("victim"), dir.path().join("stdout")).expect("linked");
        assert!(LogFile::open(dir.path(), "stdout", &LogFiles::default()).is_err());
        assert_eq!(contents(dir.path(), "victim").as_deref(), Some("precious"));
    }
}
