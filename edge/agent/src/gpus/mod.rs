//! GPUs, which are handed out whole: a task that asks for two has two devices that nobody else can open.
//!
//! Who has which is written down before a container starts, for it has them for as long as it runs, whoever the agent is
//! by then.

mod cdi;
mod find;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use containers::spec::{Hook, Mount, Root, Spec, WITHIN};
use model::confinement::Device;
use model::id::ContainerId;
use model::resources::{Resources, Scalar};

pub use find::Search;

/// To read, to write, and to make a node of it.
const ACCESS: &str = "rwm";

/// One device, and what a container needs to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    pub name: String,
    pub(crate) own: Edits,
    /// Of all devices of its kind.
    pub(crate) common: Edits,
}

impl Gpu {
    /// Of its own nodes, on the machine.
    fn paths(&self) -> impl Iterator<Item = &str> {
        self.own.devices.iter().map(|device| device.host_path.as_str())
    }
}

/// What changes in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) devices: Vec<Device>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) hooks: Vec<Hook>,
    /// Further groups of its user.
    pub(crate) groups: Vec<String>,
}

impl Edits {
    /// What several devices have in common comes once; values of variables that differ stand side by side.
    fn add(&mut self, other: &Edits) {
        for (name, value) in &other.environment {
            match self.environment.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) if known == value => (),
                Some((_, known)) => *known = format!("{known},{value}"),
                None => self.environment.push((name.clone(), value.clone())),
            }
        }
        extend(&mut self.devices, &other.devices);
        extend(&mut self.mounts, &other.mounts);
        extend(&mut self.hooks, &other.hooks);
        extend(&mut self.groups, &other.groups);
    }

    /// Without an image a container sees the machine's own files, with the driver's among them.
    pub(crate) fn apply(self, spec: &mut Spec) {
        spec.devices.extend(self.devices);
        spec.environment.extend(self.environment);
        spec.confinement.groups.extend(self.groups);
        if matches!(spec.root, Root::Image { .. }) {
            spec.mounts.extend(self.mounts);
            spec.hooks.extend(self.hooks);
        }
    }
}

fn extend<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

/// Nodes of devices that only their holders may open.
pub fn handed_out(gpus: &[Gpu]) -> Vec<PathBuf> {
    let devices = gpus.iter().flat_map(|gpu| gpu.own.devices.iter().chain(&gpu.common.devices));
    let all: BTreeSet<PathBuf> = devices.map(|device| device.host_path.as_str().into()).collect();
    all.into_iter().collect()
}

/// The devices of one agent. A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Gpus(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    all: Vec<Gpu>,
    /// A file for each container that has some.
    dir: PathBuf,
    held: Mutex<BTreeMap<ContainerId, Vec<String>>>,
}

impl Gpus {
    pub(crate) fn new(dir: &Path, all: Vec<Gpu>) -> Self {
        Self(Arc::new(Shelf { all, dir: dir.join("gpus"), held: Mutex::default() }))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Vec<String>>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads who has which, and forgets those that are not there any more.
    pub(crate) fn settle(&self, there: &BTreeSet<ContainerId>) -> Result<()> {
        for entry in fs::read_dir(&self.0.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let say = || format!("reading {}", path.display());
            let name = entry.file_name().into_string().unwrap_or_default();
            let container = ContainerId::new(name.as_str());
            if there.contains(&container) {
                let bytes = fs::read(&path).with_context(say)?;
                let names = serde_json::from_slice(&bytes).with_context(say)?;
                self.held().insert(container, names);
            } else {
                fs::remove_file(&path).with_context(say)?;
            }
        }
        Ok(())
    }

    /// So many that nobody has, for a container that is about to start. Blocks.
    pub(crate) fn take(&self, container: &ContainerId, resources: &Resources) -> Result<Edits> {
        let Scalar(thousandths) = resources.gpus();
        if thousandths == 0 {
            return Ok(Edits::default());
        }
        let wanted = usize::try_from(thousandths.div_ceil(1000)).context("too many GPUs")?;
        let mut held = self.held();
        let taken: BTreeSet<&String> = held.values().flatten().collect();
        let free = self.0.all.iter().filter(|gpu| !taken.contains(&gpu.name));
        let names: Vec<String> = free.take(wanted).map(|gpu| gpu.name.clone()).collect();
        ensure!(
            names.len() == wanted,
            "The task needs {wanted} GPUs, and of the {} devices of this agent {} are free: it offers more than it has \
             (resources, isolation.gpus)",
            self.0.all.len(),
            names.len()
        );
        self.write(container, &names)?;
        let edits = self.edits(&names);
        held.insert(container.clone(), names);
        Ok(edits)
    }

    /// What the container has, or that in which it lies.
    pub(crate) fn of(&self, container: &ContainerId) -> Edits {
        let outermost = container.as_str().split(WITHIN).next().unwrap_or_default();
        let held = self.held();
        held.get(&ContainerId::new(outermost)).map_or_else(Edits::default, |all| self.edits(all))
    }

    /// Nobody of it can use them any more.
    pub(crate) fn give_back(&self, container: &ContainerId) {
        let mut held = self.held();
        if !held.contains_key(container) {
            return;
        }
        // Who finds it later knows that its container is gone.
        if let Err(cause) = fs::remove_file(self.path(container)) {
            tracing::warn!(%container, %cause, "what it had of the GPUs stays written down");
        }
        held.remove(container);
    }

    fn edits(&self, names: &[String]) -> Edits {
        let mut edits = Edits::default();
        // A device may have gone since.
        for gpu in self.0.all.iter().filter(|gpu| names.contains(&gpu.name)) {
            edits.add(&gpu.common);
            edits.add(&gpu.own);
        }
        edits
    }

    fn path(&self, container: &ContainerId) -> PathBuf {
        self.0.dir.join(container.as_str())
    }

    /// Whole or not at all, and on the disk. What begins with a dot is no container's.
    fn write(&self, container: &ContainerId, names: &[String]) -> Result<()> {
        let path = self.path(container);
        let partial = self.0.dir.join(format!(".{container}"));
        let written = || -> io::Result<()> {
            fs::create_dir_all(&self.0.dir)?;
            let mut file = File::create(&partial)?;
            file.write_all(&serde_json::to_vec(names)?)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.0.dir)?.sync_all()
        };
        written().with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(number: u32) -> Gpu {
        let device = |path: String| Device {
            host_path: path.clone(),
            container_path: path,
            access: ACCESS.to_owned(),
        };
        let number_told = ("VISIBLE".to_owned(), number.to_string());
        Gpu {
            name: number.to_string(),
            own: Edits {
                devices: vec![device(format!("/dev/gpu{number}"))],
                environment: vec![number_told],
                ..Edits::default()
            },
            common: Edits { devices: vec![device("/dev/control".into())], ..Edits::default() },
        }
    }

    fn asked(gpus: u32) -> Resources {
        format!("cpus:1;gpus:{gpus}").parse().expect("well formed")
    }

    #[test]
    fn nobody_has_what_another_has_and_a_new_life_knows_who_has_which() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Gpus::new(dir.path(), (0..3).map(gpu).collect());
        let (a, b) = (ContainerId::new("a"), ContainerId::new("b"));
        let gpus = open();
        assert_eq!(gpus.take(&b, &asked(0)).expect("none asked for"), Edits::default());
        let of_a = gpus.take(&a, &asked(2)).expect("there are three");
        assert_eq!((of_a.devices.len(), of_a.environment[0].1.as_str()), (3, "0,1"));
        assert!(gpus.take(&b, &asked(2)).is_err());
        assert_eq!(gpus.take(&b, &asked(1)).expect("one is left").environment[0].1, "2");
        assert_eq!(gpus.of(&ContainerId::new("a.within")), of_a);
        let later = open();
        later.settle(&[a.clone()].into()).expect("readable");
        assert_eq!((later.of(&a), later.of(&b)), (of_a, Edits::default()));
        assert!(later.take(&b, &asked(2)).is_err());
        later.give_back(&a);
        later.give_back(&a);
        assert_eq!(later.take(&b, &asked(3)).expect("all").environment[0].1, "0,1,2");
    }

    #[test]
    fn what_is_handed_out_has_all_nodes_once() {
        let nodes = handed_out(&[gpu(0), gpu(1)]);
        assert_eq!(nodes, ["/dev/control", "/dev/gpu0", "/dev/gpu1"].map(PathBuf::from));
    }
}
