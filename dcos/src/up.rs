//! `dcos up`: master and agents in one process, until somebody stops it.

use std::process;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api::logging::Logging;
use engine::Ended;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::banner;
use crate::crew::Crew;
use crate::listen::Listeners;
use crate::master::{self, Doors, Master};
use crate::serve::Servers;
use crate::settings::Settings;

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

/// A running cluster.
struct Cluster {
    master: Master,
    servers: Servers,
    crew: Crew,
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
    banner::show(&settings)?;
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
    let Listeners { front_door, mesos_master, marathon, agent_stream, agents } =
        Listeners::bind(settings).await?;
    let master = master::start(settings, &settings.data_dir)?;
    let mut servers = Servers::new();
    let doors = Doors { front_door, mesos_master, marathon, agent_stream, logging };
    master.serve(settings, doors, &mut servers)?;
    let crew = Crew::start(settings, &master.cluster_id, agents).await?;
    Ok(Cluster { master, servers, crew })
}

impl Cluster {
    /// Resolves if a part of it cannot go on.
    async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = self.master.engine.ended() => match ended {
                Ended::Stopped => anyhow::anyhow!("the engine has stopped by itself"),
                Ended::Failed(cause) => anyhow::anyhow!(cause),
            },
            error = self.servers.failed() => error,
            error = self.crew.failed() => error,
        }
    }

    /// From the leaves to the root: agents, doors, engine.
    async fn stop(self) -> Result<()> {
        let stopped = self.crew.stop().await;
        self.servers.stop().await;
        match self.master.engine.stop().await {
            Ended::Stopped => stopped,
            Ended::Failed(cause) => bail!(cause),
        }
    }
}
