//! What all shims of a machine need to know of it: found out once, by their zygote.

use anyhow::Context;
use model::confinement::Capabilities;
use rustix::thread::CapabilitySet;

use super::mounts;
use crate::cgroup::Hierarchies;
use crate::seccomp::{self, Filter};

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) hierarchies: Hierarchies,
    /// What we can hand on.
    pub(crate) capabilities: CapabilitySet,
    pub(crate) filter: Filter,
}

impl Machine {
    pub(crate) fn look() -> anyhow::Result<Machine> {
        anyhow::ensure!(
            mounts::are_supported(),
            "this kernel is too old to run containers; boot Linux 5.12 or later"
        );
        let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
        let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let bounding = bounding.context("no CapBnd in /proc/self/status")?.trim();
        let bounding = u64::from_str_radix(bounding, 16).context("CapBnd")?;
        let program =
            seccomp::compile(Capabilities::NONE).context("compiling the seccomp filter")?;
        Ok(Machine {
            hierarchies: Hierarchies::detect()?,
            capabilities: CapabilitySet::from_bits_retain(bounding),
            filter: Filter::new(&program),
        })
    }
}
