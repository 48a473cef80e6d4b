//! What an agent must not forget: who it is, and the tasks it has accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use minicbor::{Decode, Encode};
use model::agent::{AgentInfo, TellKilling};
use model::executor::Together;
use model::framework::FrameworkInfo;
use model::id::{AgentId, ContainerId, ExecutorId, FrameworkId, ProviderId, TaskId, Term, Uuid};
use model::machine::BadRecord;
use model::operation::Operated;
use model::resources::Resources;
use model::task::{Cgroups, ExecutorInfo, TaskInfo, TaskStatus};
use model::time::Time;
use model::told::Earlier;

use crate::executor::Executor;
use crate::providers::Admitted;
use crate::view::View;
use crate::{Node, Turn};

/// The new value of one entity; `None` says that it is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Who this agent is and which master it obeys.
    Own(Box<Own>),
    Task(ContainerId, Option<Arc<Held>>),
    /// What was reserved while the cluster ran, and volumes.
    Claims(Resources),
    /// Until its last status is acknowledged.
    Operation(Uuid, Option<Arc<Operated>>),
    /// An executor that is a program.
    Executor(ContainerId, Option<Arc<Executor>>),
    /// One of which anything is held.
    Framework(FrameworkId, Option<Arc<FrameworkInfo>>),
    Provider(ProviderId, Option<Arc<Admitted>>),
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Own {
    /// Unset until a master has admitted the agent.
    #[n(0)]
    pub agent: Option<AgentId>,
    #[n(1)]
    pub info: AgentInfo,
    /// The highest term seen: an older master is not obeyed.
    #[n(2)]
    pub term: Term,
    /// In which the agent ran last. Unset by releases that did not look.
    #[n(3)]
    pub boot: Option<String>,
}

/// A task that was accepted, until its last update is acknowledged.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Held {
    #[n(0)]
    pub framework: FrameworkId,
    #[cbor(n(1), with = "model::shared")]
    pub info: Arc<TaskInfo>,
    #[n(2)]
    pub accepted_at: Time,
    /// Updates nobody has acknowledged, oldest first; the first is being told.
    #[n(3)]
    pub pending: Vec<TaskStatus>,
    #[n(4)]
    pub latest: Option<TaskStatus>,
    /// It is to end.
    #[n(5)]
    pub killed: Option<Killed>,
    /// Its framework is gone: nobody hears of its end.
    #[n(6)]
    pub abandoned: bool,
    /// Whether its framework hears of TASK_KILLING.
    #[n(7)]
    #[cbor(default)]
    pub killing: TellKilling,
    /// Set if it shares its executor.
    #[n(8)]
    pub group: Option<Group>,
    /// The latest updates that its executor, a program, has told.
    #[cbor(n(9), default)]
    pub seen: Vec<Uuid>,
    /// When it must have ended by itself; set once it runs.
    #[n(10)]
    pub complete_by: Option<Time>,
    /// How many updates were acknowledged. By it a master knows what repeats from what is new, whatever the clock says.
    #[cbor(n(11), default)]
    pub acknowledged: u64,
    /// What was told before the latest, oldest first.
    #[cbor(n(12), default)]
    pub earlier: Vec<Earlier>,
}

/// What a task shares with others.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Group {
    #[cbor(n(0), with = "model::shared")]
    pub executor: Arc<ExecutorInfo>,
    /// The executor's: the containers of its tasks are nested in it.
    #[n(1)]
    pub container: ContainerId,
    /// One launch: whoever came with it ends with it.
    #[n(2)]
    pub launch: Uuid,
    /// How it reaches an executor that is a program.
    #[cbor(n(3), default)]
    pub together: Together,
}

impl Group {
    /// Whose control groups its tasks share, if they do.
    pub fn pool(&self) -> Option<&ContainerId> {
        match self.executor.cgroups {
            Cgroups::Own => None,
            Cgroups::Shared => Some(&self.container),
        }
    }
}

/// Since when and why a task is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Killed {
    #[n(0)]
    pub at: Time,
    /// From SIGTERM to SIGKILL.
    #[n(1)]
    pub grace: Duration,
    #[n(2)]
    pub by: KilledBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KilledBy {
    /// Its framework, or the end of its framework.
    #[n(0)]
    Order,
    /// Too many failures of a health check in a row.
    #[n(1)]
    HealthCheck,
    /// The end of another task of its group.
    #[n(2)]
    Group,
    /// The time that it has said it needs.
    #[n(3)]
    Time,
    /// What it had borrowed is needed by those whom it belongs to.
    #[n(7)]
    Preemption,
}

/// This machine's keys begin so.
const MACHINE: u8 = b'n';
const OWN: u8 = b'o';
const TASK: u8 = b't';
const CLAIMS: u8 = b'c';
const OPERATION: u8 = b'p';
const EXECUTOR: u8 = b'e';
const FRAMEWORK: u8 = b'f';
const PROVIDER: u8 = b'r';

/// Precedes every value.
const VERSION: u8 = 1;

impl model::machine::Record for Record {
    fn key(&self) -> Vec<u8> {
        match self {
            Record::Own(_) => vec![MACHINE, OWN],
            Record::Task(container, _) => {
                [&[MACHINE, TASK], container.as_str().as_bytes()].concat()
            }
            Record::Claims(_) => vec![MACHINE, CLAIMS],
            Record::Operation(operation, _) => {
                [&[MACHINE, OPERATION], operation.0.as_slice()].concat()
            }
            Record::Executor(container, _) => {
                [&[MACHINE, EXECUTOR], container.as_str().as_bytes()].concat()
            }
            Record::Framework(id, _) => [&[MACHINE, FRAMEWORK], id.as_str().as_bytes()].concat(),
            Record::Provider(id, _) => [&[MACHINE, PROVIDER], id.as_str().as_bytes()].concat(),
        }
    }

    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Record::Own(own) => Some(encode(own.as_ref())),
            Record::Task(_, held) => held.as_deref().map(encode),
            Record::Claims(claims) => Some(encode(claims)),
            Record::Operation(_, operated) => operated.as_deref().map(encode),
            Record::Executor(_, executor) => executor.as_deref().map(encode),
            Record::Framework(_, info) => info.as_deref().map(encode),
            Record::Provider(_, provider) => provider.as_deref().map(encode),
        }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        match key {
            [MACHINE, OWN] => Ok(Record::Own(Box::new(decode(key, value)?))),
            [MACHINE, kind @ (TASK | EXECUTOR), container @ ..] => {
                let id = str::from_utf8(container).map_err(|cause| BadRecord::new(key, cause))?;
                let id = ContainerId::new(id);
                Ok(match *kind {
                    EXECUTOR => Record::Executor(id, Some(Arc::new(decode(key, value)?))),
                    _ => Record::Task(id, Some(Arc::new(decode(key, value)?))),
                })
            }
            [MACHINE, FRAMEWORK, id @ ..] => {
                let id = str::from_utf8(id).map_err(|cause| BadRecord::new(key, cause))?;
                let info = Arc::new(decode(key, value)?);
                Ok(Record::Framework(FrameworkId::new(id), Some(info)))
            }
            [MACHINE, PROVIDER, id @ ..] => {
                let id = str::from_utf8(id).map_err(|cause| BadRecord::new(key, cause))?;
                Ok(Record::Provider(ProviderId::new(id), Some(Arc::new(decode(key, value)?))))
            }
            [MACHINE, CLAIMS] => Ok(Record::Claims(decode(key, value)?)),
            [MACHINE, OPERATION, id @ ..] => {
                let id = id.try_into().map_err(|cause| BadRecord::new(key, cause))?;
                Ok(Record::Operation(Uuid(id), Some(Arc::new(decode(key, value)?))))
            }
            _ => Err(BadRecord::new(key, "no release of an agent has written such a key")),
        }
    }
}

fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    minicbor::encode(value, &mut bytes).expect("a vector takes all that is written");
    bytes
}

fn decode<'b, T: Decode<'b, ()>>(key: &[u8], value: &'b [u8]) -> Result<T, BadRecord> {
    match value {
        [VERSION, body @ ..] => minicbor::decode(body).map_err(|cause| BadRecord::new(key, cause)),
        [version, ..] => Err(BadRecord::new(key, format!("version {version} is not known"))),
        [] => Err(BadRecord::new(key, "it is empty")),
    }
}

/// The durable state and its index.
#[derive(Debug, Default)]
pub(crate) struct State {
    own: Option<Arc<Own>>,
    held: OrdMap<ContainerId, Arc<Held>>,
    pub(crate) by_task: BTreeMap<(FrameworkId, TaskId), ContainerId>,
    /// The containers of the tasks of each executor.
    by_executor: BTreeMap<(FrameworkId, ExecutorId), BTreeSet<ContainerId>>,
    claims: Arc<Resources>,
    operations: OrdMap<Uuid, Arc<Operated>>,
    executors: OrdMap<ContainerId, Arc<Executor>>,
    pub(crate) programs: BTreeMap<(FrameworkId, ExecutorId), ContainerId>,
    pub(crate) frameworks: OrdMap<FrameworkId, Arc<FrameworkInfo>>,
    providers: OrdMap<ProviderId, Arc<Admitted>>,
}

impl State {
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Own(own) => self.own = Some(Arc::new(own.as_ref().clone())),
            Record::Claims(claims) => self.claims = Arc::new(claims.clone()),
            Record::Operation(id, Some(operated)) => {
                self.operations.insert(*id, operated.clone());
            }
            Record::Operation(id, None) => drop(self.operations.remove(id)),
            Record::Provider(id, Some(admitted)) => {
                self.providers.insert(id.clone(), admitted.clone());
            }
            Record::Provider(id, None) => drop(self.providers.remove(id)),
            Record::Task(container, Some(held)) => {
                let task = (held.framework.clone(), held.info.id.clone());
                self.by_task.insert(task, container.clone());
                if let Some(executor) = held.executor_key() {
                    self.by_executor.entry(executor).or_default().insert(container.clone());
                }
                self.held.insert(container.clone(), held.clone());
            }
            Record::Task(container, None) => {
                if let Some(held) = self.held.remove(container) {
                    self.by_task.remove(&(held.framework.clone(), held.info.id.clone()));
                    self.leave_executor(container, &held);
                }
            }
            Record::Executor(container, Some(executor)) => {
                self.programs.insert(executor.key(), container.clone());
                self.executors.insert(container.clone(), executor.clone());
            }
            Record::Executor(container, None) => {
                if let Some(executor) = self.executors.remove(container) {
                    self.programs.remove(&executor.key());
                }
            }
            Record::Framework(id, Some(info)) => {
                self.frameworks.insert(id.clone(), info.clone());
            }
            Record::Framework(id, None) => drop(self.frameworks.remove(id)),
        }
    }

    fn leave_executor(&mut self, container: &ContainerId, held: &Held) {
        let Some(key) = held.executor_key() else { return };
        let Some(containers) = self.by_executor.get_mut(&key) else { return };
        containers.remove(container);
        if containers.is_empty() {
            self.by_executor.remove(&key);
        }
    }

    /// The tasks of an executor, by container.
    pub(crate) fn of_executor<'a>(
        &'a self,
        key: &(FrameworkId, ExecutorId),
    ) -> impl Iterator<Item = (&'a ContainerId, &'a Arc<Held>)> + use<'a> {
        let containers = self.by_executor.get(key).into_iter().flatten();
        containers.map(|id| (id, self.held.get(id).expect("the index names what is held")))
    }

    pub(crate) fn view(&self) -> View {
        View {
            own: self.own.clone(),
            held: self.held.clone(),
            claims: self.claims.clone(),
            operations: self.operations.clone(),
            executors: self.executors.clone(),
            frameworks: self.frameworks.clone(),
            admitted: self.providers.clone(),
            ..View::default()
        }
    }

    pub(crate) fn claims(&self) -> &Resources {
        &self.claims
    }

    pub(crate) fn operations(&self) -> &OrdMap<Uuid, Arc<Operated>> {
        &self.operations
    }

    pub(crate) fn providers(&self) -> &OrdMap<ProviderId, Arc<Admitted>> {
        &self.providers
    }

    pub(crate) fn own(&self) -> Option<&Own> {
        self.own.as_deref()
    }

    pub(crate) fn executor(&self, container: &ContainerId) -> Option<&Arc<Executor>> {
        self.executors.get(container)
    }

    /// All that are programs: a snapshot.
    pub(crate) fn executors(&self) -> OrdMap<ContainerId, Arc<Executor>> {
        self.executors.clone()
    }

    /// The one of this name.
    pub(crate) fn program(
        &self,
        key: &(FrameworkId, ExecutorId),
    ) -> Option<(ContainerId, Arc<Executor>)> {
        let container = self.programs.get(key)?;
        Some((container.clone(), self.executors.get(container)?.clone()))
    }

    pub(crate) fn held(&self, container: &ContainerId) -> Option<&Arc<Held>> {
        self.held.get(container)
    }

    /// A snapshot, so that what is gone through may change meanwhile.
    pub(crate) fn all(&self) -> OrdMap<ContainerId, Arc<Held>> {
        self.held.clone()
    }

    pub(crate) fn container_of(
        &self,
        framework: &FrameworkId,
        task: &TaskId,
    ) -> Option<&ContainerId> {
        self.by_task.get(&(framework.clone(), task.clone()))
    }

    /// The containers of a framework's tasks.
    pub(crate) fn of_framework(&self, framework: &FrameworkId) -> Vec<ContainerId> {
        let first = (framework.clone(), TaskId::new(""));
        let all = self.by_task.range(first..).take_while(|((of, _), _)| of == framework);
        all.map(|(_, container)| container.clone()).collect()
    }
}

impl Node {
    pub(crate) fn commit(&mut self, record: Record, turn: &mut Turn<'_>) {
        self.state.apply(&record);
        turn.out.records.push(record);
    }

    pub(crate) fn keep(&mut self, container: &ContainerId, held: Held, turn: &mut Turn<'_>) {
        self.commit(Record::Task(container.clone(), Some(Arc::new(held))), turn);
    }
}
