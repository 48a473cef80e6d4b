//! The figures of masters and agents: their names are those of Mesos, and they say what has happened.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::{Config, Effect, Input, Kernel, Out};
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL, ToAgent};
use model::framework::FrameworkInfo;
use model::id::{AgentId, Connection, FrameworkId, OfferId, OperationId, Role, TaskId, Term, Uuid};
use model::machine::Machine as _;
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::resources::{Labels, Reservation, ReservationKind, Resource, Resources};
use model::scheduler::{Call, Event, Filters, Operation};
use model::task::{Reason, Source, TaskState, TaskStatus};
use model::time::Time;
use wire::mesos::master::MasterInfo;
use wire::mesos::metrics::{self, Figures, Machine, Measured, Samples, agent};

/// Every name that a quiet master tells, one a line.
const MASTER: &str = include_str!("metrics/master.txt");
/// What it tells of a framework, a role and a quota.
const PARTS: &str = include_str!("metrics/parts.txt");
const AGENT: &str = include_str!("metrics/agent.txt");

const MASTER_AT: Time = Time(1_000);

fn list(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

fn names(figures: &Figures) -> BTreeSet<&str> {
    figures.keys().map(String::as_str).collect()
}

fn two_samples() -> Samples {
    let mut samples = Samples::default();
    [1, 2].map(Duration::from_millis).into_iter().for_each(|took| samples.add(took));
    samples
}

fn measured() -> Measured {
    Measured {
        machine: Machine::read(4, [65_536, 32_768, 0], [10, 5, 1_024]),
        followers: 3,
        waiting: 2,
        uncommitted: 1,
        fetch: two_samples(),
        store: two_samples(),
        allocation: two_samples(),
        allocation_wait: two_samples(),
    }
}

fn of_master(kernel: &Kernel, now: Time) -> Figures {
    let info = MasterInfo {
        ip: "127.0.0.1".to_owned(),
        port: 5050,
        hostname: "master".to_owned(),
        cluster: "c".to_owned(),
        started_at: MASTER_AT,
        flags: vec![],
        domain: None,
    };
    metrics::figures(&kernel.view(), &info, now, &measured())
}

/// A kernel with a clock in hand.
struct Scene {
    kernel: Kernel,
    now: Time,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { kernel: Kernel::new(Config::default()), now: MASTER_AT };
        scene.step(Input::Lead { term: Term(1), cluster: "c".to_owned() });
        scene
    }

    /// Whatever the kernel thinks of it.
    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Out::default();
        let done = self.kernel.step(self.now, input, &mut out);
        drop(done);
        out.effects
    }

    fn hear(&mut self, message: FromAgent) -> Vec<Effect> {
        self.step(Input::Agent { connection: Connection(1), message })
    }

    fn call(&mut self, from: &FrameworkId, call: Call) -> Vec<Effect> {
        self.step(Input::Framework { from: from.clone(), call })
    }

    fn agent(&mut self) -> AgentId {
        let info = AgentInfo {
            hostname: "host".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 5051,
            resources: bag("cpus:4;mem:4096;disk:1000"),
            attributes: vec![],
            domain: None,
            version: "0.1.0".to_owned(),
            work_dir: "/var/lib/dcos/agent".to_owned(),
        };
        let (protocol, agent, tasks, books) = (PROTOCOL, None, vec![], Books::default());
        self.hear(FromAgent::Register { protocol, agent, info, tasks, books });
        self.kernel.view().agents.keys().next().expect("admitted").clone()
    }

    fn framework(&mut self) -> FrameworkId {
        let info = FrameworkInfo {
            id: None,
            name: "my scheduler".to_owned(),
            user: "root".to_owned(),
            roles: vec![Role::new("db")],
            failover_timeout: Duration::from_secs(3600),
            checkpoint: true,
            hostname: "host".to_owned(),
            principal: None,
            webui_url: None,
            capabilities: vec![],
            labels: vec![],
            offer_minima: Default::default(),
        };
        self.step(Input::Subscribe { info });
        self.kernel.view().frameworks.keys().next().expect("subscribed").clone()
    }

    /// The next offer, for which time passes until filters have ended.
    fn offer(&mut self) -> OfferId {
        for _ in 0..100 {
            let told = self.step(Input::Tick);
            let offered = told.into_iter().find_map(|effect| match effect {
                Effect::Event(_, Event::Offers(offers)) => Some(offers[0].id.clone()),
                Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
            });
            if let Some(offer) = offered {
                return offer;
            }
            self.now = self.now + Duration::from_millis(500);
        }
        panic!("nothing is offered");
    }

    fn accept(&mut self, from: &FrameworkId, operations: Vec<Operation>) -> Vec<Effect> {
        let offers = vec![self.offer()];
        self.call(from, Call::Accept { offers, operations, filters: Filters::default() })
    }

    fn check(&self, wanted: &[(&str, f64)]) {
        let figures = of_master(&self.kernel, self.now);
        for (name, value) in wanted {
            assert_eq!(figures.get(*name), Some(value), "{name}");
        }
    }
}

fn bag(text: &str) -> Resources {
    text.parse().expect(text)
}

fn status(task: &str, state: TaskState, reason: Option<Reason>) -> TaskStatus {
    TaskStatus {
        reason,
        uuid: Some(Uuid::derive(1, state as u64)),
        ..TaskStatus::plain(TaskId::new(task), state, Source::Agent, Time(5))
    }
}

#[test]
fn a_quiet_master_tells_these_figures_and_no_others() {
    let scene = Scene::new();
    let figures = of_master(&scene.kernel, scene.now);
    assert_eq!(names(&figures), list(MASTER));
    scene.check(&[
        ("system/cpus_total", 4.0),
        ("system/load_1min", 1.0),
        ("system/load_5min", 0.5),
        ("system/mem_free_bytes", 5_120.0),
        ("master/operator_event_stream_subscribers", 3.0),
        ("master/event_queue_messages", 2.0),
        ("registrar/queued_operations", 1.0),
        ("registrar/state_store_ms", 2.0),
        ("allocator/mesos/allocation_run_ms/min", 1.0),
    ]);
}

#[test]
fn of_frameworks_roles_and_quotas_it_tells_these() {
    let mut scene = Scene::new();
    scene.agent();
    let framework = scene.framework();
    let limits = [(model::resources::ResourceName::Cpus, model::resources::Scalar::whole(2))];
    let limits = kernel::quota::Quantities::from_iter(limits);
    let quota = kernel::quota::Quota { limits, ..Default::default() };
    let order = kernel::operator::Order::UpdateQuota {
        quotas: vec![(Role::new("db"), quota)],
        force: true,
    };
    scene.step(Input::Operator { order });
    let offers = vec![scene.offer()];
    scene.call(&framework, Call::Decline { offers, filters: Filters::default() });
    scene.now = scene.now + Duration::from_secs(6);
    scene.offer();
    let offers = scene.kernel.view().offers.keys().cloned().collect();
    scene.call(&framework, Call::Decline { offers, filters: Filters::default() });
    // One is out, and one filter holds.
    let figures = of_master(&scene.kernel, scene.now);
    let quiet = list(MASTER);
    let own: BTreeSet<String> = names(&figures)
        .into_iter()
        .filter(|name| !quiet.contains(name))
        .map(|name| name.replace(framework.as_str(), "ID"))
        .collect();
    assert_eq!(own.iter().map(String::as_str).collect::<BTreeSet<_>>(), list(PARTS));
}

#[test]
fn figures_of_agents_are_these() {
    let view = node::View::default();
    let info = AgentInfo {
        hostname: "host".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: bag("cpus:4;mem:4096;disk:1000"),
        attributes: vec![],
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/var/lib/dcos/agent".to_owned(),
    };
    let measured = agent::Measured {
        recovery: Some(Duration::from_millis(1_500)),
        fetches: [3, 1],
        cache_bytes: [100, 7],
        removals: [5, 1, 2],
        pulls: two_samples(),
        ..agent::Measured::default()
    };
    let own = agent::Own { view: &view, info: &info, started_at: Time(1_000) };
    let figures = agent::figures(own, Time(3_000), &measured);
    assert_eq!(names(&figures), list(AGENT));
    for (name, value) in [
        ("slave/uptime_secs", 2.0),
        ("slave/cpus_total", 4.0),
        ("slave/recovery_time_secs", 1.5),
        ("containerizer/fetcher/task_fetches_failed", 1.0),
        ("containerizer/fetcher/cache_size_used_bytes", 7.0),
        ("gc/path_removals_pending", 2.0),
        ("gc/path_removals_failed", 1.0),
    ] {
        assert_eq!(figures.get(name), Some(&value), "{name}");
    }
}

#[test]
fn what_frameworks_say_and_what_becomes_of_their_offers_is_counted() {
    let mut scene = Scene::new();
    scene.agent();
    let framework = scene.framework();
    let own = |name: &str| format!("master/frameworks/my%20scheduler/{framework}/{name}");
    let offers = vec![scene.offer()];
    scene.call(&framework, Call::Decline { offers, filters: Filters::default() });
    scene.check(&[
        ("master/messages_register_framework", 1.0),
        ("master/messages_register_slave", 1.0),
        ("master/messages_decline_offers", 1.0),
        ("master/slave_registrations", 1.0),
        ("allocator/mesos/offer_filters/roles/db/active", 1.0),
        (&own("subscribed"), 1.0),
        (&own("calls"), 2.0),
        (&own("calls/subscribe"), 1.0),
        (&own("events"), 2.0),
        (&own("events/offers"), 1.0),
        (&own("offers/sent"), 1.0),
        (&own("offers/declined"), 1.0),
        (&own("roles/db/suppressed"), 0.0),
    ]);
    scene.call(&framework, Call::Suppress { roles: vec![] });
    scene.check(&[(&own("roles/db/suppressed"), 1.0), ("master/messages_suppress_offers", 1.0)]);
    scene.call(&framework, Call::Revive { roles: vec![] });
    scene.offer();
    let figures = of_master(&scene.kernel, scene.now);
    assert!(!figures.contains_key("allocator/mesos/offer_filters/roles/db/active"));
    // The agent goes, and its offer with it.
    scene.step(Input::AgentLost { connection: Connection(1) });
    let stranger = FrameworkId::new("nobody");
    scene.call(&stranger, Call::Revive { roles: vec![] });
    scene.check(&[
        (&own("offers/rescinded"), 1.0),
        (&own("roles/db/suppressed"), 0.0),
        ("master/messages_revive_offers", 1.0),
        ("master/dropped_messages", 1.0),
    ]);
}

#[test]
fn what_agents_say_of_tasks_is_judged_and_ends_are_told_by_their_causes() {
    let mut scene = Scene::new();
    let agent = scene.agent();
    let framework = scene.framework();
    let offer = scene.offer();
    let offered = scene.kernel.view().offers[&offer].clone();
    let refused = model::scheduler::RefusedTask {
        id: TaskId::new("bad"),
        agent: offered.agent_id.clone(),
        reason: Reason::TaskInvalid,
        cause: "no".to_owned(),
    };
    let operations = vec![Operation::Refuse(vec![refused])];
    scene.call(
        &framework,
        Call::Accept { offers: vec![offer], operations, filters: Filters::default() },
    );
    let update = |task: &str| FromAgent::Update {
        framework: framework.clone(),
        status: status(task, TaskState::Failed, Some(Reason::CommandExecutorFailed)),
        latest: TaskState::Failed,
        place: None,
    };
    scene.hear(update("stranger"));
    let (task, uuid) = (TaskId::new("stranger"), Uuid::derive(1, 1));
    scene.call(&framework, Call::Acknowledge { agent, task: task.clone(), uuid });
    scene.call(&framework, Call::Acknowledge { agent: AgentId::new("none"), task, uuid });
    scene.check(&[
        ("master/messages_status_update", 1.0),
        ("master/invalid_status_updates", 1.0),
        ("master/valid_status_updates", 0.0),
        ("master/valid_status_update_acknowledgements", 1.0),
        ("master/invalid_status_update_acknowledgements", 1.0),
        ("master/tasks_error", 1.0),
        ("master/task_error/source_master/reason_task_invalid", 1.0),
    ]);
}

#[test]
fn operations_are_counted_by_what_they_are_and_what_becomes_of_them() {
    let mut scene = Scene::new();
    scene.agent();
    let framework = scene.framework();
    let labels = Labels::new();
    let (kind, role) = (ReservationKind::Dynamic, Role::new("db"));
    let reservation = Reservation { kind, role, principal: None, labels };
    let plain: Vec<Resource> = bag("cpus:1").iter().cloned().collect();
    let reserved = Resource { reservations: vec![reservation], ..plain[0].clone() };
    let conversion = Conversion::Reserve { source: vec![], resources: vec![reserved] };
    let convert = |id: &str| Operation::Convert {
        id: Some(OperationId::new(id)),
        conversion: conversion.clone(),
    };
    let unread = Operation::NoConversion { id: None, cause: "what is it?".to_owned() };
    let effects = scene.accept(&framework, vec![convert("a"), convert("b"), convert("b"), unread]);
    scene.check(&[
        ("master/operations/reserve/pending", 2.0),
        ("master/operations/reserve/error", 1.0),
        ("master/operations/error", 2.0),
        ("master/operations/total", 4.0),
    ]);
    let uuid = effects.iter().find_map(|effect| match effect {
        Effect::ToAgent(_, ToAgent::Convert { operation, .. }) => Some(*operation),
        Effect::ToAgent(..) | Effect::Event(..) | Effect::Disconnect(_) => None,
    });
    let mut latest =
        OperationStatus::new(Some(OperationId::new("a")), OperationState::Finished, "");
    latest.uuid = Some(Uuid::derive(2, 2));
    let uuid = uuid.expect("the agent is told");
    let operated = Operated { uuid, framework: Some(framework.clone()), conversion, latest };
    let claims = scene.kernel.state().claims.values().next().cloned().unwrap_or_default();
    // It repeats itself until it is heard.
    for _ in 0..2 {
        let operated = Box::new(operated.clone());
        scene.hear(FromAgent::Operated { operated, claims: claims.clone(), provided: None });
    }
    scene.check(&[
        ("master/operations/reserve/pending", 1.0),
        ("master/operations/reserve/finished", 1.0),
        ("master/operations/finished", 1.0),
        ("master/operations/reserve/total", 3.0),
        ("master/valid_operation_status_updates", 2.0),
        (&format!("master/frameworks/my%20scheduler/{framework}/operations/reserve"), 3.0),
    ]);
}

#[test]
fn agents_that_fall_silent_are_counted_as_lost() {
    let mut scene = Scene::new();
    scene.agent();
    scene.step(Input::AgentLost { connection: Connection(1) });
    scene.now = scene.now + Duration::from_secs(3_600);
    for _ in 0..40 {
        scene.now = scene.now + Duration::from_secs(15);
        scene.step(Input::Tick);
    }
    scene.check(&[
        ("master/slave_unreachable_scheduled", 1.0),
        ("master/slave_unreachable_completed", 1.0),
        ("master/slave_unreachable_canceled", 0.0),
        ("master/slave_removals", 1.0),
        ("master/slave_removals/reason_unhealthy", 1.0),
        ("master/slaves_unreachable", 1.0),
    ]);
}
