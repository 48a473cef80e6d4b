//! The agents' half of `dcos up`: as many as were asked for, each with its share of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::{AgentConfig, DockerConfig, Door, Gpu, Machine, handed_out, machine_resources};
use anyhow::{Context, Result, anyhow};
use model::resources::{Resources, Scalar};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::logs::OfAgents;
use crate::settings::Settings;
use crate::shares;

/// Sandboxes go earlier the nearer the disk comes to this; as Mesos ships it.
const DISK_HEADROOM: f64 = 0.1;

/// From one measurement of what tasks leave idle to the next.
const LOAD_INTERVAL: Duration = Duration::from_secs(5);

/// For what need not outlive the machine; paths of sockets have to be short.
const RUN_DIR: &str = "/run/dcos";
/// Another one each time the machine is started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// In every hierarchy.
const CGROUP: &str = "/dcos";
/// So much of the cluster's id tells clusters on one machine apart.
const INSTANCE_CHARS: usize = 13;

#[derive(Debug)]
pub(crate) struct Crew {
    running: JoinSet<Result<()>>,
    stop: CancellationToken,
    run_dirs: Vec<PathBuf>,
}

impl Crew {
    /// `ports` are those of the agents' APIs, held until now.
    pub(crate) async fn start(
        settings: &Settings,
        cluster_id: &str,
        ports: Vec<TcpListener>,
        levels: Arc<OfAgents>,
    ) -> Result<Self> {
        let data = &settings.data_dir;
        let images = images::Store::open(&data.join("images"), image_config(settings)?).await?;
        let configs = configs(settings, cluster_id, &images, levels)?;
        // Each agent binds its own; nothing else of ours wants these ports.
        drop(ports);
        let run_dirs = configs.iter().flat_map(run_dirs).collect();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let collecting = stop.clone();
        running.spawn(async move {
            images.collect_garbage(collecting).await;
            Ok(())
        });
        for (number, config) in configs.into_iter().enumerate() {
            let ended = agent::run(config, stop.clone());
            running.spawn(async move { ended.await.with_context(|| format!("agent {number}")) });
        }
        Ok(Self { running, stop, run_dirs })
    }

    /// Resolves if one of them cannot go on.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.running.join_next().await {
            Some(Ok(Ok(()))) | None => anyhow!("an agent has stopped by itself"),
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow!(error).context("an agent panicked"),
        }
    }

    /// Tells all of them, then waits for each. The first failure is told.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        let mut all = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let ended = ended.context("an agent panicked").flatten();
            all = all.and(ended);
        }
        for dir in self.run_dirs {
            // Refused, and rightly, while containers are in it.
            let _ = fs::remove_dir(dir);
        }
        all
    }
}

/// Of agents whose master is in another process: it tells their containers from those of other clusters on the machine,
/// as the cluster's id does elsewhere. Made once.
pub(crate) fn own_id(settings: &Settings) -> Result<String> {
    let path = made(&settings.data_dir.join("agents"))?.join("id");
    if let Ok(id) = fs::read_to_string(&path) {
        return Ok(id);
    }
    let id = Uuid::new_v4().to_string();
    fs::write(&path, &id).with_context(|| format!("writing {}", path.display()))?;
    Ok(id)
}

/// That go with the agent, unless something is in them.
fn run_dirs(config: &AgentConfig) -> impl Iterator<Item = PathBuf> {
    let socket_dir = config.door.socket.as_ref().and_then(|socket| socket.parent());
    let own = socket_dir.filter(|dir| dir.starts_with(RUN_DIR)).map(Path::to_owned);
    [config.containers.run_dir.clone()].into_iter().chain(own)
}

fn docker(socket: PathBuf) -> Result<DockerConfig> {
    let attendant = std::env::current_exe().context("finding this program")?;
    Ok(DockerConfig { socket, attendant })
}

fn configs(
    settings: &Settings,
    cluster_id: &str,
    images: &images::Store,
    levels: Arc<OfAgents>,
) -> Result<Vec<AgentConfig>> {
    let data = &settings.data_dir;
    let fetcher = settings.fetcher.open(&data.join("fetched"), settings.host_paths()?.locals())?;
    let (resources, gpus) = offered(settings)?;
    let policy = settings.isolation.policy(handed_out(&gpus))?;
    let projects = settings.isolation.projects()?;
    let mut gpus = gpus.into_iter();
    let master = settings.agents_door();
    let access = settings.mesos_authentication.of_agents()?;
    let boot = fs::read_to_string(BOOT_ID).with_context(|| format!("reading {BOOT_ID}"))?;
    let docker = settings.docker.clone().map(docker).transpose()?;
    let mut configs = Vec::new();
    for (number, resources) in (0..settings.agents).zip(shares::split(&resources, settings.agents)?)
    {
        let dir = made(&data.join("agents").join(number.to_string()))?;
        let instance = format!("{}-{number}", &cluster_id[..INSTANCE_CHARS]);
        let run_dir = made(&Path::new(RUN_DIR).join(&instance))?;
        let layer_dir = made(&data.join("layers").join(number.to_string()))?;
        let containers =
            containers::Config::new(run_dir, layer_dir, format!("{CGROUP}/{instance}"));
        let sockets = Path::new(RUN_DIR).join(format!("{instance}.executors"));
        let key = settings.executors.key(&dir)?;
        configs.push(AgentConfig {
            dir,
            master: master.to_string(),
            ip: settings.agent_address(number).ip(),
            port: settings.agent_address(number).port(),
            hostname: settings.agent_address(number).ip().to_string(),
            gpus: gpus.by_ref().take(whole(resources.gpus())).collect(),
            resources: Some(resources),
            attributes: settings.attributes.clone(),
            reconfiguration: settings.reconfiguration(),
            domain: settings.fault_domain(number).cloned(),
            containers: containers::Config {
                allow_privileged: settings.allow_privileged,
                policy: policy.clone(),
                open_files: settings.task_open_files,
                ..containers
            },
            images: images.clone(),
            fetcher: fetcher.clone(),
            logs: settings.task_logs.policy()?,
            host_paths: settings.host_paths()?,
            stop_tasks: settings.stop_tasks,
            recover: settings.recover,
            boot: boot.clone(),
            node: settings.executors.config(),
            door: Door { socket: settings.executors.socket(number, &sockets), key },
            access: access.clone(),
            levels: levels.clone(),
            disk_quota: settings.isolation.disk_quota(),
            projects: projects.clone(),
            recovery_timeout: settings.executors.recovery_timeout(),
            oversubscribe: settings.oversubscribe.then_some(LOAD_INTERVAL),
            docker: docker.clone(),
            gc_disk_headroom: DISK_HEADROOM,
        });
    }
    Ok(configs)
}

/// What the agents of this machine have together, and the devices that they hand out.
fn offered(settings: &Settings) -> Result<(Resources, Vec<Gpu>)> {
    let gpus = settings.isolation.gpus()?;
    let resources = match &settings.resources {
        Some(resources) => resources.clone(),
        None => machine_resources(Machine::detect(&settings.data_dir)?, gpus.len()),
    };
    Ok((resources, gpus))
}

/// Devices that an agent can hand out.
fn whole(Scalar(thousandths): Scalar) -> usize {
    usize::try_from(thousandths / 1000).unwrap_or(usize::MAX)
}

fn made(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir.to_owned())
}

fn image_config(settings: &Settings) -> Result<images::Config> {
    let registries = settings.registries.clone();
    let defaults = images::Config::default();
    Ok(images::Config {
        default_registry: registries.default.unwrap_or(defaults.default_registry),
        mirrors: registries.mirrors,
        plain_http: registries.insecure,
        credentials: registries.credentials,
        garbage: settings.image_gc.policy(),
        locals: settings.host_paths()?.locals(),
        sharing: settings.layer_sharing.config(settings),
        ..defaults
    })
}
