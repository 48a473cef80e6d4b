//! The master's half of `dcos up`: store, engine, and the APIs in front of them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use api::logging::Logging;
use api::marathon::MarathonInfo;
use api::mesos::access::{Wanted, guard};
use axum::Router;
use engine::{Engine, Handle};
use gateway::GatewayConfig;
use kernel::{Gpus, Sorter};
use model::time::Time;
use store::{Embedded, Store};
use tokio::net::TcpListener;
use uuid::Uuid;
use wire::mesos::master::{EXTERNAL_LOG_FILE, MasterInfo};

use crate::serve::{Servers, Unread};
use crate::settings::Settings;

/// A client that takes nothing of what it is sent for so long is gone, or might as well be.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// In the store's meta table: made once, kept for the life of the cluster.
const CLUSTER_ID: &str = "cluster_id";

#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) engine: Engine,
    pub(crate) cluster_id: String,
}

/// The listeners that are the master's, and what can be changed through them besides the cluster.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) front_door: TcpListener,
    pub(crate) mesos_master: TcpListener,
    pub(crate) marathon: TcpListener,
    pub(crate) agent_stream: TcpListener,
    pub(crate) logging: Arc<Logging>,
}

pub(crate) fn start(settings: &Settings, data_dir: &Path) -> Result<Master> {
    let dir = data_dir.join("master");
    let mut store =
        Embedded::open(&dir).with_context(|| format!("opening the state in {}", dir.display()))?;
    let cluster_id = cluster_id(&mut store)?;
    let kernel = kernel::Config {
        ping_interval: Duration::from_secs(settings.ping.interval_seconds),
        pings_missed_max: settings.ping.missed_max,
        removal_interval: settings.ping.removal_interval(),
        remembered: settings.gone_agents.config()?,
        ..settings.allocator.config(settings.master_region.clone())?
    };
    let config = engine::Config {
        cluster: cluster_id.clone(),
        kernel,
        services: services::Config {
            hostname: settings.bind.to_string(),
            webui_url: Some(format!(
                "http://{}",
                SocketAddr::new(settings.bind, settings.ports.marathon)
            )),
            ..settings.placement.config()
        },
    };
    let engine = engine::start(Box::new(store), config).context("recovering the cluster")?;
    Ok(Master { engine, cluster_id })
}

fn cluster_id(store: &mut Embedded) -> Result<String> {
    if let Some(id) = store.meta(CLUSTER_ID)? {
        return String::from_utf8(id).context("the cluster's id in the store is not text");
    }
    let id = Uuid::new_v4().to_string();
    store.set_meta(CLUSTER_ID, id.as_bytes())?;
    Ok(id)
}

impl Master {
    pub(crate) fn serve(
        &self,
        settings: &Settings,
        doors: Doors,
        servers: &mut Servers,
    ) -> Result<()> {
        let handle = self.engine.handle();
        let bind = settings.bind;
        let info = marathon_info(settings);
        let marathon = api::marathon::router(handle.clone(), info, doors.logging.clone());
        let info = mesos_info(settings, doors.logging.file())?;
        let mesos = api::mesos::router(handle.clone(), info, doors.logging);
        let mesos = match settings.mesos_authentication.access()? {
            Some(access) => guard(mesos, access),
            None => mesos,
        };
        let front_door = gateway::router(GatewayConfig {
            handle: handle.clone(),
            marathon: marathon.clone(),
            mesos: mesos.clone(),
            cluster_id: self.cluster_id.clone(),
            public_ip: bind,
        });
        let patience = Unread::CutAfter(UNREAD_MAX);
        servers.add("front door", doors.front_door, front_door, patience);
        servers.add("Marathon API", doors.marathon, marathon, patience);
        servers.add("Mesos master API", doors.mesos_master, mesos, patience);
        let agents = agent_stream(handle)?;
        servers.add("agents' stream", doors.agent_stream, agents, Unread::Kept);
        Ok(())
    }
}

fn agent_stream(handle: Handle) -> Result<Router> {
    let ledger = images::Ledger::new().context("beginning the list of who has which layers")?;
    let stream = engine::agents::service(handle);
    Ok(Router::new().route_service(wire::agent::METHOD, stream).merge(ledger.router()))
}

fn marathon_info(settings: &Settings) -> MarathonInfo {
    let (bind, ports) = (settings.bind, &settings.ports);
    MarathonInfo {
        address: SocketAddr::new(bind, ports.marathon).to_string(),
        hostname: bind.to_string(),
        http_port: ports.marathon,
        mesos_master: SocketAddr::new(bind, ports.mesos_master).to_string(),
        config: settings.placement.config(),
    }
}

fn mesos_info(settings: &Settings, log: Option<&Path>) -> Result<MasterInfo> {
    let since =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let log = log.map(|file| (EXTERNAL_LOG_FILE, file.display().to_string()));
    Ok(MasterInfo {
        ip: settings.bind.to_string(),
        port: settings.ports.mesos_master,
        hostname: settings.bind.to_string(),
        cluster: settings.cluster_name.clone(),
        started_at: Time(u64::try_from(since.as_millis()).context("the clock stands far ahead")?),
        domain: settings.master_domain.clone(),
        flags: mesos_flags(settings)?.into_iter().chain(log).collect(),
    })
}

/// What tools of Mesos look up: durations are spelled as Mesos spells them.
fn mesos_flags(settings: &Settings) -> Result<Vec<(&'static str, String)>> {
    let kernel = settings.allocator.config(settings.master_region.clone())?;
    let remembered = settings.gone_agents.config()?;
    let access = settings.mesos_authentication.access()?.map(|access| access.wanted);
    let of_frameworks = matches!(access, Some(Wanted::OfFrameworks | Wanted::OfBoth)).to_string();
    let of_operators = matches!(access, Some(Wanted::OfOperators | Wanted::OfBoth)).to_string();
    let sorter = |sorter: Sorter| match sorter {
        Sorter::Drf => "drf".to_owned(),
        Sorter::Random => "random".to_owned(),
    };
    let gpus_are_scarce = (kernel.offers.gpus == Gpus::Scarce).to_string();
    let secs = |time: Duration| format!("{}secs", time.as_secs());
    Ok(vec![
        ("filter_gpu_resources", gpus_are_scarce),
        ("role_sorter", sorter(kernel.fairness.roles)),
        ("framework_sorter", sorter(kernel.fairness.frameworks)),
        ("agent_ping_timeout", format!("{}secs", settings.ping.interval_seconds)),
        ("agent_reregister_timeout", secs(kernel.reregister_timeout)),
        ("max_agent_ping_timeouts", settings.ping.missed_max.to_string()),
        ("agent_removal_rate_limit", format!("{}/1mins", settings.ping.removals_per_minute_max)),
        ("registry_gc_interval", secs(remembered.look_interval)),
        ("registry_max_agent_age", secs(remembered.age_max)),
        ("registry_max_agent_count", remembered.count_max.to_string()),
        ("offer_timeout", secs(kernel.offer_timeout)),
        ("authenticate_agents", "false".to_owned()),
        ("authenticate_frameworks", "false".to_owned()),
        ("authenticate_http_frameworks", of_frameworks),
        ("authenticate_http_readonly", of_operators.clone()),
        ("authenticate_http_readwrite", of_operators),
        ("root_submissions", "true".to_owned()),
    ])
}
