//! Kernel and services as one machine, with agents that do at once what they are told.

use std::collections::{BTreeMap, VecDeque};

use cluster::{Cluster, Effect, Input, LETTERS_MAX, Out, RECORDS_MAX, Record, Reply};
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL, ToAgent};
use model::id::{Connection, FrameworkId, Role, Term, Uuid};
use model::machine::{Machine, Record as _};
use model::scheduler::{Call, Event};
use model::task::{Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;
use model::turn::remember;
use services::{Change, Notice, Order, What};
use wire::marathon::{judge, reading};

const NOW: Time = Time(1_700_000_000_000);

/// A cluster and its world: what it has written, what it has told whom.
struct Stage {
    cluster: Cluster,
    seed: u64,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    log: Vec<Record>,
    notices: Vec<Notice>,
    letters: VecDeque<(Connection, ToAgent)>,
    /// To frameworks outside.
    events: Vec<(FrameworkId, Event)>,
    /// The most that one step has written.
    widest: usize,
}

fn fresh() -> Cluster {
    Cluster::new("c", kernel::Config::default(), services::Config::default())
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self {
            cluster: fresh(),
            seed: 0,
            stored: BTreeMap::new(),
            log: Vec::new(),
            notices: Vec::new(),
            letters: VecDeque::new(),
            events: Vec::new(),
            widest: 0,
        };
        stage.lead(1);
        stage
    }

    fn lead(&mut self, term: u64) {
        let lead = Input::Lead { term: Term(term), cluster: "c".into(), seed: 0 };
        self.tell(lead).expect("leading is not refused");
    }

    fn tell(&mut self, input: Input) -> Result<Reply, cluster::Refusal> {
        let mut out = Out::default();
        let reply = self.cluster.step(NOW, input, &mut out);
        self.widest = self.widest.max(out.records.len());
        for record in out.records {
            match record.value() {
                Some(value) => drop(self.stored.insert(record.key(), value)),
                None => drop(self.stored.remove(&record.key())),
            }
            self.log.push(record);
        }
        for effect in out.effects {
            match effect {
                Effect::ToAgent(to, message) => self.letters.push_back((to, message)),
                Effect::Notice(notice) => self.notices.push((*notice).clone()),
                Effect::Event(to, event) => self.events.push((to, event)),
                Effect::Disconnect(_) => panic!("no stream is closed in these scenes"),
            }
        }
        reply
    }

    fn seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }

    fn agent(&mut self, number: u64, resources: &str) {
        let info = AgentInfo {
            hostname: format!("host-{number}"),
            ip: "127.70.0.9".into(),
            port: 5051,
            resources: resources.parse().expect("resources"),
            attributes: Vec::new(),
            domain: None,
            version: "0".into(),
            work_dir: "/x".into(),
        };
        let message = FromAgent::Register {
            protocol: PROTOCOL,
            agent: None,
            info,
            tasks: Vec::new(),
            books: Books::default(),
        };
        let connection = Connection(number);
        let seed = self.seed();
        self.tell(Input::Agent { connection, message, seed }).expect("registered");
    }

    fn deploy(&mut self, app: &str) {
        let read = reading::app(app.as_bytes()).expect("readable");
        let rules =
            judge::Rules { default_role: Role::new("slave_public"), enforce_group_role: true };
        let spec = judge::read(read, &rules).expect("a valid app");
        let order =
            Order::Deploy { changes: vec![Change::Create(spec)], force: false, timeout: None };
        let seed = self.seed();
        self.tell(Input::Services { order, seed }).expect("deployed");
    }

    /// Ticks and agents' answers, until nobody has anything to say.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if let Some((connection, message)) = self.letters.pop_front() {
                self.answer(connection, message);
            } else if self.cluster.wake_at().is_some_and(|at| at <= NOW) {
                let seed = self.seed();
                self.tell(Input::Tick { seed }).expect("a tick is not refused");
            } else {
                return;
            }
        }
        panic!("it never settles");
    }

    fn answer(&mut self, connection: Connection, message: ToAgent) {
        match message {
            ToAgent::Run { framework, task, .. } => {
                self.update(connection, &framework, &task, TaskState::Running);
            }
            ToAgent::Registered { .. } | ToAgent::Acknowledge { .. } | ToAgent::Ping => (),
            ToAgent::RunGroup { .. }
            | ToAgent::Kill { .. }
            | ToAgent::RunIn(_)
            | ToAgent::ShutdownExecutor { .. }
            | ToAgent::Message { .. }
            | ToAgent::Refused { .. }
            | ToAgent::Convert { .. }
            | ToAgent::AcknowledgeOperation { .. }
            | ToAgent::Shutdown { .. } => {
                panic!("not in these scenes: {message:?}")
            }
        }
    }

    fn update(
        &mut self,
        at: Connection,
        framework: &FrameworkId,
        task: &TaskInfo,
        state: TaskState,
    ) {
        let seed = self.seed();
        let status = TaskStatus {
            task: task.id.clone(),
            state,
            agent: Some(task.agent.clone()),
            source: Source::Executor,
            reason: None,
            message: None,
            at: NOW,
            uuid: Some(Uuid::derive(seed, 0)),
            healthy: None,
            container: None,
            executor: None,
            wait_status: None,
            check: None,
            ready: None,
            given: None,
            more: None,
        };
        let message =
            FromAgent::Update { framework: framework.clone(), status, latest: state, place: None };
        self.tell(Input::Agent { connection: at, message, seed })
            .expect("an update of a known task");
    }

    fn running(&self) -> u32 {
        self.cluster.view().services.counts.values().map(|counts| counts.running).sum()
    }
}

fn sleeper(instances: u32) -> String {
    format!(
        r#"{{"id":"/a","cmd":"sleep 1","cpus":0.01,"mem":1,"instances":{instances},"portDefinitions":[]}}"#
    )
}

const LARGE: &str = "cpus:64;mem:65536;disk:65536;ports:[31000-32000]";

fn scene(instances: u32) -> Stage {
    let mut stage = Stage::new();
    stage.agent(1, LARGE);
    stage.agent(2, LARGE);
    stage.deploy(&sleeper(instances));
    stage.settle();
    stage
}

#[test]
fn an_app_gets_from_an_order_to_running_tasks() {
    let stage = scene(3);
    let view = stage.cluster.view();
    assert_eq!((stage.running(), view.services.deployments.len()), (3, 0));
    let services = FrameworkId::new("c-0000");
    assert_eq!(view.kernel.tasks[&services].len(), 3);
    let succeeded = |notice: &Notice| matches!(notice.what, What::DeploymentSuccess { .. });
    assert_eq!(stage.notices.iter().filter(|notice| succeeded(notice)).count(), 1);
}

#[test]
fn what_is_stored_is_what_a_new_leader_knows() {
    let stage = scene(5);
    let mut recovered = fresh();
    for (key, value) in &stage.stored {
        remember(&mut recovered, key, value).expect("its own records");
    }
    let (was, is) = (stage.cluster.view(), recovered.view());
    assert_eq!(is.services.apps, was.services.apps);
    assert_eq!(is.services.versions, was.services.versions);
    assert_eq!(is.services.instances, was.services.instances);
    assert_eq!(is.services.counts, was.services.counts);
    let agents = |view: &cluster::View| -> Vec<_> {
        view.kernel.agents.iter().map(|(id, agent)| (id.clone(), agent.agent.clone())).collect()
    };
    assert_eq!(agents(&is), agents(&was));
}

#[test]
fn the_same_inputs_write_the_same_records() {
    assert_eq!(scene(20).log, scene(20).log);
}

#[test]
fn a_large_order_is_spread_over_bounded_steps() {
    let stage = scene(3_000);
    assert_eq!(stage.running(), 3_000);
    assert!(stage.log.len() > 2 * RECORDS_MAX, "{}", stage.log.len());
    // The last letter of a step may still write what fits one letter.
    assert!(stage.widest <= RECORDS_MAX + LETTERS_MAX, "{}", stage.widest);
}

#[test]
fn every_key_says_whose_it_is() {
    let stage = scene(1);
    let owners: String = stage.stored.keys().map(|key| char::from(key[0])).collect();
    assert!(owners.contains('k') && owners.contains('s'), "{owners}");
    assert!(Record::read(b"x1", &[1]).is_err());
    assert!(Record::read(b"", &[1]).is_err());
}

#[test]
fn a_foreign_framework_hears_for_itself_and_services_do_not() {
    let mut stage = Stage::new();
    let from = FrameworkId::new("stranger");
    let input = Input::Framework { from: from.clone(), call: Call::Teardown, seed: 1 };
    assert!(matches!(stage.tell(input), Err(cluster::Refusal::Kernel(_))));
    assert!(stage.events.iter().all(|(to, _)| *to == from));
}

#[test]
fn resources_of_no_agent_leave_an_app_waiting_with_its_reason() {
    let mut stage = Stage::new();
    stage.agent(1, "cpus:0.001;mem:32;disk:0;ports:[31000-31001]");
    stage.deploy(&sleeper(1));
    stage.settle();
    let view = stage.cluster.view();
    let waiting = view.services.queue.values().next().expect("it waits");
    assert_eq!((waiting.count, stage.running()), (1, 0));
}
