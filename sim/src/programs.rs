//! Executors that are programs of their frameworks, as processes: they subscribe, run what they are handed, tell of it
//! until that is acknowledged, and die at any time. Their agents may restart meanwhile, and some never notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::container::CommandInfo;
use model::executor::{Given, Program as Described};
use model::id::{ContainerId, ExecutorId, TaskId, Uuid};
use model::resources::Resources;
use model::task::{ExecutorInfo, Reason, TaskInfo, TaskState};
use node::{Executor, FromExecutor, Happened, Input, ToExecutor, Told};

use crate::host::{Alive, EXITS_PERMILLE, FAILS_PERMILLE, FAILURE, Machine, started};
use crate::parcel::{Host, Parcel};
use crate::process::Life;
use crate::world::World;

/// What `wait` says of a process that was given no time.
const SIGKILL: i32 = 9;
/// One in so many thousand does not subscribe, and is stopped for it.
const SILENT_PERMILLE: u64 = 60;

#[derive(Debug)]
pub struct Program {
    pub executor: Arc<Executor>,
    pub life: Alive,
    /// What runs in it.
    pub tasks: BTreeMap<TaskId, Arc<TaskInfo>>,
    /// Handed, and nothing that was told of them is acknowledged.
    fresh: BTreeSet<TaskId>,
    unacknowledged: Vec<Told>,
    streams: u64,
    /// The life of the agent that it has subscribed to.
    agent: Option<Life>,
}

/// What a program does of its own accord.
#[derive(Debug, Clone)]
pub enum Deed {
    Subscribe,
    Tell { task: TaskId, state: TaskState },
}

impl Program {
    pub fn is_alive(&self) -> bool {
        match self.life {
            Alive::Starting | Alive::Running => true,
            Alive::Exited { .. } => false,
        }
    }

    /// What it and its tasks use.
    pub fn resources(&self) -> Resources {
        let mut sum = self.executor.info.resources.clone();
        self.tasks.values().for_each(|task| sum.add(&task.resources));
        sum
    }
}

impl Machine {
    fn program(&mut self, container: &ContainerId) -> Option<&mut Program> {
        self.programs.get_mut(container).filter(|program| program.life == Alive::Running)
    }
}

impl World {
    pub fn launch_program(&mut self, host: Host, container: ContainerId, executor: Arc<Executor>) {
        let found = self.hosts[host].programs.get(&container).map(|program| program.life);
        let happened = match found {
            Some(Alive::Starting) => return,
            Some(Alive::Running) => started(&container),
            Some(Alive::Exited { wait_status }) => exited(wait_status),
            None if self.dice.chance(FAILS_PERMILLE) => {
                let cause = "there is no such program".to_owned();
                Happened::Failed { reason: Reason::ContainerLaunchFailed, cause }
            }
            None => {
                let program = Program {
                    executor,
                    life: Alive::Starting,
                    tasks: BTreeMap::new(),
                    fresh: BTreeSet::new(),
                    unacknowledged: Vec::new(),
                    streams: 0,
                    agent: None,
                };
                self.hosts[host].programs.insert(container.clone(), program);
                started(&container)
            }
        };
        let delay = self.dice.between(1, 300);
        self.send_in(delay, Parcel::Container { host, container, happened });
    }

    pub fn stop_program(&mut self, host: Host, container: ContainerId) {
        let happened = match self.hosts[host].programs.get(&container).map(|one| one.life) {
            Some(Alive::Starting) => {
                self.hosts[host].programs.remove(&container);
                let (reason, cause) = (Reason::TaskKilledDuringLaunch, "stopped".to_owned());
                Happened::Failed { reason, cause }
            }
            Some(Alive::Running) => exited(SIGKILL),
            Some(Alive::Exited { .. }) | None => return,
        };
        self.send_in(1, Parcel::Container { host, container, happened });
    }

    /// The world's side first, as with any container. False if it was told before.
    pub fn change_program(
        &mut self,
        host: Host,
        container: &ContainerId,
        happened: &Happened,
    ) -> bool {
        let program = self.hosts[host].programs.get_mut(container).expect("the caller has looked");
        match (happened, program.life) {
            (Happened::Started { .. }, Alive::Starting) => {
                program.life = Alive::Running;
                self.subscribe_soon(host, container);
                if self.dice.chance(EXITS_PERMILLE) {
                    let (container, happened) = (container.clone(), exited(FAILURE));
                    let delay = self.dice.between(100, 60_000);
                    self.send_in(delay, Parcel::Container { host, container, happened });
                }
            }
            (Happened::Exited { wait_status, .. }, Alive::Starting | Alive::Running) => {
                program.life = Alive::Exited { wait_status: *wait_status };
                program.tasks.clear();
            }
            (Happened::Started { .. } | Happened::Exited { .. }, Alive::Exited { .. }) => {
                return false;
            }
            (Happened::Started { .. }, Alive::Running) => (),
            (Happened::Preparing { .. } | Happened::Failed { .. }, _) => (),
        }
        true
    }

    /// Those that lived through a restart of their agent find it again.
    pub fn find_agent_again(&mut self, host: Host) {
        let all = self.hosts[host].programs.iter();
        let live = all.filter(|(_, program)| program.life == Alive::Running);
        let live: Vec<ContainerId> = live.map(|(container, _)| container.clone()).collect();
        live.iter().for_each(|container| self.subscribe_soon(host, container));
    }

    fn subscribe_soon(&mut self, host: Host, container: &ContainerId) {
        let delay = self.dice.between(1, 3_000);
        if self.weather.loss_permille == 0 || !self.dice.chance(SILENT_PERMILLE) {
            let (container, deed) = (container.clone(), Deed::Subscribe);
            self.send_in(delay, Parcel::Program { host, container, deed });
        }
    }

    pub fn act_program(&mut self, host: Host, container: ContainerId, deed: Deed) {
        let seed = self.dice.roll();
        let own = &mut self.hosts[host];
        let (life, is_running) = (own.process.life, own.process.is_running());
        let Some(program) = own.program(&container) else { return };
        let said = match deed {
            // The agent's start tries again.
            Deed::Subscribe if !is_running => return,
            Deed::Subscribe => {
                program.streams += 1;
                program.agent = Some(life);
                let (tasks, stream) = (program.fresh.iter().cloned().collect(), program.streams);
                let updates = program.unacknowledged.clone();
                FromExecutor::Subscribed { stream, tasks, updates }
            }
            Deed::Tell { task, state } => {
                if !program.tasks.contains_key(&task) {
                    return;
                }
                if state.is_terminal() {
                    program.tasks.remove(&task);
                }
                let told = told(task, state, Uuid::derive(seed, 1));
                program.unacknowledged.push(told.clone());
                FromExecutor::Update(told)
            }
        };
        if is_running && program.agent == Some(life) {
            self.tell_host(host, Input::Executor { container, said, seed });
        }
    }

    pub fn hear_agent_in_program(&mut self, host: Host, container: ContainerId, said: ToExecutor) {
        let own = &mut self.hosts[host];
        let life = own.process.life;
        // Who does not listen yet is told again when it does.
        let listening = own.program(&container).filter(|program| program.agent == Some(life));
        let Some(program) = listening else { return };
        match said {
            ToExecutor::Subscribed { .. } | ToExecutor::Message(_) => (),
            ToExecutor::Launch(task) => self.begin(host, container, task),
            ToExecutor::LaunchGroup(tasks) => {
                tasks.into_iter().for_each(|task| self.begin(host, container.clone(), task));
            }
            ToExecutor::Kill { task, .. } => {
                let (delay, state) = (self.dice.between(1, 2_000), TaskState::Killed);
                let deed = Deed::Tell { task, state };
                self.send_in(delay, Parcel::Program { host, container, deed });
            }
            ToExecutor::Acknowledged { task, uuid } => {
                program.unacknowledged.retain(|told| told.uuid != uuid);
                program.fresh.remove(&task);
            }
            // Some do not care, and are stopped.
            ToExecutor::Shutdown if self.dice.chance(200) => (),
            ToExecutor::Shutdown => {
                let delay = self.dice.between(1, 4_000);
                let happened = exited(0);
                self.send_in(delay, Parcel::Container { host, container, happened });
            }
        }
    }

    fn begin(&mut self, host: Host, container: ContainerId, task: Arc<TaskInfo>) {
        let program = self.hosts[host].program(&container).expect("the caller has looked");
        let id = task.id.clone();
        program.fresh.insert(id.clone());
        let before = program.tasks.insert(id.clone(), task);
        assert!(before.is_none(), "a program is handed {id} twice");
        let tell = |world: &mut Self, delay, state| {
            let (container, deed) = (container.clone(), Deed::Tell { task: id.clone(), state });
            world.send_in(delay, Parcel::Program { host, container, deed });
        };
        let runs_after = self.dice.between(1, 500);
        tell(self, runs_after, TaskState::Running);
        if self.dice.chance(EXITS_PERMILLE) {
            let state = [TaskState::Finished, TaskState::Failed];
            let state = *self.dice.pick(&state).expect("there are two");
            let ends_after = runs_after + self.dice.between(100, 30_000);
            tell(self, ends_after, state);
        }
    }
}

fn exited(wait_status: i32) -> Happened {
    Happened::Exited { wait_status, limitation: None }
}

fn told(task: TaskId, state: TaskState, uuid: Uuid) -> Told {
    let given = Given(Arc::from(*b"told"));
    Told {
        task,
        state,
        uuid,
        reason: None,
        message: None,
        healthy: None,
        check: None,
        labels: Vec::new(),
        addresses: Vec::new(),
        given,
    }
}

/// One of few, so that tasks find it running already.
pub fn described(number: u64, resources: Resources) -> ExecutorInfo {
    let command = CommandInfo::shell("./executor");
    let given = Given(Arc::from(*b"described"));
    let program = Described { command, container: None, shutdown_grace: None, given };
    let id = ExecutorId::new(format!("foreign-program-{number}"));
    ExecutorInfo { program: Some(Arc::new(program)), ..ExecutorInfo::plain(id, resources) }
}
