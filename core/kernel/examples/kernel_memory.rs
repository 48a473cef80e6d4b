//! What the master keeps in memory of each agent and task: `cargo run --release --example kernel_memory -p kernel`.
//!
//! A framework launches tasks on all of many agents. Every letter is made of new strings, as those are that come over the
//! wire, and a snapshot of the view is held as the engine holds one. What is counted is the resident memory of the process
//! with the allocator that dcos has, so maps, indexes and what the allocator wastes are in it.

#![allow(clippy::print_stdout, reason = "it says what it saw")]

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Config, Effect, Input, Kernel, Out};
use mimalloc::MiMalloc;
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL, ToAgent};
use model::container::CommandInfo;
use model::framework::{Capability, FrameworkInfo};
use model::id::{
    AgentId, Connection, ContainerId, ExecutorId, FrameworkId, Role, TaskId, Term, Uuid,
};
use model::machine::Machine;
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{Address, ContainerStatus, Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const AGENTS: u64 = 10_000;
const TASKS_PER_AGENT: u64 = 10;
/// Of Linux on the machines that this runs on.
const PAGE_BYTES: u64 = 4096;

fn main() {
    let mut master = Master {
        kernel: Kernel::new(Config::default()),
        out: Out::default(),
        snapshot: kernel::view::View::default(),
    };
    let cluster = "8a1f0c52-2f6e-4f3c-9d57-0d6d9a2c6b11".to_owned();
    master.step(Input::Lead { term: Term(1), cluster });
    let framework = master.subscribe();
    let start = resident();
    for n in 0..AGENTS {
        master.register(n);
    }
    let registered = resident();
    println!("{AGENTS} agents: {} bytes each", (registered - start) / AGENTS);
    let launched = master.launch_all(&framework);
    let running = resident();
    println!("{launched} running tasks: {} bytes each", (running - registered) / launched);
    assert_eq!(master.snapshot.tasks[&framework].len() as u64, launched);
}

struct Master {
    kernel: Kernel,
    out: Out,
    snapshot: kernel::view::View,
}

impl Master {
    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.kernel.step(Time(1_000_000), input, &mut self.out).expect("nothing is refused");
        self.snapshot = self.kernel.view();
        self.out.records.clear();
        std::mem::take(&mut self.out.effects)
    }

    fn subscribe(&mut self) -> FrameworkId {
        let effects = self.step(Input::Subscribe { info: framework() });
        let Some(Effect::Event(framework, _)) = effects.into_iter().next() else {
            unreachable!("the answer to a subscription")
        };
        framework
    }

    fn register(&mut self, n: u64) {
        let message = FromAgent::Register {
            protocol: PROTOCOL,
            agent: None,
            info: agent(n),
            tasks: vec![],
            books: Books::default(),
        };
        self.step(Input::Agent { connection: Connection(n), message });
    }

    fn launch_all(&mut self, framework: &FrameworkId) -> u64 {
        let mut launched = 0;
        while launched < AGENTS * TASKS_PER_AGENT {
            for effect in self.step(Input::Tick) {
                let Effect::Event(_, Event::Offers(offers)) = effect else { continue };
                for offer in offers {
                    self.accept(framework, &offer, launched);
                    launched += TASKS_PER_AGENT;
                }
            }
        }
        launched
    }

    fn accept(&mut self, framework: &FrameworkId, offer: &Offer, launched: u64) {
        let tasks = (0..TASKS_PER_AGENT).map(|n| task(offer, launched + n)).collect();
        let call = Call::Accept {
            offers: vec![offer.id.clone()],
            operations: vec![Operation::Launch(tasks)],
            filters: Filters { refuse: Duration::from_secs(3600) },
        };
        for effect in self.step(Input::Framework { from: framework.clone(), call }) {
            let Effect::ToAgent(connection, ToAgent::Run { task, .. }) = effect else { continue };
            for latest in [TaskState::Starting, TaskState::Running] {
                let status = status(task.id.as_str(), offer.agent_id.as_str());
                let status = TaskStatus { state: latest, ..status };
                let uuid = status.uuid.expect("the status of an agent");
                let framework = framework.clone();
                let message =
                    FromAgent::Update { framework: framework.clone(), status, latest, place: None };
                self.step(Input::Agent { connection, message });
                let (agent, task) = (offer.agent_id.clone(), task.id.clone());
                let call = Call::Acknowledge { agent, task, uuid };
                self.step(Input::Framework { from: framework, call });
            }
        }
    }
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux says how large it is");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second number") * PAGE_BYTES
}

fn agent(n: u64) -> AgentInfo {
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
        offer_minima: BTreeMap::new(),
    }
}

fn task(offer: &Offer, n: u64) -> TaskInfo {
    let port = 10_000 + n % TASKS_PER_AGENT;
    let resources = format!("cpus:0.1;mem:128;disk:16;ports:[{port}-{port}]");
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    TaskInfo {
        name: "frontend.web.prod".to_owned(),
        labels: vec![label("team", "web"), label("HAPROXY_GROUP", "external")],
        ..TaskInfo::plain(
            TaskId::new(format!("prod_web_frontend.instance-{:032x}._app.1", n * 7919)),
            AgentId::new(offer.agent_id.as_str()),
            Role::new(offer.role.as_str()),
            resources.parse().expect("well formed"),
            CommandInfo {
                environment: vec![label("MARATHON_APP_ID", "/prod/web/frontend")],
                user: Some("root".to_owned()),
                ..CommandInfo::shell("sleep 1000")
            },
        )
    }
}

fn status(task: &str, agent: &str) -> TaskStatus {
    let container = ContainerStatus {
        id: ContainerId::new("0d0e3f5c-7f7d-4c1e-8e41-6a4c3f5b8a10"),
        addresses: vec![Address("10.0.0.1".parse().expect("well formed"))],
        pid: Some(4711),
        parent: None,
    };
    TaskStatus {
        agent: Some(AgentId::new(agent)),
        uuid: Some(Uuid::derive(1, 7)),
        healthy: Some(true),
        container: Some(container),
        executor: Some(ExecutorId::new(task)),
        ..TaskStatus::plain(TaskId::new(task), TaskState::Running, Source::Executor, Time(5))
    }
}
