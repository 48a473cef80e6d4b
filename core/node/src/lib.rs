//! The agent's brain: what to run, what to report, what to repeat. No process is started here.
//!
//! Reading order: this file (who may say what), [`state`] (what is checkpointed), [`tasks`] (a task from its launch to
//! its end), [`groups`] (tasks that live and die together), [`frameworks`] (whose they are), [`executor`] and [`hears`]
//! (executors that are programs), [`updates`] (what is told until acknowledged),
//! [`operations`] (resources become others), [`volumes`] (tasks wait for those), [`providers`] (what others bring),
//! [`publish`] (tasks wait for that), [`checks`] (when to probe for health and
//! what it means), [`looks`] (what else is probed for), [`lend`] (what tasks leave idle), [`counts`], [`start`] (what a restarted
//! agent does about what it finds), [`view`] (what can be asked).
//!
//! How many tasks are held is bounded by what the agent offers: the kernel launches nothing without resources.

mod checks;
mod counts;
mod executor;
mod frameworks;
mod groups;
mod hears;
mod lend;
mod looks;
mod operations;
mod providers;
mod publish;
mod queue;
mod start;
mod state;
mod tasks;
mod updates;
mod view;
mod volumes;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use model::agent::{AgentInfo, FromAgent, ToAgent};
use model::container::Probe;
use model::id::{AgentId, ContainerId, FrameworkId, ProviderId, TaskId, Term, Uuid};
use model::limits::Limits;
use model::machine::Machine;
use model::operation::{Operated, OperationState, OperationStatus};
use model::resources::{Resource, Resources, Scalar};
use model::task::{ContainerStatus, Reason, TaskInfo};
use model::time::Time;

pub use checks::Answer;
use checks::Checks;
pub use counts::{Counts, Judged};
use executor::Programs;
pub use executor::{EndedBy, Ending, Executor};
pub use hears::{FromExecutor, ToExecutor, Told};
use lend::Lending;
pub use lend::Load;
use looks::Looks;
pub use looks::{Finding, Look};
use operations::Repeats;
pub use operations::unwritten;
use providers::Providers;
pub use providers::{Admitted, Apply, Brings, FromProvider, Subscribed, ToProvider};
use queue::Queue;
use start::Life;
use state::State;
pub use state::{Group, Held, Killed, KilledBy, Own, Record};
pub use tasks::Unwritten;
use tasks::{Grace, Order};
use updates::Updates;
pub use view::View;

pub type Out = model::machine::Out<Record, Effect>;

/// Timers that one tick may serve; what is left over is due at once.
const TICK_TIMERS_MAX: usize = 1_000;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// An unacknowledged update is repeated after this long at first, then after twice as long each time.
    pub retry_min: Duration,
    pub retry_max: Duration,
    /// From SIGTERM to SIGKILL where neither the kill nor the task says.
    pub kill_grace: Duration,
    /// How long the sandbox of an ended task stays.
    pub gc_delay: Duration,
    /// From the launch of an executor that is a program to its subscription.
    pub registration_timeout: Duration,
    /// From a restart of the agent to a new subscription.
    pub reregistration_timeout: Duration,
    /// From the word that an executor is to end to SIGKILL, where it does not say itself.
    pub shutdown_grace: Duration,
}

impl Default for Config {
    /// Mesos' own settings, but for two that DC/OS ships: sandboxes are kept for two days, and executors have ten minutes
    /// to register. To register again they have the longest time that Mesos allows: nobody waits for it here.
    fn default() -> Self {
        Self {
            retry_min: Duration::from_secs(10),
            retry_max: Duration::from_secs(600),
            kill_grace: Duration::from_secs(3),
            gc_delay: Duration::from_secs(2 * 24 * 3600),
            registration_timeout: Duration::from_secs(10 * 60),
            reregistration_timeout: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most inputs are letters, and a box would be one more allocation for each"
)]
pub enum Input {
    /// First after a start: what this agent is now (its resources may have grown) and which containers the runtime
    /// knows: those that are alive, and those that have ended, whose exit follows as an input of its own.
    Started {
        info: AgentInfo,
        /// Another one each time the machine is started.
        boot: String,
        alive: Vec<ContainerId>,
        seed: u64,
    },
    /// A stream to a master of this term is open: register.
    Connected {
        term: Term,
    },
    Disconnected,
    Master {
        term: Term,
        message: ToAgent,
        seed: u64,
    },
    /// The runtime speaks of a container.
    Container {
        container: ContainerId,
        happened: Happened,
        seed: u64,
    },
    /// A probe of the nth health check has ended.
    Probed {
        container: ContainerId,
        check: usize,
        answer: Answer,
        seed: u64,
    },
    /// A probe of a task that is not for its health has ended.
    Looked {
        container: ContainerId,
        look: Look,
        finding: Finding,
        seed: u64,
    },
    /// What an operation wanted of volumes is done, or cannot be.
    Volumes {
        operation: Uuid,
        done: Result<(), String>,
        seed: u64,
    },
    /// An executor that is a program speaks.
    Executor {
        container: ContainerId,
        said: FromExecutor,
        seed: u64,
    },
    /// A resource provider speaks.
    Provider {
        stream: u64,
        said: FromProvider,
        seed: u64,
    },
    /// An operator says that a resource provider does not come back.
    ProviderGone {
        provider: ProviderId,
        seed: u64,
    },
    /// How much the tasks that are to be measured use.
    Measured {
        tasks: Vec<Measured>,
    },
    /// What the containers of all running tasks use, where what they leave idle is lent.
    Loaded {
        loads: Vec<Load>,
    },
    /// The operator wants nothing left behind: all tasks end.
    StopTasks,
    Tick,
}

/// How much a task's container uses, in thousandths of what it is allotted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub container: ContainerId,
    pub cpu: Scalar,
    pub mem: Scalar,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Fetching, pulling: slow enough to be told, and told again as it goes on.
    Preparing {
        /// How far it is, for people.
        told: Option<String>,
    },
    Started {
        status: ContainerStatus,
    },
    /// Never ran: it could not, or it was stopped before it did.
    Failed {
        reason: Reason,
        cause: String,
    },
    /// What `wait` returned, and what the runtime did to it before.
    Exited {
        wait_status: i32,
        limitation: Option<(Reason, String)>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Lost if there is no stream; repeated from state.
    ToMaster(FromAgent),
    /// Prepare and start. A container that is there already is left alone.
    Launch {
        container: ContainerId,
        framework: FrameworkId,
        task: Arc<TaskInfo>,
        group: Option<Group>,
    },
    /// The same for an executor that is a program, with what it and its tasks may use.
    LaunchExecutor {
        container: ContainerId,
        executor: Arc<Executor>,
        resources: Resources,
        limits: Limits,
    },
    /// What the container may use from now on.
    Resize { container: ContainerId, resources: Resources, limits: Limits },
    /// What containers may use together that share control groups, from now on. Comes before the first of them.
    Pool { pool: ContainerId, resources: Resources },
    /// Lost if it does not listen; it is told again when it does.
    ToExecutor { container: ContainerId, said: ToExecutor },
    /// Lost if it does not listen; it says what it knows when it does.
    ToProvider { stream: u64, said: ToProvider },
    /// SIGTERM, then SIGKILL after the grace period. A launch under way is broken off and ends as `Failed`; a
    /// container that has ended or was never there is no concern.
    Stop { container: ContainerId, grace: Duration },
    /// Answered by `Probed` after `timeout` at the latest.
    Probe { container: ContainerId, check: usize, probe: Probe, timeout: Duration },
    /// Answered by `Looked` after `timeout` at the latest.
    Look { container: ContainerId, look: Look, probe: Probe, timeout: Duration },
    /// The sandbox may go after this long, and all else of the container at once.
    Collect {
        container: ContainerId,
        framework: FrameworkId,
        task: TaskId,
        group: Option<Group>,
        after: Duration,
    },
    /// No task of the executor is held any more: its sandbox may go after this long, and what they shared at once.
    CollectExecutor { framework: FrameworkId, group: Group, after: Duration },
    /// Answered by `Volumes`. Those that are there already are left alone.
    MakeVolumes { operation: Uuid, volumes: Vec<Resource> },
    /// With all that is in them. Answered by `Volumes`; those that are gone already are no concern.
    RemoveVolumes { operation: Uuid, volumes: Vec<Resource> },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a master of term {told:?} is not obeyed: there is one of term {seen:?}")]
    OldTerm { told: Term, seen: Term },
    #[error("task {task} is for agent {agent}, not for this one")]
    AnotherAgent { task: TaskId, agent: AgentId },
    #[error("task {0} is not held here")]
    UnknownTask(TaskId),
}

/// See the crate's own words.
#[derive(Debug)]
pub struct Node {
    config: Config,
    state: State,
    updates: Updates,
    repeats: Repeats,
    checks: Checks,
    looks: Looks,
    programs: Programs,
    /// When tasks must have ended by themselves.
    deadlines: Queue<ContainerId>,
    lending: Lending,
    providers: Providers,
    counts: Counts,
}

impl Node {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            state: State::default(),
            updates: Updates::default(),
            repeats: Repeats::default(),
            checks: Checks::default(),
            looks: Looks::default(),
            programs: Programs::default(),
            deadlines: Queue::default(),
            lending: Lending::default(),
            providers: Providers::default(),
            counts: Counts::default(),
        }
    }

    /// What is durable once the records of the last step are.
    pub fn view(&self) -> View {
        View {
            lent: self.lending.resources(),
            counts: self.counts.clone(),
            providers: self.providers.subscribed(),
            ..self.state.view()
        }
    }

    fn handle(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        match input {
            Input::Started { info, boot, alive, .. } => {
                self.start(Life { info, boot }, alive, turn)
            }
            Input::Connected { term } => return self.connect(term, turn),
            Input::Disconnected => {
                self.updates.disconnect();
                self.repeats.clear();
            }
            Input::Master { term, message, .. } => return self.hear(term, message, turn),
            Input::Container { container, happened, .. } => {
                self.happened(&container, happened, turn);
            }
            Input::Probed { container, check, answer, .. } => {
                self.probed(&container, check, answer, turn);
            }
            Input::Looked { container, look, finding, .. } => {
                self.looked(&container, look, finding, turn);
            }
            Input::Volumes { operation, done, .. } => self.volumes_done(operation, done, turn),
            Input::Executor { container, said, .. } => {
                self.hear_executor(&container, said, turn);
            }
            Input::Provider { stream, said, .. } => self.hear_provider(stream, said, turn),
            Input::ProviderGone { provider, .. } => self.provider_gone(&provider, turn),
            Input::Measured { tasks } => self.tell_use(tasks, turn),
            Input::Loaded { loads } => self.loaded(&loads, turn),
            Input::StopTasks => self.stop_tasks(turn),
            Input::Tick => self.tick(turn),
        }
        Ok(())
    }

    fn hear(&mut self, term: Term, message: ToAgent, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.obey(term, turn)?;
        match message {
            ToAgent::Registered { agent } => self.registered(agent, turn),
            // The edge tells the operator. Tasks run on: it may be a master of another release.
            ToAgent::Refused { .. } => (),
            ToAgent::Run { framework, task, killing, of } => {
                return self.run(Order { framework, killing, of }, task, turn);
            }
            ToAgent::RunGroup { framework, executor, tasks, killing, of } => {
                return self.run_group(Order { framework, killing, of }, executor, tasks, turn);
            }
            ToAgent::RunIn(run) => return self.run_in(*run, turn),
            ToAgent::ShutdownExecutor { framework, executor } => {
                self.shutdown_asked(&framework, &executor, turn);
            }
            ToAgent::Message { framework, executor, data } => {
                self.message_asked(&framework, &executor, data, turn);
            }
            ToAgent::Kill { framework, task, grace, grace_max } => {
                return self.kill_asked(
                    &framework,
                    &task,
                    Grace { own: grace, max: grace_max },
                    turn,
                );
            }
            ToAgent::Acknowledge { framework, task, uuid } => {
                self.acknowledged(&framework, &task, uuid, turn);
            }
            ToAgent::Ping => turn.out.effects.push(Effect::ToMaster(FromAgent::Pong)),
            ToAgent::Shutdown { framework } => {
                self.abandon(&framework, turn);
                self.abandon_operations(&framework, turn);
            }
            ToAgent::Convert { operation, framework, id, conversion, version } => {
                let latest = OperationStatus::new(id, OperationState::Pending, "");
                let operated = Operated { uuid: operation, framework, conversion, latest };
                self.convert(operated, version, turn);
            }
            ToAgent::AcknowledgeOperation { operation, uuid } => {
                self.operation_acknowledged(operation, uuid, turn);
            }
        }
        Ok(())
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.retry(turn);
        self.repeat_operations(turn);
        self.probe(turn);
        self.look(turn);
        self.time_out(turn);
        self.end_late(turn);
    }
}

impl Machine for Node {
    type Input = Input;
    type Reply = ();
    type Refusal = Refusal;
    type Record = Record;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Out) -> Result<(), Refusal> {
        self.count_input(&input);
        let before = out.effects.len();
        let mut turn = Turn { now, seed: seed(&input), minted: 0, out };
        let done = self.handle(input, &mut turn);
        self.count_effects(&turn.out.effects[before..]);
        done
    }

    fn apply(&mut self, record: &Record) {
        self.state.apply(record);
    }

    fn wake_at(&self) -> Option<Time> {
        let told = [self.updates.wake_at(), self.repeats.wake_at(), self.programs.due.first()];
        let probed = [self.checks.wake_at(), self.looks.wake_at(), self.deadlines.first()];
        told.into_iter().chain(probed).flatten().min()
    }
}

/// Where the ids of what an input causes come from. The others cause nothing that has an id.
fn seed(input: &Input) -> u64 {
    match input {
        Input::Started { seed, .. }
        | Input::Master { seed, .. }
        | Input::Container { seed, .. }
        | Input::Probed { seed, .. }
        | Input::Executor { seed, .. }
        | Input::Provider { seed, .. }
        | Input::ProviderGone { seed, .. }
        | Input::Looked { seed, .. }
        | Input::Volumes { seed, .. } => *seed,
        Input::Connected { .. }
        | Input::Disconnected
        | Input::Measured { .. }
        | Input::Loaded { .. }
        | Input::StopTasks
        | Input::Tick => 0,
    }
}

/// One step under way.
struct Turn<'a> {
    now: Time,
    seed: u64,
    minted: u64,
    out: &'a mut Out,
}

impl Turn<'_> {
    /// A new id, from the seed of the input.
    fn mint(&mut self) -> Uuid {
        self.minted += 1;
        Uuid::derive(self.seed, self.minted)
    }
}
