//! What all shims of a machine need to know of it: found out once, by their zygote.

use anyhow::Context;

use super::seccomp::Filter;
use crate::cgroup::Hierarchies;

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) hierarchies: Hierarchies,
    /// Bit n stands for capability n: what we can hand on. Asking for more would make libcontainer fail.
    pub(crate) capabilities: u64,
    pub(crate) filter: Filter,
    /// The control group of the zygote and the shims.
    pub(crate) home: String,
}

impl Machine {
    pub(crate) fn look(home: &str) -> anyhow::Result<Machine> {
        let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
        let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        let bounding = bounding.context("no CapBnd in /proc/self/status")?.trim();
        Ok(Machine {
            hierarchies: Hierarchies::detect()?,
            capabilities: u64::from_str_radix(bounding, 16).context("CapBnd")?,
            filter: Filter::compile().context("compiling the seccomp filter")?,
            home: home.to_string(),
        })
    }
}
