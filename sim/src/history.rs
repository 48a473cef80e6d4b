//! What the outside world was promised: orders that were answered, tasks that were seen to end.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Refusal, Reply};
use model::id::{TaskId, Uuid};
use services::group::GroupUpdate;
use services::spec::{AppId, AppSpec};
use services::state::{ActionKind, Deployment, Version};
use services::view::View;
use services::{Cancel, Change, Notice, Order, What};

use crate::operator::{Asked, Regrouped};
use crate::pod;

#[derive(Debug, Default)]
pub struct History {
    pub promises: BTreeMap<AppId, Promise>,
    /// Tasks whose terminal state was told. They never live again.
    pub ended: BTreeSet<TaskId>,
    /// Tasks that were unreachable at some time.
    pub strayed: BTreeSet<TaskId>,
    pub deployments_ended: usize,
    /// Apps whose deployments may have been stopped half way, so that old and new instances stand side by side for good.
    pub mixed: BTreeSet<AppId>,
    /// The step that each deployment was in when that was last durable.
    pub steps: BTreeMap<Uuid, u32>,
    unanswered: Vec<(Asked, Way)>,
}

/// Whether there may be a way back that nobody has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    /// It is rolled back when its time is up.
    MayTurn,
}

/// What must be true of an app, by what was answered.
#[derive(Debug, Clone, Default)]
pub struct Promise {
    /// It is there in this version or a later one...
    pub version: Option<Version>,
    /// ... unless a deletion or a rollback is under way or was interrupted.
    pub may_be_gone: bool,
    /// It is gone, unless something is under way that may bring it back.
    pub may_be_there: bool,
}

impl Promise {
    const ANYTHING: Self = Self { version: None, may_be_gone: true, may_be_there: true };
}

impl History {
    /// One order at a time for each app, or nobody could say what is promised.
    pub fn may_ask(&self, asked: &Asked) -> bool {
        let mut open = self.unanswered.iter().map(|(open, _)| open);
        match asked {
            Asked::Put(app) | Asked::Delete(app) | Asked::Restart(app) => {
                open.all(|open| !open.touches(app))
            }
            Asked::Group(_) | Asked::Cancel(_) | Asked::Kill => self.unanswered.is_empty(),
            Asked::Report(_) | Asked::ResetDelay(_) => open.all(|open| open != asked),
        }
    }

    /// What is promised of whatever the order touches is open until it is answered.
    pub fn asked(&mut self, asked: &Asked, order: &Order, view: &View) {
        self.unanswered.push((asked.clone(), way(order, view)));
        if may_mix(order) {
            let all = view.deployments.values().flat_map(|one| one.steps.iter().flatten());
            self.mixed.extend(all.map(|action| action.app.clone()));
        }
        match asked {
            Asked::Put(app) => self.promise(app).may_be_there = true,
            Asked::Delete(app) => self.promise(app).may_be_gone = true,
            Asked::Group(Regrouped { group, there, .. }) => {
                let new = there.iter().map(|app| (app.clone(), Promise::default()));
                self.promises.extend(new);
                let within = self.promises.iter_mut().filter(|(app, _)| group.holds(app));
                within.for_each(|(_, promise)| *promise = Promise::ANYTHING);
            }
            // A rollback brings back what was before, old versions included.
            Asked::Cancel(_) => {
                self.promises.values_mut().for_each(|promise| *promise = Promise::ANYTHING);
            }
            Asked::Restart(_) | Asked::Kill | Asked::Report(_) | Asked::ResetDelay(_) => (),
        }
    }

    fn promise(&mut self, app: &AppId) -> &mut Promise {
        self.promises.entry(app.clone()).or_default()
    }

    pub fn answered(&mut self, asked: Asked, answer: Result<Reply, Refusal>) {
        let at = self.unanswered.iter().position(|(open, _)| *open == asked);
        let way = at.map_or(Way::MayTurn, |at| self.unanswered.remove(at).1);
        let Ok(Reply::Services(services::Reply::Deployed { version, .. })) = answer else { return };
        match asked {
            Asked::Put(app) | Asked::Restart(app) => {
                let version = Some(version);
                *self.promise(&app) = match way {
                    Way::Forward => Promise { version, may_be_gone: false, may_be_there: true },
                    Way::MayTurn => Promise::ANYTHING,
                };
            }
            Asked::Delete(app) if way == Way::Forward => *self.promise(&app) = Promise::default(),
            Asked::Delete(app) => *self.promise(&app) = Promise::ANYTHING,
            // What it leaves as it is may still go back with a deployment that came before.
            Asked::Group(Regrouped { gone, .. }) if way == Way::Forward => {
                gone.iter().for_each(|app| *self.promise(app) = Promise::default());
            }
            Asked::Group(_)
            | Asked::Cancel(_)
            | Asked::Kill
            | Asked::Report(_)
            | Asked::ResetDelay(_) => (),
        }
    }

    /// The master died: what it had not answered may have happened or not.
    pub fn forget_unanswered(&mut self) {
        self.unanswered.clear();
    }

    pub fn noticed(&mut self, notice: &Notice) {
        pod::ends_whole(notice);
        match &notice.what {
            What::Status { status, .. } if status.state.is_terminal() => {
                self.ended.insert(status.task.clone());
            }
            What::DeploymentSuccess { deployment } => {
                self.deployments_ended += 1;
                self.steps.remove(&deployment.id);
                let actions = deployment.steps.iter().flatten();
                for action in actions.filter(|action| action.kind != ActionKind::Scale) {
                    self.mixed.remove(&action.app);
                }
            }
            What::DeploymentFailed { deployment, .. } => {
                self.deployments_ended += 1;
                self.steps.remove(&deployment.id);
            }
            What::Status { .. }
            | What::AppPosted { .. }
            | What::PodPosted { .. }
            | What::AppTerminated { .. }
            | What::InstanceChanged { .. }
            | What::InstanceHealthChanged { .. }
            | What::CheckFailed { .. }
            | What::UnhealthyKill { .. }
            | What::UnknownTerminated { .. }
            | What::DeploymentInfo { .. }
            | What::DeploymentStepSuccess { .. }
            | What::DeploymentStepFailure { .. }
            | What::SchedulerRegistered { .. }
            | What::Autoscaled { .. }
            | What::SchedulerDisconnected => (),
        }
    }
}

impl History {
    /// A deployment that is durable goes on where it was, whoever leads.
    pub fn goes_on(&mut self, deployment: &Deployment) {
        let known = self.steps.insert(deployment.id, deployment.step);
        assert!(
            known.is_none_or(|known| known <= deployment.step),
            "it was in step {known:?} already: {deployment:?}"
        );
    }
}

/// Whether it leaves a deployment where it is.
fn may_mix(order: &Order) -> bool {
    match order {
        Order::Deploy { force, .. } | Order::KillTasks { force, .. } => *force,
        Order::Cancel { how, .. } => *how == Cancel::Stop,
        Order::ResetDelay { .. } | Order::Plan { .. } | Order::Report { .. } => false,
    }
}

/// Every deployment may have a time limit, from its order or from any app that it changes.
fn way(order: &Order, view: &View) -> Way {
    let Order::Deploy { changes, timeout, .. } = order else { return Way::MayTurn };
    let is_timed = |spec: &AppSpec| spec.deployment_timeout.is_some();
    let may_turn = changes.iter().any(|change| match change {
        Change::Put { spec, .. } | Change::Create(spec) => is_timed(spec),
        Change::Restart(app) => view.apps.get(app).is_some_and(|app| is_timed(&app.spec)),
        Change::PutGroup(update) | Change::CreateGroup(update) => specs(update).any(is_timed),
        Change::ScaleGroup { group, .. } => view.apps_in(group).any(|(_, app)| is_timed(&app.spec)),
        Change::RollBackGroup { .. } => true,
        Change::Delete(_) | Change::DeleteGroup(_) | Change::EnforceRole { .. } => false,
    });
    if may_turn || timeout.is_some() { Way::MayTurn } else { Way::Forward }
}

fn specs(update: &GroupUpdate) -> Box<dyn Iterator<Item = &AppSpec> + '_> {
    let own = update.apps.iter().chain(&update.pods).flatten();
    Box::new(own.chain(update.groups.iter().flatten().flat_map(specs)))
}
