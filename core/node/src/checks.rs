//! Health checks: when to probe, and what the answers mean. As Mesos' health checker decides.

use std::collections::BTreeMap;
use std::time::Duration;

use model::agent::{CheckTally, FromAgent};
use model::container::HealthCheck;
use model::id::ContainerId;
use model::task::{Reason, TaskState};
use model::time::Time;

use crate::queue::Queue;
use crate::state::KilledBy;
use crate::tasks::Kill;
use crate::updates::News;
use crate::{Effect, Node, TICK_TIMERS_MAX, Turn};

/// A probe that has not answered so long after its timeout is lost, and made again.
pub(crate) const ANSWER_LATE_MAX: Duration = Duration::from_secs(10);

/// One success after the other is no news: the master hears of it so seldom. Of anything else it hears at once.
const STEADY_TOLD_EVERY: Duration = Duration::from_secs(300);

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Passed,
    Failed(String),
    /// Neither: an answer of 1xx to a check that ignores these.
    Ignored,
}

/// Of the tasks that run and are not to end.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    of: BTreeMap<ContainerId, Watched>,
    due: Queue<(ContainerId, usize)>,
}

/// The checks of one task.
#[derive(Debug)]
struct Watched {
    since: Time,
    probing: Vec<bool>,
    tallies: Vec<CheckTally>,
    /// When the master last heard of the tallies.
    told_at: Option<Time>,
}

impl Checks {
    pub(crate) fn begin(&mut self, container: &ContainerId, checks: &[HealthCheck], now: Time) {
        if checks.is_empty() {
            return;
        }
        let watched = Watched {
            since: now,
            probing: vec![false; checks.len()],
            tallies: vec![CheckTally::default(); checks.len()],
            told_at: None,
        };
        self.of.insert(container.clone(), watched);
        for (nth, check) in checks.iter().enumerate() {
            self.due.set((container.clone(), nth), now + check.delay);
        }
    }

    pub(crate) fn end(&mut self, container: &ContainerId) {
        let count = self.of.remove(container).map_or(0, |watched| watched.tallies.len());
        for nth in 0..count {
            self.due.remove(&(container.clone(), nth));
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.due.first()
    }

    /// A task is healthy if all its checks say so, unhealthy if one says so.
    fn healthy(&self, container: &ContainerId) -> Option<bool> {
        let tallies = &self.of.get(container)?.tallies;
        if tallies.iter().any(|tally| tally.failures > 0) {
            return Some(false);
        }
        tallies.iter().all(CheckTally::is_alive).then_some(true)
    }
}

impl Node {
    /// Of all kinds: the task runs.
    pub(crate) fn begin_checks(&mut self, container: &ContainerId, turn: &Turn<'_>) {
        let held = self.state.held(container).expect("it runs");
        self.checks.begin(container, &held.info.health_checks, turn.now);
        self.looks.begin(container, held, turn.now);
        if let Some(by) = held.complete_by {
            self.deadlines.set(container.clone(), by);
        }
    }

    /// The task has ended, or is to end.
    pub(crate) fn end_checks(&mut self, container: &ContainerId) {
        self.checks.end(container);
        self.looks.end(container);
        self.deadlines.remove(container);
    }

    /// Kills those whose time is up: at once, as they knew of it.
    pub(crate) fn end_late(&mut self, turn: &mut Turn<'_>) {
        for container in self.deadlines.take_due(turn.now, TICK_TIMERS_MAX) {
            let grace = Some(Duration::ZERO);
            self.kill(&container, Kill { grace, by: KilledBy::Time }, turn);
        }
    }

    /// Makes the probes that are due.
    pub(crate) fn probe(&mut self, turn: &mut Turn<'_>) {
        for (container, nth) in self.checks.due.take_due(turn.now, TICK_TIMERS_MAX) {
            let held = self.state.held(&container).expect("checks end with their task");
            let check = &held.info.health_checks[nth];
            let late_at = turn.now + check.timeout + ANSWER_LATE_MAX;
            turn.out.effects.push(Effect::Probe {
                container: container.clone(),
                check: nth,
                probe: check.probe.clone(),
                timeout: check.timeout,
            });
            let watched = self.checks.of.get_mut(&container).expect("what is due is checked");
            watched.probing[nth] = true;
            self.checks.due.set((container, nth), late_at);
        }
    }

    pub(crate) fn probed(
        &mut self,
        container: &ContainerId,
        nth: usize,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) {
        let Some(watched) = self.checks.of.get_mut(container) else { return };
        let Some(probing) = watched.probing.get_mut(nth) else { return };
        if !std::mem::take(probing) {
            return;
        }
        let held = self.state.held(container).expect("checks end with their task").clone();
        let spec = &held.info.health_checks[nth];
        self.checks.due.set((container.clone(), nth), turn.now + spec.interval);
        let is_young = turn.now.since(watched.since) <= spec.grace && !spec.grace.is_zero();
        let tally = &mut watched.tallies[nth];
        let before = tally.clone();
        count(tally, &answer, is_young, turn.now);
        let failures = tally.failures;
        let is_steady = before.is_alive() && tally.is_alive();
        let is_recent = |at: Time| turn.now.since(at) < STEADY_TOLD_EVERY;
        if *tally != before && !(is_steady && watched.told_at.is_some_and(is_recent)) {
            self.tell_tallies(container, turn);
        }
        let why = match answer {
            Answer::Failed(cause) => Some(cause),
            Answer::Passed | Answer::Ignored => None,
        };
        self.report_health(container, why, turn);
        if 0 < spec.failures_max && spec.failures_max <= failures {
            self.kill(container, Kill { grace: None, by: KilledBy::HealthCheck }, turn);
        }
    }

    /// What the health checks of a task and the latest look at its readiness have found, if somebody listens. It is
    /// neither written down nor repeated.
    pub(crate) fn tell_tallies(&mut self, container: &ContainerId, turn: &mut Turn<'_>) {
        let readiness = self.looks.readiness(container);
        let watched = self.checks.of.get_mut(container);
        let tallies = watched.as_ref().map_or_else(Vec::new, |watched| watched.tallies.clone());
        let is_blank = tallies.iter().all(CheckTally::is_blank) && readiness.is_none();
        if !self.updates.is_connected() || is_blank {
            return;
        }
        if let Some(watched) = watched {
            watched.told_at = Some(turn.now);
        }
        let held = self.state.held(container).expect("checks end with their task");
        turn.out.effects.push(Effect::ToMaster(FromAgent::Checked {
            framework: held.framework.clone(),
            task: held.info.id.clone(),
            checks: tallies,
            readiness,
        }));
    }

    /// Tells a change of the task's health, not every answer: each is a checkpoint and an acknowledgement.
    fn report_health(&mut self, container: &ContainerId, why: Option<String>, turn: &mut Turn<'_>) {
        let held = self.state.held(container).expect("checks end with their task").clone();
        let told = held.latest.as_ref().and_then(|status| status.healthy);
        let healthy = self.checks.healthy(container);
        if healthy.is_none() || healthy == told {
            return;
        }
        let news = News {
            reason: Some(Reason::TaskHealthCheckStatusUpdated),
            message: why,
            healthy,
            ..News::of(TaskState::Running)
        };
        self.report(container, &held, news, turn);
    }
}

/// The grace period forgives failures until the first success, or the first failure after it.
fn count(tally: &mut CheckTally, answer: &Answer, is_young: bool, now: Time) {
    match answer {
        Answer::Passed => {
            tally.failures = 0;
            tally.first_success.get_or_insert(now);
            tally.last_success = Some(now);
        }
        Answer::Failed(_) if is_young && tally.is_blank() => (),
        Answer::Failed(cause) => {
            tally.failures += 1;
            tally.last_failure = Some(now);
            tally.last_cause = Some(cause.clone());
        }
        Answer::Ignored => (),
    }
}
