//! The laws under a random operator: replay, seed and wake; and that the cluster comes to one mind once all is well.
//!
//! Agents here keep what they run and repeat what was not acknowledged; letters are lost whenever a stream breaks.

mod converting;

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::operator::Order;
use kernel::quota::{Quantities, Quota};
use kernel::{Config, Effect, Input, Record};
use model::agent::{Books, FromAgent, HeldTask, PROTOCOL, ToAgent};
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, Connection, FrameworkId, OfferId, Role, TaskId, Uuid};
use model::operation::{Operated, OperationState, OperationStatus};
use model::resources::Resource;
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{ExecutorInfo, Task, TaskInfo, TaskState, TaskStatus};

use crate::lots::fairness;
use crate::stage::{Stage, executor, framework, info, status, task};

const ROLES: [&str; 4] = ["*", "a", "a/b", "c"];
const SIZES: [&str; 3] = [
    "cpus:0.3;mem:100",
    "cpus:1.7;mem:64;ports:[1001-1002]",
    "cpus:0.001;mem:700;ports:[1500-1600]",
];
const STEPS: usize = 600;
const RESOURCES: &str =
    "cpus:4;mem:2000;disk:20;ports:[1000-1999];cpus(a):2;mem(a):500;disk(a):8;ports(a):[2000-2100]";

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("small")
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        (!all.is_empty()).then(|| &all[self.roll(all.len())])
    }
}

#[derive(Default)]
struct Agent {
    id: Option<AgentId>,
    connection: Option<u64>,
    tasks: BTreeMap<(FrameworkId, TaskId), Held>,
    books: Books,
}

impl Agent {
    fn run(&mut self, framework: FrameworkId, task: &TaskInfo, executor: Option<&ExecutorInfo>) {
        let task = Task::staged(framework.clone(), task, executor);
        let double =
            self.tasks.insert((framework, task.id.clone()), Held { task, pending: vec![] });
        assert!(double.is_none(), "a task is run once");
    }
}

struct Held {
    task: Task,
    /// Not acknowledged, oldest first.
    pending: Vec<TaskStatus>,
}

struct World {
    stage: Stage,
    dice: Dice,
    agents: Vec<Agent>,
    frameworks: Vec<FrameworkId>,
    offers: Vec<Offer>,
    launched: Vec<(FrameworkId, TaskId)>,
    operated: Vec<(FrameworkId, OperationStatus)>,
    connections: u64,
    serial: u64,
    /// Whether operators change quotas.
    limits: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = Config {
            ping_interval: Duration::from_secs(1),
            pings_missed_max: 4,
            reregister_timeout: Duration::from_secs(8),
            offer_timeout: Duration::from_secs(5),
            fairness: fairness(seed),
            ..Config::default()
        };
        Self {
            stage: Stage::with(config),
            dice: Dice(seed),
            agents: (0..5).map(|_| Agent::default()).collect(),
            frameworks: Vec::new(),
            offers: Vec::new(),
            launched: Vec::new(),
            operated: Vec::new(),
            connections: 0,
            serial: 0,
            limits: false,
        }
    }

    fn input(&mut self, input: Input) {
        let (_, effects) = self.stage.try_step(input);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Event(framework, Event::UpdateOperation(status)) => {
                    self.operated.push((framework, status));
                }
                Effect::Event(_, event) => self.event(event),
                Effect::ToAgent(connection, letter) => self.letter(connection, letter),
                Effect::Disconnect(connection) => {
                    let gone = |agent: &&mut Agent| agent.connection == Some(connection.0);
                    self.agents.iter_mut().filter(gone).for_each(|agent| agent.connection = None);
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Offers(offers) => self.offers.extend(offers),
            // Sometimes the news comes too late.
            Event::Rescind(id) if self.dice.roll(4) > 0 => {
                self.offers.retain(|offer| offer.id != id)
            }
            Event::Rescind(_)
            | Event::Subscribed { .. }
            | Event::Update(_)
            | Event::UpdateOperation(_)
            | Event::Checked { .. }
            | Event::Used(_)
            | Event::Message { .. }
            | Event::Failure { .. }
            | Event::Away(_)
            | Event::InverseOffers(_)
            | Event::RescindInverse(_)
            | Event::Error(_) => {}
        }
    }

    fn letter(&mut self, connection: Connection, letter: ToAgent) {
        let at = self.agents.iter().position(|agent| agent.connection == Some(connection.0));
        let Some(at) = at else { return };
        let agent = &mut self.agents[at];
        match letter {
            ToAgent::Registered { agent: id } => agent.id = Some(id),
            ToAgent::Refused { cause } => panic!("nobody here is to be refused: {cause}"),
            ToAgent::Run { framework, task, .. } => agent.run(framework, &task, None),
            ToAgent::RunGroup { framework, executor, tasks, .. } => {
                tasks.iter().for_each(|task| agent.run(framework.clone(), task, Some(&executor)));
            }
            ToAgent::RunIn(_) | ToAgent::ShutdownExecutor { .. } | ToAgent::Message { .. } => {
                unreachable!("no framework here has executors of its own")
            }
            ToAgent::Kill { framework, task, .. } => {
                self.change(at, &(framework, task), TaskState::Killed);
            }
            ToAgent::Acknowledge { framework, task, uuid } => {
                let key = (framework, task);
                let Some(held) = agent.tasks.get_mut(&key) else { return };
                held.pending.retain(|status| status.uuid != Some(uuid));
                if held.pending.is_empty() && held.task.state.is_terminal() {
                    agent.tasks.remove(&key);
                }
                self.report(at, &key);
            }
            ToAgent::Ping => self.input(Input::Agent { connection, message: FromAgent::Pong }),
            ToAgent::Shutdown { framework } => {
                self.forget_operations(at, &framework);
                self.shut_down(at, connection, &framework);
            }
            ToAgent::Convert { operation, framework, id, conversion, .. } => {
                let latest = OperationStatus::new(id, OperationState::Pending, "");
                self.convert(at, Operated { uuid: operation, framework, conversion, latest });
            }
            ToAgent::AcknowledgeOperation { uuid, .. } => self.operation_acknowledged(at, uuid),
        }
    }

    fn shut_down(&mut self, at: usize, connection: Connection, framework: &FrameworkId) {
        let keys: Vec<_> = self.agents[at].tasks.keys().cloned().collect();
        for key in keys.into_iter().filter(|key| key.0 == *framework) {
            self.agents[at].tasks.remove(&key);
            let (status, latest) = (self.status(&key.1, TaskState::Killed), TaskState::Killed);
            let message = FromAgent::Update { framework: key.0, status, latest, place: None };
            self.input(Input::Agent { connection, message });
        }
    }

    fn status(&mut self, task: &TaskId, state: TaskState) -> TaskStatus {
        self.serial += 1;
        status(task.as_str(), state, Some(Uuid::derive(3, self.serial)), self.stage.now)
    }

    /// A task changes, and the agent says so if it can.
    fn change(&mut self, at: usize, key: &(FrameworkId, TaskId), state: TaskState) {
        let status = self.status(&key.1, state);
        let Some(held) = self.agents[at].tasks.get_mut(key) else { return };
        if held.task.state.is_terminal() {
            return;
        }
        held.task.state = state;
        held.pending.push(status);
        self.report(at, key);
    }

    fn report(&mut self, at: usize, key: &(FrameworkId, TaskId)) {
        let agent = &self.agents[at];
        let Some(held) = agent.tasks.get(key) else { return };
        let (Some(status), Some(connection)) = (held.pending.first(), agent.connection) else {
            return;
        };
        let (status, latest) = (status.clone(), held.task.state);
        let message = FromAgent::Update { framework: key.0.clone(), status, latest, place: None };
        self.input(Input::Agent { connection: Connection(connection), message });
    }

    fn connect(&mut self, at: usize) {
        self.connections += 1;
        let agent = &mut self.agents[at];
        agent.connection = Some(self.connections);
        let tasks = agent.tasks.values().map(|held| {
            let status = held.pending.last().cloned();
            HeldTask { task: Task { status, ..held.task.clone() }, place: None }
        });
        let message = FromAgent::Register {
            protocol: PROTOCOL,
            agent: agent.id.clone(),
            info: info(RESOURCES),
            tasks: tasks.collect(),
            books: agent.books.clone(),
        };
        self.input(Input::Agent { connection: Connection(self.connections), message });
        let keys: Vec<_> = self.agents[at].tasks.keys().cloned().collect();
        keys.iter().for_each(|key| self.report(at, key));
        self.report_operations(at);
    }

    fn call(&mut self, from: FrameworkId, call: Call) {
        self.input(Input::Framework { from, call });
    }

    /// Something happens.
    fn act(&mut self) {
        let at = self.dice.roll(self.agents.len());
        match self.dice.roll(18) {
            0 if self.agents[at].connection.is_none() => self.connect(at),
            1 if self.dice.roll(3) == 0 => self.connect(at),
            2 if self.dice.roll(3) == 0 => self.cut(at),
            3 => self.subscribe(),
            4 => self.lose_framework(),
            5..=8 => self.answer_offer(),
            9..=10 => self.move_task(at),
            11 => self.acknowledge_some(at),
            12 if self.limits && self.dice.roll(4) == 0 => self.limit_something(),
            12 => self.call_something(),
            13 if self.dice.roll(20) == 0 => self.restart(),
            14 if self.dice.roll(4) == 0 => self.operate(at),
            15 => self.report_operations(at),
            16 if self.dice.roll(2) == 0 => self.acknowledge_operations(),
            _ => {
                let span = Duration::from_millis(self.dice.roll(2_000) as u64);
                self.wait(span);
            }
        }
    }

    /// An operator changes a quota, by force or as far as it is allowed.
    fn limit_something(&mut self) {
        let limits = ["", "cpus:0.5", "cpus:3;mem:1500", "cpus:8", "mem:300", "cpus:1.001;mem:90"];
        let limits = limits[self.dice.roll(limits.len())].parse().expect("resources");
        let quota = Quota { limits: Quantities::of(&limits), ..Quota::default() };
        let quotas = vec![(Role::new(ROLES[1 + self.dice.roll(3)]), quota)];
        let force = self.dice.roll(3) == 0;
        self.input(Input::Operator { order: Order::UpdateQuota { quotas, force } });
    }

    fn wait(&mut self, span: Duration) {
        let end = self.stage.now + span;
        loop {
            let effects = self.stage.settle();
            self.carry_out(effects);
            match model::machine::Machine::wake_at(&self.stage.kernel).filter(|at| *at <= end) {
                Some(at) => self.stage.now = self.stage.now.max(at),
                None => break,
            }
        }
        self.stage.now = end;
    }

    fn cut(&mut self, at: usize) {
        if let Some(connection) = self.agents[at].connection.take() {
            self.input(Input::AgentLost { connection: Connection(connection) });
        }
    }

    fn restart(&mut self) {
        self.agents.iter_mut().for_each(|agent| agent.connection = None);
        self.stage.restart();
    }

    fn subscribe(&mut self) {
        if let Some(id) = self.dice.pick(&self.frameworks).cloned()
            && let Some(known) = self.stage.kernel.state().active(&id)
        {
            let info = known.info.as_ref().clone();
            return self.input(Input::Subscribe { info });
        }
        if self.frameworks.len() < 6 {
            let all = [Capability::PartitionAware, Capability::SharedResources];
            let capabilities = [&all[..], &[]][self.dice.roll(2)];
            let failover_timeout = Duration::from_secs(self.dice.roll(30) as u64);
            let role = ROLES[self.dice.roll(ROLES.len())];
            let info = FrameworkInfo { failover_timeout, ..framework(role, capabilities) };
            self.frameworks.push(self.stage.subscribe(info));
        }
    }

    fn lose_framework(&mut self) {
        let Some(framework) = self.dice.pick(&self.frameworks).cloned() else { return };
        match self.dice.roll(10) {
            0 => self.call(framework, Call::Teardown),
            1..=3 => self.input(Input::FrameworkLost { framework }),
            _ => self.call(framework, Call::Revive { roles: vec![] }),
        }
    }

    fn answer_offer(&mut self) {
        if self.offers.is_empty() {
            return;
        }
        let offer = self.offers.remove(self.dice.roll(self.offers.len()));
        let filters = Filters { refuse: Duration::from_secs(self.dice.roll(4) as u64) };
        let offers = vec![offer.id.clone()];
        if self.dice.roll(4) == 0 {
            return self.call(offer.framework, Call::Decline { offers, filters });
        }
        if self.dice.roll(3) == 0 {
            let operations = self.conversions(&offer);
            let from = offer.framework.clone();
            return self.call(from, Call::Accept { offers, operations, filters });
        }
        let tasks = (0..self.dice.roll(4)).map(|_| {
            self.serial += 1;
            let id = format!("t{}", self.serial - self.dice.roll(2) as u64);
            self.launched.push((offer.framework.clone(), TaskId::new(id.as_str())));
            let mut task = task(&id, &offer, SIZES[self.dice.roll(SIZES.len())]);
            let volumes = offer.resources.only(Resource::is_persistent_volume);
            if self.dice.roll(2) == 0 {
                task.resources.add(&volumes);
            }
            task
        });
        let tasks = tasks.collect();
        let operations = match self.dice.roll(3) {
            0 => {
                // Two names, so that groups join executors and clash with others of the name.
                let id = ["pod", "t1"][self.dice.roll(2)];
                let executor = executor(id, ["cpus:0.1;mem:32", ""][self.dice.roll(4) / 3]);
                vec![Operation::LaunchGroup { executor, tasks }]
            }
            _ => vec![Operation::Launch(tasks)],
        };
        self.call(offer.framework.clone(), Call::Accept { offers, operations, filters });
    }

    fn move_task(&mut self, at: usize) {
        let keys: Vec<_> = self.agents[at].tasks.keys().cloned().collect();
        let Some(key) = self.dice.pick(&keys).cloned() else { return };
        match self.dice.roll(4) {
            0 => self.report(at, &key),
            1 => self.change(at, &key, TaskState::Finished),
            2 => self.change(at, &key, TaskState::Failed),
            _ => self.change(at, &key, TaskState::Running),
        }
    }

    fn acknowledge_some(&mut self, at: usize) {
        let pending: Vec<_> = self.agents[at]
            .tasks
            .iter()
            .filter_map(|(key, held)| Some((key.clone(), held.pending.first()?.uuid?)))
            .collect();
        let Some(agent) = self.agents[at].id.clone() else { return };
        for ((from, task), uuid) in pending {
            let agent = agent.clone();
            self.call(from, Call::Acknowledge { agent, task, uuid });
        }
    }

    fn call_something(&mut self) {
        let Some(from) = self.dice.pick(&self.frameworks).cloned() else { return };
        let task = self.dice.pick(&self.launched).map(|(_, task)| task.clone());
        let task = task.unwrap_or_else(|| TaskId::new("nothing"));
        let agent = self.dice.pick(&self.agents).and_then(|agent| agent.id.clone());
        let call = match self.dice.roll(6) {
            0 => Call::Kill { task, agent, grace: None },
            1 => Call::Reconcile { tasks: vec![(task, agent)] },
            2 => Call::Reconcile { tasks: vec![] },
            3 => Call::Suppress { roles: vec![Role::new(ROLES[self.dice.roll(ROLES.len())])] },
            4 => Call::Decline { offers: vec![OfferId::new("c-O1")], filters: Filters::default() },
            _ => Call::Revive { roles: vec![] },
        };
        self.call(from, call);
    }

    /// All is well for a while: agents are connected, every update is told and acknowledged.
    fn heal(&mut self) {
        for _ in 0..20 {
            for at in 0..self.agents.len() {
                if self.agents[at].connection.is_none() {
                    self.connect(at);
                }
                let keys: Vec<_> = self.agents[at].tasks.keys().cloned().collect();
                keys.iter().for_each(|key| self.report(at, key));
                self.acknowledge_some(at);
                self.report_operations(at);
            }
            self.acknowledge_operations();
            self.wait(Duration::from_secs(1));
        }
    }

    /// The kernel and its agents hold the same tasks, those of live frameworks at least.
    fn agree(&self) {
        let view = self.stage.kernel.view();
        let mut known: Vec<_> = view
            .tasks
            .iter()
            .flat_map(|(framework, tasks)| {
                tasks.values().map(move |task| (framework.clone(), task.id.clone(), task.state))
            })
            .collect();
        let doubles = view.doubles.iter().flat_map(|((framework, task), of)| {
            of.values().map(move |double| (framework.clone(), task.clone(), double.state))
        });
        known.extend(doubles);
        known.sort();
        let mut held: Vec<_> = self
            .agents
            .iter()
            .flat_map(|agent| &agent.tasks)
            .map(|((framework, task), held)| (framework.clone(), task.clone(), held.task.state))
            .collect();
        held.sort();
        assert_eq!(known, held);
        self.agree_on_claims();
    }
}

fn run(seed: u64) -> Vec<Record> {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.act();
    }
    world.heal();
    world.agree();
    world.restart();
    world.heal();
    world.agree();
    world.stage.log
}

#[test]
fn a_random_run_keeps_the_laws_and_ends_in_agreement() {
    for seed in 0..40 {
        run(seed);
    }
}

#[test]
fn no_role_passes_its_limit_in_a_random_run() {
    for seed in 0..30 {
        let mut world = World { limits: true, ..World::new(seed) };
        (0..STEPS).for_each(|_| world.act());
        world.restart();
        (0..STEPS).for_each(|_| world.act());
    }
}

#[test]
fn the_same_seed_gives_the_same_records() {
    let (one, two) = (run(4711), run(4711));
    assert!(one.len() > 50, "{} records", one.len());
    assert_eq!(one, two);
}
