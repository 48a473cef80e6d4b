//! A process with all that descend from it, and what they hold of the memory.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::usage::Cpu;

const KIB: f64 = 1024.0;

/// Memory of one process, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Its share of what it uses together with others.
    pub(crate) pss: f64,
    pub(crate) private_dirty: f64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let of = |key: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            let number = line.with_context(|| format!("no {key} in {path}"))?;
            Ok(number.trim().trim_end_matches(" kB").trim().parse()?)
        };
        Ok(Self { pss: of("Pss:")?, private_dirty: of("Private_Dirty:")? })
    }
}

/// `root` and everything below it.
pub(crate) fn tree(root: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in all()? {
        // One that has ended meanwhile has no parent.
        if let Ok(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut next) = (Vec::new(), vec![root]);
    while let Some(pid) = next.pop() {
        found.push(pid);
        next.extend(children.remove(&pid).unwrap_or_default());
    }
    Ok(found)
}

/// The processes that were called with exactly these arguments.
pub(crate) fn called(arguments: &[&str]) -> Result<Vec<u32>> {
    let wanted = arguments.join("\0") + "\0";
    let is = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes())
    };
    Ok(all()?.into_iter().filter(is).collect())
}

fn all() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("reading /proc")?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

pub(crate) fn parent(pid: u32) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(parent.context("a process has a parent")?.trim().parse()?)
}

pub(crate) fn name(pid: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned())
}

/// In MiB.
pub(crate) fn pss(pids: &[u32]) -> Result<f64> {
    let mut sum = 0.0;
    for pid in pids {
        sum += Memory::of(*pid)?.pss;
    }
    Ok(sum / KIB)
}

/// In seconds so far.
pub(crate) fn cpu(pids: &[u32]) -> Result<f64> {
    let mut sum = 0.0;
    for pid in pids {
        sum += Cpu::of(*pid)?.0.as_secs_f64();
    }
    Ok(sum)
}
