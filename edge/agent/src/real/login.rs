//! Logins that a task's files bring: `.docker/config.json` or `.dockercfg`, as an unpacked `docker.tar.gz` leaves them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// The newer one first.
const FILES: [&str; 2] = [".docker/config.json", ".dockercfg"];
const BYTES_MAX: u64 = 1 << 20;

/// Of the task with this sandbox.
pub(super) fn of(sandbox: &Path) -> Option<String> {
    FILES.into_iter().find_map(|file| read(sandbox, file))
}

/// What is fetched comes from anywhere: no link is followed, and nothing but a file is read.
fn read(sandbox: &Path, file: &str) -> Option<String> {
    let sandbox = File::open(sandbox).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let found = rustix::fs::openat2(&sandbox, file, flags, Mode::empty(), within).ok()?;
    let found = File::from(found);
    let is_file = found.metadata().ok()?.is_file();
    let mut text = String::new();
    (is_file && found.take(BYTES_MAX).read_to_string(&mut text).is_ok()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_the_sandbox_is_a_login() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        assert_eq!(of(dir.path()), None);
        std::fs::write(at("elsewhere"), "not this").expect("written");
        std::os::unix::fs::symlink(at("elsewhere"), at(".dockercfg")).expect("linked");
        assert_eq!(of(dir.path()), None);
        std::fs::remove_file(at(".dockercfg")).expect("removed");
        std::fs::write(at(".dockercfg"), "old").expect("written");
        assert_eq!(of(dir.path()).as_deref(), Some("old"));
        std::fs::create_dir_all(at(".docker/config.json")).expect("made");
        assert_eq!(of(dir.path()).as_deref(), Some("old"));
        std::fs::remove_dir(at(".docker/config.json")).expect("removed");
        std::fs::write(at(".docker/config.json"), "new").expect("written");
        assert_eq!(of(dir.path()).as_deref(), Some("new"));
    }
}
