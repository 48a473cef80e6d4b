//! What processes cost, as /proc tells it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What /proc counts processor time in: `USER_HZ` is 100 on every machine that we run on.
const TICK_MS: u64 = 10;

/// Of one process, or its difference between two looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu(pub(crate) Duration);

impl Cpu {
    /// All threads of it, also those that have ended.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        // The name before it may contain anything.
        let (_, rest) = text.rsplit_once(") ").context("no name in /proc/PID/stat")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |field: usize| -> Result<u64> {
            Ok(fields.get(field).context("too few fields in /proc/PID/stat")?.parse()?)
        };
        Ok(Self(Duration::from_millis((ticks(11)? + ticks(12)?) * TICK_MS)))
    }

    pub(crate) fn own() -> Result<Self> {
        Self::of(std::process::id())
    }

    pub(crate) fn since(self, before: Self) -> f64 {
        self.0.saturating_sub(before.0).as_secs_f64()
    }
}

/// Runnable processes, averaged over the last minute.
pub(crate) fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("reading /proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// Each agent's stream may be a connection of its own.
pub(crate) fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raising the number of files that may be open")
}
