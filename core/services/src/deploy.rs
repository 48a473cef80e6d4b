//! An order becomes a plan, and a plan a deployment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::id::{Serial, Uuid};
use model::time::Time;

use crate::draft::{Draft, Restart, Target};
use crate::machine::{Services, Turn};
use crate::plan::{Difference, steps};
use crate::spec::{AppId, AppSpec};
use crate::state::{Action, App, Before, Deployment, Record, Version};
use crate::{Change, Posted, Refusal, Reply, What};

/// What is going to be done, with everything checked.
#[derive(Debug)]
pub(crate) struct Plan {
    changes: BTreeMap<AppId, Settled>,
    steps: Vec<Vec<Action>>,
    /// Deployments that give way.
    abandons: BTreeSet<Serial>,
}

#[derive(Debug)]
struct Settled {
    difference: Difference,
    spec: Option<Arc<AppSpec>>,
}

/// What is done about deployments that hold the same apps.
#[derive(Debug, Clone)]
pub(crate) enum Conflict {
    Refuse,
    /// They give way, without a rollback.
    Force,
    /// So does this one, whether it is in the way or not.
    RollBack(Serial),
}

impl Conflict {
    fn new(force: bool) -> Self {
        if force { Conflict::Force } else { Conflict::Refuse }
    }
}

impl Services {
    pub(crate) fn deploy(
        &mut self,
        changes: Vec<Change>,
        force: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Reply, Refusal> {
        let mut draft = Draft::new(&self.memory, &self.config);
        for (index, change) in changes.into_iter().enumerate() {
            let (app, target) = self.target(index, change, &draft)?;
            draft.set(app, target);
        }
        let plan = self.plan(draft, Conflict::new(force))?;
        let (deployment, version) = self.carry_out(plan, turn);
        Ok(Reply::Deployed { deployment, version })
    }

    fn target(
        &self,
        index: usize,
        change: Change,
        draft: &Draft<'_>,
    ) -> Result<(AppId, Target), Refusal> {
        let target = |spec, restart| Target { index, spec, restart };
        let existing =
            |app: &AppId| draft.spec(app).cloned().ok_or_else(|| Refusal::UnknownApp(app.clone()));
        match change {
            Change::Create(spec) if draft.spec(&spec.id).is_some() => match spec.pod {
                Some(_) => Err(Refusal::PodExists(spec.id)),
                None => Err(Refusal::AppExists(spec.id)),
            },
            Change::Create(spec) => Ok((spec.id.clone(), target(Some(spec), Restart::IfChanged))),
            Change::Put { spec, base } => {
                let current = self.memory.view.apps.get(&spec.id).map(|app| app.version);
                if current != base {
                    return Err(Refusal::Stale(spec.id));
                }
                Ok((spec.id.clone(), target(Some(spec), Restart::IfChanged)))
            }
            Change::Delete(app) => {
                existing(&app)?;
                Ok((app, target(None, Restart::IfChanged)))
            }
            Change::Restart(app) => {
                let spec = existing(&app)?;
                Ok((app, target(Some(spec), Restart::Always)))
            }
        }
    }

    /// The same apps with other numbers of instances.
    pub(crate) fn plan_scaling(&self, specs: Vec<AppSpec>, force: bool) -> Result<Plan, Refusal> {
        let mut draft = Draft::new(&self.memory, &self.config);
        for (index, spec) in specs.into_iter().enumerate() {
            let target = Target { index, spec: Some(spec.clone()), restart: Restart::IfChanged };
            draft.set(spec.id, target);
        }
        self.plan(draft, Conflict::new(force))
    }

    /// Back to where the deployment started.
    pub(crate) fn plan_rollback(&self, deployment: &Deployment) -> Result<Plan, Refusal> {
        let mut draft = Draft::new(&self.memory, &self.config);
        for (index, before) in deployment.before.iter().enumerate() {
            if before.was.is_none() && !self.memory.view.apps.contains_key(&before.app) {
                continue;
            }
            let spec = before.was.as_ref().map(|app| (*app.spec).clone());
            draft.set(before.app.clone(), Target { index, spec, restart: Restart::IfChanged });
        }
        self.plan(draft, Conflict::RollBack(deployment.serial))
    }

    fn plan(&self, mut draft: Draft<'_>, conflict: Conflict) -> Result<Plan, Refusal> {
        draft.settle().map_err(Refusal::Invalid)?;
        let levels = draft.levels();
        let mut changes = BTreeMap::new();
        for (app, target) in draft.targets {
            let now = self.memory.view.apps.get(&app).map(|app| &*app.spec);
            if let Some(difference) = difference(now, &target) {
                changes.insert(app, Settled { difference, spec: target.spec.map(Arc::new) });
            }
        }
        let differences: BTreeMap<AppId, Difference> =
            changes.iter().map(|(app, settled)| (app.clone(), settled.difference)).collect();
        let is_pod = |app: &AppId| {
            let known = || self.memory.view.pods.contains(app);
            changes[app].spec.as_ref().map_or_else(known, |spec| spec.pod.is_some())
        };
        let steps = steps(&differences, |app| levels[app], is_pod);
        let abandons = self.resolve(&changes, &conflict)?;
        let running = self.memory.view.deployments.len() - abandons.len();
        if running >= self.config.deployments_max && !steps.is_empty() {
            return Err(Refusal::TooManyDeployments(self.config.deployments_max));
        }
        Ok(Plan { changes, steps, abandons })
    }

    /// The deployments that have to give way.
    fn resolve(
        &self,
        changes: &BTreeMap<AppId, Settled>,
        conflict: &Conflict,
    ) -> Result<BTreeSet<Serial>, Refusal> {
        let mut by: BTreeSet<Serial> = BTreeSet::new();
        let mut locked = Vec::new();
        for app in changes.keys() {
            if let Some(held) = self.memory.held.get(app) {
                by.insert(held.deployment);
                locked.push(app.clone());
            }
        }
        match conflict {
            Conflict::Refuse if by.is_empty() => Ok(by),
            Conflict::Refuse => {
                let id = |serial| self.memory.view.deployments[serial].id;
                let deployments = by.iter().map(id).collect();
                Err(Refusal::Locked { apps: locked, deployments })
            }
            Conflict::Force => Ok(by),
            Conflict::RollBack(serial) => {
                by.insert(*serial);
                Ok(by)
            }
        }
    }

    /// Writes it all down; from here on it happens by itself.
    pub(crate) fn carry_out(&mut self, plan: Plan, turn: &mut Turn<'_>) -> (Uuid, Version) {
        for serial in &plan.abandons {
            self.abandon(*serial, "another deployment took its place", turn);
        }
        let version = self.new_version(plan.changes.keys(), turn.now);
        let serial = self.next_serial();
        let id = Uuid::derive(turn.seed, serial.0);
        let before = plan
            .changes
            .keys()
            .map(|app| Before { app: app.clone(), was: self.memory.view.apps.get(app).cloned() });
        let before = before.collect();
        let deployment = Deployment { serial, id, version, steps: plan.steps, step: 0, before };
        for (app, settled) in plan.changes {
            self.write_app(app, settled, version, turn);
        }
        let deployment = Arc::new(deployment);
        if deployment.steps.is_empty() {
            // Nothing differs, so it is over before it is worth remembering.
            turn.notice(What::DeploymentSuccess { deployment });
        } else {
            self.commit(Record::Deployment(serial, Some(deployment)), turn);
            self.begin_step(serial, turn);
        }
        (id, version)
    }

    /// Now, but later than any version that these apps ever had.
    fn new_version<'a>(&self, apps: impl Iterator<Item = &'a AppId>, now: Time) -> Version {
        let last = apps.filter_map(|app| {
            let known = self.memory.versions_of(app).next_back();
            known.max(self.memory.view.apps.get(app).map(|app| app.version))
        });
        let next = last.max().map_or(Time(0), |last| Time(last.0.0 + 1));
        Version(now.max(next))
    }

    fn write_app(&mut self, id: AppId, settled: Settled, version: Version, turn: &mut Turn<'_>) {
        let was = self.memory.view.apps.get(&id).cloned();
        turn.notice(posted(&id, was.as_deref(), settled.spec.as_ref()));
        let Some(spec) = settled.spec else {
            return self.commit(Record::App(id, None), turn);
        };
        let is_scaling = settled.difference == Difference::Scale;
        let is_same_config = was.as_ref().is_some_and(|was| same_config(&was.spec, &spec));
        let is_restart = is_same_config && !is_scaling;
        let app = App {
            spec: Arc::clone(&spec),
            version,
            last_scaling_at: match &was {
                Some(was) if is_restart => was.last_scaling_at,
                Some(_) | None => version,
            },
            last_config_change_at: match &was {
                Some(was) if is_scaling && is_same_config => was.last_config_change_at,
                Some(_) | None => version,
            },
            last_failure: was.and_then(|was| was.last_failure.clone()),
        };
        self.commit(Record::Version(id.clone(), version, Some(spec)), turn);
        self.commit(Record::App(id.clone(), Some(Arc::new(app))), turn);
        self.prune_versions(&id, turn);
    }

    /// The oldest specs go, but for those that instances still have.
    fn prune_versions(&mut self, app: &AppId, turn: &mut Turn<'_>) {
        let versions: Vec<Version> = self.memory.versions_of(app).collect();
        let surplus = versions.len().saturating_sub(self.config.versions_max);
        for version in versions.into_iter().take(surplus) {
            let in_use = self.memory.crews.get(app).is_some_and(|crew| crew.has_version(version));
            if !in_use {
                self.commit(Record::Version(app.clone(), version, None), turn);
            }
        }
    }
}

/// What those who watch are told of a user's change.
fn posted(id: &AppId, was: Option<&App>, spec: Option<&Arc<AppSpec>>) -> What {
    let is_pod = |spec: &Arc<AppSpec>| spec.pod.is_some();
    if !spec.or(was.map(|was| &was.spec)).is_some_and(is_pod) {
        return What::AppPosted { app: id.clone(), spec: spec.cloned() };
    }
    let posted = match (was, spec) {
        (_, None) => Posted::Deleted,
        (None, Some(_)) => Posted::Created,
        (Some(_), Some(_)) => Posted::Updated,
    };
    What::PodPosted { pod: id.clone(), posted }
}

fn difference(now: Option<&AppSpec>, target: &Target) -> Option<Difference> {
    let (now, spec) = match (now, &target.spec) {
        (None, None) => return None,
        (None, Some(_)) => return Some(Difference::New),
        (Some(_), None) => return Some(Difference::Gone),
        (Some(now), Some(spec)) => (now, spec),
    };
    let same_config = same_config(now, spec);
    match (same_config && target.restart == Restart::IfChanged, now.instances == spec.instances) {
        (true, true) => None,
        (true, false) => Some(Difference::Scale),
        (false, _) if spec.instances == 0 => Some(Difference::Scale),
        (false, _) => Some(Difference::Config),
    }
}

/// Whether running instances need not be replaced to get from one to the other.
fn same_config(one: &AppSpec, other: &AppSpec) -> bool {
    one == other || AppSpec { instances: other.instances, ..one.clone() } == *other
}
