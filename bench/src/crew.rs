//! How large the simulated agents are and how they connect; the same for all drivers.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Args;
use model::resources::Resources;

use crate::agents::{self, Agents};

#[derive(Debug, Clone, Args)]
pub(crate) struct Crew {
    /// Of each simulated agent.
    #[arg(long, default_value = "cpus:32;mem:131072;disk:1048576;ports:[31000-32000]")]
    resources: Resources,
    /// Simulated agents that share a connection; real ones have one each.
    #[arg(long, default_value_t = 1)]
    per_connection: u32,
    /// Threads of the simulated agents.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Crew {
    /// They are on their way when this returns.
    pub(crate) fn start(&self, stream: SocketAddr, count: u32) -> Result<Agents> {
        Agents::spawn(&agents::Flags {
            count,
            master: stream,
            resources: self.resources.clone(),
            per_connection: self.per_connection,
            threads: self.threads,
        })
    }
}
