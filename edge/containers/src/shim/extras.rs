//! What a container's root has only if it was asked for: devices, file systems in memory, names of machines, settings of
//! the kernel.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use model::confinement::{Sharing, Tmpfs};
use rustix::fs::{FileType, Mode};
use rustix::mount::MountAttrFlags;

use super::mounts::{Detached, Inside, Kind};
use super::root::{DATA, Growing, HARMLESS, READ_ONLY_MOUNT, Result, stays_below, told};
use crate::policy::Node;

pub(super) const SHARED_MEMORY: &str = "/dev/shm";

/// As Docker has it.
const TMPFS_MODE: u32 = 0o1777;

impl Growing<'_> {
    /// The container's own, as its IPC namespace is, or the machine's with the machine's.
    pub(super) fn shared_memory(
        &mut self,
        attributes: MountAttrFlags,
        usual: Option<u64>,
    ) -> Result<()> {
        if !Path::new(SHARED_MEMORY).is_dir() {
            // The machine has none, so nobody counts on it.
            return Ok(());
        }
        if let Some(memory) = self.memory.take() {
            return self.put(memory, SHARED_MEMORY, attributes);
        }
        if self.launch.spec.confinement.ipc == Some(Sharing::Parent) {
            let shared = Detached::tree(Path::new(SHARED_MEMORY));
            let shared = shared.map_err(|e| told(SHARED_MEMORY, e))?;
            return self.put(shared, SHARED_MEMORY, attributes);
        }
        let size = self.launch.granted.shm_bytes.or(usual).map(|bytes| bytes.to_string());
        let size = size.as_deref().map(|size| ("size", size));
        let options: Vec<(&str, &str)> = [("mode", "1777")].into_iter().chain(size).collect();
        self.fs(SHARED_MEMORY, "tmpfs", &options, attributes).map(drop)
    }

    /// In a `/dev` that nobody else writes to.
    pub(super) fn granted_devices(&self, dev: &Detached) -> Result<()> {
        let granted = &self.launch.granted.devices;
        if granted.is_empty() {
            return Ok(());
        }
        let inside = Inside::of(dev).map_err(|e| told("/dev", e))?;
        granted.iter().try_for_each(|node| make_node(&inside, node))
    }

    pub(super) fn tmpfs(&self) -> Result<()> {
        for one in &self.launch.spec.confinement.tmpfs {
            stays_below(&one.path)?;
            let mode = format!("{:o}", one.mode.unwrap_or(TMPFS_MODE));
            let size = one.bytes_max.map(|bytes| bytes.to_string());
            let mut options = vec![("mode", mode.as_str())];
            options.extend(size.as_deref().map(|size| ("size", size)));
            self.fs(&one.path, "tmpfs", &options, attributes(one))?;
        }
        Ok(())
    }

    /// What is to be seen in its place; `None` if the machine has no such file.
    pub(super) fn network_file(&self, file: &str) -> Result<Option<PathBuf>> {
        let spec = &self.launch.spec;
        let confinement = &spec.confinement;
        let text = match file {
            "/etc/hostname" => spec.hostname.as_ref().map(|name| format!("{name}\n")),
            "/etc/hosts" if !confinement.hosts.is_empty() => {
                let own = confinement.hosts.iter();
                let own: String = own.map(|(name, at)| format!("{at}\t{name}\n")).collect();
                let known = std::fs::read_to_string(file).unwrap_or_default();
                // The first that matches counts.
                Some(own + &known)
            }
            "/etc/resolv.conf" if !confinement.resolver.is_empty() => {
                Some(resolver(&confinement.resolver, file))
            }
            _ => None,
        };
        let Some(text) = text else {
            return Ok(Some(PathBuf::from(file)).filter(|file| file.exists()));
        };
        let name = Path::new(file).file_name().expect("all of them have names");
        let path = self.launch.run_dir.join(name);
        std::fs::write(&path, text).map_err(|e| format!("writing {}: {e}", path.display()))?;
        Ok(Some(path))
    }
}

/// What is said of a kind takes the place of all that the machine says of it.
fn resolver(own: &[String], file: &str) -> String {
    let kind = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let is_kept = |line: &&str| !own.iter().any(|own| kind(own) == kind(line));
    let kept = known.lines().filter(is_kept);
    own.iter().map(String::as_str).chain(kept).map(|line| format!("{line}\n")).collect()
}

fn attributes(one: &Tmpfs) -> MountAttrFlags {
    let usual = if one.flags.executable { HARMLESS } else { DATA };
    if one.flags.read_only { usual | READ_ONLY_MOUNT } else { usual }
}

fn make_node(dev: &Inside, node: &Node) -> Result<()> {
    let told = |e: rustix::io::Errno| told(&node.path, e);
    stays_below(&node.path)?;
    let below = Path::new(&node.path)
        .strip_prefix("/dev")
        .map_err(|_| format!("the device {}: in a container devices lie below /dev", node.path))?;
    let name = below.file_name().ok_or_else(|| format!("{} is no name of a device", node.path))?;
    let parent: OwnedFd = match below.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => dev.find_or_make(parent, Kind::Dir).map_err(told)?,
        None => dev.find(Path::new(".")).map_err(told)?,
    };
    let kind = if node.is_block { FileType::BlockDevice } else { FileType::CharacterDevice };
    let number = rustix::fs::makedev(node.major, node.minor);
    // Who may open it is said by the device controller, and by the capabilities of who is not root.
    rustix::fs::mknodat(&parent, name, kind, Mode::from(0o666), number).map_err(told)
}

/// Of the container's own namespaces: what they are has been judged before.
pub(super) fn set_kernel(sysctls: &[(String, String)]) -> Result<()> {
    for (name, value) in sysctls {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        std::fs::write(&path, value).map_err(|e| format!("setting {name} to {value:?}: {e}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_names_replaces_what_the_machine_says_of_the_kind() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("resolv.conf");
        std::fs::write(&file, "search here\nnameserver 10.0.0.1\n").expect("written");
        let own = ["nameserver 10.0.0.2".to_owned()];
        let text = resolver(&own, &file.display().to_string());
        assert_eq!(text, "nameserver 10.0.0.2\nsearch here\n");
    }
}
