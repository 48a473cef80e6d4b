//! Agents come, fall silent and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::agent::{AgentInfo, Books, FromAgent, HeldTask, PROTOCOL, ToAgent, Used};
use model::id::{AgentId, Connection, FrameworkId, OfferId, TaskId, Uuid};
use model::resources::{Amount, Resource, Resources};
use model::scheduler::Event;
use model::time::Time;

use crate::executors::ExecutorKey;
use crate::places::Places;
use crate::programs::Program;
use crate::settle::Holds;
use crate::state::{Agent, Standing};
use crate::stock::Stock;
use crate::tasks::Report;
use crate::timers::Timer;
use crate::{Effect, Kernel, Out, Record, Refusal};

/// The oldest version of the protocol that this release speaks.
const PROTOCOL_MIN: u32 = if PROTOCOL > 1 { PROTOCOL - 1 } else { PROTOCOL };

/// What the kernel knows of an agent without having to remember it.
#[derive(Debug, Default)]
pub(crate) struct LiveAgent {
    pub(crate) connection: Option<Connection>,
    /// When it last registered, if not for the first time.
    pub(crate) returned_at: Option<Time>,
    /// Until when it must have returned to this leader; its tasks are not known before.
    pub(crate) return_by: Option<Time>,
    pub(crate) tasks: BTreeSet<(FrameworkId, TaskId)>,
    /// How far it has told of each of `tasks`, if it says so.
    pub(crate) places: BTreeMap<(FrameworkId, TaskId), Places>,
    /// Those of `tasks` that were launched in groups.
    pub(crate) executors: BTreeMap<ExecutorKey, BTreeSet<TaskId>>,
    /// Executors that are programs: they are here with tasks or without.
    pub(crate) programs: BTreeMap<ExecutorKey, Program>,
    /// What it lends of what its tasks have.
    pub(crate) revocable: Resources,
    /// The version of the agents' protocol that it speaks.
    pub(crate) protocol: u32,
    /// Kills that were asked for, with their grace periods, until the tasks have ended.
    pub(crate) kills: BTreeMap<(FrameworkId, TaskId), Option<Duration>>,
    /// Conversions that it was told of and has not answered.
    pub(crate) converting: BTreeSet<Uuid>,
    /// When it is to be given up, for nothing was heard of it for too long.
    pub(crate) removal: Option<Time>,
    pub(crate) pings: Pings,
}

#[derive(Debug, Default)]
pub(crate) struct Pings {
    due: Option<Time>,
    unanswered: bool,
    missed: u32,
}

/// An agent's first words.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) protocol: u32,
    pub(crate) agent: Option<AgentId>,
    pub(crate) info: AgentInfo,
    pub(crate) tasks: Vec<HeldTask>,
    pub(crate) books: Books,
}

impl Kernel {
    pub(crate) fn hear(
        &mut self,
        now: Time,
        connection: Connection,
        message: FromAgent,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        if let FromAgent::Register { protocol, agent, info, tasks, books } = message {
            let registration = Registration { protocol, agent, info, tasks, books };
            self.register(now, connection, registration, out);
            return Ok(());
        }
        let Some(agent) = self.connections.get(&connection).cloned() else {
            out.effects.push(Effect::Disconnect(connection));
            return Err(Refusal::UnknownConnection(connection));
        };
        let live = self.agents.get_mut(&agent).expect("connected agents are live");
        (live.pings.unanswered, live.pings.missed) = (false, 0);
        self.spare(&agent);
        match message {
            FromAgent::Update { framework, status, latest, place } => {
                self.update(&agent, Report { framework, status, latest, place }, out);
            }
            FromAgent::Checked { framework, task, checks, readiness } => {
                let known = self.view.task(&framework, &task);
                if known.is_some_and(|known| known.agent == agent) {
                    self.tell(&framework, Event::Checked { task, checks, readiness }, out);
                }
            }
            FromAgent::Used { framework, tasks } => {
                let is_here = |used: &Used| {
                    let known = self.view.task(&framework, &used.task);
                    known.is_some_and(|known| known.agent == agent)
                };
                let tasks: Vec<Used> = tasks.into_iter().filter(is_here).collect();
                self.tell(&framework, Event::Used(tasks), out);
            }
            FromAgent::Operated { operated, claims, provided } => {
                let books = (claims, provided.map(|one| *one));
                self.operated(&agent, *operated, books, out);
            }
            FromAgent::ExecutorEnded { framework, executor, wait_status } => {
                self.program_ended(&agent, &(framework, executor), wait_status, out);
            }
            FromAgent::Message { framework, executor, data } => {
                self.tell(&framework, Event::Message { agent, executor, data }, out);
            }
            FromAgent::Lends { revocable } => self.lends(&agent, &revocable, out),
            FromAgent::Provides { providers } => self.adopt_provided(&agent, providers, out),
            FromAgent::Pong => (),
            FromAgent::Register { .. } => unreachable!("handled above"),
        }
        Ok(())
    }

    fn register(
        &mut self,
        now: Time,
        connection: Connection,
        registration: Registration,
        out: &mut Out,
    ) {
        if let Some(cause) = self.cause_to_refuse(&registration) {
            self.shut_down_given_up(connection, &registration, out);
            out.effects.push(Effect::ToAgent(connection, ToAgent::Refused { cause }));
            out.effects.push(Effect::Disconnect(connection));
            return;
        }
        let Registration { protocol, agent, info, tasks, mut books } = registration;
        let id = agent.unwrap_or_else(|| self.state.new_agent_id(&self.view.cluster));
        let was_unreachable =
            self.state.agents.get(&id).is_some_and(|agent| agent.standing != Standing::Admitted);
        self.attach(&id, connection, out);
        self.agents.get_mut(&id).expect("it was attached").protocol = protocol;
        self.admit(now, &id, info, out);
        out.effects.push(Effect::ToAgent(connection, ToAgent::Registered { agent: id.clone() }));
        let executors = std::mem::take(&mut books.executors);
        self.settle(now, &id, Holds { tasks, executors }, out);
        self.agents.get_mut(&id).expect("it was attached").lend(&books.revocable);
        self.settle_books(&id, books, out);
        if was_unreachable {
            self.tell_again(now, &id, out);
        }
        self.empty(&id, out);
        self.expect_pongs(now, &id);
        self.count_free(&id);
        self.follow_plan(&id, out);
        self.inverse.look_at(&id);
        self.offer_again(&id);
    }

    fn cause_to_refuse(&self, registration: &Registration) -> Option<String> {
        let protocol = registration.protocol;
        if !(PROTOCOL_MIN..=PROTOCOL).contains(&protocol) {
            return Some(format!(
                "this master speaks versions {PROTOCOL_MIN} to {PROTOCOL} of the agents' protocol, not {protocol}: \
                 install the same release on both"
            ));
        }
        if let Some(name) = clash(registration) {
            return Some(format!(
                "its tasks hold {name} of another type than the agent has: restore it"
            ));
        }
        if self.state.is_down(&registration.info) {
            return Some(
                "its machine is down for maintenance: it may come back once an operator has brought it up".to_owned(),
            );
        }
        let id = registration.agent.as_ref()?;
        if id.as_str().is_empty() || id.as_str().contains(|c: char| c.is_control() || c == '/') {
            return Some(format!("{id:?} is not an agent id"));
        }
        match self.state.agents.get(id)?.standing {
            Standing::Gone { .. } => Some(format!(
                "agent {id} was marked gone and cannot come back under this id: remove its data directory"
            )),
            Standing::Admitted | Standing::Unreachable { .. } => None,
        }
    }

    /// The newest stream of an agent is the one that counts.
    fn attach(&mut self, id: &AgentId, connection: Connection, out: &mut Out) {
        if let Some(other) = self.connections.get(&connection).filter(|other| *other != id).cloned()
        {
            self.detach(&other, out);
        }
        if let Some(older) = self.agents.get(id).and_then(|live| live.connection) {
            self.detach(id, out);
            if older != connection {
                out.effects.push(Effect::Disconnect(older));
            }
        }
        self.connections.insert(connection, id.clone());
        self.touched_agents.insert(id.clone());
        self.agents.entry(id.clone()).or_default().connection = Some(connection);
    }

    fn admit(&mut self, now: Time, id: &AgentId, info: AgentInfo, out: &mut Out) {
        let known = self.state.agents.get(id);
        let returned_at = known.map(|_| now);
        let agent = Agent {
            info: Arc::new(info),
            standing: Standing::Admitted,
            registered_at: known.map_or(now, |known| known.registered_at),
            duty: known.map(|known| known.duty).unwrap_or_default(),
        };
        if known != Some(&agent) {
            self.commit(Record::Agent(id.clone(), Some(agent)), out);
        }
        let counts = &mut self.view.history.counts.agents;
        match returned_at {
            None => counts.registrations += 1,
            Some(_) => counts.reregistrations += 1,
        }
        self.spare(id);
        let live = self.agents.get_mut(id).expect("it was attached");
        live.returned_at = returned_at;
        if let Some(by) = live.return_by.take() {
            self.awaited -= 1;
            self.timers.cancel(by, Timer::Return(id.clone()));
        }
    }

    pub(crate) fn agent_lost(&mut self, connection: Connection, out: &mut Out) {
        // A stream that was replaced or never registered is of no interest.
        if let Some(id) = self.connections.get(&connection).cloned() {
            self.detach(&id, out);
        }
    }

    /// The agent is not connected any more: nothing of it is offered.
    pub(crate) fn detach(&mut self, id: &AgentId, out: &mut Out) {
        let live = self.agents.get_mut(id).expect("it has registered or is awaited");
        let Some(connection) = live.connection.take() else { return };
        self.connections.remove(&connection);
        self.touched_agents.insert(id.clone());
        let stock = self.offers.stock(id);
        let offers: Vec<OfferId> = stock.into_iter().flat_map(Stock::offer_ids).collect();
        self.count_free(id);
        offers.iter().for_each(|offer| self.rescind(offer, out));
        self.follow_plan(id, out);
    }

    /// Pings are spread over the interval by the agent's id, so that ten thousand do not answer at once.
    fn expect_pongs(&mut self, now: Time, id: &AgentId) {
        let interval = self.config.ping_interval;
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let first = now + Duration::from_millis(1 + spread(id) % millis);
        let live = self.agents.get_mut(id).expect("it was attached");
        let pings = Pings { due: Some(first), unanswered: false, missed: 0 };
        let before = std::mem::replace(&mut live.pings, pings);
        if let Some(due) = before.due {
            self.timers.cancel(due, Timer::Ping(id.clone()));
        }
        self.timers.set(first, Timer::Ping(id.clone()));
    }

    pub(crate) fn ping(&mut self, now: Time, id: &AgentId, out: &mut Out) {
        let missed_max = self.config.pings_missed_max.max(1);
        let live = self.agents.get_mut(id).expect("whoever is pinged is live");
        let pings = &mut live.pings;
        if pings.unanswered || live.connection.is_none() {
            pings.missed += 1;
        }
        let mut next = now + self.config.ping_interval.max(Duration::from_millis(1));
        if pings.missed >= missed_max {
            let at = self.turn_to_go(now, id);
            if at <= now {
                self.agents.get_mut(id).expect("it was pinged").pings.due = None;
                self.lose(now, id, "health check timed out", out);
                return;
            }
            next = next.min(at);
        }
        let live = self.agents.get_mut(id).expect("it was pinged");
        if let Some(connection) = live.connection {
            live.pings.unanswered = true;
            out.effects.push(Effect::ToAgent(connection, ToAgent::Ping));
        }
        live.pings.due = Some(next);
        self.timers.set(next, Timer::Ping(id.clone()));
        // What it was told to end before may not have reached it.
        self.empty(id, out);
    }

    /// An earlier leader admitted the agent, and it has not come back to this one.
    pub(crate) fn missed_return(&mut self, now: Time, id: &AgentId, out: &mut Out) {
        let at = self.turn_to_go(now, id);
        let live = self.agents.get_mut(id).expect("whoever is awaited is live");
        if now < at {
            live.return_by = Some(at);
            self.timers.set(at, Timer::Return(id.clone()));
            return;
        }
        live.return_by = None;
        self.awaited -= 1;
        self.view.history.counts.agents.missed += 1;
        self.lose(now, id, "did not register again after a change of leader", out);
    }

    /// Nothing is known of the agent any more but what is written down, and it is not waited for.
    pub(crate) fn forget_live(&mut self, id: &AgentId) {
        let Some(live) = self.agents.remove(id) else { return };
        if let Some(due) = live.pings.due {
            self.timers.cancel(due, Timer::Ping(id.clone()));
        }
        if let Some(by) = live.return_by {
            self.awaited -= 1;
            self.timers.cancel(by, Timer::Return(id.clone()));
        }
    }

    /// The agent is unreachable from now on. It may come back.
    fn lose(&mut self, now: Time, id: &AgentId, cause: &str, out: &mut Out) {
        let Some(agent) = self.state.agents.get(id) else { return };
        if agent.standing != Standing::Admitted {
            return;
        }
        let lost = Agent { standing: Standing::Unreachable { since: now }, ..agent.clone() };
        let cause = format!("agent {} is unreachable: {cause}", lost.info.hostname);
        let connection = self.agents.get(id).and_then(|live| live.connection);
        self.detach(id, out);
        self.commit(Record::Agent(id.clone(), Some(lost)), out);
        self.view.history.counts.agents.lost += 1;
        self.agents.entry(id.clone()).and_modify(|live| live.removal = None);
        self.lose_tasks(now, id, &cause, out);
        self.lose_operations(id, &cause, out);
        self.tell_all(&Event::Away(id.clone()), out);
        self.count_free(id);
        // Should it only have been slow, it must register again before it counts.
        out.effects.extend(connection.map(Effect::Disconnect));
    }
}

/// A resource that is a number here and a range there: the two cannot be reckoned with.
fn clash(registration: &Registration) -> Option<&str> {
    let Registration { info, tasks, books, .. } = registration;
    let kind = |amount: &Amount| std::mem::discriminant(amount);
    let of_agent: BTreeMap<_, _> =
        info.resources.iter().map(|one| (&one.name, kind(&one.amount))).collect();
    let programs = books.executors.iter().map(|held| &held.info);
    let executors = tasks.iter().filter_map(|held| held.task.executor.as_deref()).chain(programs);
    let executors = executors.flat_map(|executor| executor.resources.iter());
    let mut held = tasks.iter().flat_map(|held| held.task.resources.iter()).chain(executors);
    let differs =
        |one: &&Resource| of_agent.get(&one.name).is_some_and(|known| *known != kind(&one.amount));
    held.find(differs).map(|one| one.name.as_str())
}

/// FNV-1a: the same number for the same id in every run.
pub(crate) fn spread(id: &AgentId) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    id.as_str()
        .bytes()
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
