//! What allocation costs in large clusters: `cargo run --release --example kernel_allocation -p kernel`.
//!
//! The shapes are those of Mesos' own benchmarks of its allocator: many frameworks that decline for ever, roles with
//! and without quotas, and a mix of schedulers that launch all they have. Times are the wall's; what the schedulers do
//! with offers is not part of a cycle, and is told apart.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch needs a clock and says what it saw"
)]

use std::time::{Duration, Instant};

use kernel::operator::Order;
use kernel::quota::{Quantities, Quota};
use kernel::{Config, Effect, Fairness, Input, Kernel, Out, Sorter};
use mimalloc::MiMalloc;
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL};
use model::container::CommandInfo;
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, Connection, FrameworkId, Role, TaskId, Term, Uuid};
use model::machine::Machine;
use model::resources::Resources;
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;
use model::wishes::{AttributeConstraint, Predicate, Property, Wishes};

/// The allocator that dcos has.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Each has as many agents as the others.
const RACKS: usize = 40;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    if wants("declines") {
        declines(1_000, 10_000, 1_000);
    }
    if wants("short") {
        declines(1_000, 10_000, 10);
    }
    if wants("large") {
        declines(2_000, 20_000, 10);
    }
    if wants("quotas") {
        quotas(Sorter::Drf, 3_000, 1);
    }
    if wants("grids") {
        grids();
    }
    if wants("constraints") {
        constraints(1_000, 10_000);
    }
    if wants("mixed") {
        mixed();
    }
}

struct Rig {
    kernel: Kernel,
    now: Time,
    out: Out,
    frameworks: Vec<FrameworkId>,
}

/// What one cycle took, and what it made.
struct Cycle {
    took: Duration,
    /// The longest step of it.
    longest: Duration,
    offers: Vec<Offer>,
}

impl Rig {
    fn new(roles: impl Iterator<Item = String>) -> Self {
        Self::sorted(Sorter::Drf, roles)
    }

    fn sorted(sorter: Sorter, roles: impl Iterator<Item = String>) -> Self {
        let fairness = Fairness { roles: sorter, frameworks: sorter, ..Fairness::default() };
        let kernel = Kernel::new(Config { fairness, ..Config::default() });
        let (now, out) = (Time(1_000_000), Out::default());
        let mut rig = Self { kernel, now, out, frameworks: Vec::new() };
        let cluster = "8a1f0c52-2f6e-4f3c-9d57-0d6d9a2c6b11".to_owned();
        rig.step(Input::Lead { term: Term(1), cluster });
        for role in roles {
            let effects = rig.step(Input::Subscribe { info: framework(&role) });
            let Some(Effect::Event(framework, _)) = effects.into_iter().next() else {
                unreachable!("the answer to a subscription")
            };
            rig.frameworks.push(framework);
        }
        rig
    }

    fn agents(&mut self, count: usize, resources: &str) {
        for n in 0..count {
            let info = agent(n, resources);
            let message = register(None, info);
            self.step(Input::Agent { connection: Connection(n as u64), message });
        }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.kernel.step(self.now, input, &mut self.out).expect("nothing is refused");
        self.out.records.clear();
        std::mem::take(&mut self.out.effects)
    }

    /// From the trigger until nothing more is to be offered.
    fn cycle(&mut self) -> Cycle {
        let (mut took, mut longest) = (Duration::ZERO, Duration::ZERO);
        let mut offers = Vec::new();
        while self.kernel.wake_at().is_some_and(|at| at <= self.now) {
            let start = Instant::now();
            let effects = self.step(Input::Tick);
            let step = start.elapsed();
            took += step;
            longest = longest.max(step);
            offers.extend(made(effects));
        }
        Cycle { took, longest, offers }
    }

    /// Each of so many roles is guaranteed that much, and gets no more.
    fn limit<'a>(&mut self, roles: usize, to: impl Fn(usize) -> &'a Resources) {
        let quota = |n| {
            let limits = Quantities::of(to(n));
            (Role::new(format!("role-{n}")), Quota { guarantees: limits.clone(), limits })
        };
        for from in (0..roles).step_by(1_000) {
            let quotas = (from..roles.min(from + 1_000)).map(quota).collect();
            self.step(Input::Operator { order: Order::UpdateQuota { quotas, force: false } });
        }
    }

    fn decline(&mut self, offers: Vec<Offer>) -> Duration {
        let start = Instant::now();
        for offer in offers {
            let filters = Filters { refuse: YEAR };
            let call = Call::Decline { offers: vec![offer.id], filters };
            self.step(Input::Framework { from: offer.framework, call });
        }
        start.elapsed()
    }
}

fn made(effects: Vec<Effect>) -> Vec<Offer> {
    let offers = |effect| match effect {
        Effect::Event(_, Event::Offers(offers)) => offers,
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => vec![],
    };
    effects.into_iter().flat_map(offers).collect()
}

/// Every offer is declined for a year, until everybody has refused everything.
fn declines(frameworks: usize, agents: usize, rounds: usize) {
    let mut rig = Rig::new((0..frameworks).map(|n| format!("role-{n}")));
    rig.agents(agents, "cpus:24;mem:4096;disk:4096;ports:[31000-32000]");
    println!(
        "{frameworks} frameworks in roles of their own, {agents} agents, every offer declined"
    );
    let (mut best, mut worst, mut filters) = (Duration::MAX, Duration::ZERO, 0);
    for round in 0..rounds {
        let Cycle { took, longest, offers } = rig.cycle();
        (best, worst) = (best.min(took), worst.max(took));
        let count = offers.len();
        let declined = rig.decline(offers);
        if [0, 1, 9, 99, 499, 998, 999].contains(&round) {
            println!(
                "  round {round:4}: {took:9.2?} for {count} offers past {filters} filters, longest step {longest:.2?}; \
                 declining them took {declined:.2?}"
            );
        }
        filters += count;
    }
    let rest = rig.cycle();
    println!("  best round {best:.2?}, worst {worst:.2?}");
    println!("  with {filters} filters set: {:.2?} for {} offers", rest.took, rest.offers.len());
    one_change(&mut rig);
    all_change(&mut rig, agents);
}

/// With every filter set, one more agent comes and goes as offers are made of it and accepted.
fn one_change(rig: &mut Rig) {
    let mut times = Vec::new();
    for n in 0..200_usize {
        let connection = Connection(1_000_000 + n as u64);
        let info = agent(1_000_000, "cpus:24;mem:4096;disk:4096;ports:[31000-32000]");
        let message = register(None, info);
        rig.step(Input::Agent { connection, message });
        let offer = rig.cycle().offers.remove(0);
        let agent = offer.agent_id.clone();
        let from = offer.framework.clone();
        accept(rig, offer, 1, "cpus:24;mem:4096", n * 1_000_000);
        let id = TaskId::new(format!("task-{}", n * 1_000_000));
        rig.cycle();
        let start = Instant::now();
        let status = status(id, agent, n as u64);
        let latest = TaskState::Finished;
        let message = FromAgent::Update { framework: from, status, latest, place: None };
        rig.step(Input::Agent { connection, message });
        let offers = rig.cycle().offers;
        times.push(start.elapsed());
        assert_eq!(offers.len(), 1);
        rig.decline(offers);
        rig.step(Input::AgentLost { connection });
    }
    times.sort();
    println!(
        "  one task ends until its agent is offered again: {:.2?} p50, {:.2?} max",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}

/// With every filter set, every agent has more to give than anybody has refused.
fn all_change(rig: &mut Rig, agents: usize) {
    let ids: Vec<AgentId> = rig.kernel.state().agents.keys().take(agents).cloned().collect();
    let start = Instant::now();
    for (n, id) in ids.into_iter().enumerate() {
        let info = agent(n, "cpus:25;mem:4096;disk:4096;ports:[31000-32000]");
        let message = register(Some(id), info);
        rig.step(Input::Agent { connection: Connection(2_000_000 + n as u64), message });
    }
    let trigger = start.elapsed();
    let Cycle { took, offers, .. } = rig.cycle();
    println!(
        "  with them set, every agent grows: {took:.2?} for {} offers; registering took {trigger:.2?}",
        offers.len()
    );
}

/// Agents stand in racks, and every framework wants those of one of them.
fn constraints(frameworks: usize, agents: usize) {
    let mut rig = Rig::new((0..frameworks).map(|n| format!("role-{n}")));
    for (n, id) in rig.frameworks.clone().into_iter().enumerate() {
        let role = Role::new(format!("role-{n}"));
        let (of, is) = (
            Property::Attribute("rack".to_owned()),
            Predicate::TextEquals(format!("r{}", n % RACKS)),
        );
        let wanted = vec![vec![AttributeConstraint { of, is }]];
        let wishes = Wishes { suppressed: vec![], constraints: [(role.clone(), wanted)].into() };
        let info = FrameworkInfo { id: Some(id.clone()), ..framework(role.as_str()) };
        let call = Call::UpdateFramework { info, wishes: Some(wishes) };
        rig.step(Input::Framework { from: id, call });
    }
    for n in 0..agents {
        let attributes = model::attributes::parse(&format!("rack:r{}", n % RACKS));
        let attributes = attributes.expect("well formed");
        let info = AgentInfo { attributes, ..agent(n, "cpus:24;mem:4096;disk:4096") };
        let message = register(None, info);
        rig.step(Input::Agent { connection: Connection(n as u64), message });
    }
    println!("{frameworks} frameworks that want one of {RACKS} racks, {agents} agents");
    for round in 0..5 {
        let Cycle { took, longest, offers } = rig.cycle();
        let count = offers.len();
        println!("  round {round}: {took:9.2?} for {count} offers, longest step {longest:.2?}");
        rig.decline(offers);
    }
}

/// Those of Mesos' benchmarks of quotas.
fn grids() {
    for sorter in [Sorter::Drf, Sorter::Random] {
        for (small, large) in [(25, 5), (250, 50), (2_500, 500)] {
            small_and_large(sorter, small, large);
        }
        for roles in [10, 100, 1_000] {
            quotas(sorter, roles, 2);
        }
    }
}

/// Roles that may have half an agent, and roles that may have two: agents are offered in parts, and parts of demands.
fn small_and_large(sorter: Sorter, small: usize, large: usize) {
    let (roles, agents) = (small + large, small / 5 + large * 5);
    let mut rig = Rig::sorted(sorter, (0..roles).map(|n| format!("role-{n}")));
    rig.agents(agents, "cpus:2;mem:2048;disk:2048");
    let (half, two) = (bag("cpus:1;mem:1024;disk:1024"), bag("cpus:4;mem:4096;disk:4096"));
    rig.limit(roles, |n| if n < small { &half } else { &two });
    let (first, second) = (rig.cycle(), rig.cycle());
    assert!(second.offers.is_empty(), "everything was offered");
    println!(
        "{sorter:?}: {agents} agents, {small} roles with half of one as quota, {large} with two: {:.2?} for {} offers",
        first.took,
        first.offers.len()
    );
}

/// The same allocations with and without quotas of two agents each.
fn quotas(sorter: Sorter, roles: usize, frameworks_each: usize) {
    let mut best = [Duration::MAX; 2];
    for run in 0..10 {
        let limited = run % 2 == 1;
        let all = (0..roles * frameworks_each).map(|n| format!("role-{}", n % roles));
        let mut rig = Rig::sorted(sorter, all);
        rig.agents(roles * 2, "cpus:2;mem:2048;disk:2048");
        if limited {
            let two = bag("cpus:4;mem:4096;disk:4096");
            rig.limit(roles, |_| &two);
        }
        let cycle = rig.cycle();
        assert_eq!(cycle.offers.len(), roles * 2);
        best[usize::from(limited)] = best[usize::from(limited)].min(cycle.took);
    }
    let [without, with] = best;
    println!(
        "{sorter:?}: {roles} roles, {} frameworks, {} agents: {without:.2?} without quotas, {with:.2?} with one each: {:.2}x",
        roles * frameworks_each,
        roles * 2,
        with.as_secs_f64() / without.as_secs_f64()
    );
}

/// 4 Marathons of 4,000 tasks, 500 Jenkins of 5 in one role, 50 Sparks of 20, on 80 agents.
fn mixed() {
    let kinds = [
        ("marathon", 4, 4_000, "cpus:0.07;mem:400", 100),
        ("jenkins", 500, 5, "cpus:0.1;mem:4000", 1),
        ("spark", 50, 20, "cpus:1;mem:1000", 5),
    ];
    let all = kinds.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.1));
    let role = |(n, kind): (usize, &(&str, usize, usize, &str, usize))| match kind.0 {
        "jenkins" => kind.0.to_owned(),
        name => format!("{name}-{n}"),
    };
    let mut rig = Rig::new(all.clone().enumerate().map(role));
    let mut left: Vec<usize> = all.clone().map(|kind| kind.2).collect();
    let total: usize = left.iter().sum();
    let kinds: Vec<_> = all.collect();
    let start = Instant::now();
    rig.agents(80, "cpus:64;mem:488000");
    let (mut launched, mut rounds) = (0, 0);
    while launched < total {
        rounds += 1;
        rig.now = rig.now + Duration::from_millis(1_000);
        for offer in rig.cycle().offers {
            let at = rig.frameworks.iter().position(|id| *id == offer.framework).expect("ours");
            let (_, _, _, need, most) = *kinds[at];
            let from = offer.framework.clone();
            let count = accept(&mut rig, offer, left[at].min(most), need, launched);
            left[at] -= count;
            launched += count;
            if left[at] == 0 {
                rig.step(Input::Framework { from, call: Call::Suppress { roles: vec![] } });
            }
        }
        assert!(rounds < 10_000, "{launched} of {total} tasks");
    }
    println!(
        "{total} tasks of 554 frameworks on 80 agents: {:.2?}, {rounds} rounds",
        start.elapsed()
    );
}

/// Launches up to so many tasks; the rest of the offer is refused for as long as Mesos does without being asked.
fn accept(rig: &mut Rig, offer: Offer, most: usize, need: &str, first: usize) -> usize {
    let need = bag(need);
    let mut rest = offer.resources.clone();
    let mut tasks = Vec::new();
    while tasks.len() < most && rest.contains(&need) {
        rest.subtract(&need);
        tasks.push(task(&offer, first + tasks.len(), need.clone()));
    }
    let count = tasks.len();
    let call = Call::Accept {
        offers: vec![offer.id],
        operations: vec![Operation::Launch(tasks)],
        filters: Filters::default(),
    };
    rig.step(Input::Framework { from: offer.framework, call });
    count
}

fn bag(text: &str) -> Resources {
    text.parse().expect("well formed")
}

fn agent(n: usize, resources: &str) -> AgentInfo {
    AgentInfo {
        hostname: format!("node-{n}.example.com"),
        ip: "10.0.0.1".to_owned(),
        port: 5051,
        resources: bag(resources),
        attributes: vec![],
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/var/lib/dcos/agents/0".to_owned(),
    }
}

fn register(agent: Option<AgentId>, info: AgentInfo) -> FromAgent {
    let (tasks, books) = (vec![], Books::default());
    FromAgent::Register { protocol: PROTOCOL, agent, info, tasks, books }
}

fn framework(role: &str) -> FrameworkInfo {
    FrameworkInfo {
        id: None,
        name: format!("framework of {role}"),
        user: "root".to_owned(),
        roles: vec![Role::new(role)],
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

fn task(offer: &Offer, n: usize, resources: Resources) -> TaskInfo {
    TaskInfo {
        name: "task".to_owned(),
        ..TaskInfo::plain(
            TaskId::new(format!("task-{n}")),
            offer.agent_id.clone(),
            offer.role.clone(),
            resources,
            CommandInfo::shell("sleep 1000"),
        )
    }
}

fn status(task: TaskId, agent: AgentId, n: u64) -> TaskStatus {
    TaskStatus {
        agent: Some(agent),
        uuid: Some(Uuid::derive(1, n)),
        ..TaskStatus::plain(task, TaskState::Finished, Source::Executor, Time(5))
    }
}
