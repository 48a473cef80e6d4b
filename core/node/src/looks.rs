//! Checks that neither kill nor heal: those whose result is only shown, and those that say when a task is ready.
//!
//! What follows from a probe is told as an update, and so until it is acknowledged: whoever waits for a task to be ready
//! does not wait in vain, whichever of the two machines starts anew meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::check::{CheckStatus, PageAnswer, Readiness, ReadinessCheck};
use model::container::Probe;
use model::id::ContainerId;
use model::task::{Reason, TaskState};
use model::time::Time;

use crate::checks::ANSWER_LATE_MAX;
use crate::queue::Queue;
use crate::state::Held;
use crate::updates::News;
use crate::{Effect, Node, TICK_TIMERS_MAX, Turn};

/// From an answer to the next probe, however little a user asks for.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The HTTP status of a page that could not be asked: Gateway Timeout.
const UNASKED: u16 = 504;

/// Why a task is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// To show what was found.
    Check,
    /// To know when it is ready.
    Readiness,
}

/// What a probe found, whatever that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Page(PageAnswer),
    Connected,
    /// With this exit status.
    Exited(i32),
    /// No answer, and why.
    Nothing(String),
}

/// Of the tasks that run and are not to end.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    of: BTreeMap<ContainerId, Watched>,
    due: Queue<(ContainerId, Look)>,
}

/// One task.
#[derive(Debug, Default)]
struct Watched {
    probing: BTreeSet<Look>,
    readiness: Option<Readiness>,
}

impl Looks {
    pub(crate) fn begin(&mut self, container: &ContainerId, held: &Held, now: Time) {
        let latest = held.latest.as_ref();
        let is_ready = latest.is_some_and(|status| status.ready == Some(true));
        let check = held.info.check.as_ref().map(|check| (Look::Check, now + check.delay));
        let readiness = held.info.readiness.as_ref().filter(|_| !is_ready);
        for (look, at) in check.into_iter().chain(readiness.map(|_| (Look::Readiness, now))) {
            self.of.entry(container.clone()).or_default();
            self.due.set((container.clone(), look), at);
        }
    }

    pub(crate) fn end(&mut self, container: &ContainerId) {
        if self.of.remove(container).is_some() {
            for look in [Look::Check, Look::Readiness] {
                self.due.remove(&(container.clone(), look));
            }
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.due.first()
    }

    /// What the latest probe for readiness found.
    pub(crate) fn readiness(&self, container: &ContainerId) -> Option<Readiness> {
        self.of.get(container)?.readiness.clone()
    }
}

impl Node {
    /// Makes the probes that are due.
    pub(crate) fn look(&mut self, turn: &mut Turn<'_>) {
        for (container, look) in self.looks.due.take_due(turn.now, TICK_TIMERS_MAX) {
            let held = self.state.held(&container).expect("checks end with their task");
            let (probe, timeout) = probe(held, look);
            let watched = self.looks.of.get_mut(&container).expect("what is due is watched");
            watched.probing.insert(look);
            self.looks.due.set((container.clone(), look), turn.now + timeout + ANSWER_LATE_MAX);
            turn.out.effects.push(Effect::Look { container, look, probe, timeout });
        }
    }

    pub(crate) fn looked(
        &mut self,
        container: &ContainerId,
        look: Look,
        finding: Finding,
        turn: &mut Turn<'_>,
    ) {
        let Some(watched) = self.looks.of.get_mut(container) else { return };
        if !watched.probing.remove(&look) {
            return;
        }
        match look {
            Look::Check => self.checked(container, &finding, turn),
            Look::Readiness => self.asked(container, finding, turn),
        }
    }

    /// A check has found something. Only a change is told.
    fn checked(&mut self, container: &ContainerId, finding: &Finding, turn: &mut Turn<'_>) {
        let held = self.state.held(container).expect("checks end with their task").clone();
        let check = held.info.check.as_ref().expect("what it is probed for");
        let pause = check.interval.max(PAUSE_MIN);
        self.looks.due.set((container.clone(), Look::Check), turn.now + pause);
        let found = status(&check.probe, finding);
        if held.latest.as_ref().and_then(|latest| latest.check) == Some(found) {
            return;
        }
        let reason = Some(Reason::TaskCheckStatusUpdated);
        let news = News { reason, check: Some(found), ..running(&held) };
        self.report(container, &held, news, turn);
    }

    /// The page that says whether the task is ready was asked, again and again until it says yes.
    fn asked(&mut self, container: &ContainerId, finding: Finding, turn: &mut Turn<'_>) {
        let held = self.state.held(container).expect("checks end with their task").clone();
        let check = held.info.readiness.as_ref().expect("what it is probed for");
        let found = judge(check, finding);
        let watched = self.looks.of.get_mut(container).expect("it was asked");
        let is_ready = found.ready;
        let is_news = watched.readiness.as_ref() != Some(&found);
        watched.readiness = Some(found);
        let due = (container.clone(), Look::Readiness);
        match is_ready {
            true => self.looks.due.remove(&due),
            false => self.looks.due.set(due, turn.now + check.interval.max(PAUSE_MIN)),
        }
        if is_news {
            self.tell_tallies(container, turn);
        }
        if is_ready {
            let news = News { ready: Some(true), ..running(&held) };
            self.report(container, &held, news, turn);
        }
    }
}

fn probe(held: &Held, look: Look) -> (Probe, Duration) {
    match look {
        Look::Check => {
            let check = held.info.check.as_ref().expect("what it is probed for");
            (check.probe.clone(), check.timeout)
        }
        Look::Readiness => {
            let check = held.info.readiness.as_ref().expect("what it is probed for");
            (check.probe.clone(), check.timeout)
        }
    }
}

/// It runs and is as well as it was.
fn running(held: &Held) -> News {
    let healthy = held.latest.as_ref().and_then(|latest| latest.healthy);
    News { healthy, ..News::of(TaskState::Running) }
}

/// A port that refuses connections has answered as well; a page or a command that gives no answer has not.
fn status(probe: &Probe, finding: &Finding) -> CheckStatus {
    match (probe, finding) {
        (Probe::Http { .. }, Finding::Page(answer)) => CheckStatus::Http(Some(answer.status)),
        (Probe::Tcp { .. }, Finding::Connected) => CheckStatus::Tcp(Some(true)),
        (Probe::Tcp { .. }, Finding::Nothing(_)) => CheckStatus::Tcp(Some(false)),
        (Probe::Command(..), Finding::Exited(status)) => CheckStatus::Command(Some(*status)),
        (Probe::Http { .. } | Probe::Tcp { .. } | Probe::Command(..), _) => {
            CheckStatus::unknown(probe)
        }
    }
}

fn judge(check: &ReadinessCheck, finding: Finding) -> Readiness {
    let (ready, answer) = match finding {
        Finding::Page(answer) => (check.statuses.contains(&answer.status), Some(answer)),
        Finding::Nothing(cause) => (false, Some(unasked(cause))),
        Finding::Connected | Finding::Exited(_) => (false, None),
    };
    Readiness { ready, answer: answer.filter(|_| check.keeps_answer) }
}

/// As a proxy would put it, and Marathon does.
fn unasked(cause: String) -> PageAnswer {
    PageAnswer { status: UNASKED, content_type: "text/plain".to_owned(), body: cause }
}
