//! From the path that a client names to a file in a sandbox, and never to one outside.
//!
//! Paths are virtual: `/var/lib/mesos/slave/...`, the agent's real directory, or `/frameworks/...`, then Mesos' layout
//! down to `runs/<container or latest>`, or `/containers/<container>` of a caller's, then what is in the sandbox. Below the sandbox the task rules, so the kernel
//! itself walks there (`openat2`) and refuses each step that leaves, by `..`, by a link or by a mount of /proc. What is
//! there is looked at before it is opened: a device that the task has made would be the machine's own.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// Where classic Mesos agents have their sandboxes.
const CLASSIC_DIR: &str = "/var/lib/mesos/slave";

/// What the program logs, as Mesos' agents call it.
pub(super) const LOG: &str = "/slave/log";

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss {
    /// Nothing there, or nothing that is shown.
    NotFound(String),
    /// It leads out of the sandbox.
    Outside(String),
    /// A device, a pipe or a socket.
    Special(String),
    Mishap(String),
}

/// The sandbox that a path lies in, and the path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    sandbox: PathBuf,
    within: PathBuf,
}

/// `own_agent` is used for paths that begin at the framework.
pub(super) fn place(dir: &Path, own_agent: Option<&str>, path: &str) -> Option<Place> {
    let asked = Path::new(path);
    let below = [dir, Path::new(CLASSIC_DIR), Path::new("/")];
    let rest = below.iter().find_map(|base| asked.strip_prefix(base).ok()).unwrap_or(asked);
    let mut names = Vec::new();
    for component in rest.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => (),
            Component::ParentDir => names.push(".."),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    if names.first() == Some(&"frameworks") {
        names.splice(0..0, ["slaves", own_agent?]);
    }
    // Containers of callers lie beside the tasks'.
    if let ["containers", guest, within @ ..] = names.as_slice()
        && *guest != ".."
    {
        let sandbox = dir.join("containers").join(guest);
        return Some(Place { sandbox, within: within.iter().collect() });
    }
    let (above, within) = names.split_at_checked(8)?;
    let ["slaves", _, "frameworks", _, "executors", _, "runs", _] = above else { return None };
    if above.contains(&"..") {
        return None;
    }
    let within: PathBuf = within.iter().collect();
    Some(Place { sandbox: above.iter().fold(dir.to_owned(), |path, name| path.join(name)), within })
}

impl Place {
    /// One that is no task's.
    pub(super) fn file(path: &Path) -> Self {
        let (dir, name) = (path.parent(), path.file_name());
        Self {
            sandbox: dir.unwrap_or(Path::new("/")).to_owned(),
            within: name.map(PathBuf::from).unwrap_or_default(),
        }
    }

    /// Opens what is there, be it a file or a directory. Blocks.
    pub(super) fn open(&self) -> Result<File, Miss> {
        let missing = || Miss::NotFound(format!("There is no {}.\n", self.shown()));
        let closed = |cause| {
            Miss::Mishap(format!("{} cannot be opened: {cause}.\n", self.sandbox.display()))
        };
        let root = match File::open(&self.sandbox) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(missing()),
            opened => opened.map_err(closed)?,
        };
        let within = if self.within.as_os_str().is_empty() { Path::new(".") } else { &self.within };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match openat2(&root, within, flags, Mode::empty(), resolve) {
            Ok(found) => self.open_found(&File::from(found)),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(missing()),
            Err(Errno::XDEV | Errno::LOOP) => {
                Err(Miss::Outside(format!("{} leads out of the sandbox.\n", self.shown())))
            }
            Err(cause) => {
                Err(Miss::Mishap(format!("{} cannot be opened: {cause}.\n", self.shown())))
            }
        }
    }

    /// Whether anything can still come to be there. Blocks.
    pub(super) fn has_sandbox(&self) -> bool {
        self.sandbox.exists()
    }

    /// Only what has no effect when it is opened, and cannot block.
    fn open_found(&self, found: &File) -> Result<File, Miss> {
        let closed = |cause| Miss::Mishap(format!("{} cannot be opened: {cause}.\n", self.shown()));
        let about = fstat(found).map_err(|cause| closed(cause.into()))?;
        let kind = FileType::from_raw_mode(about.st_mode);
        if kind == FileType::RegularFile || kind == FileType::Directory {
            return File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).map_err(closed);
        }
        Err(Miss::Special(format!("{} is neither a file nor a directory.\n", self.shown())))
    }

    fn shown(&self) -> String {
        self.sandbox.join(&self.within).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, makedev, mknodat};

    use super::*;

    const RUN: &str = "slaves/S0/frameworks/f/executors/t/runs";

    fn sandbox() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let run = dir.path().join(RUN).join("c");
        fs::create_dir_all(run.join("sub")).expect("made");
        fs::write(run.join("sub/file"), "inside").expect("written");
        fs::write(dir.path().join("secret"), "outside").expect("written");
        symlink("c", dir.path().join(RUN).join("latest")).expect("linked");
        symlink("sub/file", run.join("good")).expect("linked");
        symlink("/etc/passwd", run.join("absolute")).expect("linked");
        symlink("../../../../../../../../secret", run.join("climbing")).expect("linked");
        symlink("..", run.join("sub/up")).expect("linked");
        dir
    }

    fn read(dir: &Path, path: &str) -> Result<String, String> {
        let place = place(dir, Some("S0"), path).ok_or("nowhere")?;
        let mut text = String::new();
        let mut file = place.open().map_err(|miss| match miss {
            Miss::NotFound(_) => "missing".to_owned(),
            Miss::Outside(_) => "outside".to_owned(),
            Miss::Special(_) => "special".to_owned(),
            Miss::Mishap(cause) => cause,
        })?;
        file.read_to_string(&mut text).map_err(|cause| cause.to_string())?;
        Ok(text)
    }

    #[test]
    fn a_sandbox_has_three_addresses() {
        let dir = sandbox();
        let check =
            |path: &str| assert_eq!(read(dir.path(), path).as_deref(), Ok("inside"), "{path}");
        check(&format!("{}/{RUN}/c/sub/file", dir.path().display()));
        check(&format!("/var/lib/mesos/slave/{RUN}/latest/sub/file"));
        check("/frameworks/f/executors/t/runs/latest/sub/file");
        check("frameworks/f/executors/t/runs/c/./sub//file");
        check("/frameworks/f/executors/t/runs/c/good");
        check("/frameworks/f/executors/t/runs/c/sub/up/sub/file");
    }

    #[test]
    fn devices_and_pipes_are_not_opened() {
        let dir = sandbox();
        let make = |name: &str, kind: FileType, device: u64| {
            let path = dir.path().join(RUN).join("c").join(name);
            mknodat(CWD, &path, kind, Mode::from(0o666), device).expect("made");
            let path = format!("/frameworks/f/executors/t/runs/c/{name}");
            assert_eq!(read(dir.path(), &path), Err("special".to_owned()), "{name}");
        };
        make("pipe", FileType::Fifo, 0);
        make("zero", FileType::CharacterDevice, makedev(1, 5));
    }

    #[test]
    fn no_path_leads_out_of_a_sandbox() {
        let dir = sandbox();
        let check = |path: &str, answer: &str| {
            assert_eq!(read(dir.path(), path), Err(answer.to_owned()), "{path}");
        };
        check("/frameworks/f/executors/t/runs/c/../c/sub/file", "outside");
        check("/frameworks/f/executors/t/runs/c/sub/../../../../x", "outside");
        check("/frameworks/f/executors/t/runs/c/absolute", "outside");
        check("/frameworks/f/executors/t/runs/c/climbing", "outside");
        check("/frameworks/f/executors/../executors/t/runs/c/sub/file", "nowhere");
        check("/frameworks/f/executors/t/runs/../x", "nowhere");
        check("/frameworks/f/executors/t", "nowhere");
        check("/etc/passwd", "nowhere");
        check(&format!("{}/secret", dir.path().display()), "nowhere");
        check("", "nowhere");
        check("/frameworks/f/executors/t/runs/c/none", "missing");
        check("/frameworks/f/executors/t/runs/other/none", "missing");
        check("/frameworks/f/executors/t/runs/c/sub/file/deeper", "missing");
    }
}
