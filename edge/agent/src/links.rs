//! Links that the agent makes in sandboxes while programs run there, who may put links of their own in its way: none of
//! those is followed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use anyhow::{Context, bail};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

const DIRECTORY_MODE: u32 = 0o755;

/// Has `path` below the sandbox lead to `target`. Directories above it are made; a link that is there makes way, and
/// nothing else does. Blocks.
pub(crate) fn lead(sandbox: &Path, path: &str, target: &Path) -> anyhow::Result<()> {
    let say = || format!("linking {path} in {}", sandbox.display());
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(path).components().all(is_plain) {
        bail!(
            "{path:?} is no path below the sandbox, which is all that a task without an image can have volumes at"
        );
    }
    let names: Vec<_> = Path::new(path).iter().filter(|name| *name != ".").collect();
    let (name, above) = names.split_last().context("a volume says where its task sees it")?;
    let mut dir = OwnedFd::from(File::open(sandbox).with_context(say)?);
    for part in above {
        match rustix::fs::mkdirat(&dir, *part, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(error) => return Err(io::Error::from(error)).with_context(say),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        dir = rustix::fs::openat(&dir, *part, flags, Mode::empty()).with_context(say)?;
    }
    match rustix::fs::readlinkat(&dir, *name, Vec::new()) {
        Ok(there) if there.to_bytes() == target.as_os_str().as_encoded_bytes() => return Ok(()),
        Ok(_) => rustix::fs::unlinkat(&dir, *name, AtFlags::empty()).with_context(say)?,
        // Nothing, or no link.
        Err(_) => (),
    }
    rustix::fs::symlinkat(target, &dir, *name).with_context(say)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_made_in_the_sandbox_and_nowhere_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let (sandbox, outside) = (dir.path().join("sandbox"), dir.path().join("outside"));
        for made in [&sandbox, &outside] {
            fs::create_dir(made).expect("made");
        }
        symlink(&outside, sandbox.join("out")).expect("a link");
        fs::write(sandbox.join("file"), "").expect("written");
        let target = Path::new("/volume");
        for path in ["data", "./deep/er/data", "data", "out"] {
            lead(&sandbox, path, target).expect(path);
            assert_eq!(fs::read_link(sandbox.join(path)).expect(path), target, "{path}");
        }
        fs::remove_file(sandbox.join("out")).expect("removed");
        symlink(&outside, sandbox.join("out")).expect("a link");
        let above = outside.join("data").display().to_string();
        for path in ["out/data", "../outside/data", "file", "file/data", "", ".", &above] {
            lead(&sandbox, path, target).expect_err(path);
        }
        assert_eq!(fs::read_dir(&outside).expect("read").count(), 0);
    }
}
