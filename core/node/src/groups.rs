//! Tasks that were launched together live and die together, as under Mesos' default executor: one that has failed or was
//! killed takes the others with it, one that finishes does not.
//!
//! Whoever is killed ends first, and alone: a server may still need what stands beside it. Each of the others then has
//! its own time to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::executor::Together;
use model::id::{ContainerId, FrameworkId};
use model::task::{ExecutorInfo, Reason, Source, TaskInfo, TaskState};

use crate::state::{Group, Held, KilledBy};
use crate::tasks::{Kill, Order};
use crate::updates::News;
use crate::{Effect, Node, Refusal, Turn};

impl Node {
    /// Accepts a group: all of it is written down before any of it is launched.
    pub(crate) fn run_group(
        &mut self,
        order: Order,
        executor: ExecutorInfo,
        tasks: Vec<TaskInfo>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        tasks.iter().try_for_each(|task| self.is_ours(task))?;
        let is_held =
            |task: &TaskInfo| self.state.container_of(&order.framework, &task.id).is_some();
        let (held, new): (Vec<_>, Vec<_>) = tasks.into_iter().partition(is_held);
        let group = self.group(&order.framework, executor, turn);
        let accepted: Vec<_> = new
            .into_iter()
            .map(|task| self.accept(&order, task, Some(group.clone()), turn))
            .collect();
        self.pool(&order.framework, &group, turn);
        for (container, one) in accepted {
            match held.first() {
                None => self.launch_or_wait(container, &one, turn),
                // Only a framework that uses an id twice gets here.
                Some(other) => {
                    let cause = format!("A task {} of its group runs here already", other.id);
                    self.report(&container, &one, not_launched(cause), turn);
                }
            }
        }
        Ok(())
    }

    /// A new launch, in the executor's container if one of its tasks still lives.
    fn group(&self, framework: &FrameworkId, executor: ExecutorInfo, turn: &mut Turn<'_>) -> Group {
        let key = (framework.clone(), executor.id.clone());
        let mut live = self.state.of_executor(&key).filter(|(_, held)| !held.is_ended());
        let known = live.next().and_then(|(_, held)| held.group.clone());
        let launch = turn.mint();
        match known {
            Some(group) => Group { launch, ..group },
            None => {
                let container = ContainerId::new(turn.mint().to_string());
                Group { executor: Arc::new(executor), container, launch, together: Together::Yes }
            }
        }
    }

    /// Kills the others of its launch. Of those in a program, that decides.
    pub(crate) fn kill_mates(&mut self, of: &Held, turn: &mut Turn<'_>) {
        let (Some(key), Some(group)) = (of.executor_key(), &of.group) else { return };
        if of.program().is_some() {
            return;
        }
        let is_mate = |held: &Held| {
            let launch = held.group.as_ref().map(|group| group.launch);
            launch == Some(group.launch) && held.info.id != of.info.id
        };
        let mates = self.state.of_executor(&key).filter(|(_, held)| is_mate(held));
        let spared = mates.filter(|(_, held)| held.killed.is_none());
        let spared: Vec<_> = spared.map(|(id, held)| (id.clone(), held.clone())).collect();
        for (mate, held) in spared {
            self.kill_one(&mate, &held, Kill { grace: None, by: KilledBy::Group }, turn);
        }
    }

    /// What the tasks of an executor may use together follows who lives, if they share their control groups.
    pub(crate) fn pool(&self, framework: &FrameworkId, group: &Group, turn: &mut Turn<'_>) {
        let Some(pool) = group.pool() else { return };
        let key = (framework.clone(), group.executor.id.clone());
        let is_in = |held: &Held| {
            let is_same = held.group.as_ref().is_some_and(|one| one.container == *pool);
            is_same && !held.is_ended()
        };
        let mut live = self.state.of_executor(&key).filter(|(_, held)| is_in(held)).peekable();
        if live.peek().is_none() {
            return;
        }
        let mut resources = group.executor.resources.clone();
        live.for_each(|(_, held)| resources.add(&held.info.resources));
        turn.out.effects.push(Effect::Pool { pool: pool.clone(), resources });
    }

    /// Of an agent that has started again: each once.
    pub(crate) fn pool_all(&self, turn: &mut Turn<'_>) {
        let held = self.state.all();
        let grouped = held.values().filter_map(|held| Some((held, held.group.as_ref()?)));
        let live = grouped.filter(|(held, _)| !held.is_ended());
        let pools: BTreeMap<_, _> =
            live.map(|(held, group)| (&group.container, (&held.framework, group))).collect();
        pools.into_values().for_each(|(framework, group)| self.pool(framework, group, turn));
    }

    pub(crate) fn shrink_pool(&self, ended: &Held, turn: &mut Turn<'_>) {
        if let Some(group) = &ended.group {
            self.pool(&ended.framework, group, turn);
        }
    }

    /// The task is forgotten; with the last of them its executor is.
    pub(crate) fn leave(&self, task: &Held, turn: &mut Turn<'_>) {
        if let Some(group) = &task.group {
            self.collect_left(&task.framework, group, turn);
        }
    }

    /// What is left of an executor of which nothing is held any more.
    pub(crate) fn collect_left(&self, framework: &FrameworkId, group: &Group, turn: &mut Turn<'_>) {
        let key = (framework.clone(), group.executor.id.clone());
        let is_same = |held: &Held| {
            held.group.as_ref().is_some_and(|other| other.container == group.container)
        };
        let lives = self.state.executor(&group.container).is_some();
        if !lives && !self.state.of_executor(&key).any(|(_, held)| is_same(held)) {
            turn.out.effects.push(Effect::CollectExecutor {
                framework: framework.clone(),
                group: group.clone(),
                after: self.config.gc_delay,
            });
        }
    }
}

fn not_launched(cause: String) -> News {
    News {
        source: Source::Agent,
        reason: Some(Reason::TaskGroupInvalid),
        message: Some(cause),
        ..News::of(TaskState::Failed)
    }
}
