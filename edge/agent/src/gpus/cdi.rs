//! Devices as the Container Device Interface describes them: files in which a vendor says what a container needs to use one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use containers::spec::{Hook, Mount, Source};
use model::confinement::Device;
use model::container::VolumeMode;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Edits, Gpu};

/// A file of a driver is some hundred kilobytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The moment at which hooks are run here.
const HOOK_NAME: &str = "createContainer";

/// What is not in here is not obeyed, so a file that has it is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(rename = "cdiVersion")]
    _version: String,
    kind: String,
    #[serde(default, rename = "annotations")]
    _annotations: Option<IgnoredAny>,
    devices: Vec<Described>,
    #[serde(default)]
    container_edits: Written,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Described {
    name: Name,
    #[serde(default, rename = "annotations")]
    _annotations: Option<IgnoredAny>,
    container_edits: Written,
}

/// In YAML a name without quotes may look like a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Name {
    Number(u64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    env: Vec<String>,
    device_nodes: Vec<WrittenNode>,
    mounts: Vec<WrittenMount>,
    hooks: Vec<WrittenHook>,
    #[serde(rename = "additionalGids")]
    additional_gids: Vec<u32>,
}

/// Numbers and kind are those of the machine's own node; owner and mode do not matter, for nobody else has the node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenNode {
    path: String,
    host_path: Option<String>,
    permissions: Option<String>,
    #[serde(rename = "type")]
    _kind: Option<IgnoredAny>,
    #[serde(rename = "major")]
    _major: Option<IgnoredAny>,
    #[serde(rename = "minor")]
    _minor: Option<IgnoredAny>,
    #[serde(rename = "fileMode")]
    _mode: Option<IgnoredAny>,
    #[serde(rename = "uid")]
    _uid: Option<IgnoredAny>,
    #[serde(rename = "gid")]
    _gid: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenMount {
    host_path: PathBuf,
    container_path: String,
    #[serde(default)]
    options: Vec<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenHook {
    hook_name: String,
    path: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    /// All of a container's set-up has one.
    #[serde(rename = "timeout")]
    _timeout: Option<IgnoredAny>,
}

/// All devices by their names, `vendor/class=name`. A later directory says it better.
pub(super) fn read(dirs: &[PathBuf]) -> Result<BTreeMap<String, Gpu>> {
    let mut all = BTreeMap::new();
    for dir in dirs {
        let mut here = BTreeMap::new();
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        let is_file = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| matches!(ending, "json" | "yaml" | "yml"))
        };
        for path in paths.iter().filter(|path| is_file(path)) {
            let found = read_file(path).with_context(|| format!("in {}", path.display()))?;
            for gpu in found {
                let name = gpu.name.clone();
                ensure!(
                    here.insert(name.clone(), gpu).is_none(),
                    "{} describes {name} once more",
                    path.display()
                );
            }
        }
        all.extend(here);
    }
    Ok(all)
}

fn read_file(path: &Path) -> Result<Vec<Gpu>> {
    ensure!(fs::metadata(path)?.len() <= FILE_BYTES_MAX, "it has more than {FILE_BYTES_MAX} bytes");
    let text = fs::read_to_string(path)?;
    let File { kind, devices, container_edits, .. } = serde_saphyr::from_str(&text)?;
    ensure!(kind.split_once('/').is_some(), "kind: expected vendor/class, not {kind}");
    let common = edits(container_edits)?;
    let gpu = |one: Described| {
        let name = match one.name {
            Name::Number(number) => number.to_string(),
            Name::Text(text) => text,
        };
        let own = edits(one.container_edits).with_context(|| format!("device {name}"))?;
        let name = format!("{kind}={name}");
        Ok(Gpu { name, own, common: common.clone() })
    };
    devices.into_iter().map(gpu).collect()
}

fn edits(written: Written) -> Result<Edits> {
    let variable = |text: String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => bail!("env: expected NAME=VALUE, not {text}"),
    };
    let device = |node: WrittenNode| Device {
        host_path: node.host_path.unwrap_or_else(|| node.path.clone()),
        container_path: node.path,
        access: node.permissions.unwrap_or_else(|| super::ACCESS.to_owned()),
    };
    Ok(Edits {
        environment: written.env.into_iter().map(variable).collect::<Result<_>>()?,
        devices: written.device_nodes.into_iter().map(device).collect(),
        mounts: written.mounts.into_iter().map(mount).collect::<Result<_>>()?,
        hooks: written.hooks.into_iter().map(hook).collect::<Result<_>>()?,
        groups: written.additional_gids.iter().map(ToString::to_string).collect(),
    })
}

/// All that a mount from the machine may not do in a container anyway may be said.
fn mount(written: WrittenMount) -> Result<Mount> {
    let path = written.host_path;
    let is_bind = written.kind.as_deref().is_none_or(|kind| matches!(kind, "bind" | "none" | ""));
    ensure!(is_bind, "mounts: {} is not a bind mount", path.display());
    let mut mode = VolumeMode::ReadWrite;
    for option in &written.options {
        match option.as_str() {
            "ro" => mode = VolumeMode::ReadOnly,
            "rw" | "bind" | "rbind" | "nosuid" | "nodev" | "private" | "rprivate" => (),
            other => bail!("mounts: {}: the option {other} is not obeyed here", path.display()),
        }
    }
    let source = Source::Host { root: path, path: PathBuf::new(), both_ways: false };
    Ok(Mount { container_path: written.container_path, mode, source })
}

fn hook(written: WrittenHook) -> Result<Hook> {
    let WrittenHook { hook_name, path, args, env, .. } = written;
    ensure!(
        hook_name == HOOK_NAME,
        "hooks: {} is a {hook_name} hook, and only {HOOK_NAME} hooks are run",
        path.display()
    );
    ensure!(path.is_absolute(), "hooks: {} is not an absolute path", path.display());
    Ok(Hook { program: path, arguments: args, environment: env })
}
