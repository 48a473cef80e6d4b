//! What groups were: each deployment leaves behind what it changed in each top-level group, and what a group was is found
//! by taking the changes back, the newest first.
//!
//! What autoscaling does is no version of a group, so going back to one does not undo it.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use crate::group::{Group, GroupId};
use crate::machine::{Services, Turn};
use crate::spec::{AppId, AppSpec};
use crate::state::{Before, Cause, Deployment, Record, Version};
use crate::view::View;

/// Changes of top-level groups that are remembered in all, those of groups that are gone included.
const PASTS_MAX: usize = 5_000;

/// What a deployment changed in one top-level group, or outside of all.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub struct Past {
    #[n(0)]
    pub apps: Vec<PastApp>,
    #[n(1)]
    pub groups: Vec<PastGroup>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PastApp {
    #[n(0)]
    pub app: AppId,
    /// Before the deployment; `None` if there was no such app.
    #[n(1)]
    pub was: Option<Version>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PastGroup {
    #[n(0)]
    pub group: GroupId,
    #[n(1)]
    pub was: Option<Group>,
}

/// A group as it was, with everything in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupThen {
    pub version: Version,
    pub apps: BTreeMap<AppId, (Version, Arc<AppSpec>)>,
    /// Those that had records, itself included.
    pub groups: BTreeMap<GroupId, Arc<Group>>,
}

impl Past {
    fn touches(&self, group: &GroupId) -> bool {
        self.apps.iter().any(|one| group.holds(&one.app))
            || self.groups.iter().any(|one| is_in(&one.group, group))
    }
}

fn is_in(inner: &GroupId, group: &GroupId) -> bool {
    inner == group || matches!(inner, GroupId::Path(path) if group.holds(path))
}

/// Where the history of whatever lies at `id` is kept.
pub(crate) fn kept_at(id: &GroupId) -> GroupId {
    id.top().unwrap_or(GroupId::Root)
}

/// The changes of a group by version; one version may have changed several top-level groups.
fn changes(view: &View, group: &GroupId) -> BTreeMap<Version, Vec<Arc<Past>>> {
    let top = kept_at(group);
    let mut all: BTreeMap<Version, Vec<Arc<Past>>> = BTreeMap::new();
    let from = (top.clone(), Version::default());
    // The root is made of all top-level groups.
    let of_group = |at: &GroupId| *group == GroupId::Root || *at == top;
    let entries = view.past.range(from..).take_while(|((at, _), _)| of_group(at));
    for ((_, version), past) in entries.filter(|(_, past)| past.touches(group)) {
        all.entry(*version).or_default().push(Arc::clone(past));
    }
    all
}

/// Only ids and versions while walking back; specs are looked up at the end.
#[derive(Default)]
struct Walk {
    apps: BTreeMap<AppId, Version>,
    groups: BTreeMap<GroupId, Arc<Group>>,
}

impl Walk {
    fn new(view: &View, group: &GroupId) -> Self {
        let apps = view.apps_in(group).map(|(id, app)| (id.clone(), app.version)).collect();
        let own = view.groups.get(group).map(|own| (group.clone(), Arc::clone(own)));
        let below = view.groups_in(group).map(|(id, group)| (id.clone(), Arc::clone(group)));
        Self { apps, groups: own.into_iter().chain(below).collect() }
    }

    fn exists(&self) -> bool {
        !self.apps.is_empty() || !self.groups.is_empty()
    }

    fn undo(&mut self, past: &Past, group: &GroupId) {
        for one in past.apps.iter().filter(|one| group.holds(&one.app)) {
            match one.was {
                Some(was) => drop(self.apps.insert(one.app.clone(), was)),
                None => drop(self.apps.remove(&one.app)),
            }
        }
        for one in past.groups.iter().filter(|one| is_in(&one.group, group)) {
            match &one.was {
                Some(was) => drop(self.groups.insert(one.group.clone(), Arc::new(was.clone()))),
                None => drop(self.groups.remove(&one.group)),
            }
        }
    }
}

pub(crate) fn versions(view: &View, group: &GroupId) -> Vec<Version> {
    let mut walk = Walk::new(view, group);
    let mut versions = Vec::new();
    for (version, changed) in changes(view, group).into_iter().rev() {
        if walk.exists() || *group == GroupId::Root {
            versions.push(version);
        }
        changed.iter().for_each(|past| walk.undo(past, group));
    }
    versions
}

/// The version that a group is at: that of the last change of it that is remembered.
pub(crate) fn newest(view: &View, group: &GroupId) -> Option<Version> {
    let GroupId::Path(_) = group else {
        return view.past.keys().map(|(_, version)| *version).max();
    };
    let top = kept_at(group);
    let of_top = view.past.range((top.clone(), Version::default())..=(top, Version::MAX));
    let newest = of_top.rev().find(|(_, past)| past.touches(group));
    newest.map(|((_, version), _)| *version)
}

pub(crate) fn at(view: &View, group: &GroupId, version: Version) -> Option<GroupThen> {
    let mut walk = Walk::new(view, group);
    let changes = changes(view, group);
    if !changes.contains_key(&version) {
        return None;
    }
    for (_, changed) in changes.into_iter().rev().take_while(|(at, _)| version < *at) {
        changed.iter().for_each(|past| walk.undo(past, group));
    }
    if !walk.exists() && *group != GroupId::Root {
        return None;
    }
    let with_spec = |(app, version): (AppId, Version)| {
        let spec = view.versions.get(&(app.clone(), version))?;
        Some((app, (version, Arc::clone(spec))))
    };
    Some(GroupThen {
        version,
        apps: walk.apps.into_iter().filter_map(with_spec).collect(),
        groups: walk.groups,
    })
}

impl Services {
    /// Writes down what a deployment changes in each top-level group, and forgets what is too long ago.
    pub(crate) fn remember(&mut self, deployment: &Deployment, turn: &mut Turn<'_>) {
        if deployment.cause == Cause::Autoscale {
            return;
        }
        let mut tops: BTreeMap<GroupId, Past> = BTreeMap::new();
        for Before { app, was } in deployment.before.iter() {
            let past = tops.entry(kept_at(&GroupId::of(app))).or_default();
            let was = was.as_ref().map(|was| was.version);
            past.apps.push(PastApp { app: app.clone(), was });
        }
        for one in deployment.groups_before.iter() {
            tops.entry(kept_at(&one.group)).or_default().groups.push(one.clone());
        }
        for (top, past) in tops {
            let record = Record::Past(top.clone(), deployment.version, Some(Arc::new(past)));
            self.commit(record, turn);
            self.prune_past(&top, turn);
        }
    }

    fn prune_past(&mut self, top: &GroupId, turn: &mut Turn<'_>) {
        let range = (top.clone(), Version::default())..=(top.clone(), Version::MAX);
        let all = self.memory.view.past.range(range);
        let all: Vec<(Version, Arc<Past>)> =
            all.map(|((_, version), past)| (*version, Arc::clone(past))).collect();
        // Each refers to the version before it, and apps are not to have more than so many.
        let surplus = all.len().saturating_sub(self.config.versions_max.saturating_sub(1));
        for (version, past) in all.into_iter().take(surplus) {
            self.forget_past(version, top, &past, turn);
        }
        while self.memory.pasts.len() > PASTS_MAX {
            let (version, top) = self.memory.pasts.first().expect("there are many").clone();
            let past = Arc::clone(&self.memory.view.past[&(top.clone(), version)]);
            self.forget_past(version, &top, &past, turn);
        }
    }

    fn forget_past(&mut self, version: Version, top: &GroupId, past: &Past, turn: &mut Turn<'_>) {
        self.commit(Record::Past(top.clone(), version, None), turn);
        for one in &past.apps {
            self.forget_version(&one.app, one.was, turn);
        }
    }

    /// Of an app that is gone, once nothing refers to it any more.
    fn forget_version(&mut self, app: &AppId, version: Option<Version>, turn: &mut Turn<'_>) {
        let Some(version) = version else { return };
        let is_known = self.memory.view.versions.contains_key(&(app.clone(), version));
        let is_gone = !self.memory.view.apps.contains_key(app);
        if is_known && is_gone && !self.memory.is_needed(app, version) {
            self.commit(Record::Version(app.clone(), version, None), turn);
        }
    }
}
