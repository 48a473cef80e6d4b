//! A task from its launch to its end.

use std::sync::Arc;
use std::time::Duration;

use model::agent::FromAgent;
use model::id::{ContainerId, ExecutorId, FrameworkId, TaskId, Uuid};
use model::task::{ContainerStatus, Reason, Source, TaskInfo, TaskState, TaskStatus};
use model::time::Time;

use crate::state::{Held, Killed, KilledBy};
use crate::updates::News;
use crate::wait::Ended;
use crate::{Effect, Happened, Node, Refusal, Turn};

/// What the master is told of a task that cannot even be written down, because the disk is full or broken. It is said
/// once: a master that misses it learns from the next registration that the task is not held.
pub fn refused(
    now: Time,
    framework: FrameworkId,
    task: &TaskInfo,
    cause: String,
    seed: u64,
) -> FromAgent {
    let status = TaskStatus {
        task: task.id.clone(),
        state: TaskState::Failed,
        agent: Some(task.agent.clone()),
        source: Source::Agent,
        reason: Some(Reason::ContainerLaunchFailed),
        message: Some(cause),
        at: now,
        uuid: Some(Uuid::derive(seed, 0)),
        healthy: None,
        container: None,
        executor: Some(ExecutorId::new(task.id.as_str())),
        wait_status: None,
    };
    FromAgent::Update { framework, status, latest: TaskState::Failed }
}

impl Node {
    /// Accepts a task: written down before it is launched.
    pub(crate) fn run(
        &mut self,
        framework: FrameworkId,
        task: TaskInfo,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        if self.own().agent.as_ref() != Some(&task.agent) {
            return Err(Refusal::AnotherAgent { task: task.id, agent: task.agent });
        }
        if self.state.container_of(&framework, &task.id).is_some() {
            return Ok(());
        }
        let container = ContainerId::new(turn.mint().to_string());
        let task = Arc::new(task);
        let held = Held {
            framework: framework.clone(),
            info: task.clone(),
            accepted_at: turn.now,
            pending: Vec::new(),
            latest: None,
            killed: None,
            abandoned: false,
        };
        self.keep(&container, held, turn);
        turn.out.effects.push(Effect::Launch { container, framework, task });
        Ok(())
    }

    pub(crate) fn kill_asked(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        grace: Option<Duration>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let container = self.state.container_of(framework, task);
        let container = container.ok_or_else(|| Refusal::UnknownTask(task.clone()))?.clone();
        self.kill(&container, Kill { grace, by: KilledBy::Order }, turn);
        Ok(())
    }

    /// The framework is gone: its tasks end, and nobody is told.
    pub(crate) fn abandon(&mut self, framework: &FrameworkId, turn: &mut Turn<'_>) {
        for container in self.state.of_framework(framework) {
            let held = self.state.held(&container).expect("the index names what is held").clone();
            if held.is_ended() {
                self.forget(&container, &held, turn);
                continue;
            }
            let silent = Held { pending: Vec::new(), abandoned: true, ..Held::clone(&held) };
            self.keep(&container, silent, turn);
            self.kill(&container, Kill { grace: None, by: KilledBy::Order }, turn);
        }
    }

    pub(crate) fn stop_tasks(&mut self, turn: &mut Turn<'_>) {
        for container in self.state.all().keys() {
            self.kill(container, Kill { grace: None, by: KilledBy::Order }, turn);
        }
    }

    /// Stops a task. Asked again, the grace period can only become shorter, as in Mesos.
    pub(crate) fn kill(&mut self, container: &ContainerId, kill: Kill, turn: &mut Turn<'_>) {
        let held = self.state.held(container).expect("only what is held is killed").clone();
        let grace = kill.grace.or(held.info.kill_grace).unwrap_or(self.config.kill_grace);
        let killed = match held.killed {
            None => Killed { at: turn.now, grace, by: kill.by },
            Some(before) => Killed { grace: grace.min(before.grace), ..before },
        };
        if held.is_ended() || held.killed == Some(killed) {
            return;
        }
        self.checks.end(container);
        self.keep(container, Held { killed: Some(killed), ..Held::clone(&held) }, turn);
        stop(container, killed, turn);
    }

    pub(crate) fn happened(
        &mut self,
        container: &ContainerId,
        happened: Happened,
        turn: &mut Turn<'_>,
    ) {
        let Some(held) = self.state.held(container).cloned() else {
            return self.happened_to_a_stranger(container, &happened, turn);
        };
        if held.is_ended() {
            return;
        }
        match happened {
            Happened::Preparing => self.preparing(container, &held, turn),
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
            Happened::Preparing | Happened::Failed { .. } | Happened::Exited { .. } => (),
        }
    }

    fn preparing(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        if held.latest.is_none() && held.killed.is_none() {
            self.report(container, held, News::of(TaskState::Starting), turn);
        }
    }

    fn started(
        &mut self,
        container: &ContainerId,
        held: &Held,
        status: ContainerStatus,
        turn: &mut Turn<'_>,
    ) {
        if held.state() == TaskState::Running {
            return;
        }
        let news = News { container: Some(status), ..News::of(TaskState::Running) };
        self.report(container, held, news, turn);
        match held.killed {
            // The kill may have come before there was anything to stop.
            Some(killed) => stop(container, killed, turn),
            None => self.checks.begin(container, &held.info.health_checks, turn.now),
        }
    }
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
fn failed(held: &Held, reason: Reason, cause: String) -> News {
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
    let ended = Ended::of(wait_status);
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
