//! The cluster kernel: agents, frameworks, roles, offers and tasks. What the Mesos master decides.
//!
//! Reading order: [`state`] (what is durable), [`view`] (what can be asked) with [`history`], [`counts`] and `refresh`, this
//! file (who may say what), then one file per noun: `agents` with `settle`, `removals` and [`registry`], `frameworks`, `introduce` and `leftovers`,
//! `offers` with `clients`, `demand`, `eligible`, `constraints` and `pattern`, `stock` and `shares`, `quota`, `promises`,
//! `operator`, `duty`, `maintenance` and `inverse`, `accept`, `tasks`, `executors`, `programs`, `reconcile`; `operations`,
//! `judge` with `disks`, `claims`, `provided` and `lent`.
//!
//! Offers are made on ticks only: whoever changes something that may lead to offers finds `wake_at` due at once.

mod accept;
mod agents;
mod alike;
mod amounts;
mod audit;
mod bits;
mod claims;
mod clients;
pub mod constraints;
pub mod counts;
mod demand;
mod disks;
mod doubles;
mod duty;
mod eligible;
mod executors;
mod frameworks;
pub mod history;
mod introduce;
mod inverse;
mod judge;
mod leftovers;
mod lent;
pub mod maintenance;
mod offers;
mod operations;
pub mod operator;
mod pattern;
mod places;
mod programs;
mod promises;
mod provided;
pub mod quota;
mod reconcile;
mod record;
mod refresh;
pub mod registry;
mod removals;
mod settle;
mod shares;
pub mod state;
mod stock;
mod tasks;
mod timers;
pub mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::agent::{FromAgent, ToAgent};
use model::framework::FrameworkInfo;
use model::id::{AgentId, Connection, FrameworkId, Role, Serial, Term};
use model::machine::Machine;
use model::resources::{ResourceName, Resources, Scalar};
use model::scheduler::{Call, Event};
use model::time::Time;

use agents::LiveAgent;
use alike::Alike;
use amounts::{Amounts, Change};
pub use eligible::{Gpus, OfferRules};
use frameworks::Subscription;
use inverse::Inverse;
use leftovers::Leftovers;
use offers::Offers;
use operations::Operations;
use operator::Order;
use reconcile::Asked;
pub use record::MACHINE;
use registry::Remembered;
use removals::Removals;
use shares::Shares;
pub use shares::{Fairness, Sorter};
pub use state::Record;
use state::{Standing, State};
use timers::{Timer, Timers};
use view::View;

pub type Out = model::machine::Out<Record, Effect>;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// From one ping of an agent to the next: 15 s.
    pub ping_interval: Duration,
    /// An agent that misses so many pings in a row is unreachable: 20, as DC/OS ships it.
    pub pings_missed_max: u32,
    /// After a change of leader, an admitted agent that has not registered again by then is unreachable: 10 min.
    pub reregister_timeout: Duration,
    /// From one agent that is given up as unreachable to the next: 600 ms, a hundred a minute, as DC/OS ships it.
    pub removal_interval: Duration,
    pub remembered: Remembered,
    /// An offer that nobody has answered by then is rescinded: 2 min, as DC/OS ships it.
    pub offer_timeout: Duration,
    pub offers: OfferRules,
    pub fairness: Fairness,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(15),
            pings_missed_max: 20,
            reregister_timeout: Duration::from_secs(600),
            removal_interval: Duration::from_millis(600),
            remembered: Remembered::default(),
            offer_timeout: Duration::from_secs(120),
            offers: OfferRules::default(),
            fairness: Fairness::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// First after recovery. `cluster` is the prefix of all ids; the term grows with each leader.
    Lead {
        term: Term,
        cluster: String,
    },
    /// A scheduler introduces itself; the kernel answers with `Event::Subscribed`.
    Subscribe {
        info: FrameworkInfo,
    },
    /// Its stream is gone. Its tasks live on for the failover time-out.
    FrameworkLost {
        framework: FrameworkId,
    },
    Framework {
        from: FrameworkId,
        call: Call,
    },
    /// `connection` is the stream; the first message on it is `Register`.
    Agent {
        connection: Connection,
        message: FromAgent,
    },
    AgentLost {
        connection: Connection,
    },
    /// An operator wants something; it is done whole or refused.
    Operator {
        order: Order,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most effects are letters, and a box would be one more allocation for each"
)]
pub enum Effect {
    Event(FrameworkId, Event),
    ToAgent(Connection, ToAgent),
    /// Close this stream: another took its place, or the agent was refused.
    Disconnect(Connection),
}

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("framework {0} is not subscribed")]
    UnknownFramework(FrameworkId),
    #[error("framework {0} has been torn down")]
    CompletedFramework(FrameworkId),
    #[error("framework is not valid: {0}")]
    InvalidFramework(String),
    #[error("stream {0:?} has not registered an agent")]
    UnknownConnection(Connection),
    #[error("quota is not valid: {}", .0.join("; "))]
    InvalidQuota(Vec<String>),
    #[error(
        "role {role} and those below it use {used} of {resource} already, more than the limit of {limit}: raise the \
         limit, or use force to keep what runs and stop what is new"
    )]
    OverLimit { role: Role, resource: ResourceName, used: Scalar, limit: Scalar },
    #[error(
        "{promised} of {resource} would be guaranteed, and the cluster has {there}: promise less, or use force if more \
         agents are to come"
    )]
    Overcommitted { resource: ResourceName, promised: Scalar, there: Scalar },
    #[error("role {0} has a quota already: update or remove it")]
    QuotaExists(Role),
    #[error("role {0} has no quota")]
    NoQuota(Role),
    #[error("{0}")]
    InvalidMaintenance(String),
    #[error("weights are not valid: {}", .0.join("; "))]
    InvalidWeight(Vec<String>),
    #[error("agent {0} is not known")]
    NoAgent(AgentId),
    #[error("agent {0} is not known: there is nothing to mark gone")]
    NothingGone(AgentId),
    #[error("agent {0} is not deactivated")]
    NotDeactivated(AgentId),
    #[error("agent {0} is still draining: it can be reactivated once it is drained")]
    StillDraining(AgentId),
    #[error("agent {0} is not connected")]
    UnknownAgent(AgentId),
    #[error("the operation is not valid: {0}")]
    InvalidOperation(String),
    /// It may be possible later.
    #[error("agent {agent} does not have it free: {missing}")]
    NotFree { agent: AgentId, missing: Resources },
}

/// Timers handled in one tick: each may lose an agent, which writes a record.
const TIMERS_PER_TICK_MAX: usize = 64;

/// The machine. All but `state` is volatile: a new leader starts without it and is told by agents and frameworks.
#[derive(Debug)]
pub struct Kernel {
    config: Config,
    state: State,
    /// Of the latest step.
    now: Time,
    agents: BTreeMap<AgentId, LiveAgent>,
    connections: BTreeMap<Connection, AgentId>,
    /// Agents that an earlier leader admitted and that have yet to return.
    awaited: usize,
    removals: Removals,
    /// Agents that left too long ago.
    to_forget: Vec<AgentId>,
    /// What frameworks have asked of their tasks and are still to be told.
    asked: VecDeque<Asked>,
    leftovers: Leftovers,
    frameworks: BTreeMap<FrameworkId, Subscription>,
    offers: Offers,
    operations: Operations,
    inverse: Inverse,
    shares: Shares,
    timers: Timers,
    /// Draining agents on which something has ended in this step.
    ended_on: BTreeSet<AgentId>,
    /// Holds the tasks and offers themselves, and copies of the rest.
    view: View,
    alike: Alike,
    /// Whose copies in the view are out of date.
    touched_agents: BTreeSet<AgentId>,
    touched_frameworks: BTreeSet<FrameworkId>,
}

impl Machine for Kernel {
    type Input = Input;
    type Reply = ();
    type Refusal = Refusal;
    type Record = Record;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Out) -> Result<(), Refusal> {
        self.now = self.now.max(now);
        self.shares.set_now(self.now);
        self.count_input(&input);
        let before = out.effects.len();
        let done = self.handle(self.now, input, out);
        self.follow_drains(out);
        self.rescind_exceeding(out);
        self.count_effects(&out.effects[before..]);
        self.refresh_view();
        done
    }

    fn apply(&mut self, record: &Record) {
        self.remember(record);
        self.refresh_view();
    }

    fn wake_at(&self) -> Option<Time> {
        let has_work = self.shares.anyone_waits()
            || self.inverse.is_due()
            || !self.asked.is_empty()
            || !self.leftovers.is_empty();
        if has_work { Some(self.now) } else { self.timers.next_at() }
    }
}

impl Kernel {
    pub fn new(config: Config) -> Self {
        let shares = Shares::new(config.fairness, config.offers.gpus);
        Self {
            config,
            state: State::default(),
            now: Time::default(),
            agents: BTreeMap::new(),
            connections: BTreeMap::new(),
            awaited: 0,
            removals: Removals::default(),
            to_forget: Vec::new(),
            asked: VecDeque::new(),
            leftovers: Leftovers::default(),
            frameworks: BTreeMap::new(),
            offers: Offers::default(),
            operations: Operations::default(),
            inverse: Inverse::default(),
            shares,
            timers: Timers::default(),
            ended_on: BTreeSet::new(),
            view: View::default(),
            alike: Alike::default(),
            touched_agents: BTreeSet::new(),
            touched_frameworks: BTreeSet::new(),
        }
    }

    /// What readers may see now; its clone costs nothing.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// What is durable.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn handle(&mut self, now: Time, input: Input, out: &mut Out) -> Result<(), Refusal> {
        match input {
            Input::Lead { term, cluster } => self.lead(now, term, cluster),
            Input::Subscribe { info } => return self.subscribe(now, info, out),
            Input::FrameworkLost { framework } => self.framework_lost(now, &framework),
            Input::Framework { from, call } => return self.call(now, &from, call, out),
            Input::Agent { connection, message } => {
                return self.hear(now, connection, message, out);
            }
            Input::AgentLost { connection } => self.agent_lost(connection, out),
            Input::Operator { order } => return self.order(order, out),
            Input::Tick => self.tick(now, out),
        }
        Ok(())
    }

    /// What was recovered is awaited: admitted agents for a while, frameworks for their failover time-outs.
    fn lead(&mut self, now: Time, term: Term, cluster: String) {
        self.shares.seed_lots(term.0);
        (self.view.term, self.view.cluster, self.view.elected_at) = (term, cluster, now);
        self.offers.next = Serial::first(term);
        self.operations.next = Serial::first(term);
        self.look_later(now);
        let by = now + self.config.reregister_timeout;
        for (id, agent) in &self.state.agents {
            if agent.standing == Standing::Admitted {
                let live = LiveAgent { return_by: Some(by), ..LiveAgent::default() };
                self.agents.insert(id.clone(), live);
                self.touched_agents.insert(id.clone());
                self.timers.set(by, Timer::Return(id.clone()));
                self.awaited += 1;
            }
        }
        for (id, framework) in &self.state.frameworks {
            if framework.completed_at.is_none() {
                // Even one without a failover time-out gets the time to notice that the leader has changed.
                let patience = framework.info.failover_timeout.max(self.config.reregister_timeout);
                let at = now + patience;
                let failover_at = Some(at);
                let live = Subscription { failover_at, recovered: true, ..Subscription::default() };
                self.frameworks.insert(id.clone(), live);
                self.touched_frameworks.insert(id.clone());
                self.timers.set(at, Timer::Failover(id.clone()));
            }
        }
    }

    fn tick(&mut self, now: Time, out: &mut Out) {
        for _ in 0..TIMERS_PER_TICK_MAX {
            let Some(timer) = self.timers.pop_due(now) else { break };
            match timer {
                Timer::Ping(agent) => self.ping(now, &agent, out),
                Timer::Return(agent) => self.missed_return(now, &agent, out),
                Timer::Failover(framework) => self.tear_down(now, &framework, out),
                Timer::Offers(agent) => self.end_offers(now, agent, out),
                Timer::Filters(client) => self.end_filters(now, client),
                Timer::Inverse(agent) => self.ask_again(&agent),
                Timer::Forget => self.forget_agents(now, out),
            }
        }
        if self.clear_away(now, out) {
            return;
        }
        self.go_on_reconciling(now, out);
        self.ask_back(now, out);
        self.make_offers(now, out);
    }

    /// The only way durable state changes during a step.
    fn commit(&mut self, record: Record, out: &mut Out) {
        self.remember(&record);
        out.records.push(record);
    }

    /// Applies a record to the durable state and to what follows from it: shares and views.
    fn remember(&mut self, record: &Record) {
        match record {
            Record::Agent(id, _) => {
                self.count_agent(id, Change::minus);
                self.state.apply(record);
                self.count_agent(id, Change::plus);
                self.touched_agents.insert(id.clone());
            }
            Record::Framework(id, _) => {
                self.state.apply(record);
                self.touched_frameworks.insert(id.clone());
            }
            Record::Weight(role, weight) => {
                self.state.apply(record);
                self.shares.set_weight(role, *weight);
                match weight {
                    Some(weight) => self.view.weights.insert(role.clone(), *weight),
                    None => self.view.weights.remove(role),
                };
            }
            Record::InUse(agent, role, held) => {
                if self.state.is_admitted(agent) {
                    let amounts = |held: Option<_>| held.map(Amounts::of).unwrap_or_default();
                    let minus = amounts(self.state.held(agent, role));
                    self.shares.change_role(role, &Change { plus: amounts(held.as_ref()), minus });
                }
                self.state.apply(record);
                self.touched_agents.insert(agent.clone());
            }
            Record::Quota(role, quota) => {
                self.state.apply(record);
                let limits = quota.as_ref().map(|quota| &quota.limits);
                self.shares.set_limits(role, limits.filter(|limits| !limits.is_empty()));
                self.promise(role, quota.as_ref().map(|quota| quota.guarantees.clone()));
                match quota {
                    Some(quota) => self.view.quotas.insert(role.clone(), quota.clone()),
                    None => self.view.quotas.remove(role),
                };
            }
            Record::Maintenance(_) => {
                self.state.apply(record);
                self.view.schedule = Arc::new(self.state.schedule.clone());
            }
            Record::Claims(id, _) | Record::Provided(id, _) => {
                self.count_agent(id, Change::minus);
                self.state.apply(record);
                self.count_agent(id, Change::plus);
                self.touched_agents.insert(id.clone());
            }
        }
    }

    /// An admitted agent counts in the cluster's totals, and what is held of it in its roles' shares.
    fn count_agent(&mut self, id: &AgentId, change: fn(Amounts) -> Change) {
        if !self.state.is_admitted(id) {
            return;
        }
        let total = self.state.total(id);
        self.shares.change_totals(&change(Amounts::of(&total)));
        for one in total.iter() {
            if let Some(role) = one.role() {
                self.shares.change_role(role, &change(Amounts::reserved([one])));
            }
        }
        for (role, held) in self.state.in_use.get(id).into_iter().flatten() {
            self.shares.change_role(role, &change(Amounts::of(held)));
        }
    }
}
