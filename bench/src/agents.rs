//! Simulated agents in a process of their own: real brains, real streams, containers that are names only.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use agent::Simulated;
use anyhow::{Context, Result};
use clap::Args;
use model::agent::AgentInfo;
use model::resources::Resources;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::usage::Cpu;

/// Where the addresses of simulated agents begin; nobody listens there.
const FIRST_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 5051;

/// As many and as large as a driver needs them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long)]
    pub(crate) count: u32,
    /// `host:port` of the agents' stream.
    #[arg(long)]
    pub(crate) master: SocketAddr,
    #[arg(long)]
    pub(crate) resources: Resources,
    /// Agents that share a connection. Real ones have one each.
    #[arg(long)]
    pub(crate) per_connection: u32,
    #[arg(long)]
    pub(crate) threads: usize,
}

/// Runs until whoever started it lets go of its standard input.
pub(crate) async fn run(flags: Flags) -> Result<()> {
    let stop = CancellationToken::new();
    let mut agents = JoinSet::new();
    let mut channel = agent::channel(&flags.master.to_string())?;
    for number in 0..flags.count {
        if number % flags.per_connection == 0 {
            channel = agent::channel(&flags.master.to_string())?;
        }
        let simulated =
            Simulated { channel: channel.clone(), info: info(number, &flags.resources) };
        agents.spawn(agent::simulated(simulated, stop.clone()));
    }
    let (mut stdin, mut nothing) = (tokio::io::stdin(), Vec::new());
    tokio::select! {
        ended = agents.join_next() => ended.context("there are no agents")??.context("an agent has ended"),
        read = stdin.read_to_end(&mut nothing) => read.map(|_| ()).context("reading the standard input"),
    }
}

fn info(number: u32, resources: &Resources) -> AgentInfo {
    AgentInfo {
        hostname: format!("agent-{number}"),
        ip: Ipv4Addr::from_bits(FIRST_IP.to_bits() + number).to_string(),
        port: PORT,
        resources: resources.clone(),
        attributes: Vec::new(),
        domain: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        work_dir: "/var/lib/dcos".to_owned(),
    }
}

/// The process of the agents; it ends with this value.
#[derive(Debug)]
pub(crate) struct Agents {
    child: Child,
    pid: u32,
}

impl Agents {
    pub(crate) fn spawn(flags: &Flags) -> Result<Self> {
        let child = Command::new(std::env::current_exe().context("finding this program")?)
            .arg("agents")
            .args(["--count", &flags.count.to_string()])
            .args(["--master", &flags.master.to_string()])
            .args(["--resources", &flags.resources.to_string()])
            .args(["--per-connection", &flags.per_connection.to_string()])
            .args(["--threads", &flags.threads.to_string()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the agents")?;
        let pid = child.id().context("the agents have ended at once")?;
        Ok(Self { child, pid })
    }

    pub(crate) fn cpu(&self) -> Result<Cpu> {
        Cpu::of(self.pid)
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("ending the agents")
    }
}
