//! A tiny kernel that does as it is told, and an operator: services is played by its public door.

#![allow(dead_code, reason = "each test file uses the part that it needs")]
#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for what they expect")]

pub(crate) mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::agent::AgentInfo;
use model::attributes::FaultDomain;
use model::container::Family;
use model::id::{AgentId, FrameworkId, OfferId, Role, TaskId, Term, Uuid};
use model::machine::{Machine, Record as _};
use model::resources::{Resources, Scalar};
use model::scheduler::{Call, Event, Offer, Operation, Unavailability};
use model::task::{Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;
use services::spec::{
    AppHealthCheck, AppId, AppSpec, CheckKind, CheckPort, PortDefinition, Process, UpgradeStrategy,
};
use services::state::Action;
use services::view::View;
use services::{
    Cancel, Change, Config, Effect, Input, Order, Out, Record, Refusal, Reply, Services, What,
};

pub(crate) const START: Time = Time(1_700_000_000_000);

/// An agent as the fake kernel sees it.
pub(crate) struct Agent {
    pub(crate) info: Arc<AgentInfo>,
    pub(crate) free: Resources,
    pub(crate) offered: bool,
    pub(crate) unavailability: Option<Unavailability>,
}

/// The stage: services, a kernel, agents and the clock.
pub(crate) struct Stage {
    pub(crate) services: Services,
    pub(crate) now: Time,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) tasks: BTreeMap<TaskId, (TaskInfo, TaskState)>,
    pub(crate) groups: pods::Groups,
    pub(crate) calls: Vec<Call>,
    pub(crate) told: Vec<What>,
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) suppressed: BTreeSet<Role>,
    pub(crate) subscribed: BTreeSet<Role>,
    pub(crate) accepts: usize,
    introduced: bool,
    term: u64,
    seed: u64,
    offers: u64,
    open: BTreeMap<OfferId, AgentId>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let services = Services::new(config, FrameworkId::new("c-0001"));
        let mut stage = Self {
            services,
            now: START,
            agents: BTreeMap::new(),
            tasks: BTreeMap::new(),
            groups: pods::Groups::default(),
            calls: Vec::new(),
            told: Vec::new(),
            store: BTreeMap::new(),
            suppressed: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            accepts: 0,
            introduced: false,
            term: 0,
            seed: 0,
            offers: 0,
            open: BTreeMap::new(),
        };
        stage.lead();
        stage
    }

    pub(crate) fn lead(&mut self) {
        self.term += 1;
        self.step(Input::Lead { term: Term(self.term) }).expect("leading is not refused");
        let info = self.services.framework_info();
        self.obey(Call::Subscribe { info });
        self.confirm();
    }

    /// The kernel answers to introductions.
    fn confirm(&mut self) {
        while std::mem::take(&mut self.introduced) {
            let framework = FrameworkId::new("c-0001");
            self.hear(Event::Subscribed { framework });
        }
    }

    /// Its instances run, on three agents with room.
    pub(crate) fn running(spec: AppSpec) -> Self {
        let mut stage = Self::new();
        stage.agents(3, ROOMY);
        stage.create(spec);
        stage.calm();
        stage
    }

    pub(crate) fn kills(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call, Call::Kill { .. })).count()
    }

    /// Seconds until the next launch of `/a`, if it is delayed.
    pub(crate) fn delay(&self) -> Option<f64> {
        let view = self.view();
        let waiting = view.queue.get(&id("/a"))?;
        waiting.delayed_until.map(|until| until.since(self.now).as_secs_f64())
    }

    /// The process dies and another takes over, with what the store has.
    pub(crate) fn restart(&mut self, config: Config) {
        self.services = self.recovered(config);
        self.lead();
    }

    /// A machine that has only read the store.
    pub(crate) fn recovered(&self, config: Config) -> Services {
        let mut fresh = Services::new(config, FrameworkId::new("c-0001"));
        for (key, value) in &self.store {
            fresh.apply(&Record::read(key, value).expect("what was written can be read"));
        }
        fresh
    }

    pub(crate) fn agent(&mut self, name: &str, resources: &str, attributes: &str) {
        let domain = attributes.strip_prefix('@').map(|rest| {
            let (region, zone) = rest.split_once('/').expect("@region/zone");
            FaultDomain { region: region.to_owned(), zone: zone.to_owned() }
        });
        let attributes = if domain.is_some() { "" } else { attributes };
        let resources: Resources = resources.parse().expect("resources");
        let info = Arc::new(AgentInfo {
            hostname: name.to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 5051,
            resources: resources.clone(),
            attributes: model::attributes::parse(attributes).expect("attributes"),
            domain,
            version: "0.1.0".to_owned(),
            work_dir: "/var/lib".to_owned(),
        });
        let agent = Agent { info, free: resources, offered: false, unavailability: None };
        self.agents.insert(AgentId::new(name), agent);
    }

    pub(crate) fn agents(&mut self, count: usize, resources: &str) {
        (0..count).for_each(|n| self.agent(&format!("agent-{n:04}"), resources, ""));
    }

    pub(crate) fn view(&self) -> View {
        self.services.view()
    }

    pub(crate) fn step(&mut self, input: Input) -> Result<Reply, Refusal> {
        let mut out = Out::default();
        let reply = self.services.step(self.now, input, &mut out);
        for record in out.records {
            let key = record.key();
            match record.value() {
                Some(value) => {
                    let read = Record::read(&key, &value).expect("readable");
                    assert_eq!(read, record, "a record reads back as it was written");
                    self.store.insert(key, value)
                }
                None => self.store.remove(&key),
            };
        }
        for effect in out.effects {
            match effect {
                Effect::Call(call) => self.obey(call),
                Effect::Notice(notice) => self.told.push(notice.what.clone()),
            }
        }
        self.confirm();
        reply
    }

    pub(crate) fn tick(&mut self) {
        self.step(Input::Tick).expect("a tick is not refused");
    }

    /// Ticks for as long as it wants one now.
    pub(crate) fn settle(&mut self) {
        let mut ticks = 0;
        while self.services.wake_at().is_some_and(|at| at <= self.now) {
            self.tick();
            ticks += 1;
            assert!(ticks < 10_000, "finitely many ticks at one time");
        }
    }

    pub(crate) fn hear(&mut self, event: Event) {
        self.seed += 1;
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.step(Input::Heard { event, seed }).expect("events are not refused");
    }

    pub(crate) fn order(&mut self, order: Order) -> Result<Reply, Refusal> {
        self.seed += 1;
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.step(Input::Order { order, seed })
    }

    pub(crate) fn deploy(&mut self, changes: Vec<Change>, force: bool) -> Result<Uuid, Refusal> {
        match self.order(Order::Deploy { changes, force, timeout: None })? {
            Reply::Deployed { deployment, .. } => Ok(deployment),
            other @ (Reply::Done | Reply::Planned { .. } | Reply::Killed { .. }) => {
                panic!("a deployment answers with {other:?}")
            }
        }
    }

    pub(crate) fn create(&mut self, spec: AppSpec) -> Uuid {
        self.deploy(vec![Change::Create(spec)], false).expect("created")
    }

    pub(crate) fn put(&mut self, spec: AppSpec, force: bool) -> Result<Uuid, Refusal> {
        let base = self.view().apps.get(&spec.id).map(|app| app.version);
        self.deploy(vec![Change::Put { spec, base }], force)
    }

    pub(crate) fn delete(&mut self, app: &str) -> Uuid {
        self.deploy(vec![Change::Delete(id(app))], false).expect("deleted")
    }

    pub(crate) fn cancel(&mut self, deployment: Uuid, how: Cancel) -> Result<Reply, Refusal> {
        self.order(Order::Cancel { deployment, how })
    }

    fn obey(&mut self, call: Call) {
        self.calls.push(call.clone());
        match call {
            Call::Accept { offers, operations, .. } => {
                self.accepts += 1;
                let agent = offers.first().and_then(|offer| self.open.get(offer)).cloned();
                offers.iter().for_each(|offer| self.close(offer));
                for operation in &operations {
                    self.convert(agent.as_ref(), operation);
                    self.gather(operation);
                }
                for task in operations.iter().flat_map(Operation::tasks).cloned() {
                    let agent = self.agents.get_mut(&task.agent).expect("a known agent");
                    agent.free.subtract(&task.resources);
                    let before = self.tasks.insert(task.id.clone(), (task, TaskState::Staging));
                    assert!(before.is_none(), "task ids are never used twice");
                }
            }
            Call::Decline { offers, .. } => offers.iter().for_each(|offer| self.close(offer)),
            Call::Suppress { roles } => self.suppressed.extend(roles),
            Call::Revive { roles } => roles.iter().for_each(|role| {
                self.suppressed.remove(role);
            }),
            Call::Subscribe { info } => {
                self.subscribed = info.roles.into_iter().collect();
                self.suppressed.clear();
                self.open.clear();
                self.agents.values_mut().for_each(|agent| agent.offered = false);
                self.introduced = true;
            }
            Call::UpdateFramework { info, wishes: _ } => {
                self.subscribed = info.roles.into_iter().collect();
            }
            Call::AcceptInverse { .. }
            | Call::DeclineInverse { .. }
            | Call::Kill { .. }
            | Call::Acknowledge { .. }
            | Call::Shutdown { .. }
            | Call::Message { .. }
            | Call::Reconcile { .. }
            | Call::AcknowledgeOperation { .. }
            | Call::ReconcileOperations { .. }
            | Call::Teardown => (),
        }
    }

    fn convert(&mut self, agent: Option<&AgentId>, operation: &Operation) {
        let Operation::Convert { conversion, .. } = operation else { return };
        let agent = agent.and_then(|agent| self.agents.get_mut(agent)).expect("a known agent");
        agent.free.subtract(&conversion.consumed());
        agent.free.add(&conversion.converted());
    }

    fn close(&mut self, offer: &OfferId) {
        let agent = self.open.remove(offer).expect("an open offer");
        self.agents.get_mut(&agent).expect("a known agent").offered = false;
    }

    /// Offers what each agent has to each role that wants offers, one role after another.
    pub(crate) fn offer(&mut self) {
        let roles: Vec<Role> = self.subscribed.difference(&self.suppressed).cloned().collect();
        for role in roles {
            let mut offers = Vec::new();
            let free = self.agents.iter_mut().filter(|(_, agent)| !agent.offered);
            for (id, agent) in free.filter(|(_, agent)| !agent.free.is_empty()) {
                self.offers += 1;
                let offer = OfferId::new(format!("c-O{}", self.offers));
                agent.offered = true;
                self.open.insert(offer.clone(), id.clone());
                offers.push(Offer {
                    id: offer,
                    framework: FrameworkId::new("c-0001"),
                    agent: Arc::clone(&agent.info),
                    agent_id: id.clone(),
                    role: role.clone(),
                    resources: agent.free.clone(),
                    unavailability: agent.unavailability,
                    executors: Vec::new(),
                });
            }
            if !offers.is_empty() {
                self.hear(Event::Offers(offers));
            }
            self.settle();
        }
    }

    /// Tasks in this state, in the order of their ids.
    pub(crate) fn in_state(&self, state: TaskState) -> Vec<TaskId> {
        let tasks = self.tasks.iter().filter(|(_, (_, is))| *is == state);
        tasks.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn live(&self) -> usize {
        self.tasks.values().filter(|(_, state)| !state.is_terminal()).count()
    }

    /// The task's agent reports.
    pub(crate) fn report(&mut self, task: &TaskId, state: TaskState, healthy: Option<bool>) {
        self.report_with(task, state, |status| status.healthy = healthy);
    }

    /// The same with more to say.
    pub(crate) fn report_with(
        &mut self,
        task: &TaskId,
        state: TaskState,
        say: impl FnOnce(&mut TaskStatus),
    ) {
        let (info, held) = self.tasks.get_mut(task).expect("a task");
        let agent = info.agent.clone();
        if state.is_terminal() && !held.is_terminal() {
            self.agents.get_mut(&agent).expect("an agent").free.add(&info.resources);
        }
        *held = state;
        self.disband(task);
        self.seed += 1;
        let mut status = TaskStatus {
            task: task.clone(),
            state,
            agent: Some(agent),
            source: Source::Agent,
            reason: None,
            message: Some("so it is".to_owned()),
            at: self.now,
            uuid: Some(Uuid::derive(self.seed, 7)),
            healthy: None,
            container: None,
            executor: None,
            wait_status: None,
            check: None,
            ready: None,
            given: None,
            more: None,
        };
        say(&mut status);
        let acknowledged = |calls: &[Call]| {
            calls.iter().filter(|call| matches!(call, Call::Acknowledge { .. })).count()
        };
        let before = acknowledged(&self.calls);
        self.hear(Event::Update(status));
        assert_eq!(acknowledged(&self.calls), before + 1, "every update is acknowledged");
    }

    /// Tasks that were asked to end and have not.
    pub(crate) fn condemned(&self) -> Vec<TaskId> {
        let mut asked: Vec<TaskId> = Vec::new();
        for call in &self.calls {
            if let Call::Kill { task, .. } = call {
                for task in self.with_group(task) {
                    let is_live =
                        self.tasks.get(&task).is_some_and(|(_, state)| !state.is_terminal());
                    if is_live && !asked.contains(&task) {
                        asked.push(task);
                    }
                }
            }
        }
        asked
    }

    /// Offers, starts and kills until nothing changes any more.
    pub(crate) fn calm(&mut self) {
        self.calm_with(None);
    }

    /// The same; running tasks report this health.
    pub(crate) fn calm_with(&mut self, healthy: Option<bool>) {
        for _ in 0..1_000 {
            self.settle();
            self.offer();
            let staging = self.in_state(TaskState::Staging);
            let condemned = self.condemned();
            if staging.is_empty() && condemned.is_empty() {
                return;
            }
            for task in staging {
                self.report(&task, TaskState::Running, healthy);
            }
            for task in condemned {
                self.report(&task, TaskState::Killed, None);
            }
        }
        panic!("the cluster never calms down");
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.settle();
    }

    /// `Start /a, Start /b; Scale /a`: the steps of the latest deployment.
    pub(crate) fn steps(&self) -> String {
        let deployment = self.told.iter().rev().find_map(|what| match what {
            What::DeploymentInfo { deployment } | What::DeploymentSuccess { deployment } => {
                Some(deployment)
            }
            _ => None,
        });
        let action = |action: &Action| {
            format!("{} {}", action.name().trim_end_matches("Application"), action.app)
        };
        let step =
            |actions: &Vec<Action>| actions.iter().map(action).collect::<Vec<_>>().join(", ");
        let deployment = deployment.expect("there was a deployment");
        deployment.steps.iter().map(step).collect::<Vec<_>>().join("; ")
    }
}

pub(crate) fn id(app: &str) -> AppId {
    app.parse().expect("an app id")
}

pub(crate) fn app(name: &str, instances: u32) -> AppSpec {
    AppSpec {
        cpus: Scalar(100),
        mem: Scalar::whole(32),
        instances,
        ports: vec![port(0, "http")],
        ..AppSpec::new(id(name), Process::Cmd("sleep 1000".to_owned()))
    }
}

pub(crate) fn port(number: u16, name: &str) -> PortDefinition {
    PortDefinition {
        port: number,
        name: Some(name.to_owned()),
        protocol: "tcp".to_owned(),
        labels: BTreeMap::new(),
        mapping: None,
    }
}

/// In thousandths.
pub(crate) fn upgrade(minimum_health: u64, maximum_over: u64) -> UpgradeStrategy {
    UpgradeStrategy {
        minimum_health_capacity: Scalar(minimum_health),
        maximum_over_capacity: Scalar(maximum_over),
    }
}

pub(crate) fn health_check() -> AppHealthCheck {
    AppHealthCheck {
        kind: CheckKind::Tcp { port: CheckPort::Index(0), family: Family::Ipv4, mesos: false },
        grace: Duration::from_secs(300),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(20),
        delay: Duration::from_secs(15),
        failures_max: 3,
        ignore_http_1xx: false,
    }
}

pub(crate) const ROOMY: &str = "cpus:16;mem:32768;disk:100000;ports:[31000-32000]";
