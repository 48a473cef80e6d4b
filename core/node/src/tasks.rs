//! A task from its launch to its end.

use std::sync::Arc;
use std::time::Duration;

use model::agent::{FromAgent, TellKilling};
use model::framework::FrameworkInfo;
use model::id::{ContainerId, ExecutorId, FrameworkId, TaskId, Uuid};
use model::task::{ContainerStatus, Reason, Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;

use crate::state::{Group, Held, Killed, KilledBy};
use crate::updates::News;
use crate::wait::Ended;
use crate::{Effect, Happened, Node, Refusal, Turn};

/// A task that cannot even be written down, because the disk is full or broken.
#[derive(Debug)]
pub struct Unwritten {
    pub framework: FrameworkId,
    pub task: TaskInfo,
    /// Of its group, if it came in one.
    pub executor: Option<ExecutorId>,
}

impl Unwritten {
    /// What the master is told. It is said once: a master that misses it learns from the next registration that the task
    /// is not held.
    pub fn refused(&self, now: Time, cause: &str, seed: u64) -> FromAgent {
        let Self { framework, task, executor } = self;
        let own = || ExecutorId::new(task.id.as_str());
        let status = TaskStatus {
            agent: Some(task.agent.clone()),
            reason: Some(Reason::ContainerLaunchFailed),
            message: Some(cause.to_owned()),
            uuid: Some(Uuid::derive(seed, 0)),
            executor: Some(executor.clone().unwrap_or_else(own)),
            ..TaskStatus::plain(task.id.clone(), TaskState::Failed, Source::Agent, now)
        };
        let framework = framework.clone();
        FromAgent::Update { framework, status, latest: TaskState::Failed, place: None }
    }
}

impl Node {
    /// Accepts a task: written down before it is launched.
    pub(crate) fn run(
        &mut self,
        order: Order,
        task: TaskInfo,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        self.is_ours(&task)?;
        if self.state.container_of(&order.framework, &task.id).is_none() {
            let (container, held) = self.accept(&order, task, None, turn);
            self.launch_or_wait(container, &held, turn);
        }
        Ok(())
    }

    /// Launches what was accepted just now, once what it needs is there.
    pub(crate) fn launch_or_wait(
        &mut self,
        container: ContainerId,
        held: &Held,
        turn: &mut Turn<'_>,
    ) {
        let is_over = self.state.held(&container).is_none_or(|now| now.latest.is_some());
        if !is_over && !self.is_ended_for_lack(&container, held, turn) && !self.awaits(held) {
            self.begin(&container, held, turn);
        }
    }

    pub(crate) fn is_ours(&self, task: &TaskInfo) -> Result<(), Refusal> {
        match self.own().agent.as_ref() == Some(&task.agent) {
            true => Ok(()),
            false => {
                let (task, agent) = (task.id.clone(), task.agent.clone());
                Err(Refusal::AnotherAgent { task, agent })
            }
        }
    }

    /// Writes a task down.
    pub(crate) fn accept(
        &mut self,
        order: &Order,
        task: TaskInfo,
        group: Option<Group>,
        turn: &mut Turn<'_>,
    ) -> (ContainerId, Held) {
        self.meet(order, turn);
        let container = ContainerId::new(turn.mint().to_string());
        let held = Held {
            framework: order.framework.clone(),
            info: Arc::new(task),
            accepted_at: turn.now,
            pending: Vec::new(),
            latest: None,
            killed: None,
            abandoned: false,
            killing: order.killing,
            group,
            seen: Vec::new(),
            complete_by: None,
            acknowledged: 0,
            earlier: Vec::new(),
        };
        self.keep(&container, held.clone(), turn);
        (container, held)
    }

    pub(crate) fn kill_asked(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        asked: Grace,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let container = self.state.container_of(framework, task);
        let container = container.ok_or_else(|| Refusal::UnknownTask(task.clone()))?.clone();
        let held = self.state.held(&container).expect("it is indexed");
        let own = || held.info.kill_grace.unwrap_or(self.config.kill_grace);
        let grace = match asked.max {
            Some(max) => Some(asked.own.unwrap_or_else(own).min(max)),
            None => asked.own,
        };
        self.kill(&container, Kill { grace, by: KilledBy::Order }, turn);
        Ok(())
    }

    /// The framework is gone: its tasks end, and the master is told of it once.
    pub(crate) fn abandon(&mut self, framework: &FrameworkId, turn: &mut Turn<'_>) {
        let all = self.state.of_framework(framework).into_iter();
        let held = |id: &ContainerId| self.state.held(id).expect("it is indexed").clone();
        let (ended, live): (Vec<_>, Vec<_>) =
            all.map(|id| (held(&id), id)).partition(|(held, _)| held.is_ended());
        for (held, container) in ended {
            // Perhaps it was told before: nobody has said that he has heard.
            if let Some(end) = held.pending.last() {
                self.tell_end(&held, end.clone(), turn);
            }
            self.forget(&container, &held, turn);
        }
        for (held, container) in live.iter().filter(|(held, _)| !held.abandoned) {
            let silent = Held { pending: Vec::new(), abandoned: true, ..Held::clone(held) };
            self.keep(container, silent, turn);
        }
        self.end_programs(Some(framework), turn);
        for (_, container) in live.iter().filter(|(held, _)| held.program().is_none()) {
            self.kill(container, Kill { grace: None, by: KilledBy::Order }, turn);
        }
    }

    pub(crate) fn stop_tasks(&mut self, turn: &mut Turn<'_>) {
        self.end_programs(None, turn);
        for (container, _) in self.state.all().iter().filter(|(_, held)| held.program().is_none()) {
            self.kill(container, Kill { grace: None, by: KilledBy::Order }, turn);
        }
    }

    /// Stops a task; when it has ended, the others of its group follow. Asked again, the grace period can only become
    /// shorter.
    pub(crate) fn kill(&mut self, container: &ContainerId, kill: Kill, turn: &mut Turn<'_>) {
        let held = self.state.held(container).expect("only what is held is killed").clone();
        self.kill_one(container, &held, kill, turn);
    }

    pub(crate) fn kill_one(
        &mut self,
        container: &ContainerId,
        held: &Held,
        kill: Kill,
        turn: &mut Turn<'_>,
    ) {
        if held.program().is_some() {
            return self.kill_in_program(container, held, kill, turn);
        }
        let grace = kill.grace.or(held.info.kill_grace).unwrap_or(self.config.kill_grace);
        let killed = match held.killed {
            None => Killed { at: turn.now, grace, by: kill.by },
            Some(before) => Killed { grace: grace.min(before.grace), ..before },
        };
        if held.is_ended() || held.killed == Some(killed) {
            return;
        }
        self.end_checks(container);
        let first = held.killed.is_none();
        let waits = self.awaits(held);
        let held = Held { killed: Some(killed), ..held.clone() };
        self.keep(container, held.clone(), turn);
        if waits {
            let cause = "Killed before what it is to use was ready".to_owned();
            let news = failed(&held, Reason::TaskKilledDuringLaunch, cause);
            return self.report(container, &held, news, turn);
        }
        if first && held.is_running() {
            self.tell_killing(container, &held, turn);
        }
        stop(container, killed, turn);
    }

    /// For a framework that wants to know: it takes up to the grace period until the end.
    fn tell_killing(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        let is_by = |by| held.killed.is_some_and(|killed| killed.by == by);
        let ill = is_by(KilledBy::HealthCheck);
        match held.killing {
            // Whose time is over has none to end.
            TellKilling::Yes if !held.abandoned && !is_by(KilledBy::Time) => {
                let news = News { healthy: ill.then_some(false), ..News::of(TaskState::Killing) };
                self.report(container, held, news, turn);
            }
            TellKilling::Yes | TellKilling::No => (),
        }
    }

    pub(crate) fn happened(
        &mut self,
        container: &ContainerId,
        happened: Happened,
        turn: &mut Turn<'_>,
    ) {
        if self.state.executor(container).is_some() {
            return self.program_happened(container, happened, turn);
        }
        let Some(held) = self.state.held(container).cloned() else {
            return self.happened_to_a_stranger(container, &happened, turn);
        };
        if held.is_ended() {
            return;
        }
        match happened {
            Happened::Preparing { told } => self.preparing(container, &held, told, turn),
            Happened::Started { status } => self.started(container, &held, status, turn),
            Happened::Failed { reason, cause } => {
                self.report(container, &held, failed(&held, reason, cause), turn);
            }
            Happened::Exited { wait_status, limitation } => {
                self.report(container, &held, exited(&held, wait_status, limitation), turn);
            }
        }
    }

    /// A container that nobody asked for does not stay.
    fn happened_to_a_stranger(
        &self,
        container: &ContainerId,
        happened: &Happened,
        turn: &mut Turn<'_>,
    ) {
        match happened {
            Happened::Started { .. } => turn
                .out
                .effects
                .push(Effect::Stop { container: container.clone(), grace: self.config.kill_grace }),
            Happened::Preparing { .. } | Happened::Failed { .. } | Happened::Exited { .. } => (),
        }
    }

    /// How far it is need not be told while what was told before is not yet known.
    fn preparing(
        &mut self,
        container: &ContainerId,
        held: &Held,
        told: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        let is_news = match &held.latest {
            None => true,
            Some(latest) => {
                let is_known = held.pending.is_empty();
                is_known && latest.state == TaskState::Starting && latest.message != told
            }
        };
        if is_news && held.killed.is_none() {
            let news = News { message: told, ..News::of(TaskState::Starting) };
            self.report(container, held, news, turn);
        }
    }

    fn started(
        &mut self,
        container: &ContainerId,
        held: &Held,
        status: ContainerStatus,
        turn: &mut Turn<'_>,
    ) {
        if held.is_running() {
            return;
        }
        let news = News { container: Some(status), ..News::of(TaskState::Running) };
        let complete_by = held.info.completes_within.map(|most| turn.now + most);
        self.report(container, &Held { complete_by, ..held.clone() }, news, turn);
        match held.killed {
            // The kill may have come before there was anything to stop.
            Some(killed) => {
                let held = self.state.held(container).expect("it runs").clone();
                self.tell_killing(container, &held, turn);
                stop(container, killed, turn);
            }
            None => self.begin_checks(container, turn),
        }
    }
}

/// Who wants tasks to run.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) framework: FrameworkId,
    pub(crate) killing: TellKilling,
    /// What else the master says of the framework.
    pub(crate) of: Option<Arc<FrameworkInfo>>,
}

pub(crate) fn launch(container: ContainerId, held: &Held, turn: &mut Turn<'_>) {
    turn.out.effects.push(Effect::Launch {
        container,
        framework: held.framework.clone(),
        task: held.info.clone(),
        group: held.group.clone(),
    });
}

/// The time that a kill leaves a task: instead of its own, and no longer than this.
#[derive(Debug)]
pub(crate) struct Grace {
    pub(crate) own: Option<Duration>,
    pub(crate) max: Option<Duration>,
}

/// Who wants a task to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    /// The task's own, or else the agent's, if unset.
    pub(crate) grace: Option<Duration>,
    pub(crate) by: KilledBy,
}

/// Stops with what is left of the grace period.
pub(crate) fn stop(container: &ContainerId, killed: Killed, turn: &mut Turn<'_>) {
    let grace = (killed.at + killed.grace).since(turn.now);
    turn.out.effects.push(Effect::Stop { container: container.clone(), grace });
}

/// It never ran, or is said not to.
pub(crate) fn failed(held: &Held, reason: Reason, cause: String) -> News {
    let (state, reason) = match held.killed {
        Some(_) => (TaskState::Killed, Reason::TaskKilledDuringLaunch),
        None => (TaskState::Failed, reason),
    };
    News { source: Source::Agent, reason: Some(reason), message: Some(cause), ..News::of(state) }
}

fn exited(held: &Held, wait_status: i32, limitation: Option<(Reason, String)>) -> News {
    if let Some((reason, message)) = limitation {
        return News {
            source: Source::Agent,
            reason: Some(reason),
            message: Some(message),
            wait_status: Some(wait_status),
            ..News::of(TaskState::Failed)
        };
    }
    if held.killed.is_some_and(|killed| killed.by == KilledBy::Preemption) {
        return News {
            source: Source::Agent,
            reason: Some(Reason::ContainerPreempted),
            message: Some("Those whom its processors belong to need them again".to_owned()),
            wait_status: Some(wait_status),
            ..News::of(TaskState::Gone)
        };
    }
    let ended = Ended::of(wait_status);
    if held.killed.is_some_and(|killed| killed.by == KilledBy::Time) {
        return News {
            reason: Some(Reason::MaxCompletionTimeReached),
            message: Some("It has not completed within its max_completion_time".to_owned()),
            wait_status: Some(wait_status),
            ..News::of(TaskState::Failed)
        };
    }
    let state = match (held.killed, ended) {
        (Some(_), _) => TaskState::Killed,
        (None, Ended::Exited(0)) => TaskState::Finished,
        (None, Ended::Exited(_) | Ended::Signaled(_)) => TaskState::Failed,
    };
    let ill = held.killed.is_some_and(|killed| killed.by == KilledBy::HealthCheck);
    News {
        message: Some(ended.message()),
        healthy: ill.then_some(false),
        wait_status: Some(wait_status),
        ..News::of(state)
    }
}
