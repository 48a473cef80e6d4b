//! The frameworks' open streams: who is subscribed where, and what each is to be told.
//!
//! A subscription is decided like any input; its stream takes over when that is durable, at the very place among the
//! effects where the kernel says so. Whoever held the framework's id until then hears that it has failed over.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use model::framework::FrameworkInfo;
use model::id::{Connection, FrameworkId};
use model::scheduler::{Call, Event};
use model::wishes::Wishes;
use tokio::sync::{mpsc, oneshot};

use crate::{CallError, Handle, Message};

/// Events that wait for one framework before it counts as too slow. What one turn says is never cut in two: whoever asks
/// for the state of all its tasks is told, however many they are.
const EVENTS_QUEUED_MAX: usize = 100_000;

/// What a framework hears before its stream ends because another subscribed under its id.
const FAILED_OVER: &str = "Framework failed over";

/// Who asks to subscribe, and as what.
#[derive(Debug)]
pub struct Subscription {
    pub info: FrameworkInfo,
    /// Which offers it wants.
    pub wishes: Wishes,
}

/// Why nobody was subscribed, or why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameworkError {
    #[error(transparent)]
    Refused(cluster::Refusal),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// An open stream: what the framework is told, until it is dropped or the engine ends it.
#[derive(Debug)]
pub struct Subscribed {
    pub framework: FrameworkId,
    pub connection: Connection,
    events: mpsc::UnboundedReceiver<Vec<Event>>,
    waiting: Arc<AtomicUsize>,
    /// Dropped with the stream, which tells the engine.
    _open: oneshot::Sender<()>,
}

impl Subscribed {
    /// What happened next; `None` once the stream is over.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        let events = self.events.recv().await?;
        self.waiting.fetch_sub(events.len(), Ordering::Relaxed);
        Some(events)
    }
}

impl Handle {
    /// Subscribes a framework, and answers once that is durable. `Subscribed` is the first event.
    pub async fn subscribe(&self, wanted: Subscription) -> Result<Subscribed, FrameworkError> {
        let connection = self.next_connection();
        let (reply, answer) = oneshot::channel();
        let (queue, events) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        let asked = Asked { connection, queue, waiting: waiting.clone(), reply };
        let sent = self.inbox.send(Message::Subscribe { wanted, asked }).await;
        sent.map_err(|_| CallError::Stopped)?;
        let (open, closed) = oneshot::channel::<()>();
        let inbox = self.inbox.clone();
        // Ends when the stream is dropped, also by a client that has not waited for the answer.
        tokio::spawn(async move {
            let _ = closed.await;
            // An engine that is over has forgotten all streams.
            let _ = inbox.send(Message::FrameworkLost(connection)).await;
        });
        let framework = answer.await.unwrap_or(Err(CallError::NotLeading.into()))?;
        Ok(Subscribed { framework, connection, events, waiting, _open: open })
    }

    /// Passes a call on, without waiting for what comes of it: that is told by events.
    pub async fn pass(&self, from: FrameworkId, call: Call) -> Result<(), CallError> {
        let message = Message::Framework { from, call, reply: None };
        self.inbox.send(message).await.map_err(|_| CallError::Stopped)
    }

    /// Passes a call on, and answers once it is durable.
    pub async fn ask(&self, from: FrameworkId, call: Call) -> Result<(), FrameworkError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Framework { from, call, reply: Some(reply) };
        self.inbox.send(message).await.map_err(|_| CallError::Stopped)?;
        answer.await.unwrap_or(Err(CallError::NotLeading.into()))
    }

    /// The stream on which the framework is subscribed, if it is.
    pub fn stream_of(&self, framework: &FrameworkId) -> Option<Connection> {
        self.streams.read(|streams| streams.get(framework).copied())
    }
}

/// Which stream is whose, for those who judge calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<RwLock<HashMap<FrameworkId, Connection>>>);

impl Registry {
    fn read<R>(&self, look: impl FnOnce(&HashMap<FrameworkId, Connection>) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, change: impl FnOnce(&mut HashMap<FrameworkId, Connection>) -> R) -> R {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A subscription that waits to be decided.
#[derive(Debug)]
pub(crate) struct Asked {
    connection: Connection,
    queue: mpsc::UnboundedSender<Vec<Event>>,
    waiting: Arc<AtomicUsize>,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<FrameworkId, FrameworkError>>;

impl Asked {
    pub(crate) fn connection(&self) -> Connection {
        self.connection
    }

    /// Who has gone away does not mind.
    pub(crate) fn refuse(self, error: FrameworkError) {
        drop(self.reply.send(Err(error)));
    }
}

/// What is known of a stream whose subscription is on its way through the machine.
#[derive(Debug)]
struct Pending {
    framework: Option<FrameworkId>,
    /// Its client has gone away already.
    is_gone: bool,
}

#[derive(Debug)]
struct Stream {
    way: Way,
    connection: Connection,
}

/// The way to one framework.
#[derive(Debug)]
struct Way {
    queue: mpsc::UnboundedSender<Vec<Event>>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
pub(crate) struct Frameworks {
    registry: Registry,
    open: HashMap<FrameworkId, Stream>,
    names: HashMap<Connection, FrameworkId>,
    pending: HashMap<Connection, Pending>,
    /// Decided, and about to take over in the order in which they were.
    admitted: HashMap<FrameworkId, Vec<Asked>>,
    /// Lost their stream while somebody was about to take it over.
    orphans: HashSet<FrameworkId>,
    /// What the batch under way says to each, in the order in which they are first spoken to.
    letters: HashMap<FrameworkId, Vec<Event>>,
    addressed: Vec<FrameworkId>,
    /// Who is to hear, with the batch, that it has subscribed.
    welcome: Vec<(Reply, FrameworkId)>,
}

impl Frameworks {
    pub(crate) fn new(registry: Registry) -> Self {
        registry.write(HashMap::clear);
        Self { registry, ..Self::default() }
    }

    /// Somebody asks to subscribe.
    pub(crate) fn expect(&mut self, asked: &Asked, wanted: &Subscription) {
        let pending = Pending { framework: wanted.info.id.clone(), is_gone: false };
        self.pending.insert(asked.connection, pending);
    }

    /// The subscription stands: it takes over where the effects say so.
    pub(crate) fn admit(&mut self, framework: FrameworkId, asked: Asked) {
        self.admitted.entry(framework).or_default().push(asked);
    }

    /// It does not. Gives the framework if that is left without any stream by it.
    pub(crate) fn refused(&mut self, asked: Asked, error: FrameworkError) -> Option<FrameworkId> {
        let pending = self.pending.remove(&asked.connection);
        asked.refuse(error);
        let framework = pending?.framework?;
        let awaited = self.is_awaited(&framework);
        (!awaited && self.orphans.remove(&framework)).then_some(framework)
    }

    fn is_awaited(&self, framework: &FrameworkId) -> bool {
        self.pending.values().any(|one| one.framework.as_ref() == Some(framework))
    }

    /// Adds to what this batch says. A new subscription takes over first.
    pub(crate) fn tell(&mut self, framework: FrameworkId, event: Event) {
        if let Event::Subscribed { .. } = event {
            self.take_over(&framework);
        }
        if !self.open.contains_key(&framework) {
            return;
        }
        let letter = self.letters.entry(framework.clone()).or_default();
        if letter.is_empty() {
            self.addressed.push(framework);
        }
        letter.push(event);
    }

    fn take_over(&mut self, framework: &FrameworkId) {
        let Some(waiting) = self.admitted.get_mut(framework) else { return };
        let asked = waiting.remove(0);
        if waiting.is_empty() {
            self.admitted.remove(framework);
        }
        self.tell(framework.clone(), Event::Error(FAILED_OVER.to_owned()));
        self.close(framework);
        let connection = asked.connection;
        let way = Way { queue: asked.queue, waiting: asked.waiting };
        self.open.insert(framework.clone(), Stream { way, connection });
        self.names.insert(connection, framework.clone());
        self.registry.write(|streams| streams.insert(framework.clone(), connection));
        self.orphans.remove(framework);
        self.welcome.push((asked.reply, framework.clone()));
    }

    /// The subscriptions of a batch have taken over. Gives the frameworks whose client has gone away meanwhile.
    pub(crate) fn lose_gone(&mut self, connections: &[Connection]) -> Vec<FrameworkId> {
        let gone = |connection: &Connection| {
            let pending = self.pending.remove(connection);
            pending.is_some_and(|pending| pending.is_gone).then_some(*connection)
        };
        let gone: Vec<Connection> = connections.iter().filter_map(gone).collect();
        gone.into_iter().filter_map(|connection| self.lose(connection)).collect()
    }

    /// A stream's client is gone. Gives the framework if nobody else is subscribed as it, or about to be.
    pub(crate) fn lose(&mut self, connection: Connection) -> Option<FrameworkId> {
        if let Some(pending) = self.pending.get_mut(&connection) {
            pending.is_gone = true;
            return None;
        }
        let framework = self.names.get(&connection)?.clone();
        self.close(&framework);
        if self.is_awaited(&framework) {
            self.orphans.insert(framework);
            return None;
        }
        Some(framework)
    }

    /// Says what is left to say, and ends the stream.
    pub(crate) fn close(&mut self, framework: &FrameworkId) {
        let events = self.letters.remove(framework).unwrap_or_default();
        self.addressed.retain(|other| other != framework);
        let Some(stream) = self.open.remove(framework) else { return };
        self.names.remove(&stream.connection);
        self.registry.write(|streams| streams.remove(framework));
        stream.way.send(events);
    }

    /// Sends what the batch says. Gives those who do not keep up, whose streams are closed by it.
    pub(crate) fn send(&mut self) -> Vec<FrameworkId> {
        for (reply, framework) in std::mem::take(&mut self.welcome) {
            // Who has gone away is found out by `lose_gone`.
            drop(reply.send(Ok(framework)));
        }
        let mut slow = Vec::new();
        for framework in std::mem::take(&mut self.addressed) {
            let events = self.letters.remove(&framework).unwrap_or_default();
            let is_over = events.iter().any(|event| matches!(event, Event::Error(_)));
            let Some(stream) = self.open.get(&framework) else { continue };
            if stream.way.is_full() {
                self.close(&framework);
                slow.push(framework);
                continue;
            }
            stream.way.send(events);
            if is_over {
                self.close(&framework);
            }
        }
        slow
    }
}

impl Way {
    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= EVENTS_QUEUED_MAX
    }

    /// Who has hung up loses it; the end of the stream is on the way.
    fn send(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.waiting.fetch_add(events.len(), Ordering::Relaxed);
        drop(self.queue.send(events));
    }
}

#[cfg(test)]
mod tests;
