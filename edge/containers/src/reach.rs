//! How the daemon reaches shims, and what it does about those that are busy or hang.

use std::time::Duration;

use anyhow::Context;
use model::id::ContainerId;
use rustix::process::{Signal, kill_process};
use tokio::time::{Instant, sleep, timeout_at};

use crate::channel::Channel;
use crate::daemon::Daemon;
use crate::protocol::{Answer, Ask};
use crate::{Exited, FoundState, run_dir};
use run_dir::Reached;

/// From one try to the next.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

impl Daemon {
    fn patience(&self) -> Instant {
        Instant::now() + self.config.shim_patience
    }

    /// `None`: there is no shim, so the container has ended.
    pub(crate) async fn connect(&self, container: &ContainerId) -> anyhow::Result<Option<Channel>> {
        let until = self.patience();
        loop {
            match run_dir::connect(&self.run_dir(container))? {
                Reached::Shim(socket) => return Channel::new(socket).map(Some),
                Reached::Nobody => return Ok(None),
                Reached::Busy if Instant::now() < until => sleep(RETRY_PAUSE).await,
                Reached::Busy => anyhow::bail!("the container's shim takes no connections"),
            }
        }
    }

    /// Asks until the shim has obeyed. A container that ends meanwhile has; one whose shim hangs is ended.
    pub(crate) async fn insist(&self, container: &ContainerId, ask: Ask) -> anyhow::Result<()> {
        let until = self.patience();
        loop {
            let Some(channel) = self.connect(container).await? else { return Ok(()) };
            match timeout_at(until, obeyed(&channel, ask.clone())).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) if Instant::now() < until => sleep(RETRY_PAUSE).await,
                Ok(Err(cause)) => return Err(cause),
                Err(_) => return kill_shim(container, &channel),
            }
        }
    }

    /// Asks once.
    pub(crate) async fn order(&self, channel: &Channel, ask: Ask) -> anyhow::Result<()> {
        let answered = timeout_at(self.patience(), obeyed(channel, ask)).await;
        answered.context("the container's shim does not answer")?
    }

    /// What a container's init answers at once, unless somebody has frozen it.
    pub(crate) async fn soon<T>(
        &self,
        answer: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let answered = timeout_at(self.patience(), answer).await;
        answered.context("the container does not answer; is it frozen?")?
    }

    /// The first process of a container, from its shim; none if it has ended.
    pub(crate) async fn state_told(&self, channel: &Channel) -> anyhow::Result<Option<u32>> {
        match first_news(channel).await {
            News::Started { pid } => Ok(Some(pid)),
            News::Exited(_) | News::Gone => Ok(None),
            News::Unclear(cause) => Err(cause),
        }
    }

    /// What has become of a container of an earlier daemon's.
    pub(crate) async fn look_at(&self, container: &ContainerId) -> anyhow::Result<FoundState> {
        let Some(channel) = self.connect(container).await? else {
            return Ok(FoundState::Exited(self.without_shim(container).await));
        };
        channel.ask(Ask::Subscribe, &[])?;
        match timeout_at(self.patience(), first_news(&channel)).await {
            Ok(News::Started { pid }) => {
                self.watch(container, channel);
                Ok(FoundState::Alive { pid })
            }
            Ok(News::Exited(exited)) => Ok(FoundState::Exited(exited)),
            Ok(News::Gone) => Ok(FoundState::Exited(self.without_shim(container).await)),
            Ok(News::Unclear(cause)) => Err(cause.context(format!("container {container}"))),
            Err(_) => {
                kill_shim(container, &channel)?;
                Ok(FoundState::Exited(self.without_shim(container).await))
            }
        }
    }

    /// Kills the container and waits until its shim has gone.
    pub(crate) async fn end(&self, container: &ContainerId) -> anyhow::Result<()> {
        let Some(channel) = self.connect(container).await? else { return Ok(()) };
        channel.ask(Ask::Stop { grace_ms: 0 }, &[])?;
        let gone = async {
            while channel.receive().await?.is_some() {}
            anyhow::Ok(())
        };
        match timeout_at(self.patience(), gone).await {
            Ok(gone) => gone,
            Err(_) => kill_shim(container, &channel),
        }
    }
}

/// What a shim says first to who wants to know how its container is.
enum News {
    Started { pid: u32 },
    Exited(Exited),
    Gone,
    Unclear(anyhow::Error),
}

async fn first_news(channel: &Channel) -> News {
    loop {
        match channel.receive().await.map(|packet| packet.map(|packet| packet.message)) {
            Ok(Some(Answer::Started { pid })) => return News::Started { pid },
            Ok(Some(Answer::Exited(status))) => return News::Exited(status.into()),
            Ok(Some(Answer::Refused(cause))) => return News::Unclear(anyhow::anyhow!(cause)),
            Ok(Some(
                Answer::Preparing | Answer::Failed { .. } | Answer::Done | Answer::Executed,
            )) => {}
            Ok(None) => return News::Gone,
            Err(cause) => return News::Unclear(cause),
        }
    }
}

/// It hangs. The container's init sees it go, and ends.
fn kill_shim(container: &ContainerId, channel: &Channel) -> anyhow::Result<()> {
    tracing::error!(%container, "its shim hangs; it is killed, and the container with it");
    let shim = channel.peer()?;
    match kill_process(shim, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(cause) => Err(cause).context("killing a shim that hangs"),
    }
}

async fn obeyed(channel: &Channel, ask: Ask) -> anyhow::Result<()> {
    channel.ask(ask, &[])?;
    match channel.receive().await?.map(|packet| packet.message) {
        Some(Answer::Refused(cause)) => anyhow::bail!(cause),
        Some(_) => Ok(()),
        // It may have ended, or be too busy for one more connection: only another try can tell.
        None => anyhow::bail!("the container's shim has closed the connection"),
    }
}
