//! The master's half of `dcos up` in this process: engine on a durable store, Marathon's API, the agents' stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api::logging::{Levels, Logging};
use api::marathon::MarathonInfo;
use axum::Router;
use engine::{Engine, Handle};
use store::Embedded;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use wire::mesos::master::MasterInfo;

/// A look at the snapshot costs next to nothing; this is how exact the figures are.
const LOOK_MS: u64 = 2;
/// Longer than any driver that makes progress.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// 0 takes a free one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) stream: u16,
}

#[derive(Debug)]
pub(crate) struct Master {
    engine: Engine,
    pub(crate) handle: Handle,
    /// Marathon's API.
    pub(crate) api: SocketAddr,
    /// Mesos' API.
    pub(crate) mesos: SocketAddr,
    /// Where agents connect.
    pub(crate) stream: SocketAddr,
    _servers: JoinSet<()>,
}

impl Master {
    /// On free ports.
    pub(crate) async fn start(dir: &Path, ip: Ipv4Addr) -> Result<Self> {
        Self::start_at(dir, ip, Ports::default()).await
    }

    pub(crate) async fn start_at(dir: &Path, ip: Ipv4Addr, ports: Ports) -> Result<Self> {
        let store = Embedded::open(dir).context("opening the store")?;
        let config = engine::Config {
            cluster: "bench".to_owned(),
            kernel: kernel::Config::default(),
            services: services::Config::default(),
        };
        let engine = engine::start(Box::new(store), config).context("starting the engine")?;
        let handle = engine.handle();
        let mut servers = JoinSet::new();
        let door = engine::agents::service(handle.clone());
        let agents = Router::new().route_service(wire::agent::METHOD, door);
        let stream = serve(&mut servers, (ip, ports.stream).into(), |_| agents).await?;
        let logging = Logging::new(Levels::new(), Box::new(|_| ()));
        let marathon = |api| api::marathon::router(handle.clone(), info(api), logging.clone());
        let api = serve(&mut servers, (ip, ports.api).into(), marathon).await?;
        let mesos =
            |at: SocketAddr| api::mesos::router(handle.clone(), master_info(at), logging.clone());
        let mesos = serve(&mut servers, (ip, 0).into(), mesos).await?;
        Ok(Self { engine, handle, api, mesos, stream, _servers: servers })
    }

    pub(crate) async fn stop(self) {
        drop(self._servers);
        self.engine.stop().await;
    }

    /// Instances that run.
    pub(crate) fn running(&self) -> usize {
        let view = self.handle.read();
        view.services.counts.values().map(|counts| counts.running as usize).sum()
    }

    pub(crate) fn agents(&self) -> usize {
        self.handle.read().kernel.agents.values().filter(|agent| agent.connected).count()
    }

    pub(crate) async fn until_running(&self, count: usize) -> Result<()> {
        until(&format!("{count} running instances"), || self.running() >= count).await
    }

    pub(crate) async fn until_agents(&self, count: usize) -> Result<()> {
        until(&format!("{count} agents"), || self.agents() >= count).await
    }
}

/// Waits for something that no notice tells.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        sleep(Duration::from_millis(LOOK_MS)).await;
    }
    Ok(())
}

async fn serve(
    servers: &mut JoinSet<()>,
    at: SocketAddr,
    router: impl FnOnce(SocketAddr) -> Router,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(at).await.with_context(|| format!("listening on {at}"))?;
    let address = listener.local_addr()?;
    let router = router(address);
    servers.spawn(async move {
        axum::serve(listener, router)
            .await
            .expect("a listener of ours accepts until it is dropped");
    });
    Ok(address)
}

fn info(api: SocketAddr) -> MarathonInfo {
    MarathonInfo {
        address: api.to_string(),
        hostname: api.ip().to_string(),
        http_port: api.port(),
        mesos_master: SocketAddr::new(api.ip(), 5050).to_string(),
        config: services::Config::default(),
    }
}

fn master_info(mesos: SocketAddr) -> MasterInfo {
    MasterInfo {
        ip: mesos.ip().to_string(),
        port: mesos.port(),
        hostname: mesos.ip().to_string(),
        cluster: "bench".to_owned(),
        started_at: model::time::Time(0),
        domain: None,
        flags: Default::default(),
    }
}
