//! One agent, from its checkpoints to its end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use containers::Containers;
use model::agent::AgentInfo;
use model::id::ContainerId;
use model::resources::{Resources, Scalar};
use store::{Embedded, StoreError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api, Doors};
use crate::aside;
use crate::board::{Board, Publisher};
use crate::brain::{Brain, Parts, Setup};
use crate::collect::{Due, Policy, collect, left_over};
use crate::config::AgentConfig;
use crate::detect::{Machine, machine_resources};
use crate::disk::Disk;
use crate::docker::Engine;
use crate::door;
use crate::environment::Place;
use crate::gauges::Gauges;
use crate::gpus::Gpus;
use crate::guests::{self, Guests};
use crate::line::{self, Line};
use crate::probe::Prober;
use crate::provider_streams::ProviderStreams;
use crate::real::{Real, Tools};
use crate::reconfigure;
use crate::sandbox::Sandboxes;
use crate::seeds::Seeds;
use crate::streams::Streams;
use crate::volumes::Volumes;

/// Calls of executors that wait for the brain; more of them wait in their connections.
const CALLS_WAITING_MAX: usize = 256;

/// What can be done about checkpoints that cannot be read.
const DAMAGED: &str = "the agent cannot go on with what it has checkpointed: restore that from a backup, or start once \
    with --recover=false for a new agent, which ends the tasks of this one";

/// Runs an agent until `shutdown`, or until it cannot go on. May be called several times in one process.
///
/// Tasks outlive it unless the config says otherwise.
pub async fn run(config: AgentConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    Box::pin(live(config, shutdown)).await
}

async fn live(config: AgentConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (begun, gauges) = (Instant::now(), Gauges::default());
    let listener = listen(SocketAddr::new(config.ip, config.port)).await?;
    let socket = config.door.socket.as_deref().map(door::listen).transpose()?;
    let info = describe(&config)?;
    let disk = recover(&config, &info).await?;
    let (seeds, streams) = (Arc::new(Seeds::random()), Streams::default());
    let providers = ProviderStreams::default();
    let publisher = Publisher::new();
    let board = publisher.board();
    let (due, added) = mpsc::unbounded_channel();
    let (containers, events) = Containers::open(config.containers.clone()).await?;
    let (gpus, engine) = (gpus_of(&config), engine_of(&config).await?);
    let guests = guests_of(&config, &containers, &board, (gpus.clone(), engine.clone()));
    let tools = Tools {
        place: place(&config),
        sandboxes: Sandboxes::new(&config.dir),
        volumes: volumes_of(&config),
        containers: containers.clone(),
        images: config.images.clone(),
        fetcher: config.fetcher.clone(),
        logs: config.logs.clone(),
        host_paths: config.host_paths.clone(),
        gpus: gpus.clone(),
        prober: Arc::new(Prober::new(config.ip, engine.clone())?),
        board: board.clone(),
        seeds: seeds.clone(),
        guests: guests.clone(),
        streams: streams.clone(),
        providers: providers.clone(),
        oversubscribe: config.oversubscribe,
        disk_quota: config.disk_quota,
        projects: config.projects.clone(),
        due: due.clone(),
        gauges: gauges.clone(),
        engine,
    };
    let (calls, called) = mpsc::channel(CALLS_WAITING_MAX);
    let brain = Brain::new(Parts {
        setup: setup(&config, &info),
        disk,
        line: Line::new(line::channel(&config.master)?, seeds.clone()),
        runtime: Real::open(tools, events, called).await?,
        seeds: seeds.clone(),
        publisher,
    })?;
    gauges.recovered(begun.elapsed());
    let held = containers_of(&board.view());
    collect_old(&config, held, due).await?;
    let collector = tokio::spawn(collector(&config, added, gauges.clone()));
    let doors = Doors { board, containers, guests, streams, providers, calls, seeds, gauges };
    let api = Api::new(&config, info, doors);
    let within = socket.map(|socket| tokio::spawn(api::serve(socket, api.clone())));
    let served = tokio::spawn(api::serve(listener, api));
    let ended = brain.run(shutdown).await;
    end([Some(served), Some(collector), within].into_iter().flatten()).await;
    config.door.socket.iter().for_each(|socket| door::remove(socket));
    ended
}

fn setup(config: &AgentConfig, info: &AgentInfo) -> Setup {
    Setup {
        info: info.clone(),
        boot: config.boot.clone(),
        node: config.node.clone(),
        stop_tasks: config.stop_tasks,
        keeps_inputs: true,
    }
}

fn collector(
    config: &AgentConfig,
    added: mpsc::UnboundedReceiver<Due>,
    gauges: Gauges,
) -> impl Future<Output = ()> + use<> {
    let policy = Policy { delay: config.node.gc_delay, headroom: config.gc_disk_headroom };
    collect((config.dir.clone(), config.projects.clone()), policy, added, gauges)
}

fn volumes_of(config: &AgentConfig) -> Volumes {
    Volumes::new(&config.dir, config.projects.clone(), config.disk_quota.is_some())
}

async fn engine_of(config: &AgentConfig) -> anyhow::Result<Option<Engine>> {
    match &config.docker {
        Some(docker) => Ok(Some(Engine::open(docker, &config.containers).await?)),
        None => Ok(None),
    }
}

fn guests_of(
    config: &AgentConfig,
    containers: &Containers,
    board: &Board,
    (gpus, engine): (Gpus, Option<Engine>),
) -> Guests {
    Guests::new(guests::Doors {
        dir: config.dir.clone(),
        containers: containers.clone(),
        board: board.clone(),
        images: config.images.clone(),
        fetcher: config.fetcher.clone(),
        logs: config.logs.clone(),
        host_paths: config.host_paths.clone(),
        gpus,
        engine,
    })
}

fn gpus_of(config: &AgentConfig) -> Gpus {
    let offered = config.resources.as_ref().map(Resources::gpus);
    let has = Scalar::whole(config.gpus.len() as u64);
    if let Some(offered) = offered.filter(|offered| has < *offered) {
        tracing::warn!(%offered, %has, "more gpus are offered than devices were found: tasks that get none will fail");
    }
    Gpus::new(&config.dir, config.gpus.clone())
}

/// What nobody needs any more of an earlier life.
async fn collect_old(
    config: &AgentConfig,
    held: BTreeSet<ContainerId>,
    due: mpsc::UnboundedSender<Due>,
) -> anyhow::Result<()> {
    let (sandboxes, delay) = (Sandboxes::new(&config.dir), config.node.gc_delay);
    let old = spawn_blocking(move || left_over(&sandboxes, |id| held.contains(id), delay));
    for sandbox in old.await? {
        due.send(sandbox).context("the collector has ended")?;
    }
    Ok(())
}

async fn recover(config: &AgentConfig, info: &AgentInfo) -> anyhow::Result<Disk> {
    checkpoints(config, info).await.map_err(|cause| {
        let is_damaged = matches!(cause.downcast_ref(), Some(StoreError::Damaged { .. }));
        if is_damaged { cause.context(DAMAGED) } else { cause }
    })
}

/// Before anything is begun: whether it may be what it is now, and whether its disks are there.
async fn checkpoints(config: &AgentConfig, info: &AgentInfo) -> anyhow::Result<Disk> {
    let (dir, recover) = (config.dir.clone(), config.recover);
    let open = move || {
        if !recover {
            aside::put(&dir)?;
        }
        anyhow::Ok(Embedded::open(&dir)?)
    };
    let store = spawn_blocking(open).await??;
    let mut disk = Disk::open(Box::new(store)).context("opening the agent's checkpoints")?;
    let known = disk.load(config.node.clone()).context("reading the agent's checkpoints")?;
    if let Some(before) = known.view().own {
        reconfigure::judge(&before, info, config.reconfiguration)?;
    }
    let (volumes, resources) = (volumes_of(config), info.resources.clone());
    spawn_blocking(move || volumes.prepare(&resources)).await??;
    Ok(disk)
}

async fn end(helpers: impl Iterator<Item = JoinHandle<()>>) {
    for helper in helpers {
        helper.abort();
        // The port is free once its listener is gone.
        if let Err(cause) = helper.await
            && !cause.is_cancelled()
        {
            tracing::error!(%cause, "a part of the agent ended badly");
        }
    }
}

/// Of its tasks and of their executors.
fn containers_of(view: &node::View) -> BTreeSet<ContainerId> {
    let executors = view.held.values().filter_map(|held| held.group.as_ref());
    let executors = executors.map(|group| group.container.clone());
    let programs = view.executors.keys();
    view.held.keys().chain(programs).cloned().chain(executors).collect()
}

async fn listen(at: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at).await.with_context(|| {
        format!("the agent's API cannot listen on {at}; free the port, or choose another with ports.agent")
    })
}

/// The agent as its tasks see it.
fn place(config: &AgentConfig) -> Place {
    Place {
        ip: config.ip,
        port: config.port,
        hostname: config.hostname.clone(),
        shutdown_grace: config.node.shutdown_grace,
        recovery_timeout: config.recovery_timeout,
        door: config.door.clone(),
    }
}

/// What the agent says of itself when it registers.
fn describe(config: &AgentConfig) -> anyhow::Result<AgentInfo> {
    let resources = match &config.resources {
        Some(resources) => resources.clone(),
        None => machine_resources(Machine::detect(&config.dir)?, config.gpus.len()),
    };
    Ok(AgentInfo {
        hostname: config.hostname.clone(),
        ip: config.ip.to_string(),
        port: config.port,
        resources,
        attributes: config.attributes.clone(),
        domain: config.domain.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        work_dir: config.dir.display().to_string(),
    })
}
