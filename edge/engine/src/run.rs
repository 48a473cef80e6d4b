//! The life of the engine's thread: one reign after another.
//!
//! Whatever goes wrong, a commit that fails or a machine that stumbles, ends a [reign](crate::reign), and so does an
//! operator who wants it: memory is dropped, the state is read again under a new term, and agents and subscribers start
//! over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster::Input;
use store::{Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::clock::Clock;
use crate::frameworks::Registry;
use crate::gauges::Gauges;
use crate::lead::{Leader, Subject, lead};
use crate::notices::Published;
use crate::quarantine::Quarantine;
use crate::reign::{Fall, Reign};
use crate::seeds::Seeds;
use crate::{CallError, Config, Ended, Message};

/// From one look for space to the next, while there is none.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Reigns that may end badly in a row, without a commit between them.
const STUMBLES_MAX: u32 = 2;
/// How much of an input that made the machine stumble is logged.
const REPORT_CHARS_MAX: usize = 4_096;

/// What outlives a reign.
pub(crate) struct Run {
    pub(crate) config: Config,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) published: Arc<Published>,
    pub(crate) streams: Registry,
    pub(crate) seeds: Seeds,
    pub(crate) clock: Clock,
    pub(crate) quarantine: Quarantine,
    pub(crate) gauges: Gauges,
    /// Reigns that ended badly since the last commit.
    pub(crate) stumbles: u32,
}

/// Takes the lead, then starts the thread.
pub(crate) fn spawn<S: Subject>(
    mut run: Run,
    mut store: Box<dyn Store>,
    end: watch::Sender<Option<Ended>>,
) -> anyhow::Result<JoinHandle<()>> {
    let leader = run.lead::<S>(store.as_mut())?;
    let reign = Reign::begin(&mut run, store, leader)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.context("starting the engine's runtime")?;
    std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || {
            let ended = runtime.block_on(run.live(reign));
            if let Ended::Failed(cause) = &ended {
                tracing::error!(cause, "the engine cannot go on");
            }
            end.send_replace(Some(ended));
        })
        .context("starting the engine's thread")
}

impl Run {
    pub(crate) fn new(
        config: Config,
        inbox: mpsc::Receiver<Message>,
        (published, streams): (Arc<Published>, Registry),
    ) -> anyhow::Result<Self> {
        let (seeds, clock, quarantine) = (Seeds::open()?, Clock::new(), Quarantine::default());
        let gauges = Gauges::default();
        Ok(Self {
            config,
            inbox,
            published,
            streams,
            seeds,
            clock,
            quarantine,
            gauges,
            stumbles: 0,
        })
    }

    fn lead<S: Subject>(&mut self, store: &mut dyn Store) -> Result<Leader<S>, StoreError> {
        let (seed, now) = (self.seeds.next(), self.clock.now());
        let (config, begun) = (&self.config, Instant::now());
        let led = catch_unwind(AssertUnwindSafe(|| lead(store, config, now, seed)));
        let fault = || Err(anyhow::anyhow!("recovery hits a fault of the program").into());
        let leader = led.unwrap_or_else(|_| fault())?;
        self.gauges.fetched(begun.elapsed());
        tracing::info!(term = leader.term.0, "leading");
        Ok(leader)
    }

    async fn live<S: Subject>(mut self, mut reign: Reign<S>) -> Ended {
        loop {
            let (mut store, fall) = reign.last(&mut self).await;
            let mut asked = Vec::new();
            let leader = match fall {
                Fall::Stopped => return Ended::Stopped,
                Fall::Abdicated(replies) => {
                    tracing::info!("stepping down, as asked");
                    asked = replies;
                    self.recover(store.as_mut()).await
                }
                Fall::Commit(cause) => self.after_commit(store.as_mut(), cause).await,
                Fall::Stumbled(input) => self.after_stumble(store.as_mut(), input).await,
            };
            self.published.cut();
            let next = leader.and_then(|leader| {
                let begun = Reign::begin(&mut self, store, leader);
                begun.map_err(|cause| Ended::Failed(format!("{cause:#}")))
            });
            reign = match next {
                Ok(reign) => reign,
                Err(ended) => return ended,
            };
            for reply in asked {
                // Whoever has gone away does not mind.
                let _ = reply.send(());
            }
        }
    }

    async fn after_commit<S: Subject>(
        &mut self,
        store: &mut dyn Store,
        cause: StoreError,
    ) -> Result<Leader<S>, Ended> {
        if let StoreError::NoSpace = cause {
            self.wait_for_space(store).await?;
        } else {
            tracing::error!(%cause, "a commit failed; the state is read again");
            self.stumble(&cause.to_string())?;
        }
        self.recover(store).await
    }

    async fn after_stumble<S: Subject>(
        &mut self,
        store: &mut dyn Store,
        input: Option<Box<Input>>,
    ) -> Result<Leader<S>, Ended> {
        let told: String = format!("{input:?}").chars().take(REPORT_CHARS_MAX).collect();
        let hash = input.and_then(|input| self.quarantine.add(&input));
        tracing::error!(
            hash,
            input = told,
            "an input hits a fault of the program; it is set aside"
        );
        self.stumble("the machine stumbled over its input")?;
        self.recover(store).await
    }

    /// Once is an accident, twice in a row is no way to go on.
    fn stumble(&mut self, cause: &str) -> Result<(), Ended> {
        self.stumbles += 1;
        if self.stumbles < STUMBLES_MAX {
            return Ok(());
        }
        Err(Ended::Failed(format!(
            "{} failures without a commit between them: {cause}",
            self.stumbles
        )))
    }

    async fn recover<S: Subject>(&mut self, store: &mut dyn Store) -> Result<Leader<S>, Ended> {
        loop {
            match self.lead(store) {
                Ok(leader) => return Ok(leader),
                Err(StoreError::NoSpace) => self.wait_for_space(store).await?,
                Err(cause) => return Err(Ended::Failed(cause.to_string())),
            }
        }
    }

    /// Readers are served from the last snapshot; whoever wants to write is refused.
    async fn wait_for_space(&mut self, store: &mut dyn Store) -> Result<(), Ended> {
        tracing::error!(
            "no space left for the cluster's state: writes are refused until some is free"
        );
        loop {
            tokio::select! {
                message = self.inbox.recv() => refuse(message)?,
                () = sleep(PROBE_INTERVAL) => match store.probe() {
                    Ok(()) => break,
                    Err(StoreError::NoSpace) => (),
                    Err(cause) => return Err(Ended::Failed(cause.to_string())),
                },
            }
        }
        tracing::info!("there is space again");
        Ok(())
    }
}

/// What can be said to a message while nothing can be written.
fn refuse(message: Option<Message>) -> Result<(), Ended> {
    match message {
        Some(Message::Call { reply, .. } | Message::Operator { reply, .. }) => {
            drop(reply.send(Err(CallError::NoSpace)));
        }
        // An agent whose stream is not served tries again, and what was posted is told again from state.
        Some(Message::AgentConnected { .. } | Message::Agent { .. } | Message::AgentLost(_)) => (),
        Some(Message::Subscribe { wanted: _, asked }) => asked.refuse(CallError::NoSpace.into()),
        Some(Message::Framework { reply: Some(reply), .. }) => {
            drop(reply.send(Err(CallError::NoSpace.into())));
        }
        // Its stream has ended, and what it was told so far is all there is.
        Some(Message::Framework { reply: None, .. } | Message::FrameworkLost(_)) => (),
        Some(Message::Post(_)) => (),
        // It leads no one, and will read the state anew; dropping the reply says so.
        Some(Message::Abdicate { reply: _ }) => (),
        Some(Message::Stop) | None => return Err(Ended::Stopped),
    }
    Ok(())
}
