//! Deployments go from step to step as their actions reach their goals.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::id::Serial;

use crate::machine::{Services, Turn};
use crate::parts::Head;
use crate::spec::AppId;
use crate::state::{ActionKind, Cause, Deployment, Record};
use crate::{Cancel, Refusal, Reply, What};
use model::id::Uuid;

impl Services {
    /// After a restart each deployment is where its record says; what its step still lacks shows when its apps are
    /// looked at, which all are.
    pub(crate) fn resume_deployments(&mut self) {
        for (serial, deployment) in &self.memory.view.deployments {
            self.desk.pending.insert(*serial, unfinished(deployment));
            self.desk.deadlines.extend(deployment.deadline.map(|at| (at, *serial)));
        }
    }

    /// Carries on from the step of the deployment's record. Starting an app means nothing but that it exists, so such
    /// steps are over at once.
    pub(crate) fn begin_step(&mut self, serial: Serial, turn: &mut Turn<'_>) {
        loop {
            let Some(deployment) = self.memory.view.deployments.get(&serial).cloned() else {
                return;
            };
            turn.notice(What::DeploymentInfo { deployment: Arc::clone(&deployment) });
            let pending = unfinished(&deployment);
            self.desk.dirty.extend(pending.iter().cloned());
            let is_over = pending.is_empty();
            self.desk.pending.insert(serial, pending);
            if !is_over {
                return;
            }
            self.end_step(serial, &deployment, turn);
        }
    }

    fn end_step(&mut self, serial: Serial, deployment: &Arc<Deployment>, turn: &mut Turn<'_>) {
        turn.notice(What::DeploymentStepSuccess { deployment: Arc::clone(deployment) });
        // An instance that came back meanwhile may be one too many from now on.
        let over = usize::try_from(deployment.step).expect("32 bits fit");
        let actions = deployment.steps.get(over).into_iter().flatten();
        let restarted = actions.filter(|action| action.kind == ActionKind::Restart);
        self.desk.dirty.extend(restarted.map(|action| action.app.clone()));
        let step = deployment.step + 1;
        if usize::try_from(step).is_ok_and(|step| step < deployment.steps.len()) {
            let next = Head { step, ..deployment.head() };
            self.commit(Record::Deployment(serial, Some(Arc::new(next))), turn);
            return;
        }
        self.end(serial, turn);
        turn.notice(What::DeploymentSuccess { deployment: Arc::clone(deployment) });
    }

    /// The app's action has reached its goal.
    pub(crate) fn complete_action(&mut self, app: &AppId, turn: &mut Turn<'_>) {
        let Some(serial) = self.memory.held.get(app).map(|held| held.deployment) else { return };
        let Some(pending) = self.desk.pending.get_mut(&serial) else { return };
        if pending.remove(app) && pending.is_empty() {
            let deployment = Arc::clone(&self.memory.view.deployments[&serial]);
            self.end_step(serial, &deployment, turn);
            self.begin_step(serial, turn);
        }
    }

    fn end(&mut self, serial: Serial, turn: &mut Turn<'_>) {
        self.desk.pending.remove(&serial);
        let deployment = Arc::clone(&self.memory.view.deployments[&serial]);
        if let Some(deadline) = deployment.deadline {
            self.desk.deadlines.remove(&(deadline, serial));
        }
        for record in deployment.removal() {
            self.commit(record, turn);
        }
    }

    /// One deployment that takes longer than it may is rolled back; others that do are next, and at once.
    pub(crate) fn expire_deployment(&mut self, turn: &mut Turn<'_>) {
        let Some((at, serial)) = self.desk.deadlines.first().copied() else { return };
        if turn.now < at {
            return;
        }
        self.desk.deadlines.pop_first();
        let deployment = Arc::clone(&self.memory.view.deployments[&serial]);
        match self.plan_rollback(&deployment, Cause::Timeout { of: deployment.id }) {
            Ok(plan) => drop(self.carry_out(plan, turn)),
            Err(refusal) => {
                let cause = format!("{}, which fails: {refusal}", deployment.out_of_time());
                self.abandon(serial, &cause, turn);
            }
        }
    }

    /// The deployment is over before its time; its apps are kept as they are to be by now.
    pub(crate) fn abandon(&mut self, serial: Serial, cause: &str, turn: &mut Turn<'_>) {
        let deployment = Arc::clone(&self.memory.view.deployments[&serial]);
        self.end(serial, turn);
        let apps = deployment.steps.iter().flatten().map(|action| action.app.clone());
        self.desk.dirty.extend(apps);
        turn.notice(What::DeploymentFailed { deployment, cause: cause.to_owned() });
    }

    pub(crate) fn cancel(
        &mut self,
        id: Uuid,
        how: Cancel,
        turn: &mut Turn<'_>,
    ) -> Result<Reply, Refusal> {
        let mut deployments = self.memory.view.deployments.iter();
        let found = deployments.find(|(_, deployment)| deployment.id == id);
        let (serial, deployment) = found.ok_or(Refusal::UnknownDeployment(id))?;
        let (serial, deployment) = (*serial, Arc::clone(deployment));
        match how {
            Cancel::Stop => {
                self.abandon(serial, "it was cancelled", turn);
                Ok(Reply::Done)
            }
            Cancel::Rollback => {
                let plan = self.plan_rollback(&deployment, Cause::Rollback { of: id })?;
                let (deployment, version) = self.carry_out(plan, turn);
                Ok(Reply::Deployed { deployment, version })
            }
        }
    }
}

/// The apps of the current step whose actions take time.
fn unfinished(deployment: &Deployment) -> BTreeSet<AppId> {
    let step = usize::try_from(deployment.step).expect("32 bits fit");
    let actions = deployment.steps.get(step).into_iter().flatten();
    let lasting = actions.filter(|action| action.kind != ActionKind::Start);
    lasting.map(|action| action.app.clone()).collect()
}
