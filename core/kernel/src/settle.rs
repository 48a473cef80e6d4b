//! An agent registers: what the kernel thought it runs and what it does run are made one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::agent::{HeldTask, ToAgent};
use model::executor::HeldExecutor;
use model::id::{AgentId, FrameworkId, Role};
use model::resources::Resources;
use model::scheduler::Event;
use model::task::{Reason, Task, TaskState, TaskStatus};
use model::time::Time;

use crate::amounts::{Amounts, Change};
use crate::doubles::TaskKey;
use crate::history::Told;
use crate::places::Places;
use crate::tasks::{Verdict, holds};
use crate::{Effect, Kernel, Out, Record};

/// What an agent says it holds.
#[derive(Debug)]
pub(crate) struct Holds {
    pub(crate) tasks: Vec<HeldTask>,
    pub(crate) executors: Vec<HeldExecutor>,
}

impl Kernel {
    pub(crate) fn settle(&mut self, now: Time, id: &AgentId, holds: Holds, out: &mut Out) {
        let Holds { tasks, executors } = holds;
        let of_task = |held: HeldTask| ((held.task.framework.clone(), held.task.id.clone()), held);
        let held: BTreeMap<TaskKey, HeldTask> = tasks.into_iter().map(of_task).collect();
        let of_programs = executors.iter().map(|executor| &executor.framework);
        let strangers: BTreeSet<FrameworkId> = held
            .keys()
            .map(|(framework, _)| framework)
            .chain(of_programs)
            .filter(|framework| self.state.active(framework).is_none())
            .cloned()
            .collect();
        self.charge_members(id, Change::minus);
        self.settle_programs(id, executors, out);
        self.forget_doubles(id);
        for key in self.keys(id) {
            if !held.contains_key(&key) {
                self.drop_missing(now, &key, out);
            }
        }
        for (key, HeldTask { task, place }) in held {
            let task = self.with_program(id, task);
            self.adopt(id, key, HeldTask { task, place });
        }
        self.charge_members(id, Change::plus);
        self.charge_roles(id, out);
        self.repeat_kills(id, out);
        self.shut_down(id, strangers, out);
    }

    fn keys(&self, id: &AgentId) -> Vec<TaskKey> {
        self.agents[id].tasks.iter().cloned().collect()
    }

    pub(crate) fn tasks_of<'a>(
        &'a self,
        id: &AgentId,
    ) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
        let keys = self.agents.get(id).into_iter().flat_map(|live| &live.tasks);
        let id = id.clone();
        keys.filter_map(|(framework, task)| self.view.task(framework, task))
            .filter(move |task| task.agent == id)
    }

    pub(crate) fn charge_members(&mut self, id: &AgentId, change: fn(Amounts) -> Change) {
        for (client, held) in self.holdings(id) {
            self.shares.change_member(&client, &change(Amounts::of(&held)));
        }
    }

    /// Never arrived, or was lost with the agent's memory.
    fn drop_missing(&mut self, now: Time, (framework, task): &TaskKey, out: &mut Out) {
        let Some(known) = self.view.task(framework, task) else { return };
        if known.state.is_terminal() {
            self.complete(framework, task);
            return;
        }
        let was_unreachable = known.state == TaskState::Unreachable;
        let state = if was_unreachable { TaskState::Gone } else { TaskState::Dropped };
        let verdict = Verdict::new(
            self.state_for(framework, state),
            Reason::AgentReregistered,
            "the agent registered again without this task",
        );
        self.decree(now, framework, task, verdict, out);
    }

    fn adopt(&mut self, id: &AgentId, key: TaskKey, HeldTask { task, place }: HeldTask) {
        if task.state.is_terminal() && self.state.active(&key.0).is_none() {
            // Nobody is left to hear of it.
            self.complete_on(id, &key);
            return;
        }
        self.part(id, &key);
        let more = self.alike.one(task.more);
        // What an executor tells in full is for its framework.
        let status = task.status.map(|status| TaskStatus { given: None, ..status });
        let task = Arc::new(Task { agent: id.clone(), more, status, ..task });
        let live = self.agents.get_mut(id).expect("it was attached");
        let tasks = self.view.tasks.entry(key.0.clone()).or_default();
        let before = tasks.insert(key.1.clone(), Arc::clone(&task));
        before.iter().for_each(|before| live.remove(before));
        live.add(&task);
        live.places.extend(place.map(|place| (key, Places::registered(place))));
        match before {
            None => self.view.history.push(Told::TaskAdded(task)),
            Some(before) if before.state != task.state || before.status != task.status => {
                self.view.history.updated(&task, before.state);
            }
            Some(_) => (),
        }
    }

    /// A task of the same id on another agent goes on.
    pub(crate) fn complete_on(&mut self, id: &AgentId, (framework, task): &TaskKey) {
        if self.view.task(framework, task).is_some_and(|known| known.agent == *id) {
            self.complete(framework, task);
        }
    }

    /// One record for each role whose total is not what it was.
    fn charge_roles(&mut self, id: &AgentId, out: &mut Out) {
        let mut totals: BTreeMap<Role, Resources> = BTreeMap::new();
        for (client, held) in self.holdings(id) {
            totals.entry(client.role).or_default().add(&held);
        }
        let before = self.state.in_use.get(id).cloned().unwrap_or_default();
        for role in before.keys().filter(|role| !totals.contains_key(*role)) {
            self.commit(Record::InUse(id.clone(), role.clone(), None), out);
        }
        for (role, held) in totals {
            if !held.is_empty() && before.get(&role) != Some(&held) {
                self.commit(Record::InUse(id.clone(), role, Some(held)), out);
            }
        }
    }

    /// Kills that were asked for while the agent was away.
    fn repeat_kills(&mut self, id: &AgentId, out: &mut Out) {
        let live = self.agents.get_mut(id).expect("it was attached");
        let connection = live.connection.expect("it was attached");
        live.kills.retain(|key, _| live.tasks.contains(key));
        for ((framework, task), grace) in &live.kills {
            let (framework, task) = (framework.clone(), task.clone());
            let kill = ToAgent::Kill { framework, task, grace: *grace, grace_max: None };
            out.effects.push(Effect::ToAgent(connection, kill));
        }
    }

    /// Of frameworks that were torn down, or that only a master with a longer memory has known.
    fn shut_down(&mut self, id: &AgentId, strangers: BTreeSet<FrameworkId>, out: &mut Out) {
        let connection = self.agents[id].connection.expect("it was attached");
        for framework in strangers {
            out.effects.push(Effect::ToAgent(connection, ToAgent::Shutdown { framework }));
        }
    }

    /// The agent was thought unreachable: what its tasks are now is news.
    pub(crate) fn tell_again(&mut self, now: Time, id: &AgentId, out: &mut Out) {
        let running: Vec<_> = self.tasks_of(id).filter(|task| holds(task)).cloned().collect();
        for task in running {
            let verdict =
                Verdict::new(task.state, Reason::AgentReregistered, "the agent is reachable again");
            self.tell(&task.framework, Event::Update(verdict.about(now, &task)), out);
        }
    }

    /// The agent is out of reach, and so are its tasks.
    pub(crate) fn lose_tasks(&mut self, now: Time, id: &AgentId, cause: &str, out: &mut Out) {
        self.charge_members(id, Change::minus);
        self.agents.entry(id.clone()).and_modify(|live| live.programs.clear());
        self.forget_doubles(id);
        self.touched_agents.insert(id.clone());
        let live: Vec<_> = self.tasks_of(id).filter(|task| holds(task)).cloned().collect();
        for task in live {
            let state = self.state_for(&task.framework, TaskState::Unreachable);
            let verdict = Verdict {
                unreachable_at: Some(now),
                ..Verdict::new(state, Reason::AgentRemoved, cause)
            };
            self.decree(now, &task.framework, &task.id, verdict, out);
        }
    }
}
