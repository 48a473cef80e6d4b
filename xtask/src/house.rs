//! What is in the house: crates, their folders, what they depend on, their files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A crate of the workspace.
#[derive(Debug)]
pub struct Room {
    /// Relative to the root: `core/kernel`.
    pub dir: String,
    /// Names of `[dependencies]`; those of tests and build scripts do not count.
    pub dependencies: Vec<String>,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}

/// All crates by name.
pub fn rooms() -> BTreeMap<String, Room> {
    let manifests = files(&root()).into_iter().filter(|path| path.ends_with("Cargo.toml"));
    manifests.filter_map(|manifest| room(&manifest)).collect()
}

fn room(manifest: &Path) -> Option<(String, Room)> {
    let text = read(manifest);
    let name = text.lines().find_map(|line| line.strip_prefix("name = "))?;
    let dir = manifest.parent()?.strip_prefix(root()).ok()?.to_string_lossy().into_owned();
    let dependencies = text
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect();
    Some((name.trim_matches('"').to_owned(), Room { dir, dependencies }))
}

/// Every file below `dir` except what is built or kept by git, in a fixed order.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries =
            fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        for path in entries.map(|entry| entry.expect("readable folder").path()) {
            let built = ["target", ".git", "node_modules"].iter().any(|name| path.ends_with(name));
            match path.is_dir() {
                true if built => (),
                true => open.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

pub fn rust_files() -> Vec<PathBuf> {
    files(&root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// As people name it: relative to the root.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
