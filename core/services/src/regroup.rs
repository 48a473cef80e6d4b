//! What an order says of a group becomes what is to be of every app and group in it.

use std::collections::BTreeSet;

use model::resources::Scalar;

use crate::Refusal;
use crate::draft::{Draft, GroupTarget, Restart, Target, not_both};
use crate::group::{Group, GroupId, GroupUpdate};
use crate::spec::{AppId, AppSpec};
use crate::state::Version;

/// As many as clients of Marathon can read, and as many as an app's definition may ask for.
const INSTANCES_MAX: u32 = i32::MAX.unsigned_abs();

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    App,
    Pod,
}

impl Kind {
    fn of(spec: &AppSpec) -> Self {
        if spec.pod.is_some() { Kind::Pod } else { Kind::App }
    }
}

impl Draft<'_> {
    /// Refused if there is an app or a group of this name; faults are found where they are in the tree.
    pub(crate) fn create_group(&mut self, at: &str, update: GroupUpdate) -> Result<(), Refusal> {
        match &update.id {
            GroupId::Path(path) if self.spec(path).is_some() => {
                return Err(Refusal::GroupIsApp(path.clone()));
            }
            id if *id == GroupId::Root || self.has_group(id) => {
                return Err(Refusal::GroupExists(id.clone()));
            }
            GroupId::Path(_) | GroupId::Root => (),
        }
        self.put_group(at, update);
        Ok(())
    }

    pub(crate) fn put_group(&mut self, at: &str, update: GroupUpdate) {
        let GroupUpdate { id, apps, pods, groups, dependencies, enforce_role } = update;
        let before = self.group(&id);
        let group = Group {
            version: Version::default(),
            dependencies: dependencies.unwrap_or_else(|| {
                before.map_or_else(Vec::new, |group| group.dependencies.clone())
            }),
            enforce_role: enforce_role.or_else(|| before.and_then(|group| group.enforce_role)),
        };
        self.groups.insert(id.clone(), GroupTarget { at: at.to_owned(), group: Some(group) });
        if let Some(apps) = apps {
            self.put_apps(&format!("{at}/apps"), &id, Kind::App, apps);
        }
        if let Some(pods) = pods {
            self.put_apps(&format!("{at}/pods"), &id, Kind::Pod, pods);
        }
        if let Some(groups) = groups {
            self.put_groups(&format!("{at}/groups"), &id, groups);
        }
    }

    /// Those that are not named any more go.
    fn put_apps(&mut self, at: &str, group: &GroupId, kind: Kind, specs: Vec<AppSpec>) {
        let named: BTreeSet<&AppId> = specs.iter().map(|spec| &spec.id).collect();
        let direct = self.within(group).filter(|app| GroupId::of(app) == *group);
        let of_kind = |app: &&AppId| self.spec(app).is_some_and(|one| Kind::of(one) == kind);
        let gone = direct.filter(of_kind).filter(|app| !named.contains(app));
        let gone: Vec<AppId> = gone.cloned().collect();
        gone.into_iter().for_each(|app| self.remove(at, app));
        let mut seen = BTreeSet::new();
        for (index, spec) in specs.into_iter().enumerate() {
            let at = format!("{at}/{index}");
            if !group.holds(&spec.id) {
                self.fault(format!("{at}/id"), not_within(spec.id.as_str(), group));
            } else if !seen.insert(spec.id.clone()) {
                self.fault(format!("{at}/id"), format!("{} is there twice", spec.id));
            } else if self.is_put_as_another(&spec.id, kind) {
                self.fault(format!("{at}/id"), not_both(&spec.id));
                continue;
            }
            let restart = Restart::IfChanged;
            self.set(spec.id.clone(), Target { at, spec: Some(spec), restart });
        }
    }

    fn is_put_as_another(&self, app: &AppId, kind: Kind) -> bool {
        let put = self.targets.get(app).and_then(|target| target.spec.as_ref());
        put.is_some_and(|spec| Kind::of(spec) != kind)
    }

    fn put_groups(&mut self, at: &str, parent: &GroupId, updates: Vec<GroupUpdate>) {
        let named: BTreeSet<GroupId> = updates.iter().map(|update| update.id.clone()).collect();
        let of_apps = self.within(parent).filter_map(|app| parent.child_towards(app));
        let of_groups = self.groups_within(parent).filter_map(|group| match group {
            GroupId::Root => None,
            GroupId::Path(path) => {
                Some(parent.child_towards(path).unwrap_or_else(|| group.clone()))
            }
        });
        let children: BTreeSet<GroupId> = of_apps.chain(of_groups).collect();
        for group in children.difference(&named) {
            self.clear(at, group);
        }
        for (index, update) in updates.into_iter().enumerate() {
            let at = format!("{at}/{index}");
            let is_within = matches!(&update.id, GroupId::Path(path) if parent.holds(path));
            if !is_within {
                self.fault(format!("{at}/id"), not_within(update.id.as_str(), parent));
            }
            self.put_group(&at, update);
        }
    }

    /// With everything in it, whoever depends on it.
    pub(crate) fn delete_group(&mut self, at: &str, group: &GroupId) -> Result<(), Refusal> {
        self.known(group)?;
        self.clear(at, group);
        Ok(())
    }

    fn clear(&mut self, at: &str, group: &GroupId) {
        let apps: Vec<AppId> = self.within(group).cloned().collect();
        apps.into_iter().for_each(|app| self.remove(at, app));
        let groups: Vec<GroupId> = self.groups_within(group).cloned().collect();
        for group in groups.into_iter().chain([group.clone()]) {
            if self.group(&group).is_some() {
                self.groups.insert(group, GroupTarget { at: at.to_owned(), group: None });
            }
        }
    }

    fn remove(&mut self, at: &str, app: AppId) {
        let target = Target { at: at.to_owned(), spec: None, restart: Restart::IfChanged };
        self.set(app, target);
    }

    /// All apps in it, rounded up; pods stay as they are.
    pub(crate) fn scale_group(
        &mut self,
        at: &str,
        group: &GroupId,
        by: Scalar,
    ) -> Result<(), Refusal> {
        self.known(group)?;
        let apps: Vec<AppId> = self.within(group).cloned().collect();
        for app in apps {
            let Some(spec) = self.spec(&app).filter(|spec| Kind::of(spec) == Kind::App) else {
                continue;
            };
            let instances = (u64::from(spec.instances).saturating_mul(by.0)).div_ceil(1000);
            let Some(instances) = u32::try_from(instances).ok().filter(|n| *n <= INSTANCES_MAX)
            else {
                let message = format!("{app} would have more than {INSTANCES_MAX} instances");
                self.fault(format!("{at}/scaleBy"), message);
                continue;
            };
            let spec = Some(AppSpec { instances, ..spec.clone() });
            let target = Target { at: at.to_owned(), spec, restart: Restart::IfChanged };
            self.set(app, target);
        }
        Ok(())
    }

    /// As it was after the deployment of this version, with everything in it.
    pub(crate) fn roll_back_group(
        &mut self,
        at: &str,
        group: &GroupId,
        to: Version,
    ) -> Result<(), Refusal> {
        self.known(group)?;
        let unknown = || Refusal::UnknownGroupVersion(group.clone(), to);
        let then = self.memory.view.group_at(group, to).ok_or_else(unknown)?;
        self.clear(at, group);
        for (_, spec) in then.apps.into_values() {
            let spec = Some((*spec).clone());
            let target = Target { at: at.to_owned(), spec, restart: Restart::IfChanged };
            let id = target.spec.as_ref().map(|spec| spec.id.clone()).expect("just given");
            self.set(id, target);
        }
        for (id, group) in then.groups {
            let group = Some((*group).clone());
            self.groups.insert(id, GroupTarget { at: at.to_owned(), group });
        }
        Ok(())
    }

    /// Says whether new apps in a top-level group are in its role; those that are there stay as they are.
    pub(crate) fn enforce_role(
        &mut self,
        at: &str,
        id: &GroupId,
        enforce: Option<bool>,
    ) -> Result<(), Refusal> {
        self.known(id)?;
        let known = self.group(id);
        let dependencies = known.map_or_else(Vec::new, |group| group.dependencies.clone());
        if !id.is_top_level() {
            let message = "only top-level groups can enforce their role".to_owned();
            self.fault(format!("{at}/enforceRole"), message);
            return Ok(());
        }
        let group = Group { version: Version::default(), dependencies, enforce_role: enforce };
        self.groups.insert(id.clone(), GroupTarget { at: at.to_owned(), group: Some(group) });
        Ok(())
    }

    fn known(&self, group: &GroupId) -> Result<(), Refusal> {
        match self.has_group(group) {
            true => Ok(()),
            false => Err(Refusal::UnknownGroup(group.clone())),
        }
    }
}

fn not_within(id: &str, group: &GroupId) -> String {
    format!("identifier {id} is not child of {group}. Hint: use relative paths.")
}
