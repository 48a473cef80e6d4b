//! What a container sees as `/`: made in a mount namespace of its own, so that the host's mount table never changes and
//! everything is gone with the last process that sees it.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use model::container::{Volume, VolumeMode};
use rustix::fs::{FileType, Mode};
use rustix::mount::{MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags};

use super::extras;
use super::hooks;
use super::mounts::{Detached, Inside, Kind, is_dir};
use super::own_users::OwnUsers;
use super::volumes;
use crate::cgroup::Hierarchies;
use crate::policy::Reach;
use crate::protocol::Launch;
use crate::skeleton::{self, NETWORK_FILES, SANDBOX_IN_IMAGE};
use crate::spec::{Root, Spec};

/// The kernel takes one page of mount options.
const MOUNT_OPTIONS_BYTES_MAX: usize = 4095;

/// Controllers whose files programs read to learn their own limits.
const CONTROLLERS_SHOWN: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];

/// For POSIX shared memory in a container with an image, as Docker and DC/OS have it.
const SHM_BYTES: u64 = 64 << 20;

/// Name, and the numbers under which the kernel knows it.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// What tells about or changes the host.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
pub(super) const READ_ONLY_MOUNT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
/// No programs with the rights of others, no devices; `noexec` comes on top where nothing is to be executed.
pub(super) const HARMLESS: MountAttrFlags = NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
pub(super) const DATA: MountAttrFlags = HARMLESS.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// What goes wrong here is told to the user as it is.
pub(super) type Result<T> = std::result::Result<T, String>;

/// The root as it grows, seen from outside.
pub(crate) struct Growing<'a> {
    pub(super) launch: &'a Launch,
    pub(super) users: Option<&'a OwnUsers>,
    inside: Inside,
    path: PathBuf,
    /// Of the image's files and what comes from the host: a confined container opens no devices but those of its `/dev`.
    pub(super) files: MountAttrFlags,
    /// Of its mounts that share with the machine.
    pub(super) peers: Vec<Option<Detached>>,
    /// Another container's, which this one has, too.
    pub(super) memory: Option<Detached>,
}

impl Growing<'_> {
    /// Mounts the root, and in it all that does not depend on the container's control groups.
    pub(super) fn begin<'b>(
        launch: &'b Launch,
        (users, memory): (Option<&'b OwnUsers>, Option<Detached>),
        reach: Reach,
    ) -> Result<Growing<'b>> {
        let peers = volumes::peers(&launch.spec)?;
        // What the host unmounts later goes away in here, too; nothing leads back.
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", slave).map_err(|e| format!("detaching mounts: {e}"))?;
        let (files, flags) = match reach {
            Reach::Open => (MountAttrFlags::empty(), MountFlags::empty()),
            Reach::Confined => (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        };
        let path = match &launch.spec.root {
            Root::Host => PathBuf::from("/"),
            Root::Image { layers, .. } => {
                let path = launch.run_dir.join("root");
                make_dir(&path, 0o755)?;
                overlay(layers, &launch.layer_dir, &path, (flags, users))?;
                path
            }
        };
        let inside = Inside::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let inside = inside.owned_by(users.map(|users| users.map.first));
        let mut root = Growing { launch, users, inside, path, files, peers, memory };
        root.fs("/proc", "proc", &[], DATA)?;
        match &launch.spec.root {
            Root::Host => root.shared_memory(HARMLESS, None)?,
            Root::Image { .. } => root.fill()?,
        }
        Ok(root)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn fill(&mut self) -> Result<()> {
        self.devices()?;
        self.fs("/sys", "sysfs", &[], DATA | READ_ONLY_MOUNT)?;
        for file in NETWORK_FILES {
            let Some(source) = self.network_file(file)? else { continue };
            let mount = Detached::tree(&source).map_err(|e| told(file, e))?;
            self.put(mount, file, READ_ONLY_MOUNT)?;
        }
        let sandbox = &self.launch.spec.sandbox;
        let sandbox = Detached::tree(sandbox).map_err(|e| told(SANDBOX_IN_IMAGE, e))?;
        self.show(&sandbox, SANDBOX_IN_IMAGE)?;
        self.put(sandbox, SANDBOX_IN_IMAGE, self.files)
    }

    fn devices(&mut self) -> Result<()> {
        let dev = self.fs("/dev", "tmpfs", &[("mode", "755"), ("size", "64m")], NOSUID)?;
        for (name, major, minor) in DEVICES {
            let number = rustix::fs::makedev(major, minor);
            let mode = Mode::from(0o666);
            rustix::fs::mknodat(&dev, name, FileType::CharacterDevice, mode, number)
                .map_err(|e| told(&format!("/dev/{name}"), e))?;
        }
        self.granted_devices(&dev)?;
        for (name, target) in DEVICE_LINKS {
            rustix::fs::symlinkat(target, &dev, name)
                .map_err(|e| told(&format!("/dev/{name}"), e))?;
        }
        let terminals = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
        let no_programs = NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        self.fs("/dev/pts", "devpts", &terminals, no_programs)?;
        self.shared_memory(DATA, Some(SHM_BYTES))?;
        self.fs("/dev/mqueue", "mqueue", &[], DATA)?;
        Ok(())
    }

    /// The rest, once the container's control groups are there.
    pub(crate) fn complete(&mut self, hierarchies: &Hierarchies) -> Result<()> {
        if matches!(self.launch.spec.root, Root::Image { .. }) {
            self.cgroups(hierarchies)?;
        }
        self.tmpfs()?;
        self.launch.spec.volumes.iter().try_for_each(|volume| self.volume(volume))?;
        self.mounts()?;
        hooks::run(self.launch, &self.path)
    }

    /// Where the image's program begins: made if it is not there, as Docker does.
    pub(crate) fn make_working_dir(&self, dir: &str) {
        let is_of_image = matches!(self.launch.spec.root, Root::Image { .. });
        if is_of_image && Path::new(dir).is_absolute() && stays_below(dir).is_ok() {
            // What is wrong with it is told when the program is to begin there.
            let _ = self.place(dir, Kind::Dir);
        }
    }

    /// The container's own groups only, to be read.
    fn cgroups(&self, hierarchies: &Hierarchies) -> Result<()> {
        const PLACE: &str = "/sys/fs/cgroup";
        let group = |controller: &str| {
            let dir = hierarchies.dir(controller, &self.launch.cgroup).ok()?;
            Some(Detached::tree(&dir).map_err(|e| told(&dir.display().to_string(), e)))
        };
        if hierarchies.is_v2() {
            let Some(mount) = group("memory").transpose()? else { return Ok(()) };
            return self.put(mount, PLACE, DATA | READ_ONLY_MOUNT);
        }
        let listed = self.fs(PLACE, "tmpfs", &[("mode", "755"), ("size", "64k")], DATA)?;
        for controller in CONTROLLERS_SHOWN {
            if let Some(mount) = group(controller).transpose()? {
                self.put(mount, &format!("{PLACE}/{controller}"), DATA | READ_ONLY_MOUNT)?;
            }
        }
        listed.restrict(READ_ONLY_MOUNT).map_err(|e| told(PLACE, e))
    }

    fn volume(&self, volume: &Volume) -> Result<()> {
        stays_below(&volume.container_path)?;
        let spec = &self.launch.spec;
        let target = self.target(&volume.container_path)?;
        let attributes = match volume.mode {
            VolumeMode::ReadOnly => self.files | READ_ONLY_MOUNT,
            VolumeMode::ReadWrite => self.files,
        };
        let source = volume_source(spec, &volume.host_path)?;
        self.show(&source, &volume.host_path)?;
        self.put(source, &target.display().to_string(), attributes)
    }

    /// What is the machine's, with the container's users.
    pub(super) fn show(&self, mount: &Detached, name: &str) -> Result<()> {
        self.users.map_or(Ok(()), |users| users.show(mount, name))
    }

    /// Where a container path is: relative ones are in the sandbox.
    pub(super) fn target(&self, container_path: &str) -> Result<PathBuf> {
        let spec = &self.launch.spec;
        let target = Path::new(container_path);
        let in_image = matches!(spec.root, Root::Image { .. });
        Ok(match (target.is_absolute(), in_image) {
            (true, true) => target.to_path_buf(),
            (true, false) => {
                self.inside.find(target).map_err(|_| {
                    let path = target.display();
                    format!(
                        "volume {path}: without an image the path must exist on the host; create it or use a relative one"
                    )
                })?;
                target.to_path_buf()
            }
            (false, true) => Path::new(SANDBOX_IN_IMAGE).join(target),
            (false, false) => spec.sandbox.join(target),
        })
    }

    /// A new file system in its place.
    pub(super) fn fs(
        &self,
        place: &str,
        kind: &str,
        options: &[(&str, &str)],
        attributes: MountAttrFlags,
    ) -> Result<Detached> {
        let target = self.place(place, Kind::Dir)?;
        let owner = self.users.filter(|_| kind == "tmpfs").map(|users| users.map.first.to_string());
        let owned = owner.iter().flat_map(|owner| [("uid", owner.as_str()), ("gid", owner)]);
        let options: Vec<(&str, &str)> = options.iter().copied().chain(owned).collect();
        Detached::new(kind, &options, attributes)
            .and_then(|mount| mount.put(target))
            .map_err(|e| told(place, e))
    }

    pub(super) fn put(
        &self,
        mount: Detached,
        place: &str,
        attributes: MountAttrFlags,
    ) -> Result<()> {
        let kind = match is_dir(&mount).map_err(|e| told(place, e))? {
            true => Kind::Dir,
            false => Kind::File,
        };
        let target = self.place(place, kind)?;
        mount
            .restrict(attributes)
            .and_then(|()| mount.put(target))
            .map(drop)
            .map_err(|e| told(place, e))
    }

    pub(super) fn place(&self, path: &str, kind: Kind) -> Result<OwnedFd> {
        self.inside.find_or_make(Path::new(path), kind).map_err(|e| told(path, e))
    }

    /// Makes it the root of the calling process, which sees nothing else from now on.
    pub(crate) fn enter(self, reach: Reach) -> Result<()> {
        let spec = &self.launch.spec;
        if matches!(spec.root, Root::Image { .. }) {
            let pivot = || {
                rustix::process::fchdir(&self.inside)?;
                rustix::process::pivot_root(".", ".")?;
                rustix::mount::unmount(".", UnmountFlags::DETACH)?;
                rustix::process::chdir("/")
            };
            pivot().map_err(|e| format!("changing the root: {e}"))?;
            if spec.confinement.read_only_root {
                let root = Inside::open(Path::new("/"));
                root.and_then(|root| root.restrict(READ_ONLY_MOUNT))
                    .map_err(|e| format!("making the root read-only: {e}"))?;
            }
        }
        extras::set_kernel(&spec.confinement.sysctls)?;
        match reach {
            Reach::Confined if !spec.confinement.unmasked => {
                mask().map_err(|e| format!("hiding the host: {e}"))
            }
            Reach::Open | Reach::Confined => Ok(()),
        }
    }
}

/// Runs inside. All of it lies in file systems that were mounted a moment ago, where no image has put a link.
fn mask() -> rustix::io::Result<()> {
    let inside = Inside::open(Path::new("/"))?;
    for path in READ_ONLY.into_iter().map(Path::new) {
        if let Ok(place) = inside.find(path) {
            let mount = Detached::tree_at(&place)?;
            mount.restrict(READ_ONLY_MOUNT)?;
            mount.put(place)?;
        }
    }
    let null = inside.find(Path::new("/dev/null"))?;
    for path in MASKED.into_iter().map(Path::new) {
        let Ok(place) = inside.find(path) else { continue };
        let nothing = if is_dir(&place)? {
            Detached::new("tmpfs", &[], DATA | READ_ONLY_MOUNT)?
        } else {
            Detached::tree_at(&null)?
        };
        nothing.put(place)?;
    }
    Ok(())
}

pub(super) fn told(place: &str, error: impl std::fmt::Display) -> String {
    format!("mounting {place}: {error}")
}

/// Layers come lowest first; overlayfs wants them the other way round.
pub(super) fn overlay(
    layers: &[PathBuf],
    writable: &Path,
    root: &Path,
    (flags, users): (MountFlags, Option<&OwnUsers>),
) -> Result<()> {
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    make_dir(&upper, 0o755)?;
    make_dir(&work, 0o700)?;
    if let Some(users) = users {
        // What is written over the image has other numbers on the disk, and goes with the container.
        users.own(&upper)?;
        let below = layers.iter().cloned().chain(skeleton::beside(writable));
        let below: BTreeSet<PathBuf> = below.collect();
        below.iter().try_for_each(|dir| users.cover(dir))?;
    }
    let common = common_dir(layers).ok_or("an image without layers")?;
    let lower: Vec<String> = layers
        .iter()
        .rev()
        .map(|layer| {
            layer.strip_prefix(&common).expect("all begin with what they share").to_owned()
        })
        .chain(skeleton::beside(writable))
        .map(|layer| escaped(&layer))
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
    rustix::mount::mount("overlay", root, "overlay", flags, options.as_c_str())
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

/// Relative paths name directories of the sandbox, made if they are not there, and owned like it.
fn volume_source(spec: &Spec, host_path: &str) -> Result<Detached> {
    let path = Path::new(host_path);
    let failed = |e: rustix::io::Errno| format!("volume {host_path}: {e}");
    if path.is_absolute() {
        return match Detached::tree(path) {
            Err(rustix::io::Errno::NOENT) => {
                Err(format!("volume: {host_path} does not exist on the host"))
            }
            mount => mount.map_err(failed),
        };
    }
    stays_below(host_path)?;
    // The task may have left a link here on an earlier run.
    let sandbox = Inside::open(&spec.sandbox).map_err(failed)?;
    let is_new = sandbox.find(path).is_err();
    let dir = sandbox.find_or_make(path, Kind::Dir).map_err(failed)?;
    if is_new {
        own_like(&dir, &sandbox).map_err(failed)?;
    }
    Detached::tree_at(&dir).map_err(failed)
}

pub(super) fn own_like(place: impl AsFd, model: impl AsFd) -> rustix::io::Result<()> {
    let owner = rustix::fs::fstat(model)?;
    let uid = rustix::fs::Uid::from_raw(owner.st_uid);
    let gid = rustix::fs::Gid::from_raw(owner.st_gid);
    rustix::fs::chownat(place, "", Some(uid), Some(gid), rustix::fs::AtFlags::EMPTY_PATH)
}

pub(super) fn stays_below(path: &str) -> Result<()> {
    let climbs = Path::new(path).components().any(|part| part == Component::ParentDir);
    if climbs { Err(format!("volume {path}: `..` is not allowed")) } else { Ok(()) }
}

pub(super) fn make_dir(path: &Path, mode: u32) -> Result<()> {
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
