//! How agents bring files to tasks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use images::{Clients, FetchLimits, Fetcher, Locals, Sources};
use serde::Deserialize;

const BYTES_PER_MIB: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fetching {
    /// What may be kept of what tasks have fetched with `cache`.
    cache_size_mib: u64,
    /// A source that is silent for so long is given up.
    stall_timeout_seconds: u64,
    /// Of one file, and of what one archive becomes.
    size_max_mib: u64,
    /// Where Hadoop is, if `hadoop` is not on the path.
    hadoop_home: Option<PathBuf>,
}

impl Default for Fetching {
    fn default() -> Self {
        let limits = FetchLimits::default();
        Self {
            cache_size_mib: limits.cache_bytes_max / BYTES_PER_MIB,
            stall_timeout_seconds: limits.stall_timeout.as_secs(),
            size_max_mib: limits.file_bytes_max / BYTES_PER_MIB,
            hadoop_home: None,
        }
    }
}

impl Fetching {
    pub(crate) fn check(&self) -> Result<()> {
        if self.stall_timeout_seconds == 0 {
            bail!("fetcher: stall_timeout_seconds is at least 1");
        }
        if self.size_max_mib == 0 {
            bail!("fetcher: size_max_mib is at least 1");
        }
        Ok(())
    }

    pub(crate) fn open(&self, cache: &Path, locals: Locals) -> Result<Fetcher> {
        let bytes_max = self.size_max_mib.saturating_mul(BYTES_PER_MIB);
        let limits = FetchLimits {
            cache_bytes_max: self.cache_size_mib.saturating_mul(BYTES_PER_MIB),
            stall_timeout: Duration::from_secs(self.stall_timeout_seconds),
            file_bytes_max: bytes_max,
            unpacked_bytes_max: bytes_max,
        };
        let clients = Clients::of_this_process(self.hadoop_home.as_deref());
        Fetcher::new(cache, limits, Sources { clients, locals })
    }
}
