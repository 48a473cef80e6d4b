//! The machine itself: what it remembers, what it merely knows, and what follows from each input.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use model::agent::CheckTally;
use model::check::Readiness;
use model::framework::{Capability, FrameworkInfo};
use model::id::{FrameworkId, OfferId, Role, Serial, TaskId, Term};
use model::machine::Machine;
use model::scheduler::{Call, Event, Offer};
use model::time::Time;

use crate::autoscale::Watch;
use crate::deploy::Intent;
use crate::memory::Memory;
use crate::queue::Queue;
use crate::spec::AppId;
use crate::timers::Timers;
use crate::view::View;
use crate::{Config, Effect, Input, Notice, Order, Out, Record, Refusal, Reply, What};

/// Tasks launched in one step; further offers wait for the next.
pub const TURN_LAUNCHES_MAX: usize = 2_000;
/// Instances chosen to be killed in one step.
pub const TURN_KILLS_MAX: usize = 2_000;
/// Apps looked at in one step.
pub const TURN_APPS_MAX: usize = 2_000;
/// As whom it reserves, as DC/OS calls it.
pub(crate) const PRINCIPAL: &str = "dcos_marathon";
/// How long the framework's tasks live on without it, as DC/OS sets it: a week.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Marathon.
#[derive(Debug)]
pub struct Services {
    pub(crate) config: Config,
    framework: FrameworkId,
    pub(crate) memory: Memory,
    pub(crate) desk: Desk,
}

/// What is known only while this process leads. All of it follows from the memory and from what the kernel says.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) now: Time,
    pub(crate) serial: Serial,
    pub(crate) standing: Standing,
    /// Told to the kernel as ours.
    pub(crate) roles: BTreeSet<Role>,
    /// An app is in a role that was not told.
    pub(crate) has_new_role: bool,
    /// Apps whose next step has to be thought about.
    pub(crate) dirty: BTreeSet<AppId>,
    /// Which actions of each deployment's current step are not complete.
    pub(crate) pending: BTreeMap<Serial, BTreeSet<AppId>>,
    /// What is known of the use of apps that are scaled by it, and when to look at it again.
    pub(crate) watches: BTreeMap<AppId, Watch>,
    pub(crate) looks: BTreeSet<(Time, AppId)>,
    /// When deployments are to be over.
    pub(crate) deadlines: BTreeSet<(Time, Serial)>,
    /// Apps that are gone and have yet to be said to have ended.
    pub(crate) terminating: BTreeSet<AppId>,
    pub(crate) queue: Queue,
    pub(crate) timers: Timers,
    /// Unreachable instances that do not count any more.
    pub(crate) inactive: BTreeMap<AppId, BTreeSet<Serial>>,
    /// Instances that their agents have spoken of, until they run.
    pub(crate) confirmed: BTreeSet<Serial>,
    pub(crate) offers: Offers,
    /// What the checks of tasks have found, as their agents told it last.
    pub(crate) health: OrdMap<TaskId, Arc<Vec<CheckTally>>>,
    /// The same of the checks that say when tasks are ready.
    pub(crate) readiness: OrdMap<TaskId, Arc<Readiness>>,
    /// Instances that failed their checks too often, and why, until they are killed or well.
    pub(crate) ill: BTreeMap<AppId, BTreeMap<Serial, String>>,
    /// When to introduce ourselves to the kernel again.
    pub(crate) subscribe_at: Option<Time>,
    /// The next instance to ask the kernel about, while a reconciliation is under way.
    pub(crate) asking: Option<Serial>,
    pub(crate) reconcile_at: Option<Time>,
}

/// What the kernel and we are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    #[default]
    Unknown,
    Subscribed,
}

/// Offers that no turn has got round to yet.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    waiting: VecDeque<Offer>,
    rescinded: BTreeSet<OfferId>,
}

impl Offers {
    pub(crate) fn push(&mut self, offer: Offer) {
        self.waiting.push_back(offer);
    }

    pub(crate) fn rescind(&mut self, offer: OfferId) {
        if !self.waiting.is_empty() {
            self.rescinded.insert(offer);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Offer> {
        loop {
            let Some(offer) = self.waiting.pop_front() else {
                self.rescinded.clear();
                return None;
            };
            if !self.rescinded.remove(&offer.id) {
                return Some(offer);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// One step: when it happens, what its ids are made from, what it may still do, and what it has done.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Time,
    pub(crate) seed: u64,
    pub(crate) launches: usize,
    pub(crate) kills: usize,
    pub(crate) apps: usize,
    pub(crate) out: &'a mut Out,
}

impl<'a> Turn<'a> {
    fn new(now: Time, seed: u64, out: &'a mut Out) -> Self {
        let (launches, kills, apps) = (TURN_LAUNCHES_MAX, TURN_KILLS_MAX, TURN_APPS_MAX);
        Self { now, seed, launches, kills, apps, out }
    }

    pub(crate) fn call(&mut self, call: Call) {
        self.out.effects.push(Effect::Call(call));
    }

    pub(crate) fn notice(&mut self, what: What) {
        self.out.effects.push(Effect::Notice(Arc::new(Notice { at: self.now, what })));
    }
}

impl Machine for Services {
    type Input = Input;
    type Reply = Reply;
    type Refusal = Refusal;
    type Record = Record;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Out) -> Result<Reply, Refusal> {
        let now = now.max(self.desk.now);
        self.desk.now = now;
        let seed = match &input {
            Input::Order { seed, .. } | Input::Heard { seed, .. } => *seed,
            Input::Lead { .. } | Input::Refused { .. } | Input::Tick => now.0,
        };
        let mut turn = Turn::new(now, seed, out);
        let reply = match input {
            Input::Lead { term } => {
                self.lead(term);
                Ok(Reply::Done)
            }
            Input::Order { order, .. } => self.order(order, &mut turn),
            Input::Heard { event, .. } => {
                self.heard(event, &mut turn);
                Ok(Reply::Done)
            }
            Input::Refused { call, cause } => {
                self.refused(call, &cause, &mut turn);
                Ok(Reply::Done)
            }
            Input::Tick => {
                self.tick(&mut turn);
                Ok(Reply::Done)
            }
        };
        self.settle(&mut turn);
        reply
    }

    fn apply(&mut self, record: &Record) {
        self.memory.apply(record);
    }

    fn wake_at(&self) -> Option<Time> {
        let desk = &self.desk;
        let has_backlog = !desk.dirty.is_empty()
            || !desk.offers.is_empty()
            || desk.asking.is_some() && desk.standing != Standing::Unknown;
        if has_backlog {
            return Some(desk.now);
        }
        let deadline = desk.deadlines.first().map(|(at, _)| *at);
        let look = desk.looks.first().map(|(at, _)| *at);
        let (timers, queue) = (desk.timers.wake_at(), desk.queue.wake_at());
        [timers, queue, look, desk.reconcile_at, desk.subscribe_at, deadline]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Services {
    pub fn new(config: Config, framework: FrameworkId) -> Self {
        let framework_id = Some(framework.clone());
        let enforce_group_role = config.enforce_group_role;
        let view = View { framework: framework_id, enforce_group_role, ..View::default() };
        let memory = Memory { view, ..Memory::default() };
        Self { config, framework, memory, desk: Desk::default() }
    }

    pub(crate) fn framework(&self) -> &FrameworkId {
        &self.framework
    }

    /// What can be asked; taking it costs nothing.
    pub fn view(&self) -> View {
        View {
            queue: self.desk.queue.shown.clone(),
            health: self.desk.health.clone(),
            readiness: self.desk.readiness.clone(),
            ..self.memory.view.clone()
        }
    }

    /// How it introduces itself to the kernel. The roles are those of its apps.
    pub fn framework_info(&self) -> FrameworkInfo {
        FrameworkInfo {
            id: Some(self.framework.clone()),
            name: "marathon".to_owned(),
            user: "root".to_owned(),
            roles: self.roles().into_iter().collect(),
            failover_timeout: FAILOVER_TIMEOUT,
            checkpoint: true,
            hostname: self.config.hostname.clone(),
            principal: Some(PRINCIPAL.to_owned()),
            webui_url: self.config.webui_url.clone(),
            capabilities: vec![
                Capability::PartitionAware,
                Capability::TaskKillingState,
                Capability::MultiRole,
                Capability::GpuResources,
                Capability::RegionAware,
                Capability::ReservationRefinement,
            ],
            labels: Vec::new(),
            offer_minima: Default::default(),
        }
    }

    pub(crate) fn roles(&self) -> BTreeSet<Role> {
        let default = std::iter::once(&self.config.default_role);
        // What is to be given back is offered to its role, whoever is left in it.
        let all = default.chain(self.memory.roles.keys()).chain(self.memory.litter.keys());
        all.cloned().collect()
    }

    /// Writes a record. Whatever an app's records say is thought about before the turn ends.
    pub(crate) fn commit(&mut self, record: Record, turn: &mut Turn<'_>) {
        match &record {
            Record::App(id, app) => {
                let role = app.as_ref().and_then(|app| app.spec.role.as_ref());
                self.desk.has_new_role |= role.is_some_and(|role| !self.desk.roles.contains(role));
                match app {
                    Some(_) => self.desk.terminating.remove(id),
                    None => self.desk.terminating.insert(id.clone()),
                };
                self.desk.dirty.insert(id.clone());
            }
            Record::Instance(serial, instance) => {
                let was = self.memory.instances.get(serial);
                let app = instance.as_ref().or(was).map(|either| &either.app);
                if let Some(app) = app.filter(|app| !self.desk.dirty.contains(*app)) {
                    self.desk.dirty.insert(app.clone());
                }
            }
            Record::Version(..)
            | Record::Deployment(..)
            | Record::Part(..)
            | Record::Doom(..)
            | Record::Autoscaled(..)
            | Record::Group(..)
            | Record::Past(..)
            | Record::History(..) => (),
        }
        self.memory.apply(&record);
        turn.out.records.push(record);
    }

    pub(crate) fn next_serial(&mut self) -> Serial {
        let serial = self.desk.serial;
        self.desk.serial = serial.next();
        serial
    }

    /// Knows nothing yet but what it remembers.
    fn lead(&mut self, term: Term) {
        let memory = &self.memory;
        let instance = memory.instances.keys().next_back().copied();
        let deployment = memory.view.deployments.get_max().map(|(serial, _)| *serial);
        let doom = memory.dooms.keys().next_back().copied();
        let last = instance.max(deployment).max(doom).map_or(Serial(0), Serial::next);
        let apps = memory.view.apps.keys().chain(memory.crews.keys()).chain(memory.held.keys());
        let apps = apps.chain(memory.doomed.keys());
        let dirty: BTreeSet<AppId> = apps.cloned().collect();
        let is_gone = |app: &&AppId| !memory.view.apps.contains_key(*app);
        self.desk = Desk {
            now: self.desk.now,
            serial: Serial::first(term).max(last),
            terminating: dirty.iter().filter(is_gone).cloned().collect(),
            dirty,
            ..Desk::default()
        };
        self.desk.roles = self.roles();
        self.resume_deployments();
        self.resume_timers();
    }

    fn order(&mut self, order: Order, turn: &mut Turn<'_>) -> Result<Reply, Refusal> {
        match order {
            Order::Deploy { changes, force, timeout } => {
                self.deploy(changes, Intent::order(force, timeout), turn)
            }
            Order::Report { app, metric, value } => self.report(&app, &metric, value, turn),
            Order::Plan { changes } => self.dry_run(changes),
            Order::KillTasks { tasks, kill, force } => self.kill_tasks(tasks, kill, force, turn),
            Order::Cancel { deployment, how } => self.cancel(deployment, how, turn),
            Order::ResetDelay { app } => {
                if !self.memory.view.apps.contains_key(&app) {
                    return Err(Refusal::UnknownApp(app));
                }
                self.desk.queue.reset_delay(&app, turn.now);
                Ok(Reply::Done)
            }
        }
    }

    fn heard(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Subscribed { framework } => self.subscribed(framework, turn),
            Event::Offers(offers) => {
                if self.desk.standing == Standing::Subscribed {
                    offers.into_iter().for_each(|one| self.desk.offers.push(one));
                }
            }
            Event::Rescind(offer) => self.desk.offers.rescind(offer),
            Event::Update(status) => self.heard_update(&status, turn),
            Event::Used(tasks) => self.heard_usage(tasks, turn),
            // None of its operations has an id.
            Event::UpdateOperation(_) => (),
            Event::Checked { task, checks, readiness } => {
                self.checked(task, checks, readiness, turn);
            }
            // Each of its tasks gets an update of its own.
            Event::Failure { agent, executor: None } => {
                self.desk.queue.forget_agent(&agent);
                self.forget_estates(&agent, turn);
            }
            // Its data is there when it is back.
            Event::Away(_) => (),
            // It has no executors of its own.
            Event::Failure { executor: Some(_), .. } | Event::Message { .. } => (),
            // It starts nothing new there, and lets what runs run until the machine goes down: it promises nothing.
            Event::InverseOffers(_) | Event::RescindInverse(_) => (),
            Event::Error(_) => self.unsubscribed(turn),
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.desk.queue.tick(turn.now);
        self.fire_timers(turn);
        self.expire_deployment(turn);
        self.resubscribe(turn);
        self.look_again(turn);
        self.reconcile(turn);
    }
}
