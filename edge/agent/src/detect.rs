//! What a machine has to offer where nobody says: as Mesos detects it.

use std::num::NonZero;
use std::path::Path;

use anyhow::Context;
use model::resources::{Amount, Ranges, Resource, ResourceName, Resources, Scalar};
use procfs::Current;

/// Ports that tasks may take, both included.
const PORTS: (u64, u64) = (31_000, 32_000);
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Left to the system, if there is at least twice as much.
const MEM_KEPT_BYTES: u64 = GIB;
const DISK_KEPT_BYTES: u64 = 5 * GIB;

/// What there is, before the system keeps its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    pub cores: u64,
    pub memory_bytes: u64,
    /// Of the file system that the sandboxes are on.
    pub disk_bytes: u64,
}

impl Machine {
    /// `dir` is where the sandboxes will be; it exists.
    pub fn detect(dir: &Path) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let memory = procfs::Meminfo::current().context("reading /proc/meminfo")?;
        let disk = rustix::fs::statvfs(dir)
            .with_context(|| format!("asking for the size of the disk of {}", dir.display()))?;
        Ok(Self {
            cores: cores as u64,
            memory_bytes: memory.mem_total,
            disk_bytes: disk.f_blocks * disk.f_frsize,
        })
    }
}

/// What the machine offers to tasks, with so many devices that it hands out.
pub fn machine_resources(machine: Machine, gpus: usize) -> Resources {
    let mebibytes = |bytes: u64| Scalar::whole(bytes / MIB);
    let scalar = |name, scalar| Resource::plain(name, Amount::Scalar(scalar));
    let gpus = (0 < gpus).then(|| scalar(ResourceName::Gpus, Scalar::whole(gpus as u64)));
    let usual = [
        scalar(ResourceName::Cpus, Scalar::whole(machine.cores)),
        scalar(ResourceName::Mem, mebibytes(offered(machine.memory_bytes, MEM_KEPT_BYTES))),
        scalar(ResourceName::Disk, mebibytes(offered(machine.disk_bytes, DISK_KEPT_BYTES))),
        Resource::plain(ResourceName::Ports, Amount::Ranges(Ranges::new([PORTS]))),
    ];
    Resources::new(usual.into_iter().chain(gpus))
}

/// All but what is kept, or half of what is small.
fn offered(total: u64, kept: u64) -> u64 {
    if total < 2 * kept { total / 2 } else { total - kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_keeps_its_share() {
        let check = |memory_gib: u64, disk_gib: u64, gpus: usize, offered: &str| {
            let machine =
                Machine { cores: 4, memory_bytes: memory_gib * GIB, disk_bytes: disk_gib * GIB };
            assert_eq!(machine_resources(machine, gpus), offered.parse().expect("well formed"));
        };
        check(8, 100, 0, "cpus:4;mem:7168;disk:97280;ports:[31000-32000]");
        check(2, 10, 0, "cpus:4;mem:1024;disk:5120;ports:[31000-32000]");
        check(1, 8, 0, "cpus:4;mem:512;disk:4096;ports:[31000-32000]");
        check(1, 8, 2, "cpus:4;mem:512;disk:4096;ports:[31000-32000];gpus:2");
    }

    #[test]
    fn this_machine_has_something_to_offer() {
        let machine = Machine::detect(Path::new("/")).expect("a machine");
        assert!(0 < machine.cores && 0 < machine.memory_bytes && 0 < machine.disk_bytes);
    }
}
