//! A machine in the cluster's place, small enough to know what it should do, and a store that fails when told to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use cluster::{Effect, Input, Out, Record, Refusal, Reply, View};
use imbl::OrdMap;
use model::agent::{FromAgent, ToAgent};
use model::id::{AgentId, Role, Term};
use model::machine::Machine;
use model::resources::Scalar;
use model::time::Time;
use model::turn::Write;
use services::spec::AppId;
use services::{Notice, Order, What};
use store::{Each, Memory, Store, StoreError};

use crate::lead::Subject;
use crate::notices::EVENTS_KEPT_MAX;
use crate::{Config, Engine, start_subject};

/// Counts how often each app is named by an order. Its refusal, stumble or flood is asked for by name.
#[derive(Debug, Default)]
pub(crate) struct StandIn {
    term: Term,
    counts: OrdMap<Role, Scalar>,
}

/// Pings that answer one pong.
pub(crate) const FLOOD: usize = 50_000;

impl StandIn {
    fn count(&mut self, name: &str, out: &mut Out) {
        let role = Role::new(name);
        let before = self.counts.get(&role).copied().unwrap_or_default();
        let count = Scalar(before.0 + 1);
        let record = Record::Kernel(kernel::Record::Weight(role, Some(count)));
        self.apply(&record);
        out.records.push(record);
    }

    fn order(&mut self, now: Time, app: AppId, out: &mut Out) -> Result<Reply, Refusal> {
        let notices = match app.as_str() {
            "/refused" => return Err(services::Refusal::UnknownApp(app).into()),
            text if text.starts_with("/stumble") => panic!("asked to stumble by {text}"),
            "/many" => EVENTS_KEPT_MAX + 1,
            _ => 1,
        };
        self.count(app.as_str(), out);
        let notice = Arc::new(Notice { at: now, what: What::AppTerminated { app } });
        out.effects.extend(std::iter::repeat_n(Effect::Notice(notice), notices));
        Ok(Reply::Services(services::Reply::Done))
    }
}

impl Subject for StandIn {
    fn new(_: &Config) -> Self {
        Self::default()
    }

    fn view(&self) -> View {
        let mut view = View::default();
        view.kernel.term = self.term;
        view.kernel.weights = self.counts.clone();
        view
    }
}

impl Machine for StandIn {
    type Input = Input;
    type Reply = Reply;
    type Refusal = Refusal;
    type Record = Record;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Out) -> Result<Reply, Refusal> {
        match input {
            Input::Lead { term, .. } => self.term = term,
            Input::Services { order: Order::ResetDelay { app }, .. } => {
                return self.order(now, app, out);
            }
            Input::Agent { connection, message: FromAgent::Register { .. }, .. } => {
                let agent = AgentId::new(format!("S{}", connection.0));
                out.effects.push(Effect::ToAgent(connection, ToAgent::Registered { agent }));
                self.count("registered", out);
            }
            Input::Agent { connection, message: FromAgent::Pong, .. } => {
                let pings = std::iter::repeat_n(Effect::ToAgent(connection, ToAgent::Ping), FLOOD);
                out.effects.extend(pings);
                self.count("flood", out);
            }
            Input::AgentLost { .. } => self.count("lost", out),
            Input::Services { .. }
            | Input::Operator { .. }
            | Input::Subscribe { .. }
            | Input::FrameworkLost { .. }
            | Input::Framework { .. }
            | Input::Agent {
                message:
                    FromAgent::Update { .. }
                    | FromAgent::Checked { .. }
                    | FromAgent::ExecutorEnded { .. }
                    | FromAgent::Message { .. }
                    | FromAgent::Used { .. }
                    | FromAgent::Lends { .. }
                    | FromAgent::Provides { .. }
                    | FromAgent::Operated { .. },
                ..
            }
            | Input::Tick { .. } => panic!("the tests do not send it"),
        }
        Ok(Reply::Done)
    }

    fn apply(&mut self, record: &Record) {
        let Record::Kernel(kernel::Record::Weight(role, Some(count))) = record else {
            panic!("never written: {record:?}");
        };
        self.counts.insert(role.clone(), *count);
    }

    fn wake_at(&self) -> Option<Time> {
        None
    }
}

/// What happens to a commit.
#[derive(Debug)]
pub(crate) enum Fate {
    /// Waits until the other end is used or dropped, then succeeds.
    Held(Receiver<()>),
    /// Nobody knows whether it is durable; here it is.
    Torn,
}

/// A store whose next commits meet the fates that a test gives them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fated {
    memory: Memory,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    pub(crate) is_full: Arc<Mutex<bool>>,
    pub(crate) commits: Arc<AtomicUsize>,
}

impl Fated {
    pub(crate) fn next(&self, fate: Fate) {
        self.fates.lock().expect("no test panics holding it").push_back(fate);
    }

    /// The next commit waits for the answer.
    pub(crate) fn hold(&self) -> Sender<()> {
        let (release, held) = channel();
        self.next(Fate::Held(held));
        release
    }

    fn full(&self) -> Result<(), StoreError> {
        let full = *self.is_full.lock().expect("no test panics holding it");
        if full { Err(StoreError::NoSpace) } else { Ok(()) }
    }
}

impl Store for Fated {
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError> {
        self.memory.load(each)
    }
    fn lead(&mut self) -> Result<Term, StoreError> {
        self.full()?;
        self.memory.lead()
    }
    fn commit(&mut self, term: Term, writes: &[Write]) -> Result<(), StoreError> {
        let fate = self.fates.lock().expect("no test panics holding it").pop_front();
        match fate {
            Some(Fate::Torn) => {
                self.memory.commit(term, writes)?;
                return Err(anyhow::anyhow!("the cable was pulled").into());
            }
            // Released by a message or by the end of the test.
            Some(Fate::Held(held)) => drop(held.recv()),
            None => (),
        }
        self.full()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.memory.commit(term, writes)
    }
    fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.meta(name)
    }
    fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.memory.set_meta(name, value)
    }
    fn probe(&mut self) -> Result<(), StoreError> {
        self.full()
    }
}

pub(crate) fn start(store: &Fated) -> Engine {
    let config = Config {
        cluster: "test".into(),
        kernel: kernel::Config::default(),
        services: services::Config::default(),
    };
    start_subject::<StandIn>(Box::new(store.clone()), config).expect("an engine")
}

pub(crate) fn order(app: &str) -> Order {
    Order::ResetDelay { app: app.parse().expect("an app id") }
}

/// How often the app was named, as readers see it.
pub(crate) fn count(engine: &Engine, name: &str) -> u64 {
    let view = engine.handle().read();
    let count = view.kernel.weights.get(&Role::new(name));
    count.map_or(0, |count| count.0)
}
