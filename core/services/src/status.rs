//! What the kernel says of tasks becomes the instances' state.

use std::sync::Arc;

use model::id::TaskId;
use model::scheduler::{Call, Operation};
use model::task::{Reason, Source, TaskState, TaskStatus};
use model::time::Time;

use crate::What;
use crate::machine::{Services, Turn};
use crate::spec::UnreachableStrategy;
use crate::state::{App, Goal, Instance, Record, TaskFailure};
use crate::timers::Due;

impl Services {
    /// The records of an update are in the same turn as its acknowledgement, so none is lost.
    pub(crate) fn heard_update(&mut self, status: &TaskStatus, turn: &mut Turn<'_>) {
        match self.memory.view.tasks.get(&status.task).cloned() {
            Some(instance) if instance.is_resting() => stray(status, turn),
            Some(instance) if instance.members.is_empty() => self.update(&instance, status, turn),
            Some(instance) => self.update_member(&instance, status, turn),
            None => unknown(status, turn),
        }
        if let (Some(uuid), Some(agent)) = (status.uuid, &status.agent) {
            let (agent, task) = (agent.clone(), status.task.clone());
            turn.call(Call::Acknowledge { agent, task, uuid });
        }
    }

    fn update(&mut self, instance: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
        match status.state {
            TaskState::Staging | TaskState::Starting => self.confirm(instance, status, turn),
            TaskState::Running | TaskState::Killing => self.alive(instance, status, turn),
            TaskState::Unreachable => self.unreachable(instance, status, turn),
            TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator
            // Nobody knows it any more. Should it turn up again, it is killed.
            | TaskState::Unknown => self.ended(instance, status, turn),
        }
    }

    /// Its agent has it. Not written down: after a restart the agent says so again.
    fn confirm(&mut self, instance: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
        if instance.state == TaskState::Unreachable {
            return self.alive(instance, status, turn);
        }
        if instance.state == TaskState::Staging && status.state == TaskState::Starting {
            self.keep_pace(instance, turn);
            if self.desk.confirmed.insert(instance.serial) {
                let (instance, status) = (Arc::clone(instance), status.clone());
                turn.notice(What::Status { instance, status });
            }
        }
    }

    fn alive(&mut self, was: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
        let is_running = status.state == TaskState::Running;
        let addresses = status.container.as_ref().map(|container| &container.addresses);
        let instance = Instance {
            state: status.state,
            started_at: was.started_at.or(is_running.then_some(status.at)),
            healthy: status.healthy.or(was.healthy),
            ready: was.ready || status.ready == Some(true),
            check: status.check.or(was.check),
            unreachable_since: None,
            addresses: addresses
                .filter(|addresses| !addresses.is_empty())
                .map_or_else(|| was.addresses.clone(), Clone::clone),
            ..(**was).clone()
        };
        if instance == **was {
            return;
        }
        let instance = Arc::new(instance);
        self.commit(Record::Instance(was.serial, Some(Arc::clone(&instance))), turn);
        if is_running {
            self.desk.confirmed.remove(&was.serial);
        }
        if was.state == TaskState::Unreachable {
            self.found_again(was, &instance, turn);
        }
        if was.state != instance.state {
            self.keep_pace(&instance, turn);
        }
        tell(was, &instance, status, turn);
    }

    pub(crate) fn found_again(&mut self, was: &Instance, is: &Instance, turn: &mut Turn<'_>) {
        self.forget_inactive(was);
        if was.goal != Goal::Running {
            self.send_kill(is, turn);
        }
    }

    pub(crate) fn keep_pace(&mut self, instance: &Instance, turn: &Turn<'_>) {
        if let Some(app) = self.memory.view.apps.get(&instance.app) {
            let since = app.last_config_change_at;
            self.desk.queue.keep_pace(&instance.app, since, turn.now);
        }
    }

    fn unreachable(&mut self, was: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
        if was.state == TaskState::Unreachable {
            return;
        }
        let lost = Arc::new(Instance {
            state: TaskState::Unreachable,
            unreachable_since: Some(turn.now),
            ..(**was).clone()
        });
        self.commit(Record::Instance(was.serial, Some(Arc::clone(&lost))), turn);
        tell(was, &lost, status, turn);
        self.lost(&lost, turn);
    }

    pub(crate) fn lost(&mut self, instance: &Instance, turn: &mut Turn<'_>) {
        self.watch_unreachable(instance);
        // Most are given up at once, which is no reason to wait for a tick.
        self.fire_timers(turn);
    }

    /// Sets the times at which it stops counting, and at which it is given up.
    pub(crate) fn watch_unreachable(&mut self, instance: &Instance) {
        let Some(since) = instance.unreachable_since else { return };
        let key = (instance.app.clone(), instance.version);
        let spec = self.memory.view.versions.get(&key);
        match spec.map(|spec| spec.unreachable) {
            None | Some(UnreachableStrategy::Disabled) => (),
            Some(UnreachableStrategy::Enabled { inactive_after, expunge_after }) => {
                let timers = &mut self.desk.timers;
                timers.set(since + inactive_after, instance.serial, Due::Inactive);
                timers.set(since + expunge_after, instance.serial, Due::Expunged);
            }
        }
    }

    /// A timer may stem from an earlier absence, which this one must not be charged with.
    fn is_overdue(&self, instance: &Instance, due: Due, now: Time) -> bool {
        let Some(since) = instance.unreachable_since else { return false };
        let key = (instance.app.clone(), instance.version);
        match (self.memory.view.versions.get(&key).map(|spec| spec.unreachable), due) {
            (Some(UnreachableStrategy::Enabled { inactive_after, .. }), Due::Inactive) => {
                since + inactive_after <= now
            }
            (Some(UnreachableStrategy::Enabled { expunge_after, .. }), Due::Expunged) => {
                since + expunge_after <= now
            }
            (None | Some(UnreachableStrategy::Disabled), _)
            | (_, Due::Confirmed | Due::Launched | Due::Killed) => false,
        }
    }

    pub(crate) fn forget_inactive(&mut self, instance: &Instance) {
        if let Some(inactive) = self.desk.inactive.get_mut(&instance.app) {
            inactive.remove(&instance.serial);
            if inactive.is_empty() {
                self.desk.inactive.remove(&instance.app);
            }
        }
    }

    /// The instance is no more, and is not asked about again.
    pub(crate) fn give_up(&mut self, instance: &Instance, turn: &mut Turn<'_>) {
        self.commit(Record::Instance(instance.serial, None), turn);
        self.forget_volatile(instance);
    }

    pub(crate) fn forget_volatile(&mut self, instance: &Instance) {
        self.desk.confirmed.remove(&instance.serial);
        self.forget_inactive(instance);
        self.forget_health(instance);
    }

    fn ended(&mut self, was: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
        let cause = self.failing_cause(was);
        self.let_go(was, status.state, turn);
        let healthy = status.healthy.or(was.healthy);
        let ended = Arc::new(Instance { state: status.state, healthy, ..(**was).clone() });
        // The agent that killed it for its health says how it ended; users want to know what the check found.
        let message = cause.or_else(|| status.message.clone());
        let for_health = TaskStatus { message, ..status.clone() };
        let is_unhealthy = note_unhealthy(was, &ended, &for_health, turn);
        tell(was, &ended, status, turn);
        let noted = if is_unhealthy { &for_health } else { status };
        self.note_failure(&ended, noted, is_unhealthy, turn);
        self.back_off(&ended, status, turn);
    }

    /// What `lastTaskFailure` shows.
    pub(crate) fn note_failure(
        &mut self,
        ended: &Instance,
        status: &TaskStatus,
        is_unhealthy: bool,
        turn: &mut Turn<'_>,
    ) {
        let Some(app) = self.memory.view.apps.get(&ended.app) else { return };
        if !is_unhealthy && !is_failure(status.state) || came_too_late(status) {
            return;
        }
        let message = status.message.clone().unwrap_or_default();
        let message = match is_unhealthy {
            true => format!("Task was killed since health check failed. Reason: {message}"),
            false => message,
        };
        let failure = TaskFailure {
            task: status.task.clone(),
            host: ended.place.host.clone(),
            agent: Some(ended.place.agent.clone()),
            state: status.state,
            message,
            at: status.at,
            version: ended.version,
        };
        let app = App { last_failure: Some(failure), ..(**app).clone() };
        self.commit(Record::App(ended.app.clone(), Some(Arc::new(app))), turn);
    }

    /// As Marathon's `NotifyRateLimiterStep`: what ended by itself is launched again with a growing delay; what was
    /// killed is not held against the app, and neither is a drained agent.
    pub(crate) fn back_off(&mut self, ended: &Instance, status: &TaskStatus, turn: &Turn<'_>) {
        let Some(app) = self.memory.view.apps.get(&ended.app) else { return };
        let is_current = app.last_config_change_at <= ended.version;
        let (since, backoff) = (app.last_config_change_at, app.spec.backoff);
        match status.state {
            TaskState::Killed | TaskState::GoneByOperator
                if status.reason == Some(Reason::AgentDraining) =>
            {
                self.desk.queue.reset_delay(&ended.app, turn.now);
            }
            TaskState::Finished
            | TaskState::Failed
            | TaskState::Error
            | TaskState::Dropped
            | TaskState::Gone
                if is_current && ended.goal == Goal::Running && !came_too_late(status) =>
            {
                self.desk.queue.slow_down(&ended.app, since, backoff, turn.now);
            }
            TaskState::Finished
            | TaskState::Failed
            | TaskState::Error
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::Killed
            | TaskState::GoneByOperator
            | TaskState::Lost
            | TaskState::Unknown
            | TaskState::Staging
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Killing
            | TaskState::Unreachable => (),
        }
    }

    /// What is due by now, as far as the turn has room.
    pub(crate) fn fire_timers(&mut self, turn: &mut Turn<'_>) {
        while turn.kills > 0 {
            let Some((serial, due)) = self.desk.timers.pop(turn.now) else { break };
            turn.kills -= 1;
            let Some(instance) = self.memory.instances.get(&serial).cloned() else { continue };
            let confirmed = self.desk.confirmed.contains(&serial);
            match (due, instance.state) {
                // A timer of a resident may stem from an earlier launch.
                (Due::Confirmed, TaskState::Staging)
                    if !confirmed
                        && instance.staged_at + self.config.launch_confirm_timeout <= turn.now =>
                {
                    self.doom(serial, turn);
                }
                (Due::Launched, TaskState::Staging | TaskState::Starting)
                    if instance.staged_at + self.config.launch_timeout <= turn.now =>
                {
                    self.doom(serial, turn);
                }
                (Due::Killed, _) if !instance.is_resting() && instance.is_going() => {
                    self.send_kill(&instance, turn);
                }
                (Due::Inactive | Due::Expunged, TaskState::Unreachable)
                    if !self.is_overdue(&instance, due, turn.now) => {}
                (Due::Inactive, TaskState::Unreachable) => {
                    let inactive = self.desk.inactive.entry(instance.app.clone()).or_default();
                    if instance.goal == Goal::Running {
                        inactive.insert(serial);
                    }
                    self.desk.dirty.insert(instance.app.clone());
                }
                (Due::Expunged, TaskState::Unreachable) => self.give_up(&instance, turn),
                (
                    Due::Confirmed | Due::Launched | Due::Killed | Due::Inactive | Due::Expunged,
                    _,
                ) => (),
            }
        }
    }

    /// After a restart.
    pub(crate) fn resume_timers(&mut self) {
        let instances: Vec<Arc<Instance>> = self.memory.instances.values().cloned().collect();
        let (confirm, launch) = (self.config.launch_confirm_timeout, self.config.launch_timeout);
        for instance in instances {
            let timers = &mut self.desk.timers;
            if instance.state == TaskState::Staging {
                timers.set(instance.staged_at + confirm, instance.serial, Due::Confirmed);
            }
            if matches!(instance.state, TaskState::Staging | TaskState::Starting) {
                timers.set(instance.staged_at + launch, instance.serial, Due::Launched);
            }
            if !instance.is_resting() && instance.is_going() {
                timers.set(self.desk.now, instance.serial, Due::Killed);
            }
            if instance.state == TaskState::Unreachable {
                self.watch_unreachable(&instance);
            }
        }
    }

    /// The kernel did not take a call. What it did not launch is launched again, though not at once.
    pub(crate) fn refused(&mut self, call: Call, cause: &str, turn: &mut Turn<'_>) {
        match call {
            Call::Accept { operations, .. } => {
                for task in operations.iter().flat_map(Operation::tasks) {
                    self.not_launched(&task.id, cause, turn);
                }
            }
            Call::Kill { task, agent, .. } => {
                turn.call(Call::Reconcile { tasks: vec![(task, agent)] });
            }
            Call::Subscribe { .. } | Call::UpdateFramework { .. } | Call::Teardown => {
                self.unsubscribed(turn);
            }
            Call::Decline { .. }
            | Call::AcceptInverse { .. }
            | Call::DeclineInverse { .. }
            | Call::Revive { .. }
            | Call::Suppress { .. }
            | Call::Acknowledge { .. }
            | Call::Shutdown { .. }
            | Call::Message { .. }
            | Call::Reconcile { .. }
            | Call::AcknowledgeOperation { .. }
            | Call::ReconcileOperations { .. } => (),
        }
    }

    fn not_launched(&mut self, task: &TaskId, cause: &str, turn: &mut Turn<'_>) {
        let Some(instance) = self.memory.view.tasks.get(task).cloned() else { return };
        let status = TaskStatus {
            task: task.clone(),
            state: TaskState::Dropped,
            agent: Some(instance.place.agent.clone()),
            source: Source::Master,
            reason: Some(Reason::MasterDisconnected),
            message: Some(cause.to_owned()),
            at: turn.now,
            uuid: None,
            healthy: None,
            container: None,
            executor: None,
            wait_status: None,
            check: None,
            ready: None,
            given: None,
            more: None,
        };
        self.ended(&instance, &status, turn);
    }
}

/// A task of a resident that counts as over. Should it live, it must not go on beside the next one.
fn stray(status: &TaskStatus, turn: &mut Turn<'_>) {
    if !status.state.is_terminal() {
        unknown(status, turn);
    }
}

/// A task that no instance knows: it was given up, or its app is gone.
fn unknown(status: &TaskStatus, turn: &mut Turn<'_>) {
    let (task, agent) = (status.task.clone(), status.agent.clone());
    match status.state {
        TaskState::Staging | TaskState::Starting | TaskState::Running => {
            turn.call(Call::Kill { task, agent, grace: None });
        }
        TaskState::Killing | TaskState::Unknown => (),
        TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unreachable => turn.notice(What::UnknownTerminated { task, agent }),
    }
}

/// The offer was taken back while it was being accepted, which is nobody's fault.
fn came_too_late(status: &TaskStatus) -> bool {
    status.state == TaskState::Dropped && status.reason == Some(Reason::InvalidOffers)
}

/// As Marathon's `TaskFailure.isFailureState`.
fn is_failure(state: TaskState) -> bool {
    match state {
        TaskState::Failed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => true,
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Finished
        | TaskState::Killed
        | TaskState::Unreachable => false,
    }
}

/// It was killed because it failed its health checks, and not because it was to go.
pub(crate) fn note_unhealthy(
    was: &Instance,
    is: &Arc<Instance>,
    status: &TaskStatus,
    turn: &mut Turn<'_>,
) -> bool {
    let is_unhealthy = status.healthy == Some(false) && was.goal == Goal::Running;
    if is_unhealthy {
        let (instance, cause) = (Arc::clone(is), status.message.clone().unwrap_or_default());
        turn.notice(What::UnhealthyKill { instance, cause });
    }
    is_unhealthy
}

fn tell(was: &Instance, is: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
    if was.state != is.state {
        turn.notice(What::Status { instance: Arc::clone(is), status: status.clone() });
        turn.notice(What::InstanceChanged { instance: Arc::clone(is) });
    }
    if was.healthy != is.healthy {
        let (instance, healthy) = (Arc::clone(is), is.healthy);
        turn.notice(What::InstanceHealthChanged { instance, healthy });
    }
}
