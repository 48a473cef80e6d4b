//! Tasks: what agents say of them, acknowledgements, kills and their end.

use std::sync::Arc;
use std::time::Duration;

use model::agent::{TellKilling, ToAgent};
use model::framework::Capability;
use model::id::{AgentId, ExecutorId, FrameworkId, TaskId, Uuid};
use model::scheduler::Event;
use model::task::{Reason, Source, Task, TaskState, TaskStatus};
use model::time::Time;
use model::told::StatusMore;

use crate::amounts::{Amounts, Change};
use crate::demand::Client;
use crate::places::Age;
use crate::{Effect, Kernel, Out, Record};

/// Completed tasks that are kept of each framework, as DC/OS sets it.
const COMPLETED_TASKS_MAX: usize = 100;

/// What an agent says of a task.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) framework: FrameworkId,
    pub(crate) status: TaskStatus,
    pub(crate) latest: TaskState,
    pub(crate) place: Option<u64>,
}

/// What becomes of a task by what an agent says.
#[derive(Debug, Clone, Copy)]
struct Latest {
    state: TaskState,
    age: Age,
}

/// What a framework wants killed.
#[derive(Debug)]
pub(crate) struct Kill {
    pub(crate) task: TaskId,
    pub(crate) agent: Option<AgentId>,
    pub(crate) grace: Option<Duration>,
}

/// Which update a framework has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) agent: AgentId,
    pub(crate) task: TaskId,
    pub(crate) uuid: Uuid,
}

/// What the kernel itself has to say of a task.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) state: TaskState,
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Since when its agent is, if it is that.
    pub(crate) unreachable_at: Option<Time>,
}

impl Verdict {
    pub(crate) fn new(state: TaskState, reason: Reason, message: impl Into<String>) -> Self {
        Self { state, reason, message: message.into(), unreachable_at: None }
    }

    pub(crate) fn status(self, now: Time, task: TaskId, agent: Option<AgentId>) -> TaskStatus {
        TaskStatus {
            agent,
            reason: Some(self.reason),
            message: Some(self.message),
            more: StatusMore { unreachable_at: self.unreachable_at, ..Default::default() }.kept(),
            ..TaskStatus::plain(task, self.state, Source::Master, now)
        }
    }

    /// The same of a known task, with what else is known of it.
    pub(crate) fn about(mut self, now: Time, task: &Task) -> TaskStatus {
        let told = task.status.as_ref();
        if self.state == TaskState::Unreachable {
            let known = told.and_then(|told| told.more.as_ref()?.unreachable_at);
            self.unreachable_at = self.unreachable_at.or(known);
        }
        TaskStatus {
            healthy: told.and_then(|told| told.healthy),
            check: told.and_then(|told| told.check),
            container: told.and_then(|told| told.container.clone()),
            executor: task.executor.as_ref().map(|executor| executor.id.clone()),
            ..self.status(now, task.id.clone(), Some(task.agent.clone()))
        }
    }
}

/// Whether the task's resources are taken, as far as the kernel can see.
pub(crate) fn holds(task: &Task) -> bool {
    !task.state.is_terminal() && task.state != TaskState::Unreachable
}

/// What is kept of a status. Letters bring their own copies of names: those that the task has are enough, and what an
/// executor tells in full is for its framework.
fn kept(task: &Task, status: &TaskStatus) -> TaskStatus {
    TaskStatus {
        task: task.id.clone(),
        agent: Some(task.agent.clone()),
        executor: status.executor.clone().map(|id| match &task.executor {
            Some(executor) if executor.id == id => executor.id.clone(),
            None if task.id.as_str() == id.as_str() => ExecutorId::of(&task.id),
            Some(_) | None => id,
        }),
        given: None,
        ..status.clone()
    }
}

impl Kernel {
    /// An agent speaks of a task.
    pub(crate) fn update(
        &mut self,
        agent: &AgentId,
        Report { framework, mut status, latest, place }: Report,
        out: &mut Out,
    ) {
        let key = (framework.clone(), status.task.clone());
        let age = self.age_of(agent, &key, place);
        if age == Age::Overtaken {
            return;
        }
        status.agent.get_or_insert_with(|| agent.clone());
        self.spell_preempted(&framework, &mut status);
        let latest = self.as_drained(agent, &framework, &mut status, latest);
        if matches!(status.state, TaskState::Dropped | TaskState::Gone) {
            // An agent does not know who is partition-aware.
            status.state = self.state_for(&framework, status.state);
        }
        let latest = if status.state.is_terminal() { status.state } else { latest };
        let active = self.state.active(&framework).is_some();
        if let Some(ended) = self.note(agent, &framework, &status, Latest { state: latest, age }) {
            self.release(&ended, out);
            self.count_free(agent);
            self.offer_again(agent);
        }
        if active {
            self.tell(&framework, Event::Update(status), out);
        } else {
            // Nobody will ever acknowledge this.
            if latest.is_terminal() {
                self.complete_on(agent, &key);
            }
            let connection = self.agents[agent].connection.expect("it has just spoken");
            out.effects.push(Effect::ToAgent(connection, ToAgent::Shutdown { framework }));
        }
    }

    /// Writes down what the agent said; returns the task if it has let go of its resources by it.
    fn note(
        &mut self,
        agent: &AgentId,
        framework: &FrameworkId,
        status: &TaskStatus,
        latest: Latest,
    ) -> Option<Arc<Task>> {
        if latest.state.is_terminal() && !self.view.doubles.is_empty() {
            let key = (framework.clone(), status.task.clone());
            if let Some(double) = self.end_double(agent, &key) {
                self.note_end(agent);
                return Some(double);
            }
        }
        let task = self.view.tasks.get_mut(framework)?.get_mut(&status.task)?;
        if task.agent != *agent {
            return None;
        }
        let (held, before) = (holds(task), task.state);
        let known = Arc::make_mut(task);
        // An agent says everything until it is acknowledged.
        let is_other = status.uuid.is_none()
            || known.status.as_ref().is_none_or(|told| told.uuid != status.uuid);
        if !known.state.is_terminal() {
            known.state = latest.state;
        }
        // What was told on registering is shown, unless it is an end: that is told in its turn.
        let is_shown = latest.age == Age::Behind
            && known.status.as_ref().is_some_and(|told| !told.state.is_terminal());
        if !is_shown {
            known.tell(kept(known, status));
        }
        if is_other && !is_shown || known.state != before {
            self.view.history.updated(task, before);
        }
        (held && !holds(task)).then(|| Arc::clone(task))
    }

    /// Gives back what a task has held until now.
    pub(crate) fn release(&mut self, task: &Task, out: &mut Out) {
        let Task { agent, framework, role, .. } = task;
        let freed = self.freed(task);
        let client = Client { framework: framework.clone(), role: role.clone() };
        self.shares.change_member(&client, &Change::minus(Amounts::of(&freed)));
        let held = self.state.held(agent, role).map(|held| held.minus(&freed));
        let held = held.filter(|held| !held.is_empty());
        self.commit(Record::InUse(agent.clone(), role.clone(), held), out);
        self.left_program(task, out);
    }

    /// A framework has seen an update. A task that has ended is over with that.
    pub(crate) fn acknowledge(
        &mut self,
        from: &FrameworkId,
        Seen { agent, task, uuid }: Seen,
        out: &mut Out,
    ) {
        let live = self.agents.get(&agent);
        // While the agent is away nothing is over: it will repeat the update.
        let Some(connection) = live.and_then(|live| live.connection) else { return };
        let over = self.view.task(from, &task).is_some_and(|task| {
            let seen = task.status.as_ref().filter(|status| status.uuid == Some(uuid));
            task.agent == agent && seen.is_some_and(|status| status.state.is_terminal())
        });
        if over {
            self.complete(from, &task);
        }
        let acknowledge = ToAgent::Acknowledge { framework: from.clone(), task, uuid };
        out.effects.push(Effect::ToAgent(connection, acknowledge));
    }

    pub(crate) fn kill(
        &mut self,
        now: Time,
        from: &FrameworkId,
        Kill { task, agent, grace }: Kill,
        out: &mut Out,
    ) {
        let known = self.view.task(from, &task).filter(|known| !known.state.is_terminal());
        let unreachable = known.is_some_and(|known| known.state == TaskState::Unreachable);
        if let Some(known) = known {
            let live = self.agents.get_mut(&known.agent).expect("agents of known tasks are live");
            // An agent that is away is told when it comes back.
            live.kills.insert((from.clone(), task.clone()), grace);
            if let Some(connection) = live.connection {
                let (framework, task) = (from.clone(), task.clone());
                let kill = ToAgent::Kill { framework, task, grace, grace_max: None };
                out.effects.push(Effect::ToAgent(connection, kill));
            }
        }
        if known.is_none() || unreachable {
            self.reconcile_one(now, from, task, agent, out);
        }
    }

    /// The task is over: it moves to the completed ones.
    pub(crate) fn complete(&mut self, framework: &FrameworkId, id: &TaskId) {
        let Some(tasks) = self.view.tasks.get_mut(framework) else { return };
        let Some(task) = tasks.remove(id) else { return };
        if tasks.is_empty() {
            self.view.tasks.remove(framework);
        }
        if let Some(live) = self.agents.get_mut(&task.agent) {
            live.remove(&task);
            live.kills.remove(&(framework.clone(), id.clone()));
        }
        self.note_end(&task.agent);
        self.show_double(&(framework.clone(), id.clone()));
        if self.state.frameworks.contains_key(framework) {
            let completed = self.view.completed.entry(framework.clone()).or_default();
            completed.push_back(task);
            if completed.len() > COMPLETED_TASKS_MAX {
                completed.pop_front();
            }
        }
    }

    /// The kernel itself decides what has become of a task, and tells its framework.
    pub(crate) fn decree(
        &mut self,
        now: Time,
        framework: &FrameworkId,
        id: &TaskId,
        verdict: Verdict,
        out: &mut Out,
    ) {
        let tasks = self.view.tasks.get_mut(framework).expect("the framework of a known task");
        let task = Arc::make_mut(tasks.get_mut(id).expect("a known task"));
        let status = verdict.about(now, task);
        let before = std::mem::replace(&mut task.state, status.state);
        task.tell(status.clone());
        let told = Arc::clone(&tasks[id]);
        self.view.history.updated(&told, before);
        if status.state.is_terminal() {
            self.complete(framework, id);
        }
        self.tell(framework, Event::Update(status), out);
    }

    pub(crate) fn is_partition_aware(&self, framework: &FrameworkId) -> bool {
        let known = self.state.frameworks.get(framework);
        known.is_some_and(|known| known.info.can(Capability::PartitionAware))
    }

    pub(crate) fn tell_killing(&self, framework: &FrameworkId) -> TellKilling {
        let known = self.state.frameworks.get(framework);
        match known.is_some_and(|known| known.info.can(Capability::TaskKillingState)) {
            true => TellKilling::Yes,
            false => TellKilling::No,
        }
    }

    /// The state as the framework knows it: those that are not partition-aware know only TASK_LOST.
    pub(crate) fn state_for(&self, framework: &FrameworkId, state: TaskState) -> TaskState {
        if self.is_partition_aware(framework) { state } else { TaskState::Lost }
    }
}
