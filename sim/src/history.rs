//! What the outside world was promised: orders that were answered, tasks that were seen to end.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Refusal, Reply};
use model::id::TaskId;
use services::spec::AppId;
use services::state::Version;
use services::{Notice, What};

use crate::operator::Asked;
use crate::pod;

#[derive(Debug, Default)]
pub struct History {
    pub promises: BTreeMap<AppId, Promise>,
    /// Tasks whose terminal state was told. They never live again.
    pub ended: BTreeSet<TaskId>,
    /// Tasks that were unreachable at some time.
    pub strayed: BTreeSet<TaskId>,
    pub deployments_ended: usize,
    /// A deployment may have been stopped half way, so that old and new instances stand side by side for good.
    pub may_be_mixed: bool,
    unanswered: Vec<Asked>,
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

impl History {
    /// One order at a time for each app, or nobody could say what is promised.
    pub fn may_ask(&self, asked: &Asked) -> bool {
        match asked {
            Asked::Put(_) | Asked::Delete(_) | Asked::Restart(_) => {
                self.unanswered.iter().all(|open| open.app().is_some() && open.app() != asked.app())
            }
            Asked::Cancel(_) | Asked::Kill => self.unanswered.is_empty(),
        }
    }

    pub fn asked(&mut self, asked: &Asked, force: bool) {
        self.may_be_mixed |= force || matches!(asked, Asked::Cancel(_));
        self.unanswered.push(asked.clone());
        match asked {
            Asked::Put(app) => self.promise(app).may_be_there = true,
            Asked::Delete(app) => self.promise(app).may_be_gone = true,
            Asked::Restart(_) => (),
            // A rollback brings back what was before, old versions included.
            Asked::Cancel(_) => self.promises.values_mut().for_each(|promise| {
                *promise = Promise { version: None, may_be_gone: true, may_be_there: true };
            }),
            Asked::Kill => (),
        }
    }

    fn promise(&mut self, app: &AppId) -> &mut Promise {
        self.promises.entry(app.clone()).or_default()
    }

    pub fn answered(&mut self, asked: Asked, answer: Result<Reply, Refusal>) {
        self.unanswered.retain(|open| *open != asked);
        let Ok(Reply::Services(services::Reply::Deployed { version, .. })) = answer else { return };
        match asked {
            Asked::Put(app) | Asked::Restart(app) => {
                let version = Some(version);
                *self.promise(&app) = Promise { version, may_be_gone: false, may_be_there: true };
            }
            Asked::Delete(app) => *self.promise(&app) = Promise::default(),
            Asked::Cancel(_) | Asked::Kill => (),
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
            What::DeploymentSuccess { .. } | What::DeploymentFailed { .. } => {
                self.deployments_ended += 1
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
