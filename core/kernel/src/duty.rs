//! Duty: operators take agents out of use, empty them, use them again, or give them up.
//!
//! What is on an agent ends by the letters that end it for any other reason; the agent itself knows nothing of draining.
//! So a drain goes on whenever the agent registers: after a restart of either side, or a time out of reach.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::agent::ToAgent;
use model::executor::HeldExecutor;
use model::id::{AgentId, Connection, FrameworkId, OfferId, Role};
use model::scheduler::Event;
use model::task::{Reason, Task, TaskState, TaskStatus};
use model::time::Time;

use crate::agents::Registration;
use crate::amounts::Change;
use crate::state::{Agent, Drain, Duty, Standing};
use crate::stock::Stock;
use crate::tasks::Verdict;
use crate::{Effect, Kernel, Out, Record, Refusal};

/// Why an agent is taken out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exit {
    /// For good.
    Gone,
    /// Its machine is down; it may come back, with its data and without its tasks.
    Down,
}

impl Exit {
    fn cause(self, hostname: &str) -> String {
        match self {
            Exit::Gone => format!("agent {hostname} was marked gone by an operator"),
            Exit::Down => format!("machine {hostname} was taken down by an operator"),
        }
    }

    fn standing(self, now: Time) -> Standing {
        match self {
            Exit::Gone => Standing::Gone { since: now },
            Exit::Down => Standing::Unreachable { since: now },
        }
    }

    fn of_task(self) -> (TaskState, Reason) {
        match self {
            Exit::Gone => (TaskState::GoneByOperator, Reason::AgentRemovedByOperator),
            Exit::Down => (TaskState::Gone, Reason::AgentRemoved),
        }
    }
}

impl Kernel {
    pub(crate) fn drain(
        &mut self,
        id: &AgentId,
        drain: Drain,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        self.known(id)?;
        self.set_duty(id, Duty::Draining(drain), out);
        self.empty(id, out);
        Ok(())
    }

    pub(crate) fn deactivate(&mut self, id: &AgentId, out: &mut Out) -> Result<(), Refusal> {
        match self.known(id)?.duty {
            Duty::Active => self.set_duty(id, Duty::Deactivated, out),
            Duty::Deactivated | Duty::Draining(_) | Duty::Drained(_) => (),
        }
        Ok(())
    }

    pub(crate) fn reactivate(&mut self, id: &AgentId, out: &mut Out) -> Result<(), Refusal> {
        match self.known(id)?.duty {
            Duty::Active => return Err(Refusal::NotDeactivated(id.clone())),
            Duty::Draining(_) => return Err(Refusal::StillDraining(id.clone())),
            Duty::Deactivated | Duty::Drained(_) => self.set_duty(id, Duty::Active, out),
        }
        Ok(())
    }

    pub(crate) fn mark_gone(&mut self, id: &AgentId, out: &mut Out) -> Result<(), Refusal> {
        let known = self.state.agents.get(id);
        match known.ok_or_else(|| Refusal::NothingGone(id.clone()))?.standing {
            Standing::Gone { .. } => (),
            Standing::Admitted | Standing::Unreachable { .. } => self.take_out(id, Exit::Gone, out),
        }
        Ok(())
    }

    /// One that has not been marked gone.
    fn known(&self, id: &AgentId) -> Result<&Agent, Refusal> {
        let known = self.state.agents.get(id).filter(|agent| !is_gone(agent));
        known.ok_or_else(|| Refusal::NoAgent(id.clone()))
    }

    fn set_duty(&mut self, id: &AgentId, duty: Duty, out: &mut Out) {
        let agent = Agent { duty, ..self.state.agents[id].clone() };
        self.commit(Record::Agent(id.clone(), Some(agent)), out);
        self.rescind_all(id, out);
        self.count_free(id);
        self.offer_again(id);
    }

    pub(crate) fn rescind_all(&mut self, id: &AgentId, out: &mut Out) {
        let stock = self.offers.stock(id);
        let offers: Vec<OfferId> = stock.into_iter().flat_map(Stock::offer_ids).collect();
        offers.iter().for_each(|offer| self.rescind(offer, out));
    }

    /// If the agent is being drained, all that it runs is to end.
    pub(crate) fn empty(&mut self, id: &AgentId, out: &mut Out) {
        let duty = self.state.duty(id);
        let Some(drain) = duty.drain() else { return };
        self.note_end(id);
        let live = self.agents.get(id);
        let Some(connection) = live.and_then(|live| live.connection) else { return };
        let all = self.tasks_of(id).chain(self.doubles_on(id));
        for task in all.filter(|task| !task.state.is_terminal()) {
            let (framework, task) = (task.framework.clone(), task.id.clone());
            let grace_max = drain.grace_max;
            let kill = ToAgent::Kill { framework, task, grace: None, grace_max };
            out.effects.push(Effect::ToAgent(connection, kill));
        }
    }

    /// Something is over on this agent: was it the last that kept it from being drained?
    pub(crate) fn note_end(&mut self, id: &AgentId) {
        if matches!(self.state.duty(id), Duty::Draining(_)) {
            self.ended_on.insert(id.clone());
        }
    }

    /// Whoever holds nothing any more, and whose last words were heard, is drained.
    pub(crate) fn follow_drains(&mut self, out: &mut Out) {
        while let Some(id) = self.ended_on.pop_first() {
            let Duty::Draining(drain) = self.state.duty(&id) else { continue };
            if !self.is_empty(&id, out) {
                continue;
            }
            let agent = Agent { duty: Duty::Drained(drain), ..self.state.agents[&id].clone() };
            self.commit(Record::Agent(id.clone(), Some(agent)), out);
            if drain.mark_gone {
                self.take_out(&id, Exit::Gone, out);
            }
        }
    }

    /// Executors that are programs outlive their tasks: they are told to end once they are alone.
    fn is_empty(&self, id: &AgentId, out: &mut Out) -> bool {
        let live = self.agents.get(id);
        let Some(live) = live.filter(|live| live.connection.is_some()) else { return false };
        if !live.tasks.is_empty() || self.doubles_on(id).next().is_some() {
            return false;
        }
        for (framework, executor) in live.programs.keys() {
            self.shut_down_executor(framework, id, executor.clone(), out);
        }
        live.programs.is_empty() && !self.has_operations(id)
    }

    /// What an agent says of a task that its draining has ended, as Mesos tells it; returns the task's latest state.
    pub(crate) fn as_drained(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        status: &mut TaskStatus,
        latest: TaskState,
    ) -> TaskState {
        let duty = self.state.duty(agent);
        let Some(drain) = duty.drain() else { return latest };
        let for_good = drain.mark_gone && self.is_partition_aware(framework);
        let as_told = |state: TaskState| {
            if for_good && state == TaskState::Killed { TaskState::GoneByOperator } else { state }
        };
        if matches!(status.state, TaskState::Killing | TaskState::Killed) {
            status.reason = Some(Reason::AgentDraining);
        }
        status.state = as_told(status.state);
        as_told(latest)
    }

    /// An agent that has no business here ends what it runs.
    pub(crate) fn shut_down_given_up(
        &self,
        connection: Connection,
        registration: &Registration,
        out: &mut Out,
    ) {
        let known = registration.agent.as_ref().and_then(|id| self.state.agents.get(id));
        let is_gone = known.is_some_and(is_gone);
        if is_gone || self.state.is_down(&registration.info) {
            let Registration { tasks, books, .. } = registration;
            let of_tasks = tasks.iter().map(|held| &held.task.framework);
            let of_programs = books.executors.iter().map(|held| &held.framework);
            shut_down(connection, of_tasks.chain(of_programs).cloned().collect(), out);
        }
    }

    /// It is not there any more, by an operator's word, and neither is what ran on it.
    pub(crate) fn take_out(&mut self, id: &AgentId, exit: Exit, out: &mut Out) {
        let agent = self.state.agents[id].clone();
        let cause = exit.cause(&agent.info.hostname);
        let connection = self.agents.get(id).and_then(|live| live.connection);
        if let Some(connection) = connection {
            shut_down(connection, self.frameworks_on(id), out);
            let refused = ToAgent::Refused { cause: cause.clone() };
            out.effects.push(Effect::ToAgent(connection, refused));
            self.detach(id, out);
        }
        let left = Agent { standing: exit.standing(self.now), ..agent };
        self.commit(Record::Agent(id.clone(), Some(left)), out);
        self.view.history.counts.agents.taken_out += 1;
        self.end_tasks(id, exit, &cause, out);
        let roles: Vec<Role> =
            self.state.in_use.get(id).into_iter().flat_map(|held| held.keys().cloned()).collect();
        for role in roles {
            self.commit(Record::InUse(id.clone(), role, None), out);
        }
        match exit {
            Exit::Down => {
                self.lose_operations(id, &cause, out);
                self.tell_all(&Event::Away(id.clone()), out);
            }
            Exit::Gone => self.forget_books(id, &cause, out),
        }
        self.count_free(id);
        self.forget_live(id);
        out.effects.extend(connection.map(Effect::Disconnect));
    }

    /// Nobody will ever hear of its operations and claims again.
    fn forget_books(&mut self, id: &AgentId, cause: &str, out: &mut Out) {
        self.end_operations(id, cause, out);
        if self.state.claims.contains_key(id) {
            self.commit(Record::Claims(id.clone(), None), out);
        }
        self.set_provided(id, Vec::new(), out);
        self.tell_all(&Event::Failure { agent: id.clone(), executor: None }, out);
    }

    /// Whether or not they have anything there, as Mesos does: some keep books of where they might be.
    pub(crate) fn tell_all(&self, event: &Event, out: &mut Out) {
        for framework in self.frameworks.keys() {
            self.tell(framework, event.clone(), out);
        }
    }

    fn frameworks_on(&self, id: &AgentId) -> BTreeSet<FrameworkId> {
        let Some(live) = self.agents.get(id) else { return BTreeSet::new() };
        let of_tasks = live.tasks.iter().map(|(framework, _)| framework.clone());
        of_tasks.chain(live.executors().map(|held: HeldExecutor| held.framework)).collect()
    }

    fn end_tasks(&mut self, id: &AgentId, exit: Exit, cause: &str, out: &mut Out) {
        self.charge_members(id, Change::minus);
        self.agents.entry(id.clone()).and_modify(|live| live.programs.clear());
        self.forget_doubles(id);
        let all: Vec<Arc<Task>> = self.tasks_of(id).cloned().collect();
        for task in all {
            if task.state.is_terminal() {
                self.complete(&task.framework, &task.id);
                continue;
            }
            let (state, reason) = exit.of_task();
            let verdict = Verdict::new(self.state_for(&task.framework, state), reason, cause);
            self.decree(self.now, &task.framework, &task.id, verdict, out);
        }
    }
}

fn is_gone(agent: &Agent) -> bool {
    match agent.standing {
        Standing::Gone { .. } => true,
        Standing::Admitted | Standing::Unreachable { .. } => false,
    }
}

fn shut_down(connection: Connection, frameworks: BTreeSet<FrameworkId>, out: &mut Out) {
    for framework in frameworks {
        out.effects.push(Effect::ToAgent(connection, ToAgent::Shutdown { framework }));
    }
}
