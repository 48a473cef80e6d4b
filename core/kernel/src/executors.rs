//! Executors: what the tasks of a group share. They are not kept: they follow from the tasks that hold resources, and what
//! an executor uses is charged once while one of its tasks does.

use std::collections::{BTreeMap, BTreeSet};

use model::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use model::resources::Resources;
use model::task::{ExecutorInfo, Task};

use crate::Kernel;
use crate::agents::LiveAgent;
use crate::demand::Client;
use crate::judge;
use crate::stock::Slot;
use crate::tasks::holds;

/// An executor on one agent.
pub(crate) type ExecutorKey = (FrameworkId, ExecutorId);

pub(crate) fn key_of(task: &Task) -> Option<ExecutorKey> {
    let executor = task.executor.as_ref()?;
    Some((task.framework.clone(), executor.id.clone()))
}

impl LiveAgent {
    pub(crate) fn add(&mut self, task: &Task) {
        self.tasks.insert((task.framework.clone(), task.id.clone()));
        if let Some(key) = key_of(task) {
            self.executors.entry(key).or_default().insert(task.id.clone());
        }
    }

    pub(crate) fn has_executors(&self) -> bool {
        !self.executors.is_empty() || !self.programs.is_empty()
    }

    pub(crate) fn remove(&mut self, task: &Task) {
        let key = (task.framework.clone(), task.id.clone());
        self.tasks.remove(&key);
        self.places.remove(&key);
        let Some(key) = key_of(task) else { return };
        let Some(tasks) = self.executors.get_mut(&key) else { return };
        tasks.remove(&task.id);
        if tasks.is_empty() {
            self.executors.remove(&key);
        }
    }
}

impl Kernel {
    /// The tasks of an executor that hold resources.
    pub(crate) fn holders<'a>(
        &'a self,
        agent: &AgentId,
        key: &ExecutorKey,
    ) -> impl Iterator<Item = &'a Task> + use<'a> {
        let of = self.agents.get(agent).and_then(|live| live.executors.get(key));
        let tasks = of.into_iter().flatten();
        let framework = self.view.tasks.get(&key.0);
        let known = tasks.filter_map(move |id: &TaskId| framework?.get(id));
        let key = key.clone();
        let doubles =
            self.doubles_on(agent).filter(move |task| key_of(task).as_ref() == Some(&key));
        known.chain(doubles).map(AsRef::as_ref).filter(|task| holds(task))
    }

    /// What is free once this task holds nothing: its own, and its executor's if no other task of it lives.
    pub(crate) fn freed(&self, task: &Task) -> Resources {
        let mut freed = task.resources.clone();
        let (Some(key), Some(executor)) = (key_of(task), &task.executor) else { return freed };
        if executor.program.is_none()
            && !self.holders(&task.agent, &key).any(|other| other.id != task.id)
        {
            freed.add(&executor.resources);
        }
        freed
    }

    /// Which of its executors on an agent a framework can give more tasks.
    pub(crate) fn executors_to_reuse(&self, agent: Slot, of: &FrameworkId) -> Vec<ExecutorId> {
        let stock = &self.offers.stocks[agent];
        let live = self.agents.get(&stock.id).filter(|_| stock.has_executors);
        let Some(live) = live else { return Vec::new() };
        let first = || (of.clone(), ExecutorId::new(""));
        let programs = live.programs.range(first()..).take_while(|((by, _), _)| by == of);
        let programs = programs.filter(|(_, program)| !program.ended).map(|(key, _)| key);
        let groups = live.executors.range(first()..).take_while(|((by, _), _)| by == of);
        let groups = groups.map(|(key, _)| key).filter(|key| {
            !live.programs.contains_key(*key) && self.holders(&stock.id, key).next().is_some()
        });
        programs.chain(groups).map(|(_, executor)| executor.clone()).collect()
    }

    /// By framework and role: what is held of an agent.
    pub(crate) fn holdings(&self, id: &AgentId) -> BTreeMap<Client, Resources> {
        let mut held = holdings(self.tasks_of(id).chain(self.doubles_on(id)).map(AsRef::as_ref));
        for program in self.agents.get(id).into_iter().flat_map(|live| live.programs.values()) {
            held.entry(program.client()).or_default().add(&program.held.info.resources);
        }
        held
    }

    /// Why the executor cannot take more tasks of this role, if it cannot: it is another now.
    pub(crate) fn executor_fault(
        &self,
        agent: &AgentId,
        client: &Client,
        executor: &ExecutorInfo,
    ) -> Option<String> {
        let id = &executor.id;
        if let Err(fault) = judge::used(&executor.resources) {
            return Some(format!("executor {id}: {fault}"));
        }
        if executor.resources.iter().any(|one| one.shared) {
            return Some(format!("executor {id}: its resources cannot be shared with others"));
        }
        let namesake = self.view.task(&client.framework, &TaskId::new(id.as_str()));
        if namesake.is_some_and(|task| task.agent == *agent && task.executor.is_none()) {
            return Some(format!("executor {id} is that of the task of the same id"));
        }
        let key = (client.framework.clone(), id.clone());
        let same =
            |task: &Task| task.executor.as_deref() == Some(executor) && task.role == client.role;
        let other = self.holders(agent, &key).find(|task| !same(task))?;
        if other.executor.as_ref().is_some_and(|one| one.cgroups != executor.cgroups) {
            return Some(format!(
                "If set, the value of 'share_cgroups' must be the same for all tasks under a single executor: \
                 {id} runs already, with another"
            ));
        }
        Some(format!("executor {id} runs already, with other resources, labels or role"))
    }

    /// What launching in the executor takes beyond the tasks.
    pub(crate) fn executor_need(
        &self,
        agent: &AgentId,
        from: &FrameworkId,
        executor: &ExecutorInfo,
    ) -> Resources {
        let key = (from.clone(), executor.id.clone());
        match self.runs_program(agent, &key) || self.holders(agent, &key).next().is_some() {
            true => Resources::default(),
            false => executor.resources.clone(),
        }
    }
}

/// What these tasks of one agent and their executors hold, but for those that are programs.
pub(crate) fn holdings<'a>(tasks: impl Iterator<Item = &'a Task>) -> BTreeMap<Client, Resources> {
    let mut held: BTreeMap<Client, Resources> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for task in tasks.filter(|task| holds(task)) {
        let client = Client { framework: task.framework.clone(), role: task.role.clone() };
        let sum = held.entry(client).or_default();
        sum.add(&task.resources);
        if let (Some(key), Some(executor)) = (key_of(task), &task.executor)
            && executor.program.is_none()
            && counted.insert(key)
        {
            sum.add(&executor.resources);
        }
    }
    held
}
