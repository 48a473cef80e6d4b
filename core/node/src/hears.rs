//! What executors that are programs say, and what they are told.
//!
//! Nothing that is told is kept: an executor that subscribes says what it knows, and all else is told again. It is
//! certain of what it says only when that is acknowledged, which means that it is on the agent's disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::agent::FromAgent;
use model::check::CheckStatus;
use model::executor::{Given, Together};
use model::id::{ContainerId, TaskId, Uuid};
use model::task::{Address, ContainerStatus, Reason, Source, TaskInfo, TaskState};

use crate::executor::{EndedBy, Executor};
use crate::state::{Held, Killed};
use crate::tasks::Kill;
use crate::updates::News;
use crate::{Effect, Node, Turn};

/// Names of updates that are kept of each task: an executor repeats only what was not acknowledged.
const SEEN_MAX: usize = 32;

/// What an executor says.
#[derive(Debug, Clone, PartialEq)]
pub enum FromExecutor {
    /// It listens on this stream from now on.
    Subscribed {
        stream: u64,
        /// Tasks that it was handed and of which no update was acknowledged yet.
        tasks: Vec<TaskId>,
        /// Updates that were not acknowledged, oldest first.
        updates: Vec<Told>,
    },
    Update(Told),
    Message(Given),
}

/// One change of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub task: TaskId,
    pub state: TaskState,
    pub uuid: Uuid,
    pub reason: Option<Reason>,
    pub message: Option<String>,
    pub healthy: Option<bool>,
    pub check: Option<CheckStatus>,
    pub labels: Vec<(String, String)>,
    /// Where its task is reached, if it says so.
    pub addresses: Vec<Address>,
    /// The whole of it, for the framework.
    pub given: Given,
}

/// What an executor is told.
#[derive(Debug, Clone, PartialEq)]
pub enum ToExecutor {
    /// The first word on a stream; whatever is said before it is for an older one.
    Subscribed {
        stream: u64,
        executor: Arc<Executor>,
    },
    Launch(Arc<TaskInfo>),
    LaunchGroup(Vec<Arc<TaskInfo>>),
    Kill {
        task: TaskId,
        /// If the framework has said.
        grace: Option<Duration>,
    },
    Acknowledged {
        task: TaskId,
        uuid: Uuid,
    },
    Message(Given),
    Shutdown,
}

impl Node {
    pub(crate) fn hear_executor(
        &mut self,
        container: &ContainerId,
        said: FromExecutor,
        turn: &mut Turn<'_>,
    ) {
        let Some(executor) = self.state.executor(container).cloned() else { return };
        match said {
            FromExecutor::Subscribed { stream, tasks, updates } => {
                let executor = Executor { subscribed: true, ..Executor::clone(&executor) };
                self.subscribed(container, (stream, executor), turn);
                updates.into_iter().for_each(|told| self.told(container, told, turn));
                self.catch_up(container, &tasks.into_iter().collect(), turn);
            }
            FromExecutor::Update(told) => self.told(container, told, turn),
            FromExecutor::Message(data) => {
                let (framework, executor) = executor.key();
                let message = FromAgent::Message { framework, executor, data };
                turn.out.effects.push(Effect::ToMaster(message));
            }
        }
    }

    fn subscribed(
        &mut self,
        container: &ContainerId,
        (stream, executor): (u64, Executor),
        turn: &mut Turn<'_>,
    ) {
        if self.state.executor(container).is_some_and(|before| !before.subscribed) {
            self.keep_program(container, executor.clone(), turn);
        }
        let ending = executor.ending;
        let executor = Arc::new(executor);
        say(container, ToExecutor::Subscribed { stream, executor }, turn);
        match ending {
            Some(ending) => self.carry_on_ending(container, ending, turn),
            None => self.programs.due.remove(container),
        }
    }

    /// An executor that has just subscribed knows these tasks, and those of which it has told: it is handed all others,
    /// and told again which are to end.
    fn catch_up(&mut self, container: &ContainerId, known: &BTreeSet<TaskId>, turn: &mut Turn<'_>) {
        if self.state.executor(container).is_none_or(|executor| executor.ending.is_some()) {
            return;
        }
        for (id, held) in self.live_in(container) {
            let knows = held.latest.is_some() || known.contains(&held.info.id);
            match (knows, held.killed) {
                (true, None) => drop(self.programs.handed.insert(id)),
                (true, Some(_)) => {
                    self.programs.handed.insert(id);
                    let task = held.info.id.clone();
                    say(container, ToExecutor::Kill { task, grace: None }, turn);
                }
                (false, None) => drop(self.programs.handed.remove(&id)),
                (false, Some(_)) => self.never_ran(&id, &held, turn),
            }
        }
        self.hand_over(container, turn);
    }

    /// To an executor that listens.
    pub(crate) fn hand_over(&mut self, container: &ContainerId, turn: &mut Turn<'_>) {
        let mut launches: BTreeMap<Uuid, (Together, Vec<Arc<TaskInfo>>)> = BTreeMap::new();
        for (id, held) in self.live_in(container) {
            let group = held.program().expect("it is in a program");
            if !self.awaits(&held) && self.programs.handed.insert(id) {
                let launch = launches.entry(group.launch);
                launch.or_insert((group.together, vec![])).1.push(held.info.clone());
            }
        }
        for (_, (together, mut tasks)) in launches {
            tasks.sort_by(|one, other| one.id.cmp(&other.id));
            match together {
                Together::Yes => say(container, ToExecutor::LaunchGroup(tasks), turn),
                Together::No => {
                    tasks
                        .into_iter()
                        .for_each(|task| say(container, ToExecutor::Launch(task), turn));
                }
            }
        }
    }

    fn told(&mut self, container: &ContainerId, told: Told, turn: &mut Turn<'_>) {
        let executor = self.state.executor(container).expect("the caller has looked").clone();
        let (task, uuid) = (told.task.clone(), told.uuid);
        let id = self.state.container_of(executor.framework(), &task).cloned();
        let held = id.and_then(|id| Some((id.clone(), self.state.held(&id)?.clone())));
        if held.is_none() {
            self.counts.updates.count(false);
        }
        if let Some((id, held)) = held
            && held.program().is_some_and(|group| group.container == *container)
            && !held.is_ended()
            && !held.seen.contains(&uuid)
        {
            let mut seen = Held::clone(&held);
            seen.seen.push(uuid);
            let surplus = seen.seen.len().saturating_sub(SEEN_MAX);
            seen.seen.drain(..surplus);
            let ends = told.state.is_terminal();
            self.report(&id, &seen, news(told, &executor), turn);
            if ends {
                self.resize(container, turn);
            }
        }
        // Also of what is known or nobody's business: else it would be said again for ever.
        say(container, ToExecutor::Acknowledged { task, uuid }, turn);
    }

    /// A task that its executor runs, or is about to be handed.
    pub(crate) fn kill_in_program(
        &mut self,
        id: &ContainerId,
        held: &Held,
        kill: Kill,
        turn: &mut Turn<'_>,
    ) {
        let container = held.program().expect("the caller has looked").container.clone();
        let grace = kill.grace.or(held.info.kill_grace).unwrap_or(self.config.kill_grace);
        if held.is_ended() {
            return;
        }
        if held.killed.is_none() {
            let killed = Killed { at: turn.now, grace, by: kill.by };
            self.keep(id, Held { killed: Some(killed), ..held.clone() }, turn);
        }
        if self.state.executor(&container).is_some_and(|executor| executor.subscribed) {
            let task = held.info.id.clone();
            return say(&container, ToExecutor::Kill { task, grace: kill.grace }, turn);
        }
        self.kill_unheard(&container, held, turn);
    }

    /// Nobody has heard of it yet, nor of the others of its group.
    fn kill_unheard(&mut self, container: &ContainerId, of: &Held, turn: &mut Turn<'_>) {
        let launch = of.program().map(|group| group.launch);
        let is_mate = |held: &Held| held.program().map(|group| group.launch) == launch;
        for (id, held) in self.live_in(container) {
            if is_mate(&held) {
                self.never_ran(&id, &held, turn);
            }
        }
        if self.live_in(container).is_empty() {
            self.end_program(container, EndedBy::Idleness, turn);
        }
    }

    fn never_ran(&mut self, id: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        let news = News {
            source: Source::Agent,
            reason: Some(Reason::TaskKilledDuringLaunch),
            message: Some("Killed before it was handed to its executor".to_owned()),
            ..News::of(TaskState::Killed)
        };
        self.report(id, held, news, turn);
    }
}

fn news(told: Told, executor: &Executor) -> News {
    let Told { state, uuid, reason, message, healthy, check, labels, addresses, given, .. } = told;
    let placed = |running: &ContainerStatus| match addresses.is_empty() {
        true => running.clone(),
        false => ContainerStatus { addresses, ..running.clone() },
    };
    News {
        reason,
        message,
        healthy,
        check,
        labels,
        container: executor.running.as_ref().map(placed),
        uuid: Some(uuid),
        given: Some(given),
        ..News::of(state)
    }
}

fn say(container: &ContainerId, said: ToExecutor, turn: &mut Turn<'_>) {
    turn.out.effects.push(Effect::ToExecutor { container: container.clone(), said });
}
