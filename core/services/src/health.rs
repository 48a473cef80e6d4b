//! What health checks find, and which instances are killed for it.
//!
//! Checks that Mesos would run (`MESOS_HTTP` and its like, `COMMAND`) are judged by the agent, which kills by itself.
//! Those that Marathon would run are made by the agent and judged here, so that an app whose checks all fail at once,
//! because something that it needs is gone, is not killed at once: Marathon lets no more than 100 kills be under way in
//! the whole cluster, we no more than a tenth of an app's instances. The others go on serving as well as they can, and
//! whoever recovers is spared.

use std::sync::Arc;

use model::agent::CheckTally;
use model::check::Readiness;
use model::id::{Serial, TaskId};
use model::task::{Source, TaskState, TaskStatus};

use crate::What;
use crate::machine::{Services, Turn};
use crate::probe::is_probed;
use crate::spec::{AppHealthCheck, AppId, AppSpec, CheckKind};
use crate::state::{Goal, Instance};
use crate::status::note_unhealthy;

/// Instances of one app that may be on their way out, those that are killed for their health included; rounded up, so
/// that one always may.
const LEAVING_PERCENT_MAX: u32 = 10;

impl Services {
    /// The agent tells what a task's checks have found so far. That it is ready, an update says; here is why it is not.
    pub(crate) fn checked(
        &mut self,
        task: TaskId,
        tallies: Vec<CheckTally>,
        readiness: Option<Readiness>,
        turn: &mut Turn<'_>,
    ) {
        let Some(instance) = self.memory.view.tasks.get(&task).cloned() else { return };
        if let Some(readiness) = readiness {
            self.desk.readiness.insert(task.clone(), Arc::new(readiness));
        }
        if tallies.is_empty() {
            return;
        }
        let key = (instance.app.clone(), instance.version);
        let spec = self.memory.view.versions.get(&key);
        let failed = spec.and_then(|spec| failed(spec, &instance, &tallies));
        if let Some(spec) = spec {
            let before = self.desk.health.get(&task).map_or(&[][..], |all| all);
            tell_failures(spec, &instance, before, &tallies, turn);
        }
        self.desk.health.insert(task, Arc::new(tallies));
        match failed {
            Some(cause) => {
                let ill = self.desk.ill.entry(instance.app.clone()).or_default();
                ill.insert(instance.serial, cause);
                self.desk.dirty.insert(instance.app.clone());
            }
            None => self.spare(&instance),
        }
    }

    fn spare(&mut self, instance: &Instance) {
        if let Some(ill) = self.desk.ill.get_mut(&instance.app) {
            ill.remove(&instance.serial);
            if ill.is_empty() {
                self.desk.ill.remove(&instance.app);
            }
        }
    }

    /// What one of the instance's checks that fail found last.
    pub(crate) fn failing_cause(&self, instance: &Instance) -> Option<String> {
        let members = instance.members.iter().map(|member| &member.task);
        let tallies = members.chain([&instance.task]).filter_map(|task| self.desk.health.get(task));
        let mut failing = tallies.flat_map(|all| all.iter()).filter(|tally| tally.failures > 0);
        failing.find_map(|tally| tally.last_cause.clone())
    }

    pub(crate) fn forget_health(&mut self, instance: &Instance) {
        self.spare(instance);
        let members = instance.members.iter().map(|member| &member.task);
        for task in members.chain([&instance.task]) {
            self.desk.health.remove(task);
            self.desk.readiness.remove(task);
        }
    }

    /// Kills those that failed their checks too often, as many as may go now.
    pub(crate) fn kill_ill(&mut self, app: &AppId, turn: &mut Turn<'_>) {
        let (Some(ill), Some(crew)) = (self.desk.ill.get(app), self.memory.crews.get(app)) else {
            return;
        };
        let all = crew.old.total() + crew.new.total() + crew.leaving();
        let most = (all * LEAVING_PERCENT_MAX).div_ceil(100);
        let room = most.saturating_sub(crew.leaving());
        let room = usize::try_from(room).expect("32 bits fit").min(turn.kills);
        let may_go = |serial: &Serial| {
            let instance = self.memory.instances.get(serial);
            // One that cannot be reached cannot be killed either, and may be well when it is back.
            instance.is_some_and(|one| one.goal == Goal::Running && one.state == TaskState::Running)
        };
        let chosen = ill.iter().filter(|(serial, _)| may_go(serial)).take(room);
        let chosen: Vec<(Serial, String)> =
            chosen.map(|(serial, cause)| (*serial, cause.clone())).collect();
        for (serial, cause) in chosen {
            self.kill_for_health(serial, cause, turn);
        }
    }

    fn kill_for_health(&mut self, serial: Serial, cause: String, turn: &mut Turn<'_>) {
        let instance = Arc::clone(&self.memory.instances[&serial]);
        let status = TaskStatus {
            task: instance.task.clone(),
            state: TaskState::Killed,
            agent: Some(instance.place.agent.clone()),
            source: Source::Master,
            reason: None,
            message: Some(cause),
            at: turn.now,
            uuid: None,
            healthy: Some(false),
            container: None,
            executor: None,
            wait_status: None,
            check: None,
            ready: None,
            given: None,
            more: None,
        };
        let is_unhealthy = note_unhealthy(&instance, &instance, &status, turn);
        self.note_failure(&instance, &status, is_unhealthy, turn);
        self.spare(&instance);
        self.doom(serial, turn);
    }
}

/// Tells of each check that has failed since the tallies `before`; what the grace period forgives is no failure.
fn tell_failures(
    spec: &AppSpec,
    instance: &Arc<Instance>,
    before: &[CheckTally],
    tallies: &[CheckTally],
    turn: &mut Turn<'_>,
) {
    let judged = judged(spec, instance, tallies);
    for (nth, check, tally) in judged.filter(|(_, _, tally)| tally.failures > 0) {
        if before.get(nth).is_none_or(|before| before.last_failure < tally.last_failure) {
            let (instance, check) = (Arc::clone(instance), check.clone());
            turn.notice(What::CheckFailed { instance, check });
        }
    }
}

/// The checks that are judged here, with what they found and where that stands.
fn judged<'a>(
    spec: &'a AppSpec,
    instance: &'a Instance,
    tallies: &'a [CheckTally],
) -> impl Iterator<Item = (usize, &'a AppHealthCheck, &'a CheckTally)> {
    let probed = spec.health_checks.iter().filter(|check| is_probed(check, &instance.ports));
    let all = probed.zip(tallies).enumerate().map(|(nth, (check, tally))| (nth, check, tally));
    all.filter(|(_, check, _)| is_judged_here(&check.kind))
}

/// Why the instance is to be killed, if one of the checks that are judged here failed too often in a row.
fn failed(spec: &AppSpec, instance: &Instance, tallies: &[CheckTally]) -> Option<String> {
    let mut judged = judged(spec, instance, tallies);
    let failed = judged
        .find(|(_, check, tally)| check.failures_max > 0 && tally.failures >= check.failures_max);
    failed.map(|(_, _, tally)| tally.last_cause.clone().unwrap_or_default())
}

/// What Marathon would run by itself.
pub(crate) fn is_judged_here(kind: &CheckKind) -> bool {
    match kind {
        CheckKind::Http { mesos, .. } | CheckKind::Tcp { mesos, .. } => !mesos,
        CheckKind::Command(_) => false,
    }
}
