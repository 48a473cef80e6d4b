//! What the kernel says of a pod's containers becomes the state of their instance.
//!
//! An instance is as its members are together: it runs when all run, is lost when one is lost, and has ended when all
//! have. A member that fails takes the others with it, which is the agent's part; should it not do it, the instance is
//! killed after a while.

use std::sync::Arc;

use model::id::TaskId;
use model::task::{TaskState, TaskStatus};
use model::time::Time;

use crate::What;
use crate::machine::{Services, Turn};
use crate::spec::pod::PodSpec;
use crate::state::{Ended, Goal, History, Instance, Member, Record, Termination};
use crate::status::note_unhealthy;
use crate::timers::Due;

/// Ends of instances that are remembered of each pod.
pub const HISTORY_MAX: usize = 10;

impl Member {
    /// Whether it has ended, for all that is known.
    pub fn is_over(&self) -> bool {
        self.state.is_terminal() || self.state == TaskState::Unknown
    }

    /// Ended in a way that the others do not survive.
    fn is_broken(&self) -> bool {
        self.is_over() && self.state != TaskState::Finished
    }

    /// It as the status says. What has ended stays as it ended.
    fn after(&self, status: &TaskStatus) -> Member {
        if self.is_over() {
            return self.clone();
        }
        let is_running = status.state == TaskState::Running;
        let addresses = status.container.as_ref().map(|container| &container.addresses);
        let addresses = addresses.filter(|addresses| !addresses.is_empty());
        let mut next = Member {
            state: status.state,
            started_at: self.started_at.or(is_running.then_some(status.at)),
            healthy: status.healthy.or(self.healthy),
            addresses: addresses.unwrap_or(&self.addresses).clone(),
            message: status.message.clone(),
            ..self.clone()
        };
        if next.is_over() {
            let exit_code = status.wait_status.map(exit_code);
            let message = status.message.clone();
            next.termination = Some(Termination { at: status.at, exit_code, message });
        }
        if next.state != self.state {
            next.since = status.at;
        }
        if next != *self {
            next.changed_at = status.at;
        }
        next
    }
}

/// As a shell tells it: what a signal ended is 128 and the signal's number.
fn exit_code(wait_status: i32) -> i32 {
    match wait_status & 0x7f {
        0 => wait_status >> 8 & 0xff,
        signal => 128 + signal,
    }
}

impl Instance {
    /// A pod's with members that have failed and others that have not ended yet.
    pub(crate) fn is_broken(&self) -> bool {
        self.members.iter().any(Member::is_broken)
    }

    /// It is to be killed, or part of it has failed and takes the rest with it.
    pub(crate) fn is_going(&self) -> bool {
        self.goal != Goal::Running || self.is_broken()
    }

    /// Tasks that have not ended, as far as is known.
    pub(crate) fn live_tasks(&self) -> impl Iterator<Item = &TaskId> {
        let is_alone = self.members.is_empty() && !self.is_resting();
        let alone = is_alone.then_some(&self.task);
        let live = self.members.iter().filter(|member| !member.is_over());
        alone.into_iter().chain(live.map(|member| &member.task))
    }

    /// With these members, and whatever follows from them.
    fn with_members(&self, members: Vec<Member>, pod: Option<&PodSpec>, now: Time) -> Instance {
        let state = state_of(&members);
        let running_since = members.iter().filter_map(|member| member.started_at).max();
        let is_running = state == TaskState::Running;
        let is_lost = state == TaskState::Unreachable;
        let addresses = members.iter().map(|member| &member.addresses);
        Instance {
            state,
            healthy: pod.and_then(|pod| health_of(&members, pod)),
            started_at: self.started_at.or(running_since.filter(|_| is_running)),
            unreachable_since: is_lost.then(|| self.unreachable_since.unwrap_or(now)),
            addresses: addresses
                .into_iter()
                .find(|all| !all.is_empty())
                .cloned()
                .unwrap_or_default(),
            members,
            ..self.clone()
        }
    }
}

/// What all are together. Once all have ended: the worst of it.
fn state_of(members: &[Member]) -> TaskState {
    use TaskState as S;
    let is = |state: S| members.iter().any(|member| member.state == state);
    let first = |states: &[S]| states.iter().copied().find(|state| is(*state));
    if members.iter().all(Member::is_over) {
        const WORST_FIRST: [TaskState; 8] = [
            S::Error,
            S::Failed,
            S::GoneByOperator,
            S::Gone,
            S::Dropped,
            S::Lost,
            S::Unknown,
            S::Killed,
        ];
        return first(&WORST_FIRST).unwrap_or(S::Finished);
    }
    if is(S::Unreachable) {
        return S::Unreachable;
    }
    if members.iter().any(Member::is_broken) {
        return S::Killing;
    }
    first(&[S::Killing, S::Staging, S::Starting]).unwrap_or(S::Running)
}

/// Healthy are those of which all members are that have a health check and have not ended.
fn health_of(members: &[Member], pod: &PodSpec) -> Option<bool> {
    if !pod.has_health_checks() {
        return None;
    }
    let is_checked = |member: &&Member| {
        let mut containers = pod.containers.iter();
        containers.any(|one| one.name == member.name && one.health_check.is_some())
    };
    let mut checked = members.iter().filter(|member| !member.is_over()).filter(is_checked);
    let healths: Vec<Option<bool>> = checked.by_ref().map(|member| member.healthy).collect();
    if healths.contains(&Some(false)) {
        return Some(false);
    }
    healths.iter().all(|health| *health == Some(true)).then_some(true)
}

impl Services {
    pub(crate) fn update_member(
        &mut self,
        was: &Arc<Instance>,
        status: &TaskStatus,
        turn: &mut Turn<'_>,
    ) {
        let position = was.members.iter().position(|member| member.task == status.task);
        let at = position.expect("an instance is found by the tasks of its members");
        let before = &was.members[at];
        if is_beginning(status.state) && before.state != TaskState::Unreachable {
            return self.confirm_member(was, before, status, turn);
        }
        let after = before.after(status);
        self.note_confirmed(was, status);
        if after == *before {
            return;
        }
        let mut members = was.members.clone();
        members[at] = after;
        let spec = self.memory.view.versions.get(&(was.app.clone(), was.version)).cloned();
        let pod = spec.as_ref().and_then(|spec| spec.pod.as_ref());
        let is = Arc::new(was.with_members(members, pod, turn.now));
        match is.members.iter().all(Member::is_over) {
            true => self.end_group(was, &is, status, turn),
            false => self.change_group(was, &is, status, turn),
        }
        self.note_member_end(was, &is, status, turn);
    }

    /// Its agent has it. Not written down: after a restart the agent says so again.
    fn confirm_member(
        &mut self,
        instance: &Arc<Instance>,
        member: &Member,
        status: &TaskStatus,
        turn: &mut Turn<'_>,
    ) {
        if member.state == TaskState::Staging && status.state == TaskState::Starting {
            self.keep_pace(instance, turn);
            if self.desk.confirmed.insert(instance.serial) {
                let (instance, status) = (Arc::clone(instance), status.clone());
                turn.notice(What::Status { instance, status });
            }
        }
    }

    /// An agent that speaks of one member has them all.
    fn note_confirmed(&mut self, was: &Instance, status: &TaskStatus) {
        let is_there = matches!(status.state, TaskState::Running | TaskState::Killing);
        if is_there && was.state == TaskState::Staging {
            self.desk.confirmed.insert(was.serial);
        }
    }

    fn change_group(
        &mut self,
        was: &Arc<Instance>,
        is: &Arc<Instance>,
        status: &TaskStatus,
        turn: &mut Turn<'_>,
    ) {
        self.commit(Record::Instance(was.serial, Some(Arc::clone(is))), turn);
        if is.state == TaskState::Running {
            self.desk.confirmed.remove(&was.serial);
        }
        if was.state != is.state && is.state == TaskState::Running {
            self.keep_pace(is, turn);
        }
        if is.is_broken() && !was.is_broken() {
            let at = turn.now + self.config.kill_retry;
            self.desk.timers.set(at, was.serial, Due::Killed);
        }
        tell(was, is, status, turn);
        match (was.state, is.state) {
            (TaskState::Unreachable, TaskState::Unreachable) => (),
            (TaskState::Unreachable, _) => self.found_again(was, is, turn),
            (_, TaskState::Unreachable) => self.lost(is, turn),
            (_, _) => (),
        }
    }

    fn end_group(
        &mut self,
        was: &Arc<Instance>,
        ended: &Arc<Instance>,
        status: &TaskStatus,
        turn: &mut Turn<'_>,
    ) {
        self.let_go(ended, ended.state, turn);
        tell(was, ended, status, turn);
        self.remember_end(ended, status, turn);
        // It ended as its members did together, whoever was the last.
        let together = TaskStatus { state: ended.state, ..status.clone() };
        self.back_off(ended, &together, turn);
    }

    /// The first that fails is what the instance failed of; the others only follow.
    fn note_member_end(
        &mut self,
        was: &Arc<Instance>,
        is: &Arc<Instance>,
        status: &TaskStatus,
        turn: &mut Turn<'_>,
    ) {
        if was.is_broken() || !is.is_broken() {
            return;
        }
        let is_unhealthy = note_unhealthy(was, is, status, turn);
        self.note_failure(is, status, is_unhealthy, turn);
    }

    fn remember_end(&mut self, ended: &Instance, status: &TaskStatus, turn: &mut Turn<'_>) {
        if !self.memory.view.apps.contains_key(&ended.app) {
            return;
        }
        let known = self.memory.view.histories.get(&ended.app);
        let mut history = known.map_or_else(History::default, |known| (**known).clone());
        let surplus = (history.ended.len() + 1).saturating_sub(HISTORY_MAX);
        history.ended.drain(..surplus);
        history.ended.push(Ended {
            instance: ended.id(),
            version: ended.version,
            host: ended.place.host.clone(),
            agent: ended.place.agent.clone(),
            state: ended.state,
            staged_at: ended.staged_at,
            started_at: ended.started_at,
            at: status.at,
            message: cause_of_end(ended),
            members: ended.members.clone(),
        });
        self.commit(Record::History(ended.app.clone(), Some(Arc::new(history))), turn);
    }
}

/// What was said of the first member that ended in the way that the instance did.
fn cause_of_end(ended: &Instance) -> Option<String> {
    let alike = ended.members.iter().filter(|member| member.state == ended.state);
    let ends = alike.filter_map(|member| member.termination.as_ref());
    ends.min_by_key(|end| end.at).and_then(|end| end.message.clone())
}

fn is_beginning(state: TaskState) -> bool {
    matches!(state, TaskState::Staging | TaskState::Starting)
}

/// Each member's change is told as a task's, and what follows as the instance's.
fn tell(was: &Instance, is: &Arc<Instance>, status: &TaskStatus, turn: &mut Turn<'_>) {
    let state_of = |instance: &Instance| {
        let mut members = instance.members.iter();
        members.find(|member| member.task == status.task).map(|member| member.state)
    };
    if state_of(was) != state_of(is) {
        turn.notice(What::Status { instance: Arc::clone(is), status: status.clone() });
    }
    if was.state != is.state {
        turn.notice(What::InstanceChanged { instance: Arc::clone(is) });
    }
    if was.healthy != is.healthy {
        let (instance, healthy) = (Arc::clone(is), is.healthy);
        turn.notice(What::InstanceHealthChanged { instance, healthy });
    }
}
