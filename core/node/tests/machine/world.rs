//! An agent's brain with a clock, a stream and a disk, for tests that tell what it does.
//!
//! After each input the laws are checked: the records, through their bytes, make the same state; and the ticks at one
//! time come to an end.

use std::time::Duration;

use crate::{programs, providers};
use model::agent::{AgentInfo, CheckTally, FromAgent, TellKilling, ToAgent};
use model::check::Readiness;
use model::container::{CommandInfo, HealthCheck, Probe, Run};
use model::id::{
    AgentId, ContainerId, ExecutorId, FrameworkId, ProviderId, Role, TaskId, Term, Uuid,
};
use model::limits::Limits;
use model::machine::{Machine, Out, Record as _};
use model::operation::Operated;
use model::resources::Resources;
use model::task::{Cgroups, ContainerStatus, ExecutorInfo, TaskInfo, TaskStatus};
use model::time::Time;
use node::{Answer, Config, Effect, Finding, Happened, Input, Look, Node, Record, Refusal};

/// Ticks at one time, far more than any test's timers.
const TICKS_MAX: usize = 100;

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) now: Time,
    disk: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    seed: u64,
    /// Another one after a reboot of the machine.
    pub(crate) boot: u64,
    /// The update that was told last.
    pub(crate) told: Option<TaskStatus>,
    /// That of the update that was told last.
    pub(crate) place: Option<u64>,
    /// The container that was launched last.
    pub(crate) container: ContainerId,
    /// Whether the framework hears of TASK_KILLING.
    pub(crate) killing: TellKilling,
    /// What the checks of tasks were last told to have found.
    pub(crate) tallies: Vec<Vec<CheckTally>>,
    /// And those that say when they are ready.
    pub(crate) readiness: Vec<Readiness>,
    /// What was told last of an operation.
    pub(crate) operated: Option<Operated>,
    /// What was lent when the agent last registered.
    pub(crate) revocable: Resources,
    /// Whom it has admitted last.
    pub(crate) provider: Option<ProviderId>,
    /// What that was asked last to publish.
    pub(crate) publish: Option<Uuid>,
    /// What each provider brings, as the master was told last.
    pub(crate) provides: Vec<Resources>,
}

pub(crate) fn framework() -> FrameworkId {
    FrameworkId::new("f")
}

pub(crate) fn task(id: &str) -> TaskInfo {
    TaskInfo::plain(
        TaskId::new(id),
        AgentId::new("S0"),
        Role::star(),
        "cpus:1;mem:32".parse().expect("well formed"),
        CommandInfo::shell("true"),
    )
}

/// Every 10 s from the fifth on, with 30 s of grace.
pub(crate) fn check(failures_max: u32) -> HealthCheck {
    HealthCheck {
        probe: Probe::command(Run::Shell("true".to_owned())),
        delay: Duration::from_secs(5),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(20),
        grace: Duration::from_secs(30),
        failures_max,
    }
}

pub(crate) fn info() -> AgentInfo {
    AgentInfo {
        hostname: "h".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: "cpus:4;mem:1024".parse().expect("well formed"),
        attributes: vec![],
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/d".to_owned(),
    }
}

impl World {
    /// Started, connected in term 1 and registered as `S0`.
    pub(crate) fn registered() -> Self {
        let mut world = World {
            node: Node::new(Config::default()),
            now: Time(1_000_000),
            disk: Default::default(),
            seed: 0,
            boot: 1,
            told: None,
            place: None,
            container: ContainerId::new("none"),
            killing: TellKilling::No,
            tallies: Vec::new(),
            readiness: Vec::new(),
            operated: None,
            revocable: Resources::default(),
            provider: None,
            publish: None,
            provides: Vec::new(),
        };
        world.start(&[]);
        world.connect(1);
        world.master(ToAgent::Registered { agent: AgentId::new("S0") });
        world
    }

    /// Registered, with a task that runs; its RUNNING is acknowledged.
    pub(crate) fn running(info: TaskInfo) -> Self {
        let mut world = Self::registered();
        world.run(info);
        world.started();
        world.acknowledge();
        world
    }

    pub(crate) fn start(&mut self, alive: &[ContainerId]) -> Vec<String> {
        let (boot, seed) = (self.boot.to_string(), self.seed());
        self.feed(Input::Started { info: info(), boot, alive: alive.to_vec(), seed })
    }

    /// All volatile state is lost; what is on the disk is not.
    pub(crate) fn crash(&mut self) {
        self.node = self.recovered();
    }

    pub(crate) fn connect(&mut self, term: u64) -> Vec<String> {
        self.feed(Input::Connected { term: Term(term) })
    }

    pub(crate) fn master(&mut self, message: ToAgent) -> Vec<String> {
        self.try_master(1, message).expect("not refused")
    }

    pub(crate) fn try_master(
        &mut self,
        term: u64,
        message: ToAgent,
    ) -> Result<Vec<String>, Refusal> {
        let seed = self.seed();
        self.try_feed(Input::Master { term: Term(term), message, seed })
    }

    pub(crate) fn run(&mut self, task: TaskInfo) -> Vec<String> {
        self.master(ToAgent::Run { framework: framework(), task, killing: self.killing, of: None })
    }

    /// Each with control groups of its own.
    pub(crate) fn run_group(&mut self, executor: &str, tasks: Vec<TaskInfo>) -> Vec<String> {
        self.run_group_in(Cgroups::Own, executor, tasks)
    }

    pub(crate) fn run_group_in(
        &mut self,
        cgroups: Cgroups,
        executor: &str,
        tasks: Vec<TaskInfo>,
    ) -> Vec<String> {
        let executor = ExecutorInfo {
            cgroups,
            ..ExecutorInfo::plain(
                ExecutorId::new(executor),
                "cpus:0.1;mem:32".parse().expect("well formed"),
            )
        };
        let (framework, killing) = (framework(), self.killing);
        self.master(ToAgent::RunGroup { framework, executor, tasks, killing, of: None })
    }

    /// What follows happens to this task's container.
    pub(crate) fn turn_to(&mut self, task: &str) {
        let view = self.node.view();
        let mut all = view.held.iter().filter(|(_, held)| held.info.id.as_str() == task);
        self.container = all.next().expect("a task that is held").0.clone();
    }

    pub(crate) fn kill(&mut self, id: &str, grace_secs: Option<u64>) -> Vec<String> {
        let grace = grace_secs.map(Duration::from_secs);
        self.master(ToAgent::Kill {
            framework: framework(),
            task: TaskId::new(id),
            grace,
            grace_max: None,
        })
    }

    /// Of the update that was told last.
    pub(crate) fn acknowledge(&mut self) -> Vec<String> {
        let told = self.told.clone().expect("something was told");
        let uuid = told.uuid.expect("an agent's updates have one");
        self.master(ToAgent::Acknowledge { framework: framework(), task: told.task, uuid })
    }

    pub(crate) fn happened(&mut self, happened: Happened) -> Vec<String> {
        let (container, seed) = (self.container.clone(), self.seed());
        self.feed(Input::Container { container, happened, seed })
    }

    pub(crate) fn started(&mut self) -> Vec<String> {
        let status = ContainerStatus {
            id: self.container.clone(),
            addresses: vec![],
            pid: Some(7),
            parent: None,
        };
        self.happened(Happened::Started { status })
    }

    pub(crate) fn exited(&mut self, wait_status: i32) -> Vec<String> {
        self.happened(Happened::Exited { wait_status, limitation: None })
    }

    pub(crate) fn probed(&mut self, check: usize, answer: Result<(), &str>) -> Vec<String> {
        let failed = |cause: &str| Answer::Failed(cause.to_owned());
        self.answered(check, answer.map_or_else(failed, |()| Answer::Passed))
    }

    pub(crate) fn answered(&mut self, check: usize, answer: Answer) -> Vec<String> {
        let (container, seed) = (self.container.clone(), self.seed());
        self.feed(Input::Probed { container, check, answer, seed })
    }

    /// A probe that is not for health has found this.
    pub(crate) fn looked(&mut self, look: Look, finding: Finding) -> Vec<String> {
        let (container, seed) = (self.container.clone(), self.seed());
        self.feed(Input::Looked { container, look, finding, seed })
    }

    /// Lets time pass, with every tick that is asked for.
    pub(crate) fn pass(&mut self, secs: u64) -> Vec<String> {
        let until = self.now + Duration::from_secs(secs);
        let mut said = Vec::new();
        while let Some(at) = self.node.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            said.extend(self.tick_until_quiet());
        }
        self.now = until;
        said
    }

    fn tick_until_quiet(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for _ in 0..TICKS_MAX {
            if self.node.wake_at().is_none_or(|at| self.now < at) {
                return said;
            }
            said.extend(self.feed(Input::Tick));
        }
        panic!("ticks at {:?} do not come to an end", self.now);
    }

    pub(crate) fn feed(&mut self, input: Input) -> Vec<String> {
        self.try_feed(input).expect("not refused")
    }

    fn try_feed(&mut self, input: Input) -> Result<Vec<String>, Refusal> {
        let mut out = Out::default();
        self.node.step(self.now, input, &mut out)?;
        for record in &out.records {
            self.write(record);
        }
        let (again, now) = (self.recovered().view(), self.node.view());
        assert_eq!(again.durable(), now.durable(), "replay");
        for effect in &out.effects {
            if let Effect::ToMaster(FromAgent::Checked { checks, readiness, .. }) = effect {
                self.tallies.push(checks.clone());
                self.readiness.extend(readiness.clone());
            }
        }
        let is_tally = |one: &Effect| matches!(one, Effect::ToMaster(FromAgent::Checked { .. }));
        let others = out.effects.into_iter().filter(|effect| !is_tally(effect));
        Ok(others.map(|effect| self.carry_out(effect)).collect())
    }

    fn write(&mut self, record: &Record) {
        match record.value() {
            Some(value) => self.disk.insert(record.key(), value),
            None => self.disk.remove(&record.key()),
        };
    }

    fn recovered(&self) -> Node {
        let mut node = Node::new(Config::default());
        for (key, value) in &self.disk {
            model::turn::remember(&mut node, key, value).expect("it reads what it wrote");
        }
        node
    }

    /// Says an effect in one line.
    fn carry_out(&mut self, effect: Effect) -> String {
        match effect {
            Effect::ToMaster(message) => self.say_to_master(message),
            Effect::MakeVolumes { volumes, .. } => format!("make {}", Resources::new(volumes)),
            Effect::RemoveVolumes { volumes, .. } => format!("remove {}", Resources::new(volumes)),
            Effect::Launch { container, task, .. } => {
                self.container = container;
                format!("launch {}", task.id)
            }
            Effect::LaunchExecutor { container, executor, resources, .. } => {
                self.container = container;
                format!("launch executor {} with {resources}", executor.info.id)
            }
            Effect::Resize { resources, limits, .. } if limits == Limits::default() => {
                format!("resize {resources}")
            }
            Effect::Resize { resources, limits, .. } => format!("resize {resources} {limits:?}"),
            Effect::Pool { resources, .. } => format!("pool {resources}"),
            Effect::ToExecutor { said, .. } => format!("say {}", programs::said(&said)),
            Effect::ToProvider { said, .. } => providers::told(self, said),
            Effect::Stop { container, grace } => {
                let view = self.node.view();
                let grouped = view.held.get(&container).filter(|held| held.group.is_some());
                let of = grouped.map_or(String::new(), |held| format!("{} ", held.info.id));
                format!("stop {of}{}s", grace.as_secs())
            }
            Effect::Probe { check, .. } => format!("probe {check}"),
            Effect::Look { look, .. } => format!("look {look:?}"),
            Effect::Collect { task, after, .. } => {
                format!("collect {task} in {}h", after.as_secs() / 3600)
            }
            Effect::CollectExecutor { group, after, .. } => {
                format!("collect executor {} in {}h", group.executor.id, after.as_secs() / 3600)
            }
        }
    }

    fn say_to_master(&mut self, message: FromAgent) -> String {
        match message {
            FromAgent::Register { agent, tasks, books, .. } => {
                let agent = agent.map_or("nobody".to_owned(), |agent| agent.to_string());
                let tasks: Vec<_> = tasks
                    .iter()
                    .map(|held| format!("{} {:?}", held.task.id, held.task.state))
                    .collect();
                self.revocable = books.revocable;
                self.provides = books.providers.into_iter().map(|one| one.total).collect();
                let executors: Vec<_> =
                    books.executors.iter().map(|held| held.info.id.to_string()).collect();
                match executors.as_slice() {
                    [] => format!("register {agent} {tasks:?}"),
                    _ => format!("register {agent} {tasks:?} {executors:?}"),
                }
            }
            FromAgent::Update { status, latest, place, .. } => {
                let line = said(&status, latest);
                self.place = place;
                self.told = Some(status);
                line
            }
            FromAgent::Checked { .. } => unreachable!("kept apart"),
            FromAgent::Used { tasks, .. } => {
                let all: Vec<String> =
                    tasks.iter().map(|used| format!("{} {}", used.task, used.cpu)).collect();
                format!("used {}", all.join(", "))
            }
            FromAgent::ExecutorEnded { executor, wait_status, .. } => {
                format!("executor {executor} ended {wait_status:?}")
            }
            FromAgent::Message { executor, data, .. } => {
                format!("message from {executor}: {data:?}")
            }
            FromAgent::Pong => "pong".to_owned(),
            FromAgent::Lends { revocable } => format!("lends {revocable}"),
            FromAgent::Provides { providers } => {
                self.provides = providers.into_iter().map(|one| one.total).collect();
                let all: Vec<_> = self.provides.iter().map(Resources::to_string).collect();
                format!("provides {all:?}")
            }
            FromAgent::Operated { operated, claims, provided } => {
                let latest = &operated.latest;
                let id = latest.operation.as_ref().map_or("", |id| id.as_str());
                let line = format!("{id} {:?} {claims}", latest.state);
                self.operated = Some(*operated);
                if let Some(provided) = provided {
                    self.provides = vec![provided.total];
                }
                line
            }
        }
    }

    pub(crate) fn seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }
}

fn said(status: &TaskStatus, latest: model::task::TaskState) -> String {
    let mut line = format!("{} {:?}", status.task, status.state);
    let mut add = |part: Option<String>| line.extend(part.map(|part| format!(" {part}")));
    add((latest != status.state).then(|| format!("(latest {latest:?})")));
    add(status.healthy.map(|healthy| if healthy { "well" } else { "ill" }.to_owned()));
    add(status.ready.map(|ready| if ready { "ready" } else { "unready" }.to_owned()));
    add(status.check.map(|check| format!("{check:?}")));
    add(status.reason.map(|reason| format!("{reason:?}")));
    add(status.message.clone());
    line
}

/// A uuid that no update has.
pub(crate) fn foreign_uuid() -> Uuid {
    Uuid::derive(u64::MAX, 0)
}
