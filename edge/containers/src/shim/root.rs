//! What a container sees as `/`: made in a mount namespace of the builder's own, so that the host's mount table never
//! changes and everything is gone with the last process that sees it.

use std::fs::DirBuilder;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use model::container::{Volume, VolumeMode};
use nix::sched::CloneFlags;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use serde_json::{Value, json};

use super::oci::SANDBOX_IN_IMAGE;
use crate::cgroup::Hierarchies;
use crate::protocol::Launch;
use crate::spec::{Root, Spec};

/// The kernel takes one page of mount options.
const MOUNT_OPTIONS_BYTES_MAX: usize = 4095;

/// Controllers whose files programs read to learn their own limits.
const CONTROLLERS_SHOWN: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];

/// Files of the host that name its network, which containers share.
const NETWORK_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/// What goes wrong here is told to the user as it is.
type Result<T> = std::result::Result<T, String>;

/// Enters a new mount namespace and mounts the root there.
pub(crate) fn prepare(launch: &Launch) -> Result<PathBuf> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("a mount namespace: {e}"))?;
    // What the host unmounts later goes away in here, too; nothing leads back.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).map_err(|e| format!("detaching mounts: {e}"))?;
    let root = launch.run_dir.join("root");
    make_dir(&root, 0o755)?;
    match &launch.spec.root {
        Root::Host => rustix::mount::mount_bind_recursive("/", &root)
            .map_err(|e| format!("binding / to {}: {e}", root.display()))?,
        Root::Image { layers, .. } => overlay(layers, &launch.layer_dir, &root)?,
    }
    Ok(root)
}

/// Layers come lowest first; overlayfs wants them the other way round.
fn overlay(layers: &[PathBuf], writable: &Path, root: &Path) -> Result<()> {
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    make_dir(&upper, 0o755)?;
    make_dir(&work, 0o700)?;
    let common = common_dir(layers).ok_or("an image without layers")?;
    let lower: Vec<String> = layers
        .iter()
        .rev()
        .map(|layer| escaped(layer.strip_prefix(&common).expect("all begin with what they share")))
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},volatile",
        lower.join(":"),
        escaped(&upper),
        escaped(&work)
    );
    if options.len() > MOUNT_OPTIONS_BYTES_MAX {
        return Err(format!("{} layers are too many to be mounted at once", layers.len()));
    }
    // Relative names are short, and there is room for more layers.
    std::env::set_current_dir(&common)
        .map_err(|e| format!("the layers' directory {}: {e}", common.display()))?;
    let options = std::ffi::CString::new(options).map_err(|_| "a NUL byte in a layer's path")?;
    rustix::mount::mount("overlay", root, "overlay", MountFlags::empty(), options.as_c_str())
        .map_err(|e| format!("mounting {} layers: {e}", layers.len()))?;
    std::env::set_current_dir("/").map_err(|e| format!("/: {e}"))
}

/// The directory that holds all of them.
fn common_dir(layers: &[PathBuf]) -> Option<PathBuf> {
    let mut common = layers.first()?.parent()?.to_path_buf();
    while !layers.iter().all(|layer| layer.starts_with(&common)) {
        common.pop();
    }
    Some(common)
}

/// Colons and commas part options.
fn escaped(path: &Path) -> String {
    let text = path.display().to_string();
    text.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

pub(crate) fn mounts(
    launch: &Launch,
    root: &Path,
    hierarchies: &Hierarchies,
) -> Result<Vec<Value>> {
    let mut mounts = match &launch.spec.root {
        // libcontainer wants a /dev of its own to write to; `uncover_devices` takes it away again.
        Root::Host => vec![
            mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755"]),
        ],
        Root::Image { .. } => image_mounts(launch, hierarchies),
    };
    for volume in &launch.spec.volumes {
        mounts.push(volume_mount(&launch.spec, volume, root)?);
    }
    Ok(mounts)
}

fn image_mounts(launch: &Launch, hierarchies: &Hierarchies) -> Vec<Value> {
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", super::oci::SHM_SIZE];
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/dev/shm", "tmpfs", "shm", &shm),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    mounts.extend(cgroup_mounts(&launch.cgroup, hierarchies));
    let hostname_file = launch.run_dir.join("hostname");
    for file in NETWORK_FILES.into_iter().filter(|file| Path::new(file).exists()) {
        let own = file.ends_with("hostname") && launch.spec.hostname.is_some();
        let source = if own { hostname_file.as_path() } else { Path::new(file) };
        mounts.push(mount(file, "bind", source, &["bind", "ro"]));
    }
    mounts.push(mount(SANDBOX_IN_IMAGE, "bind", &launch.spec.sandbox, &["rbind", "rw"]));
    mounts
}

/// The container's own groups only, to be read.
fn cgroup_mounts(cgroup: &str, hierarchies: &Hierarchies) -> Vec<Value> {
    let read_only = ["bind", "ro", "nosuid", "noexec", "nodev"];
    let bind = |controller: &str, target: &str| {
        let dir = hierarchies.dir(controller, cgroup).ok()?;
        Some(mount(target, "bind", dir, &read_only))
    };
    if hierarchies.is_v2() {
        return bind("memory", "/sys/fs/cgroup").into_iter().collect();
    }
    let tmpfs = ["nosuid", "noexec", "nodev", "mode=755", "size=64k"];
    let mut mounts = vec![mount("/sys/fs/cgroup", "tmpfs", "tmpfs", &tmpfs)];
    mounts.extend(CONTROLLERS_SHOWN.iter().filter_map(|c| bind(c, &format!("/sys/fs/cgroup/{c}"))));
    mounts
}

fn volume_mount(spec: &Spec, volume: &Volume, root: &Path) -> Result<Value> {
    let source = volume_source(&spec.sandbox, &volume.host_path)?;
    let target = Path::new(&volume.container_path);
    let in_image = matches!(spec.root, Root::Image { .. });
    let target = match (target.is_absolute(), in_image) {
        (true, true) => target.to_path_buf(),
        (true, false) => {
            if !root.join(target.strip_prefix("/").expect("it is absolute")).exists() {
                let path = target.display();
                return Err(format!(
                    "volume {path}: without an image the path must exist on the host; create it or use a relative one"
                ));
            }
            target.to_path_buf()
        }
        (false, true) => Path::new(SANDBOX_IN_IMAGE).join(target),
        (false, false) => spec.sandbox.join(target),
    };
    stays_below(&volume.container_path)?;
    let mode = match volume.mode {
        VolumeMode::ReadOnly => "ro",
        VolumeMode::ReadWrite => "rw",
    };
    Ok(mount(&target.display().to_string(), "bind", source, &["rbind", mode]))
}

/// Relative paths name directories of the sandbox, made if they are not there.
fn volume_source(sandbox: &Path, host_path: &str) -> Result<PathBuf> {
    let path = Path::new(host_path);
    if path.is_absolute() {
        let there = path.exists();
        return if there {
            Ok(path.into())
        } else {
            Err(format!("volume: {host_path} does not exist on the host"))
        };
    }
    stays_below(host_path)?;
    let path = sandbox.join(path);
    make_dir(&path, 0o755)?;
    // The task may have left a link here on an earlier run.
    let real = path.canonicalize().map_err(|e| format!("volume {host_path}: {e}"))?;
    let home = sandbox.canonicalize().map_err(|e| format!("{}: {e}", sandbox.display()))?;
    if real.starts_with(home) {
        Ok(path)
    } else {
        Err(format!("volume: {host_path} leads out of the sandbox"))
    }
}

fn stays_below(path: &str) -> Result<()> {
    let climbs = Path::new(path).components().any(|part| part == Component::ParentDir);
    if climbs { Err(format!("volume {path}: `..` is not allowed")) } else { Ok(()) }
}

fn mount(target: &str, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Value {
    json!({"destination": target, "type": kind, "source": source.as_ref(), "options": options})
}

/// Once libcontainer has set up a container without image: uncovers the host's devices, which tasks without image see,
/// and gives it its own POSIX shared memory, as its IPC namespace is its own.
pub(crate) fn uncover_devices(pid: u32) -> Result<()> {
    let open = |path: &str| std::fs::File::open(path).map_err(|e| format!("{path}: {e}"));
    let ours = open("/proc/self/ns/mnt")?;
    let theirs = open(&format!("/proc/{pid}/ns/mnt"))?;
    enter(&theirs)?;
    rustix::mount::unmount("/dev", UnmountFlags::DETACH)
        .map_err(|e| format!("uncovering /dev: {e}"))?;
    if Path::new("/dev/shm").is_dir() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("shm", "/dev/shm", "tmpfs", flags, c"mode=1777")
            .map_err(|e| format!("mounting /dev/shm: {e}"))?;
    }
    enter(&ours)
}

fn enter(namespace: impl AsFd) -> Result<()> {
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWNS)
        .map_err(|e| format!("entering a mount namespace: {e}"))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|e| format!("creating {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_from_the_directory_that_they_share() {
        let check = |layers: &[&str], expected: Option<&str>| {
            let layers: Vec<PathBuf> = layers.iter().map(PathBuf::from).collect();
            assert_eq!(common_dir(&layers), expected.map(PathBuf::from));
        };
        check(&["/store/a/root", "/store/b/root"], Some("/store"));
        check(&["/store/a"], Some("/store"));
        check(&["/store/a", "/other/b"], Some("/"));
        check(&[], None);
    }

    #[test]
    fn no_volume_climbs_out() {
        let check =
            |path: &str, allowed: bool| assert_eq!(stays_below(path).is_ok(), allowed, "{path}");
        check("data", true);
        check("a/b..c", true);
        check("../etc", false);
        check("/var/../etc", false);
    }
}
