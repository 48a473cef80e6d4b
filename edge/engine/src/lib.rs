//! The one loop: step, commit, publish, answer, act. Nothing leaves the process before it is durable.
//!
//! A thread of its own drives the cluster's [`TurnLoop`](model::turn::TurnLoop); all others talk to it through a
//! [`Handle`]. Reading order: this file (the door), `reign.rs` (the loop), `run.rs` (what happens when it falls),
//! [`notices`] (what readers and subscribers get), [`agents`] (the door for agents), [`frameworks`] (that for frameworks).

pub mod agents;
mod clock;
mod committer;
pub mod frameworks;
mod gauges;
mod lead;
pub mod notices;
mod quarantine;
mod reign;
mod run;
mod seeds;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::agent::{FromAgent, Letter, ToAgent};
use model::id::{Connection, FrameworkId};
use model::scheduler::Call;
use services::Order;
use store::Store;
use tokio::sync::{mpsc, oneshot, watch};

use frameworks::{Asked, FrameworkError, Registry, Subscription};
use gauges::Gauges;
pub use gauges::Took;
use lead::Subject;
use notices::{Notices, Published, Views};
use run::Run;

/// Messages that wait for the loop before whoever sends the next has to wait too.
const INBOX_MAX: usize = 8_192;

#[derive(Debug, Clone)]
pub struct Config {
    /// The prefix of all ids.
    pub cluster: String,
    pub kernel: kernel::Config,
    pub services: services::Config,
}

/// A running engine. Dropping it does not stop it: call [`Engine::stop`].
#[derive(Debug)]
pub struct Engine {
    handle: Handle,
    ended: watch::Receiver<Option<Ended>>,
    thread: std::thread::JoinHandle<()>,
}

/// Why the loop is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// It cannot go on; the process should say so and exit.
    Failed(String),
}

/// Recovers the state, takes the lead and starts the loop. Readers can be served once it returns.
pub fn start(store: Box<dyn Store>, config: Config) -> anyhow::Result<Engine> {
    start_subject::<cluster::Cluster>(store, config)
}

fn start_subject<S: Subject>(store: Box<dyn Store>, config: Config) -> anyhow::Result<Engine> {
    let (inbox, messages) = mpsc::channel(INBOX_MAX);
    let published = Arc::new(Published::default());
    let (end, ended) = watch::channel(None);
    let streams = Registry::default();
    let run = Run::new(config, messages, (published.clone(), streams.clone()))?;
    let gauges = run.gauges.clone();
    let thread = run::spawn::<S>(run, store, end)?;
    let handle = Handle { inbox, published, streams, gauges, connections: Arc::default() };
    Ok(Engine { handle, ended, thread })
}

impl Engine {
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Resolves when the loop is over.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let told = ended.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        told.unwrap_or_else(|| Ended::Failed("the engine's thread is gone".into()))
    }

    /// Carries out what has been asked so far, then ends the loop and closes the store.
    pub async fn stop(self) -> Ended {
        // A loop that is over already has dropped its inbox.
        let _ = self.handle.inbox.send(Message::Stop).await;
        let ended = self.ended().await;
        // Nothing follows the report of its end; a panic on the way to it has been told by `ended`.
        let _ = self.thread.join();
        ended
    }
}

/// The way to the cluster for everything in this process.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: mpsc::Sender<Message>,
    published: Arc<Published>,
    streams: Registry,
    gauges: Gauges,
    connections: Arc<AtomicU64>,
}

/// What became of a request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Refused(#[from] services::Refusal),
    /// The same of an operator's order.
    #[error(transparent)]
    Unfit(#[from] kernel::Refusal),
    #[error("no space left on the device that holds the cluster's state; free some and try again")]
    NoSpace,
    #[error("leadership is changing hands; try again")]
    NotLeading,
    /// It made the machine stumble, so it was not carried out and will not be tried again.
    #[error("this request hits a fault of the program; it was set aside as {hash}, see the log")]
    Quarantined { hash: String },
    #[error("the cluster is stopping")]
    Stopped,
}

impl Handle {
    /// Asks, and answers once it is durable.
    pub async fn call(&self, order: Order) -> Result<services::Reply, CallError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inbox.send(Message::Call { order, reply }).await;
        sent.map_err(|_| CallError::Stopped)?;
        // Lost with a batch that was dropped.
        answer.await.unwrap_or(Err(CallError::NotLeading))
    }

    /// Steps down and leads again, in a new term and from what the store tells. Returns once it leads: what came before
    /// is carried out, what comes meanwhile waits, and whoever follows has to start again.
    pub async fn abdicate(&self) -> Result<(), CallError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inbox.send(Message::Abdicate { reply }).await;
        sent.map_err(|_| CallError::Stopped)?;
        // Lost with a batch that was dropped: then the lead has changed, though not for this.
        answer.await.map_err(|_| CallError::NotLeading)
    }

    /// Asks for what an operator wants of the kernel, and answers once it is durable.
    pub async fn order(&self, order: kernel::operator::Order) -> Result<(), CallError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inbox.send(Message::Operator { order, reply }).await;
        sent.map_err(|_| CallError::Stopped)?;
        answer.await.unwrap_or(Err(CallError::NotLeading)).map(drop)
    }

    /// Tells, without waiting for an answer.
    pub async fn post(&self, input: cluster::Input) -> Result<(), CallError> {
        self.inbox.send(Message::Post(Box::new(input))).await.map_err(|_| CallError::Stopped)
    }

    /// The cluster as of the last commit. Holding it costs memory, not time: drop it soon.
    pub fn read(&self) -> Arc<cluster::View> {
        self.published.view()
    }

    /// The cluster as of now, and again after each commit.
    pub fn views(&self) -> Views {
        self.published.views()
    }

    /// A snapshot and all notices after it, without gap.
    pub fn notices(&self) -> Notices {
        self.published.subscribe()
    }

    /// How long the engine takes for what.
    pub fn took(&self) -> Took {
        self.gauges.read()
    }

    /// Messages that the loop has yet to take.
    pub fn waiting(&self) -> usize {
        INBOX_MAX - self.inbox.capacity()
    }

    /// A number for a new stream; never given twice.
    fn next_connection(&self) -> Connection {
        Connection(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What reaches the loop.
#[derive(Debug)]
enum Message {
    Call {
        order: Order,
        reply: oneshot::Sender<Result<services::Reply, CallError>>,
    },
    Operator {
        order: kernel::operator::Order,
        reply: oneshot::Sender<Result<services::Reply, CallError>>,
    },
    Post(Box<cluster::Input>),
    /// An agent's stream is open; what it is to be told goes to `queue`.
    AgentConnected {
        connection: Connection,
        queue: mpsc::Sender<Letter<ToAgent>>,
    },
    Agent {
        connection: Connection,
        letter: Letter<FromAgent>,
    },
    AgentLost(Connection),
    Abdicate {
        reply: oneshot::Sender<()>,
    },
    /// A framework outside this process wants a stream.
    Subscribe {
        wanted: Subscription,
        asked: Asked,
    },
    Framework {
        from: FrameworkId,
        call: Call,
        reply: Option<oneshot::Sender<Result<(), FrameworkError>>>,
    },
    FrameworkLost(Connection),
    Stop,
}

#[cfg(test)]
mod tests;
