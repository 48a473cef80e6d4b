//! Files of this machine that tasks name: only those that the operator lets them have, read with the rights of whoever asks.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{User, getgrouplist, setfsgid, setfsuid};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::process::{Gid, getgroups};
use rustix::thread::set_thread_groups;

/// Which paths of this machine tasks may name: all of them, unless an operator says which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locals(Option<Vec<PathBuf>>);

impl Locals {
    /// These and all below them.
    pub fn only(roots: Vec<PathBuf>) -> Self {
        Self(Some(roots))
    }

    /// Opens a file, as the user and group if there are some. Blocks.
    pub(crate) fn open(&self, path: &Path, reader: Option<(u32, u32)>) -> io::Result<File> {
        let _rights = reader.map(Rights::of).transpose()?;
        let real = self.admit(path)?;
        // A pipe would wait for a writer that never comes. What has become a link since we looked is not followed.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened =
            rustix::fs::openat2(CWD, &real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
        let file = File::from(opened?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is not a regular file of this machine")),
        }
    }

    /// Where a path leads to, if tasks may have that. Blocks.
    pub(crate) fn admit(&self, path: &Path) -> io::Result<PathBuf> {
        let real = path.canonicalize()?;
        let Some(roots) = &self.0 else { return Ok(real) };
        // An operator may name links, too.
        if roots
            .iter()
            .filter_map(|root| root.canonicalize().ok())
            .any(|root| real.starts_with(root))
        {
            return Ok(real);
        }
        let all: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        Err(io::Error::other(format!(
            "{} is not among the paths of the machine that the operator allows (host_volumes): {all}",
            real.display()
        )))
    }
}

/// What somebody else may read, for this thread alone and until it is dropped.
struct Rights {
    uid: nix::unistd::Uid,
    gid: nix::unistd::Gid,
    groups: Vec<Gid>,
}

impl Rights {
    fn of((uid, gid): (u32, u32)) -> io::Result<Self> {
        let before = getgroups()?;
        set_thread_groups(&groups(uid, gid))?;
        let gid = setfsgid(nix::unistd::Gid::from_raw(gid));
        Ok(Self { uid: setfsuid(nix::unistd::Uid::from_raw(uid)), gid, groups: before })
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
        set_thread_groups(&self.groups).expect("who could change them can change them back");
    }
}

/// All that a user is in; of one that has no name, what is said.
fn groups(uid: u32, gid: u32) -> Vec<Gid> {
    let known = User::from_uid(uid.into()).ok().flatten();
    let name = known.and_then(|user| CString::new(user.name).ok());
    let all = name.and_then(|name| getgrouplist(&name, gid.into()).ok());
    let all = all.unwrap_or_else(|| vec![gid.into()]);
    all.into_iter().map(|gid| Gid::from_raw(gid.as_raw())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_the_operator_allows_is_opened_wherever_links_lead() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["open/deep", "closed"] {
            fs::create_dir_all(at(name)).expect("made");
        }
        for name in ["open/deep/file", "closed/file", "alone", "other"] {
            fs::write(at(name), name).expect("written");
        }
        symlink(at("closed/file"), at("open/out")).expect("a link");
        symlink(at("closed"), at("open/dir")).expect("a link");
        symlink("deep/file", at("open/in")).expect("a link");
        let locals = Locals::only(vec![at("open"), at("alone")]);
        for (path, refusal) in [
            ("open/deep/file", None),
            ("open/in", None),
            ("alone", None),
            ("open/out", Some("(host_volumes)")),
            ("open/dir/file", Some("(host_volumes)")),
            ("open/../other", Some("(host_volumes)")),
            ("other", Some("(host_volumes)")),
            ("open/deep", Some("not a regular file")),
            ("open/nothing", Some("No such file")),
        ] {
            let opened = locals.open(&at(path), None);
            match refusal {
                None => drop(opened.expect(path)),
                Some(words) => {
                    let cause = opened.expect_err(path).to_string();
                    assert!(cause.contains(words), "{path}: {cause}");
                }
            }
        }
        assert!(Locals::only(vec![]).open(&at("alone"), None).is_err());
        assert!(Locals::default().open(&at("other"), None).is_ok());
    }
}
