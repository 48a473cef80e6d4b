//! What the kernel alone costs per task, from launch to acknowledgement: `cargo run --release --example kernel_throughput -p kernel`.
//!
//! The scheduler here accepts every offer with as many tasks as fit its script; the agents report TASK_RUNNING. A
//! snapshot of the view is held as the engine holds one, and renewed after every batch. The times are the wall's: on a
//! busy machine look at the last line, the processor time of the whole process, this example's own part included.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch needs a clock and says what it saw"
)]

use std::time::{Duration, Instant};

use kernel::{Config, Effect, Input, Kernel, Out};
use mimalloc::MiMalloc;
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL, ToAgent};
use model::container::CommandInfo;
use model::framework::{Capability, FrameworkInfo};
use model::id::{Connection, FrameworkId, Role, TaskId, Term, Uuid};
use model::machine::Machine;
use model::resources::{Amount, Ranges, Resource, ResourceName, Resources, Scalar};
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;

/// The allocator that dcos has.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const TASKS: usize = 100_000;
const TASKS_PER_ACCEPT: usize = 20;
/// Steps between two snapshots, as in one commit of the engine.
const STEPS_PER_SNAPSHOT: usize = 64;

fn main() {
    for agents in [500, 5_000] {
        measure(agents);
    }
}

struct Bench {
    kernel: Kernel,
    out: Out,
    now: Time,
    steps: usize,
    snapshot: kernel::view::View,
    spent: [Duration; 4],
}

const NAMES: [&str; 4] = ["offers", "accept", "update", "acknowledge"];

impl Bench {
    fn step(&mut self, kind: usize, input: Input) -> Vec<Effect> {
        let start = Instant::now();
        self.kernel.step(self.now, input, &mut self.out).expect("nothing is refused");
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_SNAPSHOT) {
            self.snapshot = self.kernel.view();
        }
        self.spent[kind] += start.elapsed();
        self.out.records.clear();
        std::mem::take(&mut self.out.effects)
    }
}

fn measure(agents: usize) {
    let kernel = Kernel::new(Config::default());
    let snapshot = kernel.view();
    let now = Time(1_000_000);
    let spent = [Duration::ZERO; 4];
    let mut bench = Bench { kernel, out: Out::default(), now, steps: 0, snapshot, spent };
    let cluster = "8a1f0c52-2f6e-4f3c-9d57-0d6d9a2c6b11".to_owned();
    bench.step(0, Input::Lead { term: Term(1), cluster });
    for n in 0..agents {
        let message = FromAgent::Register {
            protocol: PROTOCOL,
            agent: None,
            info: info(n),
            tasks: vec![],
            books: Books::default(),
        };
        bench.step(0, Input::Agent { connection: Connection(n as u64), message });
    }
    let registered = bench.spent[0];
    let effects = bench.step(0, Input::Subscribe { info: framework() });
    let Some(Effect::Event(framework, _)) = effects.into_iter().next() else {
        unreachable!("the answer to a subscription")
    };
    bench.spent = [Duration::ZERO; 4];
    let cpu_before = cpu_ns();
    let mut launched = 0;
    while launched < TASKS {
        for effect in bench.step(0, Input::Tick) {
            if let Effect::Event(_, Event::Offers(offers)) = effect {
                for offer in offers {
                    launched += accept(&mut bench, &framework, &offer, launched);
                }
            }
        }
    }
    println!(
        "{agents} agents: registration {} ns each, then {launched} tasks",
        registered.as_nanos() / agents as u128
    );
    for (name, spent) in NAMES.iter().zip(bench.spent) {
        println!("  {name:12} {:6} ns per task", spent.as_nanos() / launched as u128);
    }
    let total: Duration = bench.spent.iter().sum();
    println!("  {:12} {:6} ns per task", "in all", total.as_nanos() / launched as u128);
    let cpu = cpu_ns().saturating_sub(cpu_before) / launched as u64;
    println!("  {:12} {cpu:6} ns per task", "cpu of all");
}

/// User and system time of this process, in hundredths of a second.
fn cpu_ns() -> u64 {
    let stat =
        std::fs::read_to_string("/proc/self/stat").expect("Linux says what a process has used");
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() * 10_000_000
}

fn accept(bench: &mut Bench, framework: &FrameworkId, offer: &Offer, launched: usize) -> usize {
    let count = TASKS_PER_ACCEPT.min(TASKS.saturating_sub(launched));
    let tasks = (0..count).map(|n| task(offer, launched + n)).collect();
    let call = Call::Accept {
        offers: vec![offer.id.clone()],
        operations: vec![Operation::Launch(tasks)],
        filters: Filters { refuse: Duration::ZERO },
    };
    let from = framework.clone();
    let effects = bench.step(1, Input::Framework { from, call });
    let mut ran = 0;
    for effect in effects {
        let Effect::ToAgent(connection, ToAgent::Run { task, .. }) = effect else { continue };
        ran += 1;
        let uuid = Uuid::derive(1, (launched + ran) as u64);
        let status = status(task.id.clone(), offer, uuid);
        let (framework, latest) = (framework.clone(), TaskState::Running);
        let message = FromAgent::Update { framework, status, latest, place: None };
        bench.step(2, Input::Agent { connection, message });
        let call = Call::Acknowledge { agent: offer.agent_id.clone(), task: task.id, uuid };
        bench.step(3, Input::Framework { from: offer.framework.clone(), call });
    }
    assert_eq!(ran, count);
    ran
}

fn info(n: usize) -> AgentInfo {
    let resources = "cpus:64;mem:262144;disk:1000000;ports:[1025-2180,2182-3887,3889-5049,5052-8079,8082-8180,8182-32000]";
    AgentInfo {
        hostname: format!("node-{n}.example.com"),
        ip: "10.0.0.1".to_owned(),
        port: 5051,
        resources: resources.parse().expect("well formed"),
        attributes: model::attributes::parse("rack:a;ssd:true").expect("well formed"),
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/var/lib/dcos/agents/0".to_owned(),
    }
}

fn framework() -> FrameworkInfo {
    FrameworkInfo {
        id: None,
        name: "marathon".to_owned(),
        user: "root".to_owned(),
        roles: vec![Role::new("slave_public")],
        failover_timeout: Duration::from_secs(3600),
        checkpoint: true,
        hostname: "host".to_owned(),
        principal: None,
        webui_url: None,
        capabilities: vec![Capability::PartitionAware],
        labels: vec![],
        offer_minima: Default::default(),
    }
}

fn task(offer: &Offer, n: usize) -> TaskInfo {
    let port = 10_000 + (n % TASKS_PER_ACCEPT) as u64 + 20 * ((n / 20 / 500) % 100) as u64;
    let free = offer.resources.ports();
    let port =
        if free.has(port) { port } else { free.values().next().expect("a port") + (n % 20) as u64 };
    let scalar = |name, amount| Resource::plain(name, Amount::Scalar(Scalar(amount)));
    let ports = Amount::Ranges(Ranges::single(port));
    TaskInfo {
        name: "frontend.web.prod".to_owned(),
        ..TaskInfo::plain(
            TaskId::new(format!("prod_web_frontend.instance-{:032x}._app.1", n as u128 * 7919)),
            offer.agent_id.clone(),
            offer.role.clone(),
            Resources::new([
                scalar(ResourceName::Cpus, 10),
                scalar(ResourceName::Mem, 32_000),
                Resource::plain(ResourceName::Ports, ports),
            ]),
            CommandInfo {
                environment: vec![("MARATHON_APP_ID".to_owned(), "/prod/web/frontend".to_owned())],
                ..CommandInfo::shell("sleep 1000")
            },
        )
    }
}

fn status(task: TaskId, offer: &Offer, uuid: Uuid) -> TaskStatus {
    TaskStatus {
        agent: Some(offer.agent_id.clone()),
        uuid: Some(uuid),
        ..TaskStatus::plain(task, TaskState::Running, Source::Executor, Time(5))
    }
}
