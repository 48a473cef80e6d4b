//! What one instance costs services, from offer to running: `cargo run --release --example services_throughput -p services`.
//!
//! One app of 100,000 instances over 500 and over 5,000 agents. Only the processor's time within services counts; after each batch
//! a snapshot is taken and held until the next, as readers do.

#![allow(clippy::print_stdout, reason = "a measurement")]

use std::collections::BTreeMap;
use std::sync::Arc;

use model::agent::AgentInfo;
use model::id::{AgentId, FrameworkId, OfferId, Role, Term, Uuid};
use model::machine::{Machine, Record as _};
use model::resources::{Resources, Scalar};
use model::scheduler::{Call, Event, Offer, Operation};
use model::task::{Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;
use services::spec::{AppSpec, PortDefinition, Process, UnreachableStrategy};
use services::view::View;
use services::{Change, Config, Effect, Input, Order, Out, Services};

const NOW: Time = Time(1_700_000_000_000);
const INSTANCES: usize = 100_000;
const OFFERS_PER_EVENT: usize = 50;
const INPUTS_PER_BATCH: usize = 1_000;

fn main() {
    for agents in [500, 5_000] {
        run(agents, Constrained::No);
    }
    run(5_000, Constrained::Yes);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constrained {
    No,
    Yes,
}

/// Services under the stopwatch, which counts the processor's time, not the time that others had it.
struct Bench {
    services: Services,
    inputs: usize,
    snapshot: View,
    outs: Vec<Out>,
}

impl Bench {
    /// Nanoseconds spent within services.
    fn play(&mut self, inputs: Vec<Input>) -> u128 {
        self.outs = Vec::with_capacity(2 * inputs.len());
        let begin = cpu_ns();
        for input in inputs {
            self.step(input);
            while self.services.wake_at().is_some_and(|at| at <= NOW) {
                self.step(Input::Tick);
            }
        }
        cpu_ns() - begin
    }

    fn step(&mut self, input: Input) {
        let mut out = Out::default();
        self.services.step(NOW, input, &mut out).expect("taken");
        self.outs.push(out);
        self.inputs += 1;
        if self.inputs.is_multiple_of(INPUTS_PER_BATCH) {
            self.snapshot = self.services.view();
        }
    }

    fn launched(&self) -> Vec<TaskInfo> {
        let effects = self.outs.iter().flat_map(|out| &out.effects);
        let accepted = effects.filter_map(|effect| match effect {
            Effect::Call(Call::Accept { operations, .. }) => Some(operations),
            Effect::Call(_) | Effect::Notice(_) => None,
        });
        accepted.flatten().flat_map(Operation::tasks).cloned().collect()
    }

    /// Nanoseconds and bytes that the latest records take to be spelled.
    fn spell(&self) -> (u128, usize) {
        let begin = cpu_ns();
        let records = self.outs.iter().flat_map(|out| &out.records);
        let size = |record: &services::Record| {
            record.key().len() + record.value().map_or(0, |value| value.len())
        };
        let bytes = records.map(size).sum();
        (cpu_ns() - begin, bytes)
    }
}

/// What this thread has had of the processor.
fn cpu_ns() -> u128 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}

fn run(agents: usize, constrained: Constrained) {
    let services = Services::new(Config::default(), FrameworkId::new("c-0001"));
    let snapshot = services.view();
    let mut bench = Bench { services, inputs: 0, snapshot, outs: Vec::new() };
    let framework = FrameworkId::new("c-0001");
    let changes = vec![Change::Create(spec(constrained))];
    bench.play(vec![
        Input::Lead { term: Term(1) },
        heard(Event::Subscribed { framework: framework.clone() }, 1),
        Input::Order { order: Order::Deploy { changes, force: false, timeout: None }, seed: 7 },
        // The app's role is new, so services have introduced themselves once more.
        heard(Event::Subscribed { framework }, 2),
    ]);
    let per_agent = INSTANCES / agents;
    let mut tasks = Vec::new();
    let (mut launching, mut spelling, mut bytes) = (0, 0, 0);
    // What an offer may launch at once is limited, so the rest is offered again.
    for round in 0.. {
        if INSTANCES <= tasks.len() {
            break;
        }
        let offers: Vec<Offer> = (0..agents).map(|n| rest(n, per_agent, round)).collect();
        let seeded = offers.chunks(OFFERS_PER_EVENT).zip((round * agents) as u64..);
        let inputs = seeded.map(|(offers, seed)| heard(Event::Offers(offers.to_vec()), seed));
        launching += bench.play(inputs.collect());
        tasks.extend(bench.launched());
        let (ns, size) = bench.spell();
        (spelling, bytes) = (spelling + ns, bytes + size);
    }
    let updates = tasks.iter().zip(0..).map(|(task, n)| heard(Event::Update(running(task, n)), n));
    let running = bench.play(updates.collect());
    let (ns, size) = bench.spell();
    let view = bench.services.view();
    assert_eq!(view.counts.values().map(|counts| counts.running).sum::<u32>() as usize, INSTANCES);
    assert!(view.deployments.is_empty(), "the deployment is over");
    let each = |spent: u128| spent / INSTANCES as u128;
    println!(
        "{agents} agents, constrained {constrained:?}: {} ns per instance ({} launch, {} running), \
         records {} ns and {} bytes",
        each(launching + running),
        each(launching),
        each(running),
        each(spelling + ns),
        (bytes + size) / INSTANCES,
    );
}

fn heard(event: Event, seed: u64) -> Input {
    Input::Heard { event, seed }
}

fn spec(constrained: Constrained) -> AppSpec {
    let constraint = placement::Constraint {
        field: "hostname".to_owned(),
        operator: placement::Operator::MaxPer,
        value: Some("1000".to_owned()),
    };
    let id = "/bench/sleep".parse().expect("an app id");
    AppSpec {
        cpus: Scalar(10),
        mem: Scalar::whole(16),
        instances: u32::try_from(INSTANCES).expect("small"),
        ports: vec![PortDefinition {
            port: 0,
            name: Some("http".to_owned()),
            protocol: "tcp".to_owned(),
            labels: BTreeMap::new(),
            mapping: None,
        }],
        constraints: if constrained == Constrained::Yes { vec![constraint] } else { Vec::new() },
        unreachable: UnreachableStrategy::Disabled,
        ..AppSpec::new(id, Process::Cmd("sleep 1000".to_owned()))
    }
}

fn offer(n: usize, instances: usize) -> Offer {
    let ports = 31_000 + instances;
    let resources = format!("cpus:{};mem:{};ports:[31000-{ports}]", instances, instances * 16);
    let resources: Resources = resources.parse().expect("resources");
    Offer {
        id: OfferId::new(format!("cluster-O{n}")),
        framework: FrameworkId::new("c-0001"),
        agent: Arc::new(AgentInfo {
            hostname: format!("agent-{n}.example"),
            ip: "10.0.0.1".to_owned(),
            port: 5051,
            resources: resources.clone(),
            attributes: Vec::new(),
            domain: None,
            version: "0.1.0".to_owned(),
            work_dir: "/var/lib/dcos".to_owned(),
        }),
        agent_id: AgentId::new(format!("5f1d0c9e-8b7a-4a55-9c7e-2f0d1c3b4a59-S{n}")),
        role: Role::new("bench"),
        resources,
        unavailability: None,
        executors: Vec::new(),
    }
}

/// What is left after so many rounds of the largest launch.
fn rest(n: usize, instances: usize, round: usize) -> Offer {
    let whole = offer(n, instances);
    let left = instances.saturating_sub(100 * round);
    Offer { resources: offer(n, left).resources, ..whole }
}

fn running(task: &TaskInfo, n: u64) -> TaskStatus {
    TaskStatus {
        agent: Some(task.agent.clone()),
        uuid: Some(Uuid::derive(n, 1)),
        ..TaskStatus::plain(task.id.clone(), TaskState::Running, Source::Executor, NOW)
    }
}
