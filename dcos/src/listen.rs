//! Every listener, bound before anything is started: a port that is taken stops the start, not a running cluster.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

use crate::settings::Settings;

/// The master's.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) front_door: TcpListener,
    pub(crate) mesos_master: TcpListener,
    pub(crate) marathon: TcpListener,
    pub(crate) agent_stream: TcpListener,
}

/// One for each agent.
pub(crate) async fn bind_agents(settings: &Settings) -> Result<Vec<TcpListener>> {
    let mut agents = Vec::new();
    for number in 0..settings.agents {
        agents.push(listen(settings.agent_address(number), "agent", "agent").await?);
    }
    Ok(agents)
}

impl Listeners {
    pub(crate) async fn bind(settings: &Settings) -> Result<Self> {
        let ports = &settings.ports;
        let bind =
            |port, what, setting| listen(SocketAddr::new(settings.bind, port), what, setting);
        Ok(Self {
            front_door: bind(ports.front_door, "front door", "front_door").await?,
            mesos_master: bind(ports.mesos_master, "Mesos master API", "mesos_master").await?,
            marathon: bind(ports.marathon, "Marathon API", "marathon").await?,
            agent_stream: bind(ports.agent_stream, "agents' stream", "agent_stream").await?,
        })
    }
}

/// `what` is to be served there; `setting` chooses the port.
async fn listen(address: SocketAddr, what: &str, setting: &str) -> Result<TcpListener> {
    let port = address.port();
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == ErrorKind::AddrInUse {
            return anyhow!(
                "{address}, where the {what} would be, is taken. Free it (`ss -ltnp 'sport = :{port}'` shows who has \
                 it), or choose another port with `ports.{setting}: {}` in the file given by --config.",
                port.checked_add(1).unwrap_or(port - 1)
            );
        }
        if error.kind() == ErrorKind::AddrNotAvailable {
            return anyhow!(
                "this machine has no address {}; give --bind one that it has, such as 127.0.0.1",
                address.ip()
            );
        }
        anyhow!(error).context(format!("listening on {address} for the {what}"))
    })
}
