//! Agents without containers, for benches: the real brain and the real stream; checkpoints stay in memory.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::Context;
use model::agent::AgentInfo;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::board::Publisher;
use crate::brain::{Brain, Parts, Setup};
use crate::disk::Disk;
use crate::idle::Idle;
use crate::line::Line;
use crate::seeds::Seeds;

/// One simulated agent.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// From [`channel`](crate::channel). May be shared by as many agents as the master takes streams of one connection.
    pub channel: Channel,
    pub info: AgentInfo,
}

/// Runs in the task that polls it, and needs no other.
pub async fn simulated(agent: Simulated, shutdown: CancellationToken) -> anyhow::Result<()> {
    let seeds = Arc::new(Seeds::random());
    let ip = agent.info.ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let setup = Setup {
        info: agent.info,
        boot: String::new(),
        node: node::Config::default(),
        stop_tasks: false,
        keeps_inputs: false,
    };
    let parts = Parts {
        setup,
        disk: Disk::in_memory()?,
        line: Line::new(agent.channel, seeds.clone()),
        runtime: Idle::new(ip, seeds.clone()),
        seeds,
        publisher: Publisher::new(),
    };
    Brain::new(parts).context("starting an agent")?.run(shutdown).await
}
