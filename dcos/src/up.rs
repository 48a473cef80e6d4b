//! `dcos up`: master and agents in one process, until somebody stops it.

use std::future;
use std::process;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api::logging::Logging;
use engine::Ended;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::banner;
use crate::crew::{self, Crew};
use crate::listen::{self, Listeners};
use crate::logs::OfAgents;
use crate::master::{self, Doors, Master};
use crate::serve::Servers;
use crate::settings::{Half, Settings};

/// What a shell reports for a process that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// The two signals that ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

/// A running cluster, or a half of it.
struct Cluster {
    master: Option<Master>,
    servers: Servers,
    crew: Option<Crew>,
}

pub(crate) async fn run(settings: Settings, logging: Arc<Logging>) -> Result<()> {
    let mut signals = Signals::new()?;
    if settings.insecure_no_auth && !settings.bind.is_loopback() {
        tracing::warn!(
            bind = %settings.bind,
            "nobody has to log in: whoever reaches this address can run anything as root on this machine"
        );
    }
    let mut cluster = tokio::select! {
        started = start(&settings, logging) => started?,
        () = signals.next() => return Ok(()),
    };
    if settings.only.is_none() {
        banner::show(&settings)?;
    }
    let ended = tokio::select! {
        () = signals.next() => Ok(()),
        error = cluster.failed() => Err(error),
    };
    match &ended {
        Ok(()) => tracing::info!(tasks_stop = settings.stop_tasks, "stopping"),
        Err(error) => tracing::error!("stopping, because {error:#}"),
    }
    tokio::select! {
        stopped = cluster.stop() => stopped?,
        () = signals.next() => process::exit(EXIT_INTERRUPTED),
    }
    ended
}

async fn start(settings: &Settings, logging: Arc<Logging>) -> Result<Cluster> {
    let is_wanted = |half| settings.only.is_none_or(|only| only == half);
    // A port that is taken stops the start before anything is started.
    let doors = match is_wanted(Half::Master) {
        true => Some(Listeners::bind(settings).await?),
        false => None,
    };
    let ports = match is_wanted(Half::Agents) {
        true => Some(listen::bind_agents(settings).await?),
        false => None,
    };
    let mut servers = Servers::new();
    let levels = Arc::new(OfAgents(logging.clone()));
    let master = doors.map(|doors| {
        let master = master::start(settings, &settings.data_dir)?;
        let Listeners { front_door, mesos_master, marathon, agent_stream } = doors;
        let doors = Doors { front_door, mesos_master, marathon, agent_stream, logging };
        master.serve(settings, doors, &mut servers)?;
        anyhow::Ok(master)
    });
    let master = master.transpose()?;
    let crew = match ports {
        Some(ports) => {
            let cluster_id = master.as_ref().map(|master| master.cluster_id.clone());
            let instance = cluster_id.map_or_else(|| crew::own_id(settings), Ok)?;
            Some(Crew::start(settings, &instance, ports, levels).await?)
        }
        None => None,
    };
    Ok(Cluster { master, servers, crew })
}

impl Cluster {
    /// Resolves if a part of it cannot go on.
    async fn failed(&mut self) -> anyhow::Error {
        let has_doors = self.master.is_some();
        let decided = async {
            match &mut self.master {
                Some(master) => master.engine.ended().await,
                None => future::pending().await,
            }
        };
        let run = async {
            match &mut self.crew {
                Some(crew) => crew.failed().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            ended = decided => match ended {
                Ended::Stopped => anyhow::anyhow!("the engine has stopped by itself"),
                Ended::Failed(cause) => anyhow::anyhow!(cause),
            },
            error = self.servers.failed(), if has_doors => error,
            error = run => error,
        }
    }

    /// From the leaves to the root: agents, doors, engine.
    async fn stop(self) -> Result<()> {
        let stopped = match self.crew {
            Some(crew) => crew.stop().await,
            None => Ok(()),
        };
        self.servers.stop().await;
        let Some(master) = self.master else { return stopped };
        match master.engine.stop().await {
            Ended::Stopped => stopped,
            Ended::Failed(cause) => bail!(cause),
        }
    }
}
