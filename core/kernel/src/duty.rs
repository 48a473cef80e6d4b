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

use crate::agents::Registration;
use crate::amounts::Change;
use crate::state::{Agent, Drain, Duty, Standing};
use crate::stock::Stock;
use crate::tasks::Verdict;
use crate::{Effect, Kernel, Out, Record, Refusal};

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
            Standing::Admitted | Standing::Unreachable { .. } => self.give_up(id, out),
        }
        Ok(())
    }

    /// One that has not been marked gone.
    fn known(&self, id: &AgentId) -> Result<&Agent, Refusal> {
        let is_gone = |agent: &Agent| match agent.standing {
            Standing::Gone { .. } => true,
            Standing::Admitted | Standing::Unreachable { .. } => false,
        };
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
                self.give_up(&id, out);
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
        let as_told = |state| match state {
            TaskState::Killed if for_good => TaskState::GoneByOperator,
            other => other,
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
        let Some(known) = registration.agent.as_ref().and_then(|id| self.state.agents.get(id))
        else {
            return;
        };
        match known.standing {
            Standing::Admitted | Standing::Unreachable { .. } => (),
            Standing::Gone { .. } => {
                let Registration { tasks, books, .. } = registration;
                let of_tasks = tasks.iter().map(|held| &held.task.framework);
                let of_programs = books.executors.iter().map(|held| &held.framework);
                let all: BTreeSet<_> = of_tasks.chain(of_programs).cloned().collect();
                shut_down(connection, all, out);
            }
        }
    }

    /// For good, with all that was on it.
    fn give_up(&mut self, id: &AgentId, out: &mut Out) {
        let agent = self.state.agents[id].clone();
        let cause = format!("agent {} was marked gone by an operator", agent.info.hostname);
        let connection = self.agents.get(id).and_then(|live| live.connection);
        if let Some(connection) = connection {
            shut_down(connection, self.frameworks_on(id), out);
            let refused = ToAgent::Refused { cause: cause.clone() };
            out.effects.push(Effect::ToAgent(connection, refused));
            self.detach(id, out);
        }
        let gone = Agent { standing: Standing::Gone { since: self.now }, ..agent };
        self.commit(Record::Agent(id.clone(), Some(gone)), out);
        self.end_tasks(id, &cause, out);
        self.end_operations(id, &cause, out);
        let roles: Vec<Role> =
            self.state.in_use.get(id).into_iter().flat_map(|held| held.keys().cloned()).collect();
        for role in roles {
            self.commit(Record::InUse(id.clone(), role, None), out);
        }
        if self.state.claims.contains_key(id) {
            self.commit(Record::Claims(id.clone(), None), out);
        }
        self.count_free(id);
        self.forget_live(id);
        out.effects.extend(connection.map(Effect::Disconnect));
        let frameworks: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for framework in frameworks {
            self.tell(&framework, Event::Failure { agent: id.clone(), executor: None }, out);
        }
    }

    fn frameworks_on(&self, id: &AgentId) -> BTreeSet<FrameworkId> {
        let Some(live) = self.agents.get(id) else { return BTreeSet::new() };
        let of_tasks = live.tasks.iter().map(|(framework, _)| framework.clone());
        of_tasks.chain(live.executors().map(|held: HeldExecutor| held.framework)).collect()
    }

    fn end_tasks(&mut self, id: &AgentId, cause: &str, out: &mut Out) {
        self.charge_members(id, Change::minus);
        self.agents.entry(id.clone()).and_modify(|live| live.programs.clear());
        self.forget_doubles(id);
        let all: Vec<Arc<Task>> = self.tasks_of(id).cloned().collect();
        for task in all {
            if task.state.is_terminal() {
                self.complete(&task.framework, &task.id);
                continue;
            }
            let state = self.state_for(&task.framework, TaskState::GoneByOperator);
            let verdict = Verdict::new(state, Reason::AgentRemovedByOperator, cause);
            self.decree(self.now, &task.framework, &task.id, verdict, out);
        }
    }
}

fn shut_down(connection: Connection, frameworks: BTreeSet<FrameworkId>, out: &mut Out) {
    for framework in frameworks {
        out.effects.push(Effect::ToAgent(connection, ToAgent::Shutdown { framework }));
    }
}
