//! Health checks: when to probe, and what the answers mean. As Mesos' health checker decides.

use std::collections::BTreeMap;
use std::time::Duration;

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
const ANSWER_LATE_MAX: Duration = Duration::from_secs(10);

/// Of the tasks that run and are not to end.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    of: BTreeMap<ContainerId, Vec<Check>>,
    due: Queue<(ContainerId, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Check {
    since: Time,
    health: Health,
    probing: bool,
}

/// What a check's answers so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// No success yet, and no failure that counts.
    Unknown,
    Passing,
    Failing {
        in_a_row: u32,
        /// The grace period is over once a probe has succeeded.
        passed_before: bool,
    },
}

impl Checks {
    pub(crate) fn begin(&mut self, container: &ContainerId, checks: &[HealthCheck], now: Time) {
        if checks.is_empty() {
            return;
        }
        let fresh = Check { since: now, health: Health::Unknown, probing: false };
        self.of.insert(container.clone(), vec![fresh; checks.len()]);
        for (nth, check) in checks.iter().enumerate() {
            self.due.set((container.clone(), nth), now + check.delay);
        }
    }

    pub(crate) fn end(&mut self, container: &ContainerId) {
        let count = self.of.remove(container).map_or(0, |checks| checks.len());
        for nth in 0..count {
            self.due.remove(&(container.clone(), nth));
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.due.first()
    }

    /// A task is healthy if all its checks say so, unhealthy if one says so.
    fn healthy(&self, container: &ContainerId) -> Option<bool> {
        let checks = self.of.get(container)?;
        if checks.iter().any(|check| matches!(check.health, Health::Failing { .. })) {
            return Some(false);
        }
        checks.iter().all(|check| check.health == Health::Passing).then_some(true)
    }
}

impl Node {
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
            let checks = self.checks.of.get_mut(&container).expect("what is due is checked");
            checks[nth].probing = true;
            self.checks.due.set((container, nth), late_at);
        }
    }

    pub(crate) fn probed(
        &mut self,
        container: &ContainerId,
        nth: usize,
        outcome: Result<(), String>,
        turn: &mut Turn<'_>,
    ) {
        let checks = self.checks.of.get_mut(container);
        let Some(check) = checks.and_then(|checks| checks.get_mut(nth)) else { return };
        if !check.probing {
            return;
        }
        check.probing = false;
        let held = self.state.held(container).expect("checks end with their task").clone();
        let spec = &held.info.health_checks[nth];
        check.health = judge(*check, spec, outcome.is_ok(), turn.now);
        let health = check.health;
        self.checks.due.set((container.clone(), nth), turn.now + spec.interval);
        self.report_health(container, outcome.err(), turn);
        if let Health::Failing { in_a_row, .. } = health
            && 0 < spec.failures_max
            && spec.failures_max <= in_a_row
        {
            self.kill(container, Kill { grace: None, by: KilledBy::HealthCheck }, turn);
        }
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

fn judge(check: Check, spec: &HealthCheck, success: bool, now: Time) -> Health {
    let failing = |in_a_row, passed_before| Health::Failing { in_a_row, passed_before };
    match check.health {
        _ if success => Health::Passing,
        Health::Passing => failing(1, true),
        Health::Failing { in_a_row, passed_before } => failing(in_a_row + 1, passed_before),
        Health::Unknown if now.since(check.since) <= spec.grace && !spec.grace.is_zero() => {
            Health::Unknown
        }
        Health::Unknown => failing(1, false),
    }
}
