//! Which devices this machine hands out: as the operator names them, as drivers describe them, or as their nodes are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use model::confinement::Device;

use super::{ACCESS, Edits, Gpu, cdi};

/// Of devices that CDI describes, those that are handed out unasked.
const CLASS: &str = "gpu";
/// A description of several at once.
const ALL: &str = "all";
const NODE: &str = "nvidia";
/// What every user of the driver opens besides.
const CONTROL_NODES: [&str; 4] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"];
/// Which devices programs see, by their numbers.
const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Search {
    /// Only these, by their names in CDI or the paths of their nodes; unset, all that are found.
    pub names: Option<Vec<String>>,
    pub device_dir: PathBuf,
    /// Later ones say it better.
    pub cdi_dirs: Vec<PathBuf>,
}

impl Default for Search {
    fn default() -> Self {
        let cdi_dirs = vec!["/etc/cdi".into(), "/var/run/cdi".into()];
        Self { names: None, device_dir: "/dev".into(), cdi_dirs }
    }
}

impl Search {
    pub fn find(&self) -> Result<Vec<Gpu>> {
        let said = "the devices described by CDI (isolation.cdi_dirs)";
        match &self.names {
            Some(names) => {
                let described = match names.iter().all(|name| name.starts_with('/')) {
                    true => BTreeMap::new(),
                    false => cdi::read(&self.cdi_dirs).context(said)?,
                };
                names.iter().map(|name| self.named(name, &described)).collect()
            }
            None => match cdi::read(&self.cdi_dirs) {
                Ok(described) => {
                    let found = whole(described);
                    if found.is_empty() { self.nodes() } else { Ok(found) }
                }
                // Of the files of all kinds of devices some may be beyond us; who asks for none shall not suffer.
                Err(cause) => {
                    tracing::warn!(cause = format!("{cause:#}"), "{said} are not used");
                    self.nodes()
                }
            },
        }
    }

    fn named(&self, name: &str, described: &BTreeMap<String, Gpu>) -> Result<Gpu> {
        if let Some(gpu) = described.get(name) {
            return Ok(gpu.clone());
        }
        let path = Path::new(name);
        ensure!(
            path.is_absolute() && path.exists(),
            "isolation.gpus names {name}, which is neither described in {:?} nor the path of a device",
            self.cdi_dirs
        );
        Ok(self.of_node(path))
    }

    fn nodes(&self) -> Result<Vec<Gpu>> {
        let entries = fs::read_dir(&self.device_dir).into_iter().flatten().flatten();
        let number = |name: &str| name.strip_prefix(NODE)?.parse::<u32>().ok();
        let mut found: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        found.sort();
        Ok(found.iter().map(|(_, path)| self.of_node(path)).collect())
    }

    fn of_node(&self, path: &Path) -> Gpu {
        let device = |path: &Path| {
            let name = path.file_name().unwrap_or_default().display();
            Device {
                host_path: path.display().to_string(),
                container_path: format!("/dev/{name}"),
                access: ACCESS.to_owned(),
            }
        };
        let controls = CONTROL_NODES.iter().map(|name| self.device_dir.join(name));
        let controls = controls.filter(|path| path.exists()).map(|path| device(&path));
        let name = path.display().to_string();
        let number = name.rsplit(NODE).next().filter(|rest| rest.parse::<u32>().is_ok());
        let visible = number.map(|number| (VISIBLE.to_owned(), number.to_owned()));
        Gpu {
            own: Edits {
                devices: vec![device(path)],
                environment: visible.into_iter().collect(),
                ..Edits::default()
            },
            common: Edits { devices: controls.collect(), ..Edits::default() },
            name,
        }
    }
}

/// Each device once, though it may be described under several names.
fn whole(described: BTreeMap<String, Gpu>) -> Vec<Gpu> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for (name, gpu) in described {
        let Some((kind, device)) = name.split_once('=') else { continue };
        let is_gpu = kind.rsplit('/').next() == Some(CLASS) && device != ALL;
        let nodes: BTreeSet<String> = gpu.paths().map(String::from).collect();
        if is_gpu && (nodes.is_empty() || seen.insert(nodes)) {
            found.push(gpu);
        }
    }
    let number = |gpu: &Gpu| gpu.name.rsplit('=').next().and_then(|name| name.parse::<u32>().ok());
    found.sort_by_key(|gpu| number(gpu).unwrap_or(u32::MAX));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVER: &str = r"
cdiVersion: 0.6.0
kind: nvidia.com/gpu
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  deviceNodes: [{path: /dev/nvidiactl}]
  mounts: [{hostPath: /usr/lib/libcuda.so, containerPath: /usr/lib/libcuda.so, options: [ro, nosuid, nodev, bind]}]
  hooks:
  - {hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [nvidia-cdi-hook, update-ldcache]}
devices:
- {name: '10', containerEdits: {deviceNodes: [{path: /dev/nvidia10}]}}
- {name: 2, containerEdits: {deviceNodes: [{path: /dev/nvidia2, hostPath: /dev/own/nvidia2, permissions: rw}]}}
- {name: GPU-af3, containerEdits: {deviceNodes: [{path: /dev/nvidia2, hostPath: /dev/own/nvidia2}]}}
- {name: all, containerEdits: {deviceNodes: [{path: /dev/nvidia2}, {path: /dev/nvidia10}]}}
";

    fn search(dir: &Path, names: Option<&[&str]>) -> Search {
        let names = names.map(|names| names.iter().map(ToString::to_string).collect());
        Search { names, device_dir: dir.join("dev"), cdi_dirs: vec![dir.join("cdi")] }
    }

    fn names(found: &[Gpu]) -> Vec<&str> {
        found.iter().map(|gpu| gpu.name.rsplit('/').next().unwrap_or_default()).collect()
    }

    #[test]
    fn what_drivers_describe_is_found_once_and_otherwise_what_nodes_are_called() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path();
        fs::create_dir_all(path.join("dev")).expect("made");
        fs::create_dir_all(path.join("cdi")).expect("made");
        assert_eq!(search(path, None).find().expect("nothing"), []);
        for name in ["nvidia1", "nvidia0", "nvidiactl", "nvidia-uvm", "null"] {
            fs::write(path.join("dev").join(name), "").expect("written");
        }
        let found = search(path, None).find().expect("two");
        assert_eq!(names(&found), ["nvidia0", "nvidia1"]);
        let shared: Vec<_> =
            found[1].common.devices.iter().map(|one| &one.container_path).collect();
        assert_eq!(shared, ["/dev/nvidiactl", "/dev/nvidia-uvm"]);
        assert_eq!(found[1].own.environment, [(VISIBLE.to_owned(), "1".to_owned())]);
        fs::write(path.join("cdi/nvidia.yaml"), DRIVER).expect("written");
        let found = search(path, None).find().expect("described");
        assert_eq!(names(&found), ["gpu=2", "gpu=10"]);
        let first = &found[0];
        assert_eq!(first.own.devices[0].host_path, "/dev/own/nvidia2");
        assert_eq!((first.common.mounts.len(), first.common.hooks.len()), (1, 1));
        let asked = [names(&found)[0].to_owned(), path.join("dev/nvidia0").display().to_string()];
        let asked = ["nvidia.com/gpu=GPU-af3", &asked[1]];
        assert_eq!(
            names(&search(path, Some(&asked)).find().expect("there")),
            ["gpu=GPU-af3", "nvidia0"]
        );
        assert_eq!(search(path, Some(&[])).find().expect("none"), []);
        assert!(search(path, Some(&["nvidia.com/gpu=7"])).find().is_err());
    }

    #[test]
    fn what_is_not_obeyed_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let check = |edits: &str, why: &str| {
            fs::create_dir_all(dir.path().join("cdi")).expect("made");
            let text = format!(
                "{{cdiVersion: 0.6.0, kind: a.b/gpu, devices: [{{name: x, containerEdits: {{{edits}}}}}]}}"
            );
            fs::write(dir.path().join("cdi/a.json"), text).expect("written");
            let refused = search(dir.path(), Some(&["a.b/gpu=x"])).find().expect_err(why);
            assert!(format!("{refused:#}").contains(why), "{refused:#}");
        };
        check("hooks: [{hookName: poststop, path: /bin/x}]", "/bin/x is a poststop hook");
        check("mounts: [{hostPath: /a, containerPath: /b, options: [shared]}]", "option shared");
        check("mounts: [{hostPath: /a, containerPath: /b, type: tmpfs}]", "not a bind mount");
        check("intelRdt: {closID: a}", "intelRdt");
        check("env: [A]", "NAME=VALUE");
    }
}
