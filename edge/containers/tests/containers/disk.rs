//! A file system of a test's own, whose kernel counts and limits what is on it by project.

use std::path::{Path, PathBuf};
use std::process::Command;

use containers::projects::{Disk, Keeping};
use nix::mount::{MntFlags, umount2};

/// Xfs makes none that is smaller. It has holes.
const DISK_BYTES: u64 = 512 << 20;

/// How those that there are are made: ext4 and xfs.
pub(crate) const KINDS: [&[&str]; 2] = [
    &["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"],
    &["mkfs.xfs", "-q", "-f"],
];

/// A file that is mounted, as long as this lives.
pub(crate) struct Counted {
    pub(crate) at: PathBuf,
    file: PathBuf,
}

impl Counted {
    /// Nothing where this machine cannot have it, which is said then. The file is made in `dir`, and mounted there.
    pub(crate) fn mount(kind: &[&str], dir: &Path) -> Option<Counted> {
        let (file, at) = (dir.join("disk.img"), dir.join("counted"));
        std::fs::create_dir_all(&at).expect("made");
        std::fs::File::create(&file).and_then(|made| made.set_len(DISK_BYTES)).expect("made");
        let disk = Counted { at, file };
        let [program, options @ ..] = kind else { panic!("a program") };
        let name = disk.file.display().to_string();
        let options: Vec<&str> = options.iter().copied().chain([name.as_str()]).collect();
        let place = disk.at.display().to_string();
        let done = ran(program, &options)
            .and_then(|()| ran("mount", &["-o", "loop,prjquota", &name, &place]))
            .and_then(|()| match Disk::of(&disk.at).expect("a directory").keeping() {
                Keeping::Limits => Ok(()),
                other @ (Keeping::Nothing | Keeping::Counts) => {
                    Err(format!("the kernel has no limits for projects there: {other:?}"))
                }
            });
        done.inspect_err(|cause| eprintln!("NOT SEEN HERE: {program}: {}", cause.trim())).ok()?;
        Some(disk)
    }
}

fn ran(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|cause| format!("{program}: {cause}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // It may never have been mounted.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_file(&self.file);
    }
}
