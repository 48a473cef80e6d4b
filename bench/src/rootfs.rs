//! A tiny image from this machine's own programs, as a directory and as a layer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const PROGRAMS: [&str; 3] = ["/bin/sh", "/bin/sleep", "/bin/true"];
/// Mount points that a runtime expects.
const DIRS: [&str; 5] = ["dev", "etc", "proc", "sys", "tmp"];

#[derive(Debug)]
pub(crate) struct Rootfs {
    pub(crate) dir: PathBuf,
}

impl Rootfs {
    pub(crate) fn make(dir: PathBuf) -> Result<Self> {
        for name in DIRS {
            fs::create_dir_all(dir.join(name))?;
        }
        let mut files = BTreeSet::new();
        for program in PROGRAMS {
            files.insert(PathBuf::from(program));
            files.extend(libraries(program)?);
        }
        for file in files {
            let inside = dir.join(file.strip_prefix("/")?);
            fs::create_dir_all(inside.parent().context("a file lies in a directory")?)?;
            fs::copy(&file, &inside).with_context(|| format!("copying {}", file.display()))?;
        }
        Ok(Self { dir })
    }

    pub(crate) fn layer(&self) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_dir_all(".", &self.dir)?;
        Ok(archive.into_inner()?)
    }

    pub(crate) fn write_layer(&self, path: &Path) -> Result<()> {
        Ok(fs::write(path, self.layer()?)?)
    }
}

/// What the program is linked with, the loader included.
fn libraries(program: &str) -> Result<Vec<PathBuf>> {
    let told = Command::new("ldd").arg(program).output().context("asking ldd")?;
    ensure!(told.status.success(), "ldd {program}: {}", told.status);
    let text = String::from_utf8(told.stdout)?;
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
