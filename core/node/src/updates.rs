//! What is told to the master until it is acknowledged: one update at a time for each task, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use model::agent::{FromAgent, Used};
use model::check::CheckStatus;
use model::executor::Given;
use model::id::{AgentId, ContainerId, FrameworkId, TaskId, Term, Uuid};
use model::resources::Resources;
use model::task::{ContainerStatus, Reason, Source, TaskState, TaskStatus};
use model::time::Time;
use model::told::{self, Earlier, StatusMore};

use crate::queue::Queue;
use crate::state::{Held, Own, Record};
use crate::{Effect, Measured, Node, Refusal, TICK_TIMERS_MAX, Turn};

/// Updates of one task that wait. Beyond this the newest replaces the one before it: a task that flickers while no
/// master listens must not fill the disk.
const PENDING_MAX: usize = 32;

/// The stream and what is repeated on it.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    connected: bool,
    retries: Queue<ContainerId>,
    /// How long the last wait was.
    waits: BTreeMap<ContainerId, Duration>,
}

impl Updates {
    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.retries.clear();
        self.waits.clear();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.retries.first()
    }

    fn settled(&mut self, container: &ContainerId) {
        self.retries.remove(container);
        self.waits.remove(container);
    }
}

/// What is new about a task.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) state: TaskState,
    pub(crate) source: Source,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: Option<String>,
    pub(crate) healthy: Option<bool>,
    /// As before if unset.
    pub(crate) container: Option<ContainerStatus>,
    pub(crate) wait_status: Option<i32>,
    /// These two as before if unset.
    pub(crate) check: Option<CheckStatus>,
    pub(crate) ready: Option<bool>,
    /// As its executor named it; a new name if unset.
    pub(crate) uuid: Option<Uuid>,
    pub(crate) given: Option<Given>,
    pub(crate) labels: Vec<(String, String)>,
}

impl News {
    /// Without reason or message, as the task's executor would say it.
    pub(crate) fn of(state: TaskState) -> Self {
        Self {
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            healthy: None,
            container: None,
            wait_status: None,
            check: None,
            ready: None,
            uuid: None,
            given: None,
            labels: Vec::new(),
        }
    }
}

impl Node {
    /// To each framework of its tasks, if somebody listens. Neither written down nor repeated.
    pub(crate) fn tell_use(&mut self, measured: Vec<Measured>, turn: &mut Turn<'_>) {
        if !self.updates.connected {
            return;
        }
        let mut by_framework: BTreeMap<FrameworkId, Vec<Used>> = BTreeMap::new();
        for Measured { container, cpu, mem } in measured {
            let Some(held) = self.state.held(&container).filter(|held| held.info.measured) else {
                continue;
            };
            let used = Used { task: held.info.id.clone(), cpu, mem };
            by_framework.entry(held.framework.clone()).or_default().push(used);
        }
        for (framework, tasks) in by_framework {
            turn.out.effects.push(Effect::ToMaster(FromAgent::Used { framework, tasks }));
        }
    }

    /// A stream is open: tells all that is held, and each oldest update again.
    pub(crate) fn connect(&mut self, term: Term, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.obey(term, turn)?;
        self.updates.disconnect();
        self.updates.connected = true;
        let held = self.state.all();
        let own = self.own();
        turn.out.effects.push(Effect::ToMaster(FromAgent::Register {
            protocol: model::agent::PROTOCOL,
            agent: own.agent.clone(),
            info: own.info.clone(),
            tasks: held.values().map(|held| held.told()).collect(),
            books: self.books(),
        }));
        self.repeats.clear();
        self.tell_operations(turn);
        for container in held.keys() {
            self.tell(container, self.config.retry_min, turn);
            self.tell_tallies(container, turn);
        }
        Ok(())
    }

    /// Takes a letter of this term only if no later master was heard.
    pub(crate) fn obey(&mut self, term: Term, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let own = self.own();
        if term < own.term {
            return Err(Refusal::OldTerm { told: term, seen: own.term });
        }
        if own.term < term {
            let own = Own { term, ..own.clone() };
            self.commit(Record::Own(Box::new(own)), turn);
        }
        Ok(())
    }

    pub(crate) fn registered(&mut self, agent: AgentId, turn: &mut Turn<'_>) {
        let own = self.own();
        if own.agent.as_ref() != Some(&agent) {
            let own = Own { agent: Some(agent), ..own.clone() };
            self.commit(Record::Own(Box::new(own)), turn);
        }
    }

    pub(crate) fn own(&self) -> &Own {
        self.state.own().expect("an agent is started before anybody speaks to it")
    }

    /// Keeps what is new and tells it, unless an older update is still on its way or nobody listens any more.
    pub(crate) fn report(
        &mut self,
        container: &ContainerId,
        before: &Held,
        news: News,
        turn: &mut Turn<'_>,
    ) {
        let (ends, finishes) = (news.state.is_terminal(), news.state == TaskState::Finished);
        if ends {
            self.end_checks(container);
        }
        self.counts.reported(&news, ends && !before.is_ended());
        let status = self.status(before, news, turn);
        if ends && before.abandoned {
            self.tell_end(before, status, turn);
            self.forget(container, before, turn);
            return self.shrink_pool(before, turn);
        }
        let mut held = before.clone();
        Earlier::keep(&mut held.earlier, before.latest.as_ref(), status.state);
        held.latest = Some(status.clone());
        if !held.abandoned {
            if held.pending.len() >= PENDING_MAX {
                held.pending.pop();
            }
            held.pending.push(status);
        }
        let first = held.pending.len() == 1;
        self.keep(container, held, turn);
        if first {
            self.tell(container, self.config.retry_min, turn);
        }
        if ends {
            self.shrink_pool(before, turn);
        }
        if ends && !finishes {
            self.kill_mates(before, turn);
        }
    }

    fn status(&self, held: &Held, news: News, turn: &mut Turn<'_>) -> TaskStatus {
        let before = held.latest.as_ref().and_then(|status| status.container.clone());
        // The tasks of a program are in its container, and have none of their own.
        let nest = held.group.as_ref().filter(|_| held.program().is_none());
        let nest = nest.map(|group| &group.container);
        let nested =
            |container: ContainerStatus| ContainerStatus { parent: nest.cloned(), ..container };
        let last = held.latest.as_ref();
        let unknown = || held.info.check.as_ref().map(|check| CheckStatus::unknown(&check.probe));
        let limitation = match news.source {
            Source::Agent => told::exceeded(news.reason, &held.info.resources),
            Source::Executor | Source::Master => Resources::default(),
        };
        let more = StatusMore { limitation, labels: news.labels, ..StatusMore::default() };
        let not_yet = || held.info.readiness.as_ref().map(|_| false);
        TaskStatus {
            agent: Some(held.info.agent.clone()),
            reason: news.reason,
            message: news.message,
            uuid: Some(news.uuid.unwrap_or_else(|| turn.mint())),
            healthy: news.healthy,
            container: news.container.map(nested).or(before),
            executor: Some(held.executor()),
            wait_status: news.wait_status,
            check: news.check.or(last.and_then(|last| last.check)).or_else(unknown),
            ready: news.ready.or(last.and_then(|last| last.ready)).or_else(not_yet),
            given: news.given,
            more: more.kept(),
            ..TaskStatus::plain(held.info.id.clone(), news.state, news.source, turn.now)
        }
    }

    pub(crate) fn acknowledged(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        uuid: Uuid,
        turn: &mut Turn<'_>,
    ) {
        let Some(container) = self.state.container_of(framework, task).cloned() else { return };
        let held = self.state.held(&container).expect("the index names what is held").clone();
        if held.pending.first().and_then(|status| status.uuid) != Some(uuid) {
            return;
        }
        self.updates.settled(&container);
        if held.pending.len() == 1 && held.is_ended() {
            return self.forget(&container, &held, turn);
        }
        let mut held = Held::clone(&held);
        held.pending.remove(0);
        held.acknowledged += 1;
        self.keep(&container, held, turn);
        self.tell(&container, self.config.retry_min, turn);
    }

    /// Once, so that the master counts its resources as free: nobody is left to acknowledge it. If it is lost, so is the
    /// stream, and the master learns from the next registration that the task is no more.
    pub(crate) fn tell_end(&self, held: &Held, status: TaskStatus, turn: &mut Turn<'_>) {
        if self.updates.connected {
            let (framework, latest) = (held.framework.clone(), status.state);
            let update = FromAgent::Update { framework, status, latest, place: None };
            turn.out.effects.push(Effect::ToMaster(update));
        }
    }

    /// Nothing is left to be said of it.
    pub(crate) fn forget(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        self.updates.settled(container);
        self.programs.handed.remove(container);
        self.end_checks(container);
        self.commit(Record::Task(container.clone(), None), turn);
        turn.out.effects.push(Effect::Collect {
            container: container.clone(),
            framework: held.framework.clone(),
            task: held.info.id.clone(),
            group: held.group.clone(),
            after: self.config.gc_delay,
        });
        self.leave(held, turn);
        self.part_from(&held.framework, turn);
    }

    /// Sends the oldest update, if there is one and somebody listens, and again after `wait`.
    pub(crate) fn tell(&mut self, container: &ContainerId, wait: Duration, turn: &mut Turn<'_>) {
        let Some(held) = self.state.held(container).filter(|_| self.updates.connected) else {
            return;
        };
        let Some(status) = held.pending.first().cloned() else { return };
        turn.out.effects.push(Effect::ToMaster(FromAgent::Update {
            framework: held.framework.clone(),
            status,
            latest: held.state(),
            place: Some(held.acknowledged),
        }));
        // A wait of nothing would have ticks without end at one time.
        let wait = wait.max(Duration::from_millis(1));
        self.updates.retries.set(container.clone(), turn.now + wait);
        self.updates.waits.insert(container.clone(), wait);
    }

    /// Repeats what has waited long enough.
    pub(crate) fn retry(&mut self, turn: &mut Turn<'_>) {
        for container in self.updates.retries.take_due(turn.now, TICK_TIMERS_MAX) {
            let waited = self.updates.waits.get(&container).copied().unwrap_or_default();
            let wait = (waited * 2).min(self.config.retry_max);
            self.tell(&container, wait, turn);
        }
    }
}
