//! Containers that no task is: what callers of the agent's API start, in the containers of tasks or on their own. They
//! are no business of the brain's.
//!
//! A session ([`session`]) is a process in a container that is there, and ends with the connection that began it. A
//! container ([`launch`]) is remembered by the [`ledger`] until it is removed, or that in which it lies.

mod exits;
mod launch;
mod ledger;
mod lineage;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use containers::session::Terminal;
use containers::spec::WindowSize;
use containers::{Containers, Exited};
use model::id::ContainerId;
use node::{Executor, Held};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::board::Board;
use crate::docker::Engine;
use crate::gpus::Gpus;
use crate::host_paths::HostPaths;
use crate::logger::LogPolicy;
use crate::sandbox::Sandboxes;
pub(crate) use exits::Exits;
pub(crate) use launch::Wanted;
use ledger::{Entry, Ledger};
pub(crate) use lineage::Lineage;
pub(crate) use session::{Piece, Pieces};

/// Sessions and containers at a time.
const GUESTS_MAX: usize = 4_096;

/// A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Guests(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    containers: Containers,
    board: Board,
    images: images::Store,
    fetcher: images::Fetcher,
    logs: LogPolicy,
    host_paths: HostPaths,
    gpus: Gpus,
    engine: Option<Engine>,
    sandboxes: Sandboxes,
    ledger: Ledger,
    exits: Exits,
    all: Mutex<BTreeMap<Lineage, Arc<Guest>>>,
    ending: CancellationToken,
    deeds: TaskTracker,
}

impl Parts {
    fn is_docker(&self, container: &ContainerId) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.has(container))
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) lineage: Lineage,
    /// As the runtime calls it, or would.
    pub(crate) container: ContainerId,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Session {
        signals: mpsc::UnboundedSender<i32>,
        /// Taken by whoever is attached to it.
        input: Mutex<Option<Input>>,
    },
    Container {
        entry: Entry,
        /// What spares its image.
        keeps: Mutex<Vec<images::Keep>>,
    },
}

/// The other parts of the agent.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) dir: PathBuf,
    pub(crate) containers: Containers,
    pub(crate) board: Board,
    pub(crate) images: images::Store,
    pub(crate) fetcher: images::Fetcher,
    pub(crate) logs: LogPolicy,
    pub(crate) host_paths: HostPaths,
    pub(crate) gpus: Gpus,
    /// Nothing can be started in its containers.
    pub(crate) engine: Option<Engine>,
}

/// Where what is typed goes.
#[derive(Debug)]
pub(crate) enum Input {
    Pipe(pipe::Sender),
    Terminal(Terminal),
}

/// What an id names.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Task(ContainerId, Arc<Held>),
    /// An executor that is a process of its own.
    Program(ContainerId, Arc<Executor>),
    /// An executor that is none: what its tasks share.
    Shared,
    Guest(Arc<Guest>),
}

impl Found {
    /// As the runtime calls it, if it is there for the runtime.
    pub(crate) fn container(&self) -> Option<&ContainerId> {
        match self {
            Found::Task(container, _) | Found::Program(container, _) => Some(container),
            Found::Guest(guest) => Some(&guest.container),
            Found::Shared => None,
        }
    }
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Container {0} cannot be found")]
    Unknown(Lineage),
    #[error("{0}")]
    Missing(String),
    /// The caller's fault.
    #[error("{0}")]
    Bad(String),
    /// Of others, but not of this caller.
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Conflict(String),
    #[error("Container {0} is there already")]
    Exists(Lineage),
    #[error("{0}")]
    Mishap(String),
}

impl Guests {
    pub(crate) fn new(doors: Doors) -> Self {
        let Doors { dir, containers, board, images, fetcher, logs, host_paths, gpus, engine } =
            doors;
        Self(Arc::new(Parts {
            containers,
            board,
            images,
            fetcher,
            logs,
            host_paths,
            gpus,
            engine,
            sandboxes: Sandboxes::new(&dir),
            ledger: Ledger::new(&dir),
            exits: Exits::new(),
            all: Mutex::default(),
            ending: CancellationToken::new(),
            deeds: TaskTracker::new(),
        }))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Lineage, Arc<Guest>>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot.
    pub(crate) fn each(&self) -> Vec<Arc<Guest>> {
        self.all().values().cloned().collect()
    }

    /// What those need that are there.
    pub(crate) fn images(&self) -> Vec<String> {
        let all = self.all();
        let image = |guest: &Arc<Guest>| match &guest.kind {
            Kind::Container { entry, .. } => entry.image.clone(),
            Kind::Session { .. } => None,
        };
        all.values().filter_map(image).collect()
    }

    fn admit(&self, guest: Arc<Guest>) -> Result<(), Refusal> {
        let mut all = self.all();
        if all.contains_key(&guest.lineage) {
            return Err(Refusal::Exists(guest.lineage.clone()));
        }
        if GUESTS_MAX <= all.len() {
            let cause = format!("{GUESTS_MAX} containers of callers are open; remove some");
            return Err(Refusal::Mishap(cause));
        }
        all.insert(guest.lineage.clone(), guest);
        Ok(())
    }

    pub(crate) fn exits(&self) -> &Exits {
        &self.0.exits
    }

    /// Ends what is under way here. Sessions end with it, containers do not.
    pub(crate) async fn close(&self) {
        self.0.ending.cancel();
        self.0.deeds.close();
        self.0.deeds.wait().await;
    }

    pub(crate) fn find(&self, lineage: &Lineage) -> Option<Found> {
        if let Some(guest) = self.all().get(lineage) {
            return Some(Found::Guest(guest.clone()));
        }
        let view = self.0.board.view();
        let task = |name: &str, executor: Option<&str>| {
            let container = ContainerId::new(name);
            let held = view.held.get(&container)?;
            let group = held.group.as_ref().filter(|group| group.executor.program.is_none());
            let lies_in = group.map(|group| group.container.as_str());
            (lies_in == executor).then(|| Found::Task(container, held.clone()))
        };
        match lineage.names() {
            [only] => task(only, None).or_else(|| {
                let container = ContainerId::new(only.as_str());
                if let Some(executor) = view.executors.get(&container) {
                    return Some(Found::Program(container, executor.clone()));
                }
                let mut groups = view.held.values().filter_map(|held| held.group.as_ref());
                groups.any(|group| group.container == container).then_some(Found::Shared)
            }),
            [executor, name] => task(name, Some(executor)),
            _ => None,
        }
    }

    /// How it ended, if that is known. Asked by name, for it may be gone.
    pub(crate) fn ended(&self, lineage: &Lineage) -> Option<Exited> {
        let (whole, in_group) = lineage.runtime_names();
        self.0.exits.get(&whole).or_else(|| self.0.exits.get(&in_group?))
    }

    /// The container that something is to be started in, which has to run.
    fn host(&self, lineage: &Lineage) -> Result<ContainerId, Refusal> {
        let bad = |cause: String| Err(Refusal::Bad(cause));
        match self.find(lineage) {
            None => Err(Refusal::Unknown(lineage.clone())),
            Some(Found::Task(container, _)) if self.0.is_docker(&container) => bad(format!(
                "Container {lineage} is a Docker Engine's: on its machine, `docker exec -it mesos-{container} sh` \
                 starts something in it"
            )),
            Some(Found::Task(container, held)) if held.is_running() => Ok(container),
            Some(Found::Program(container, executor)) if executor.running.is_some() => {
                Ok(container)
            }
            Some(Found::Task(..) | Found::Program(..)) => {
                bad(format!("Container {lineage} is not running"))
            }
            Some(Found::Shared) => bad(format!(
                "Container {lineage} has no process of its own; name the container of one of its tasks"
            )),
            Some(Found::Guest(guest)) => match guest.kind {
                Kind::Session { .. } => {
                    bad(format!("Container {lineage} is a session: nothing can be started in it"))
                }
                Kind::Container { .. } if self.0.exits.get(&guest.container).is_some() => {
                    bad(format!("Container {lineage} is not running"))
                }
                Kind::Container { .. } => Ok(guest.container.clone()),
            },
        }
    }

    /// What ended sessions leave is how they ended.
    fn let_go(&self, lineage: &Lineage) {
        self.all().remove(lineage);
    }
}

impl Guest {
    pub(crate) fn is_session(&self) -> bool {
        match self.kind {
            Kind::Session { .. } => true,
            Kind::Container { .. } => false,
        }
    }

    /// Whoever takes it gives it back, unless it is at its end. Only sessions have one to be taken.
    pub(crate) fn take_input(&self) -> Option<Input> {
        match &self.kind {
            Kind::Session { input, .. } => {
                input.lock().unwrap_or_else(PoisonError::into_inner).take()
            }
            Kind::Container { .. } => None,
        }
    }

    pub(crate) fn give_back(&self, typed: Input) {
        if let Kind::Session { input, .. } = &self.kind {
            *input.lock().unwrap_or_else(PoisonError::into_inner) = Some(typed);
        }
    }
}

impl Input {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Input::Pipe(pipe) => pipe.write_all(bytes).await,
            Input::Terminal(terminal) => terminal.write_all(bytes).await,
        }
    }

    /// False if it has no size.
    pub(crate) fn resize(&self, size: WindowSize) -> bool {
        match self {
            Input::Pipe(_) => false,
            Input::Terminal(terminal) => {
                if let Err(cause) = terminal.resize(size) {
                    tracing::debug!(%cause, "the terminal keeps its size");
                }
                true
            }
        }
    }
}
