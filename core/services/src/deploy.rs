//! An order becomes a plan, and a plan a deployment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::id::{Serial, Uuid};
use model::time::Time;

use crate::draft::{Draft, GroupTarget, Restart, Target};
use crate::group::{Group, GroupId};
use crate::machine::{Services, Turn};
use crate::memory::Memory;
use crate::past::{PastGroup, kept_at};
use crate::plan::{Difference, steps};
use crate::spec::{AppId, AppSpec};
use crate::state::{Action, ActionKind, App, Before, Cause, Deployment, Record, Version};
use crate::{Change, Posted, Refusal, Reply, What};

/// What is going to be done, with everything checked.
#[derive(Debug)]
pub(crate) struct Plan {
    changes: BTreeMap<AppId, Settled>,
    groups: BTreeMap<GroupId, Option<Group>>,
    steps: Vec<Vec<Action>>,
    /// Deployments that give way.
    abandons: BTreeSet<Serial>,
    cause: Cause,
    timeout: Option<Duration>,
}

#[derive(Debug)]
struct Settled {
    difference: Difference,
    spec: Option<Arc<AppSpec>>,
    restart: Restart,
}

/// Why and how a deployment is made.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) conflict: Conflict,
    pub(crate) cause: Cause,
    /// Instead of what the apps say.
    pub(crate) timeout: Option<Duration>,
}

impl Intent {
    /// Somebody asks for it.
    pub(crate) fn order(force: bool, timeout: Option<Duration>) -> Self {
        let conflict = if force { Conflict::Force } else { Conflict::Refuse };
        Self { conflict, cause: Cause::Order, timeout }
    }
}

/// What is done about deployments that hold the same apps.
#[derive(Debug, Clone)]
pub(crate) enum Conflict {
    Refuse,
    /// They give way, without a rollback.
    Force,
    /// So does this one, whether it is in the way or not.
    RollBack(Serial),
    /// Nothing, for nothing is going to happen.
    Ignore,
}

impl Services {
    pub(crate) fn deploy(
        &mut self,
        changes: Vec<Change>,
        intent: Intent,
        turn: &mut Turn<'_>,
    ) -> Result<Reply, Refusal> {
        let plan = self.plan(self.draft(changes)?, intent)?;
        let (deployment, version) = self.carry_out(plan, turn);
        Ok(Reply::Deployed { deployment, version })
    }

    /// The steps that would be taken, as far as anybody can tell now.
    pub(crate) fn dry_run(&self, changes: Vec<Change>) -> Result<Reply, Refusal> {
        let intent = Intent { conflict: Conflict::Ignore, ..Intent::order(false, None) };
        let plan = self.plan(self.draft(changes)?, intent)?;
        Ok(Reply::Planned { steps: plan.steps })
    }

    fn draft(&self, changes: Vec<Change>) -> Result<Draft<'_>, Refusal> {
        let mut draft = Draft::new(&self.memory, &self.config);
        for (index, change) in changes.into_iter().enumerate() {
            let at = format!("/{index}");
            match change {
                Change::Create(_) | Change::Put { .. } | Change::Delete(_) | Change::Restart(_) => {
                    let (app, target) = self.target(at, change, &draft)?;
                    draft.set(app, target);
                }
                Change::CreateGroup(update) => draft.create_group(&at, update)?,
                Change::PutGroup(update) => draft.put_group(&at, update),
                Change::DeleteGroup(group) => draft.delete_group(&at, &group)?,
                Change::ScaleGroup { group, by } => draft.scale_group(&at, &group, by)?,
                Change::RollBackGroup { group, to } => draft.roll_back_group(&at, &group, to)?,
                Change::EnforceRole { group, enforce } => {
                    draft.enforce_role(&at, &group, enforce)?;
                }
            }
        }
        Ok(draft)
    }

    fn target(
        &self,
        at: String,
        change: Change,
        draft: &Draft<'_>,
    ) -> Result<(AppId, Target), Refusal> {
        let target = |spec, restart| Target { at, spec, restart };
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
            Change::CreateGroup(_)
            | Change::PutGroup(_)
            | Change::DeleteGroup(_)
            | Change::ScaleGroup { .. }
            | Change::RollBackGroup { .. }
            | Change::EnforceRole { .. } => unreachable!("groups are drafted as a whole"),
        }
    }

    /// The same apps with other numbers of instances.
    pub(crate) fn plan_scaling(
        &self,
        specs: Vec<AppSpec>,
        intent: Intent,
    ) -> Result<Plan, Refusal> {
        let mut draft = Draft::new(&self.memory, &self.config);
        for (index, spec) in specs.into_iter().enumerate() {
            let (at, restart) = (format!("/{index}"), Restart::IfChanged);
            draft.set(spec.id.clone(), Target { at, spec: Some(spec), restart });
        }
        self.plan(draft, intent)
    }

    /// Back to where the deployment started.
    pub(crate) fn plan_rollback(
        &self,
        deployment: &Deployment,
        cause: Cause,
    ) -> Result<Plan, Refusal> {
        let mut draft = Draft::new(&self.memory, &self.config);
        for (index, before) in deployment.before.iter().enumerate() {
            let now = self.memory.view.apps.get(&before.app);
            if !is_as_left(deployment, &before.app, now) {
                continue;
            }
            let spec = before.was.as_ref().map(|app| (*app.spec).clone());
            let restart = match (now, &before.was) {
                (Some(now), Some(was)) if !same_config(&now.spec, &was.spec) => Restart::IfChanged,
                // Restarted, or deleted: whoever still runs is as it is to be.
                (Some(_) | None, Some(was)) => Restart::Undone(was.last_config_change_at),
                (Some(_) | None, None) => Restart::IfChanged,
            };
            let at = format!("/{index}");
            draft.set(before.app.clone(), Target { at, spec, restart });
        }
        for PastGroup { group, was } in deployment.groups_before.iter() {
            let target = GroupTarget { at: String::new(), group: was.clone() };
            draft.groups.insert(group.clone(), target);
        }
        let conflict = Conflict::RollBack(deployment.serial);
        self.plan(draft, Intent { conflict, cause, timeout: None })
    }

    fn plan(&self, mut draft: Draft<'_>, intent: Intent) -> Result<Plan, Refusal> {
        draft.settle(&intent.conflict).map_err(Refusal::Invalid)?;
        let levels = draft.levels();
        let mut changes = BTreeMap::new();
        for (app, target) in draft.targets {
            let now = self.memory.view.apps.get(&app).map(|app| &**app);
            if let Some(difference) = difference(now, &target) {
                let difference = self.or_replaced(&app, difference, &target);
                let (spec, restart) = (target.spec.map(Arc::new), target.restart);
                changes.insert(app, Settled { difference, spec, restart });
            }
        }
        let groups = draft.groups.into_iter().map(|(id, target)| (id, target.group));
        let groups = groups.filter(|(id, group)| self.differs(id, group.as_ref())).collect();
        let differences: BTreeMap<AppId, Difference> =
            changes.iter().map(|(app, settled)| (app.clone(), settled.difference)).collect();
        let is_pod = |app: &AppId| {
            let known = || self.memory.view.pods.contains(app);
            changes[app].spec.as_ref().map_or_else(known, |spec| spec.pod.is_some())
        };
        let steps = steps(&differences, |app| levels[app], is_pod);
        let Intent { conflict, cause, timeout } = intent;
        let abandons = self.resolve(&changes, &conflict)?;
        let running = self.memory.view.deployments.len() - abandons.len();
        let is_real = !matches!(conflict, Conflict::Ignore) && !steps.is_empty();
        if running >= self.config.deployments_max && is_real {
            return Err(Refusal::TooManyDeployments(self.config.deployments_max));
        }
        Ok(Plan { changes, groups, steps, abandons, cause, timeout })
    }

    /// A new app of which instances run that its deletion has not got round to: they are not what is wanted now.
    fn or_replaced(&self, app: &AppId, difference: Difference, target: &Target) -> Difference {
        let is_wanted = target.spec.as_ref().is_some_and(|spec| spec.instances > 0);
        let is_undone = matches!(target.restart, Restart::Undone(_));
        let crew = self.memory.crews.get(app);
        let is_left = crew.is_some_and(|crew| crew.old.total() + crew.new.total() > 0);
        match difference {
            Difference::New if is_wanted && is_left && !is_undone => Difference::Config,
            Difference::New
            | Difference::Scale
            | Difference::Config
            | Difference::Settings
            | Difference::Gone => difference,
        }
    }

    fn differs(&self, id: &GroupId, group: Option<&Group>) -> bool {
        match (self.memory.view.groups.get(id), group) {
            (None, None) => false,
            (None, Some(_)) | (Some(_), None) => true,
            (Some(was), Some(group)) => {
                *group != Group { version: group.version, ..(**was).clone() }
            }
        }
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
            Conflict::Ignore => Ok(BTreeSet::new()),
        }
    }

    /// Writes it all down; from here on it happens by itself.
    pub(crate) fn carry_out(&mut self, plan: Plan, turn: &mut Turn<'_>) -> (Uuid, Version) {
        for serial in &plan.abandons {
            self.abandon(*serial, &give_way(plan.cause, &self.memory, *serial), turn);
        }
        let version = self.new_version(&plan, turn.now);
        let serial = self.next_serial();
        let id = Uuid::derive(turn.seed, serial.0);
        let deployment = Arc::new(Deployment {
            serial,
            id,
            version,
            step: 0,
            before: Arc::new(self.before(&plan)),
            groups_before: Arc::new(self.groups_before(&plan)),
            cause: plan.cause,
            started_at: turn.now,
            deadline: plan.timeout().map(|timeout| turn.now + timeout),
            steps: Arc::new(plan.steps),
            parts: 0,
        });
        // What is gone back to must not be forgotten on the way.
        if !deployment.steps.is_empty() {
            deployment.records().into_iter().for_each(|record| self.commit(record, turn));
            self.desk.deadlines.extend(deployment.deadline.map(|at| (at, serial)));
        }
        self.remember(&deployment, turn);
        for (group, now) in plan.groups {
            let now = now.map(|now| Arc::new(Group { version, ..now }));
            self.commit(Record::Group(group, now), turn);
        }
        for (app, settled) in plan.changes {
            self.write_app(app, settled, version, turn);
        }
        if deployment.steps.is_empty() {
            // Nothing has to happen, so it is over before it is worth remembering.
            turn.notice(What::DeploymentSuccess { deployment });
        } else {
            self.begin_step(serial, turn);
        }
        (id, version)
    }

    fn before(&self, plan: &Plan) -> Vec<Before> {
        let was = |app: &AppId| self.memory.view.apps.get(app).cloned();
        plan.changes.keys().map(|app| Before { app: app.clone(), was: was(app) }).collect()
    }

    fn groups_before(&self, plan: &Plan) -> Vec<PastGroup> {
        let was = |group: &GroupId| self.memory.view.groups.get(group).map(|was| (**was).clone());
        let all = plan.groups.keys();
        all.map(|group| PastGroup { group: group.clone(), was: was(group) }).collect()
    }

    /// Now, but later than any version that these apps ever had, and than any of their groups.
    fn new_version(&self, plan: &Plan, now: Time) -> Version {
        let of_apps = plan.changes.keys().filter_map(|app| {
            let known = self.memory.versions_of(app).next_back();
            known.max(self.memory.view.apps.get(app).map(|app| app.version))
        });
        let apps = plan.changes.keys().map(|app| kept_at(&GroupId::of(app)));
        let tops: BTreeSet<GroupId> = apps.chain(plan.groups.keys().map(kept_at)).collect();
        let of_groups = tops.iter().filter_map(|top| self.memory.last_past(top));
        let last = of_apps.chain(of_groups).max();
        let next = last.map_or(Time(0), |last| Time(last.0.0 + 1));
        Version(now.max(next))
    }

    fn write_app(&mut self, id: AppId, settled: Settled, version: Version, turn: &mut Turn<'_>) {
        let was = self.memory.view.apps.get(&id).cloned();
        turn.notice(posted(&id, was.as_deref(), settled.spec.as_ref()));
        self.forget_use(&id);
        let Some(spec) = settled.spec else {
            if self.memory.view.autoscaled.contains_key(&id) {
                self.commit(Record::Autoscaled(id.clone(), None), turn);
            }
            return self.commit(Record::App(id, None), turn);
        };
        let is_same_config = was.as_ref().is_some_and(|was| same_config(&was.spec, &spec));
        let (scaled, changed) = match settled.difference {
            Difference::New => (true, true),
            Difference::Scale => (true, !is_same_config),
            Difference::Config => (!is_same_config, true),
            Difference::Settings | Difference::Gone => (false, false),
        };
        let since = |is_now: bool, of: fn(&App) -> Version| match &was {
            Some(was) if !is_now => of(was),
            Some(_) | None => version,
        };
        let app = App {
            spec: Arc::clone(&spec),
            version,
            last_scaling_at: since(scaled, |was| was.last_scaling_at),
            last_config_change_at: match settled.restart {
                Restart::Undone(since) => since,
                Restart::IfChanged | Restart::Always => {
                    since(changed, |was| was.last_config_change_at)
                }
            },
            last_failure: was.as_ref().and_then(|was| was.last_failure.clone()),
        };
        self.commit(Record::Version(id.clone(), version, Some(spec)), turn);
        self.commit(Record::App(id.clone(), Some(Arc::new(app))), turn);
        self.prune_versions(&id, turn);
    }

    /// The oldest specs go, but for those that something still refers to.
    fn prune_versions(&mut self, app: &AppId, turn: &mut Turn<'_>) {
        let versions: Vec<Version> = self.memory.versions_of(app).collect();
        let surplus = versions.len().saturating_sub(self.config.versions_max);
        for version in versions.into_iter().take(surplus) {
            if !self.memory.is_needed(app, version) {
                self.commit(Record::Version(app.clone(), version, None), turn);
            }
        }
    }
}

impl Plan {
    /// The shortest that anything changed here allows; a way back takes as long as it takes.
    fn timeout(&self) -> Option<Duration> {
        let specs = self.changes.values().filter_map(|change| change.spec.as_ref());
        match self.cause {
            Cause::Rollback { .. } | Cause::Timeout { .. } => None,
            Cause::Order | Cause::Autoscale => {
                self.timeout.or_else(|| specs.filter_map(|spec| spec.deployment_timeout).min())
            }
        }
    }
}

/// Why a deployment is over before its time.
fn give_way(cause: Cause, memory: &Memory, serial: Serial) -> String {
    let deployment = &memory.view.deployments[&serial];
    match cause {
        Cause::Rollback { of } if of == deployment.id => "it was cancelled".to_owned(),
        Cause::Timeout { of } if of == deployment.id => deployment.out_of_time(),
        Cause::Order | Cause::Rollback { .. } | Cause::Timeout { .. } | Cause::Autoscale => {
            "another deployment took its place".to_owned()
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

fn difference(now: Option<&App>, target: &Target) -> Option<Difference> {
    let (now, spec) = match (now, &target.spec) {
        (None, None) => return None,
        (None, Some(_)) => return Some(Difference::New),
        (Some(_), None) => return Some(Difference::Gone),
        (Some(now), Some(spec)) => (now, spec),
    };
    let is_same_since = match target.restart {
        Restart::Undone(since) => since == now.last_config_change_at,
        Restart::IfChanged | Restart::Always => true,
    };
    let now = &*now.spec;
    let same_config = same_config(now, spec) && target.restart != Restart::Always;
    match (same_config, now.instances == spec.instances) {
        (true, true) => (now != spec || !is_same_since).then_some(Difference::Settings),
        (true, false) => Some(Difference::Scale),
        (false, _) if spec.instances == 0 => Some(Difference::Scale),
        (false, _) => Some(Difference::Config),
    }
}

/// Whether the app is as the deployment has made it. What somebody has changed since is theirs: an app in which the
/// deployment has nothing left to do can be changed before it is over.
fn is_as_left(deployment: &Deployment, app: &AppId, now: Option<&Arc<App>>) -> bool {
    let mut actions = deployment.steps.iter().flatten().filter(|action| action.app == *app);
    match now {
        Some(now) => now.version == deployment.version,
        None => actions.any(|action| action.kind == ActionKind::Stop),
    }
}

/// Whether running instances need not be replaced to get from one to the other. Only instances that were launched to be
/// measured tell how much they use.
fn same_config(one: &AppSpec, other: &AppSpec) -> bool {
    let is_measured = |spec: &AppSpec| {
        spec.autoscale.as_ref().is_some_and(|autoscale| autoscale.metric.is_measured())
    };
    let same = AppSpec {
        instances: other.instances,
        autoscale: other.autoscale.clone(),
        deployment_timeout: other.deployment_timeout,
        ..one.clone()
    };
    one == other || same == *other && is_measured(one) == is_measured(other)
}
