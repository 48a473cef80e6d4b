//! How long the longest steps take: `cargo run --release --example kernel_turns -p kernel`.
//!
//! 10,000 agents and a framework with 100,000 tasks on them, of which it is asked, told and bereft all at once. Whatever
//! a step leaves for later ones is waited for, and its longest step is told beside the first.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch needs a clock and says what it saw"
)]

use std::time::{Duration, Instant};

use kernel::{Config, Effect, Input, Kernel, Out};
use mimalloc::MiMalloc;
use model::agent::{AgentInfo, Books, FromAgent, HeldTask, PROTOCOL};
use model::container::{CommandInfo, Run};
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, Connection, FrameworkId, Role, TaskId, Term, Uuid};
use model::limits::Limits;
use model::machine::Machine;
use model::resources::Resources;
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{Source, Task, TaskInfo, TaskState, TaskStatus};
use model::time::Time;

/// The allocator that dcos has.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const AGENTS: usize = 10_000;
const TASKS_EACH: usize = 10;
const LAUNCHES: usize = 5_000;

fn main() {
    accept();
    registration();
    large_framework(&reconcile_all, "it asks for all of them");
    large_framework(&reconcile_named, "it names all of them and asks");
    large_framework(&fail_over, "it subscribes again");
    large_framework(&tear_down, "it is torn down");
    large_framework(&tear_down_lost, "it is torn down once its agents are out of reach");
}

struct Rig {
    kernel: Kernel,
    now: Time,
    out: Out,
}

impl Rig {
    fn new() -> Self {
        let kernel = Kernel::new(Config { offer_timeout: HOUR * 1_000, ..Config::default() });
        let mut rig = Self { kernel, now: Time(1_000_000), out: Out::default() };
        let cluster = "8a1f0c52-2f6e-4f3c-9d57-0d6d9a2c6b11".to_owned();
        rig.step(Input::Lead { term: Term(1), cluster });
        rig
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.kernel.step(self.now, input, &mut self.out).expect("nothing is refused");
        self.out.records.clear();
        std::mem::take(&mut self.out.effects)
    }

    /// The step and all that follows it at once.
    fn measure(&mut self, what: &str, input: Input) {
        let start = Instant::now();
        let mut effects = self.step(input).len();
        let first = start.elapsed();
        let (mut longest, mut steps) = (Duration::ZERO, 0);
        while self.kernel.wake_at().is_some_and(|at| at <= self.now) {
            let start = Instant::now();
            effects += self.step(Input::Tick).len();
            longest = longest.max(start.elapsed());
            steps += 1;
        }
        println!(
            "{what}: {first:9.2?}, then {steps} steps of {longest:.2?} at most; {effects} effects"
        );
    }

    /// Lets time pass; says how long the longest step was.
    fn pass(&mut self, span: Duration) -> Duration {
        let (end, mut longest) = (self.now + span, Duration::ZERO);
        while let Some(at) = self.kernel.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let start = Instant::now();
            self.step(Input::Tick);
            longest = longest.max(start.elapsed());
        }
        self.now = end;
        longest
    }

    fn settle(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while self.kernel.wake_at().is_some_and(|at| at <= self.now) {
            effects.extend(self.step(Input::Tick));
        }
        effects
    }

    fn subscribe(&mut self, info: FrameworkInfo) -> FrameworkId {
        let effects = self.step(Input::Subscribe { info });
        let Some(Effect::Event(framework, _)) = effects.into_iter().next() else {
            unreachable!("the answer to a subscription")
        };
        framework
    }

    fn register(&mut self, n: usize, tasks: Vec<HeldTask>, id: Option<AgentId>) -> Input {
        let books = Books::default();
        let info = agent(n);
        let message = FromAgent::Register { protocol: PROTOCOL, agent: id, info, tasks, books };
        Input::Agent { connection: Connection(n as u64), message }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// One call that launches thousands of tasks, each with a port of its own.
fn accept() {
    let mut rig = Rig::new();
    let from = rig.subscribe(framework());
    let input = rig.register(0, vec![], None);
    rig.step(input);
    let offer = offers(rig.settle()).remove(0);
    let tasks = (0..LAUNCHES).map(|n| task(&offer, n)).collect();
    let (offers, operations) = (vec![offer.id], vec![Operation::Launch(tasks)]);
    let call = Call::Accept { offers, operations, filters: Filters::default() };
    rig.measure("5,000 launches in one ACCEPT", Input::Framework { from, call });
}

/// An agent comes with thousands of tasks, and comes again.
fn registration() {
    let mut rig = Rig::new();
    let from = rig.subscribe(framework());
    let id = AgentId::new("agent-0");
    let held = || (0..LAUNCHES).map(|n| held(&from, &id, n)).collect::<Vec<_>>();
    let input = rig.register(0, held(), Some(id.clone()));
    rig.measure("an agent with 5,000 tasks registers", input);
    let input = rig.register(0, held(), Some(id.clone()));
    rig.measure("... and again", input);
    rig.step(Input::AgentLost { connection: Connection(0) });
    println!("... until it is out of reach: steps of {:.2?} at most", rig.pass(HOUR));
}

fn large_framework(act: &dyn Fn(&mut Rig, FrameworkId), what: &str) {
    let mut rig = Rig::new();
    let from = rig.subscribe(framework());
    for n in 0..AGENTS {
        let id = AgentId::new(format!("agent-{n}"));
        let tasks = (0..TASKS_EACH).map(|m| held(&from, &id, n * TASKS_EACH + m)).collect();
        let input = rig.register(n, tasks, Some(id));
        rig.step(input);
    }
    rig.settle();
    print!("a framework with 100,000 tasks: {what}");
    act(&mut rig, from);
}

fn reconcile_all(rig: &mut Rig, from: FrameworkId) {
    rig.measure("", Input::Framework { from, call: Call::Reconcile { tasks: vec![] } });
}

fn reconcile_named(rig: &mut Rig, from: FrameworkId) {
    let named = |n: usize| (task_id(n), Some(AgentId::new(format!("agent-{}", n / TASKS_EACH))));
    let tasks = (0..AGENTS * TASKS_EACH).map(named).collect();
    rig.measure("", Input::Framework { from, call: Call::Reconcile { tasks } });
}

fn fail_over(rig: &mut Rig, from: FrameworkId) {
    rig.measure("", Input::Subscribe { info: FrameworkInfo { id: Some(from), ..framework() } });
}

fn tear_down(rig: &mut Rig, from: FrameworkId) {
    rig.measure("", Input::Framework { from, call: Call::Teardown });
}

fn tear_down_lost(rig: &mut Rig, from: FrameworkId) {
    rig.pass(HOUR * 6);
    rig.measure("", Input::Framework { from, call: Call::Teardown });
}

fn offers(effects: Vec<Effect>) -> Vec<Offer> {
    let offers = |effect| match effect {
        Effect::Event(_, Event::Offers(offers)) => offers,
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => vec![],
    };
    effects.into_iter().flat_map(offers).collect()
}

fn bag(text: &str) -> Resources {
    text.parse().expect("well formed")
}

fn agent(n: usize) -> AgentInfo {
    AgentInfo {
        hostname: format!("node-{n}.example.com"),
        ip: "10.0.0.1".to_owned(),
        port: 5051,
        resources: bag("cpus:64;mem:1000000;disk:4096;ports:[1000-32000]"),
        attributes: vec![],
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/var/lib/dcos/agents/0".to_owned(),
    }
}

fn framework() -> FrameworkInfo {
    FrameworkInfo {
        id: None,
        name: "large".to_owned(),
        user: "root".to_owned(),
        roles: vec![Role::new("large")],
        failover_timeout: HOUR * 1_000,
        checkpoint: true,
        hostname: "host".to_owned(),
        principal: None,
        webui_url: None,
        capabilities: vec![Capability::PartitionAware],
        labels: vec![],
        offer_minima: Default::default(),
    }
}

fn task_id(n: usize) -> TaskId {
    TaskId::new(format!("prod_web.instance-{n:08x}._app.1"))
}

/// Every second port, so that what is left is in many pieces.
fn need(n: usize) -> Resources {
    bag(&format!("cpus:0.01;mem:32;ports:[{0}-{0}]", 1_000 + 2 * (n % LAUNCHES)))
}

fn task(offer: &Offer, n: usize) -> TaskInfo {
    let run = Run::Shell("sleep 1000".to_owned());
    TaskInfo {
        name: "task".to_owned(),
        ..TaskInfo::plain(
            task_id(n),
            offer.agent_id.clone(),
            offer.role.clone(),
            need(n),
            CommandInfo::plain(run),
        )
    }
}

fn held(framework: &FrameworkId, agent: &AgentId, n: usize) -> HeldTask {
    let id = task_id(n);
    let status = TaskStatus {
        agent: Some(agent.clone()),
        uuid: Some(Uuid::derive(1, n as u64)),
        ..TaskStatus::plain(id.clone(), TaskState::Running, Source::Executor, Time(5))
    };
    let task = Task {
        id,
        name: "task".to_owned(),
        framework: framework.clone(),
        agent: agent.clone(),
        resources: need(n),
        role: Role::new("large"),
        state: TaskState::Running,
        status: Some(status),
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
