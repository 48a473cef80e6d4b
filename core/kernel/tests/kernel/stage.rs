//! A kernel with a store beside it and a clock in hand. Every step is followed by the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kernel::{Config, Effect, Input, Kernel, Out, Record, Refusal};
use model::agent::{AgentInfo, Books, FromAgent, HeldTask, PROTOCOL, ToAgent};
use model::container::CommandInfo;
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, Connection, ExecutorId, FrameworkId, OfferId, Role, TaskId, Term, Uuid};
use model::limits::Limits;
use model::machine::{Machine, Record as _};
use model::resources::{Resource, Resources};
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{ExecutorInfo, Source, Task, TaskInfo, TaskState, TaskStatus};
use model::time::Time;

use crate::limits;
use crate::spelled::spell;

/// More ticks at one time are a kernel that does not come to rest.
const TICKS_AT_ONE_TIME_MAX: usize = 10_000;

pub(crate) const BIG: &str = "cpus:4;mem:4096;disk:1000;ports:[1000-1999]";

pub(crate) struct Stage {
    pub(crate) kernel: Kernel,
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) term: u64,
    pub(crate) stored: BTreeMap<Vec<u8>, Vec<u8>>,
    /// All records ever written, in order.
    pub(crate) log: Vec<Record>,
    uuids: u64,
    /// Whether the invariants are checked after each step: that walks the whole cluster.
    checked: bool,
    /// What roles with a quota used after the last step, offers included.
    used: limits::Used,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let mut stage = Self {
            kernel: Kernel::new(config.clone()),
            config,
            now: Time(1_000_000),
            term: 0,
            stored: BTreeMap::new(),
            log: Vec::new(),
            uuids: 0,
            checked: true,
            used: BTreeMap::new(),
        };
        stage.lead();
        stage
    }

    /// For clusters too large to be checked after every step.
    pub(crate) fn unchecked() -> Self {
        Self::with_unchecked(Config::default())
    }

    pub(crate) fn with_unchecked(config: Config) -> Self {
        Self { checked: false, ..Self::with(config) }
    }

    /// One step, its records stored. What the kernel refuses is part of the answer.
    pub(crate) fn try_step(&mut self, input: Input) -> (Result<(), Refusal>, Vec<Effect>) {
        // What an agent says it has is so: one that is back, or that could not give up what was reserved.
        let returns = matches!(
            &input,
            Input::Agent { message: FromAgent::Register { .. } | FromAgent::Operated { .. }, .. }
        );
        let said = self.checked.then(|| input.clone());
        let mut out = Out::default();
        let done = self.kernel.step(self.now, input, &mut out);
        for record in &out.records {
            self.store(record);
        }
        self.log.extend(out.records);
        if self.checked {
            self.check();
            let view = self.kernel.view();
            self.used = limits::check(&view, &self.used, returns, said);
        }
        (done, out.effects)
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        let (done, effects) = self.try_step(input);
        done.expect("a step that is not refused");
        effects
    }

    fn store(&mut self, record: &Record) {
        let key = record.key();
        match record.value() {
            Some(value) => {
                let read = Record::read(&key, &value).expect("what was written can be read");
                assert_eq!(read, *record);
                self.stored.insert(key, value);
            }
            None => drop(self.stored.remove(&key)),
        }
    }

    /// Ticks until the kernel has nothing more to do at this time.
    pub(crate) fn settle(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..TICKS_AT_ONE_TIME_MAX {
            if self.kernel.wake_at().is_none_or(|at| at > self.now) {
                return effects;
            }
            effects.extend(self.step(Input::Tick));
        }
        panic!("the kernel does not come to rest at {:?}", self.now);
    }

    /// Lets time pass, waking the kernel whenever it wants.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<Effect> {
        let end = self.now + span;
        let mut effects = self.settle();
        while let Some(at) = self.kernel.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            effects.extend(self.settle());
        }
        self.now = end;
        effects
    }

    /// Lets time pass while every agent answers its pings.
    pub(crate) fn live(&mut self, span: Duration) -> Vec<Effect> {
        let end = self.now + span;
        let mut effects = self.answer(Vec::new());
        while let Some(at) = self.kernel.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            effects = self.answer(effects);
        }
        self.now = end;
        effects
    }

    fn answer(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        for effect in self.settle() {
            if let Effect::ToAgent(connection, ToAgent::Ping) = effect {
                self.hear(connection.0, FromAgent::Pong);
            }
            effects.push(effect);
        }
        effects
    }

    /// The next leader: a fresh kernel that has read the store.
    pub(crate) fn restart(&mut self) {
        let mut next = Kernel::new(self.config.clone());
        for (key, value) in &self.stored {
            next.apply(&Record::read(key, value).expect("what was written can be read"));
        }
        assert_eq!(next.state(), self.kernel.state(), "what is stored is what is known");
        self.kernel = next;
        self.lead();
    }

    fn lead(&mut self) {
        self.term += 1;
        self.step(Input::Lead { term: Term(self.term), cluster: "c".to_owned() });
    }

    pub(crate) fn hear(&mut self, connection: u64, message: FromAgent) -> Vec<Effect> {
        self.step(Input::Agent { connection: Connection(connection), message })
    }

    pub(crate) fn lose(&mut self, connection: u64) -> Vec<Effect> {
        self.step(Input::AgentLost { connection: Connection(connection) })
    }

    /// A new agent on this connection.
    pub(crate) fn agent(&mut self, connection: u64, resources: &str) -> AgentId {
        let effects = self.hear(connection, register(None, resources, vec![]));
        registered(&effects).expect("admitted")
    }

    pub(crate) fn subscribe(&mut self, info: FrameworkInfo) -> FrameworkId {
        let effects = self.step(Input::Subscribe { info });
        let subscribed = effects.iter().find_map(|effect| match effect {
            Effect::Event(_, Event::Subscribed { framework }) => Some(framework.clone()),
            Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
        });
        subscribed.expect("subscribed")
    }

    /// A partition-aware framework in this role.
    pub(crate) fn framework(&mut self, role: &str) -> FrameworkId {
        self.subscribe(framework(role, &[Capability::PartitionAware]))
    }

    pub(crate) fn call(&mut self, from: &FrameworkId, call: Call) -> Vec<Effect> {
        self.step(Input::Framework { from: from.clone(), call })
    }

    pub(crate) fn decline(&mut self, offer: &Offer, seconds: u64) -> Vec<Effect> {
        let filters = Filters { refuse: Duration::from_secs(seconds) };
        let call = Call::Decline { offers: vec![offer.id.clone()], filters };
        self.call(&offer.framework, call)
    }

    pub(crate) fn launch(&mut self, offer: &Offer, tasks: Vec<TaskInfo>) -> Vec<Effect> {
        self.launch_from(&offer.framework, vec![offer.id.clone()], tasks)
    }

    pub(crate) fn launch_from(
        &mut self,
        from: &FrameworkId,
        offers: Vec<OfferId>,
        tasks: Vec<TaskInfo>,
    ) -> Vec<Effect> {
        let filters = Filters { refuse: Duration::ZERO };
        let operations = vec![Operation::Launch(tasks)];
        self.call(from, Call::Accept { offers, operations, filters })
    }

    pub(crate) fn launch_group(
        &mut self,
        offer: &Offer,
        executor: ExecutorInfo,
        tasks: Vec<TaskInfo>,
    ) -> Vec<Effect> {
        let filters = Filters { refuse: Duration::ZERO };
        let operations = vec![Operation::LaunchGroup { executor, tasks }];
        let offers = vec![offer.id.clone()];
        self.call(&offer.framework, Call::Accept { offers, operations, filters })
    }

    /// An agent, a framework and a task of it that runs there, reported and acknowledged.
    pub(crate) fn running(&mut self, capabilities: &[Capability]) -> (AgentId, FrameworkId) {
        let agent = self.agent(1, BIG);
        let framework = self.subscribe(framework("*", capabilities));
        let offer = offers(&self.settle()).remove(0);
        self.launch(&offer, vec![task("t", &offer, "cpus:1;mem:128")]);
        self.report(1, &framework, "t", TaskState::Running, TaskState::Running);
        (agent, framework)
    }

    pub(crate) fn report(
        &mut self,
        connection: u64,
        framework: &FrameworkId,
        task: &str,
        state: TaskState,
        latest: TaskState,
    ) -> (Uuid, Vec<Effect>) {
        self.uuids += 1;
        let uuid = Uuid::derive(7, self.uuids);
        let status = status(task, state, Some(uuid), self.now);
        let update =
            FromAgent::Update { framework: framework.clone(), status, latest, place: None };
        (uuid, self.hear(connection, update))
    }

    pub(crate) fn state_of(&self, framework: &FrameworkId, task: &str) -> Option<TaskState> {
        Some(self.kernel.view().task(framework, &TaskId::new(task))?.state)
    }

    /// What must hold after every step.
    fn check(&self) {
        self.kernel.audit();
        let view = self.kernel.view();
        let mut offered = view.offered();
        for offer in view.offers.values() {
            assert!(view.agents[&offer.agent_id].connected, "offers are of connected agents");
            assert!(view.frameworks[&offer.framework].connected, "and to connected frameworks");
        }
        for (id, agent) in &view.agents {
            let offered = offered.remove(id).unwrap_or_default();
            let mut taken = offered;
            agent.in_use.values().for_each(|held| taken.add(&held.only(|one| !one.shared)));
            let total = agent.total();
            // What is lent may be less by now than what is used of it, and a provider may be away.
            let is_there = |one: &Resource| {
                let known = agent.provided.iter().any(|by| Some(&by.id) == one.provider());
                one.provider.is_none() || known
            };
            let taken = taken.only(|one| !one.revocable && is_there(one));
            assert!(total.contains(&taken), "{id} has {total}, but {taken} are taken");
            if agent.connected {
                assert_eq!(agent.in_use, held_by_tasks(&view, id), "{id}: held by tasks");
            }
        }
    }
}

fn held_by_tasks(view: &kernel::view::View, agent: &AgentId) -> BTreeMap<Role, Resources> {
    let mut held: BTreeMap<Role, Resources> = BTreeMap::new();
    let mut executors = BTreeSet::new();
    let tasks = view.tasks.values().flat_map(|tasks| tasks.values());
    let tasks = tasks.chain(view.doubles.values().flat_map(|of| of.values()));
    for task in tasks.filter(|task| task.agent == *agent && !task.state.is_terminal()) {
        let sum = held.entry(task.role.clone()).or_default();
        sum.add(&task.resources);
        if let Some(executor) = &task.executor
            && executor.program.is_none()
            && executors.insert((&task.framework, &executor.id))
        {
            sum.add(&executor.resources);
        }
    }
    for executor in &view.agents[agent].executors {
        held.entry(executor.role.clone()).or_default().add(&executor.info.resources);
    }
    held
}

pub(crate) fn bag(text: &str) -> Resources {
    text.parse().expect(text)
}

pub(crate) fn info(resources: &str) -> AgentInfo {
    AgentInfo {
        hostname: "host".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: bag(resources),
        attributes: vec![],
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/var/lib/dcos/agent".to_owned(),
    }
}

pub(crate) fn register(
    agent: Option<&AgentId>,
    resources: &str,
    tasks: Vec<HeldTask>,
) -> FromAgent {
    FromAgent::Register {
        protocol: PROTOCOL,
        agent: agent.cloned(),
        info: info(resources),
        tasks,
        books: Books::default(),
    }
}

pub(crate) fn framework(role: &str, capabilities: &[Capability]) -> FrameworkInfo {
    FrameworkInfo {
        id: None,
        name: format!("scheduler of {role}"),
        user: "root".to_owned(),
        roles: vec![Role::new(role)],
        failover_timeout: Duration::from_secs(3600),
        checkpoint: true,
        hostname: "host".to_owned(),
        principal: None,
        webui_url: None,
        capabilities: capabilities.to_vec(),
        labels: vec![],
        offer_minima: Default::default(),
    }
}

pub(crate) fn task(id: &str, offer: &Offer, resources: &str) -> TaskInfo {
    TaskInfo::plain(
        TaskId::new(id),
        offer.agent_id.clone(),
        offer.role.clone(),
        bag(resources),
        CommandInfo::shell("sleep 1000"),
    )
}

pub(crate) fn executor(id: &str, resources: &str) -> ExecutorInfo {
    ExecutorInfo::plain(ExecutorId::new(id), bag(resources))
}

pub(crate) fn status(task: &str, state: TaskState, uuid: Option<Uuid>, at: Time) -> TaskStatus {
    TaskStatus { uuid, ..TaskStatus::plain(TaskId::new(task), state, Source::Executor, at) }
}

/// A task as its agent holds it.
pub(crate) fn held(
    framework: &FrameworkId,
    agent: &AgentId,
    id: &str,
    resources: &str,
    state: TaskState,
) -> HeldTask {
    let task = Task {
        id: TaskId::new(id),
        name: id.to_owned(),
        framework: framework.clone(),
        agent: agent.clone(),
        resources: bag(resources),
        role: Role::star(),
        state,
        status: Some(status(id, state, Some(Uuid::derive(9, 9)), Time(5))),
        labels: vec![],
        discovery: None,
        container: None,
        user: None,
        executor: None,
        limits: Limits::default(),
        earlier: Vec::new(),
        more: None,
    };
    HeldTask { task, place: None }
}

pub(crate) fn registered(effects: &[Effect]) -> Option<AgentId> {
    effects.iter().find_map(|effect| match effect {
        Effect::ToAgent(_, ToAgent::Registered { agent }) => Some(agent.clone()),
        Effect::ToAgent(..) | Effect::Event(..) | Effect::Disconnect(_) => None,
    })
}

pub(crate) fn offers(effects: &[Effect]) -> Vec<Offer> {
    let of = |effect: &Effect| match effect {
        Effect::Event(_, Event::Offers(offers)) => offers.clone(),
        Effect::ToAgent(..) | Effect::Event(..) | Effect::Disconnect(_) => vec![],
    };
    effects.iter().flat_map(of).collect()
}

/// The effects as one would tell them, offers and pings left out: `TASK_RUNNING t` to the framework, `Run t` to the agent.
pub(crate) fn told(effects: &[Effect]) -> Vec<String> {
    let tell = |effect: &Effect| match effect {
        Effect::Event(_, Event::Offers(_)) | Effect::ToAgent(_, ToAgent::Ping) => None,
        Effect::Event(_, Event::Update(status)) => {
            let reason = status.reason.map(|reason| format!(" {reason:?}")).unwrap_or_default();
            Some(format!("{:?} {}{reason}", status.state, status.task))
        }
        Effect::Event(_, Event::UpdateOperation(status)) => {
            let id = status.operation.as_ref().map_or("", |id| id.as_str());
            Some(format!("{:?} {id}", status.state))
        }
        Effect::Event(_, Event::Subscribed { .. }) => Some("Subscribed".to_owned()),
        Effect::Event(_, Event::Rescind(_)) => Some("Rescind".to_owned()),
        Effect::Event(_, Event::Checked { task, checks, .. }) => {
            Some(format!("Checked {task} {}", checks.len()))
        }
        Effect::Event(_, Event::Used(tasks)) => Some(format!("Used {}", tasks.len())),
        Effect::Event(_, Event::Away(agent)) => Some(format!("Away {agent}")),
        Effect::Event(_, Event::Failure { agent, executor }) => Some(match executor {
            None => format!("Failure {agent}"),
            Some(ended) => format!("Failure {} {:?}", ended.executor, ended.wait_status),
        }),
        Effect::Event(_, Event::Message { executor, data, .. }) => {
            Some(format!("Message from {executor}: {data:?}"))
        }
        Effect::Event(_, Event::InverseOffers(offers)) => {
            Some(format!("InverseOffers {}", offers.len()))
        }
        Effect::Event(_, Event::RescindInverse(_)) => Some("RescindInverse".to_owned()),
        Effect::Event(_, Event::Error(cause)) => Some(format!("Error {cause}")),
        Effect::Disconnect(connection) => Some(format!("Disconnect {}", connection.0)),
        Effect::ToAgent(connection, letter) => {
            Some(format!("{} to {}", spell(letter), connection.0))
        }
    };
    effects.iter().filter_map(tell).collect()
}
