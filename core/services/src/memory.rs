//! All that services remember. Built from records and from nothing else, indexes included.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdSet;
use model::id::{Role, Serial};
use placement::rule::Rule;

use crate::crew::{Checks, Crew};
use crate::group::GroupId;
use crate::kill::Doom;
use crate::parts::{Head, Part};
use crate::past::Past;
use crate::ports::ServicePorts;
use crate::spec::{AppId, AppSpec};
use crate::state::{ActionKind, App, Before, Deployment, Instance, Record, Version};
use crate::view::{Counts, View};

/// The durable state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// What is shown is what is kept. The queue in here stays empty.
    pub(crate) view: View,
    pub(crate) instances: BTreeMap<Serial, Arc<Instance>>,
    pub(crate) crews: BTreeMap<AppId, Crew>,
    /// Instances for which something is set aside, by their ids.
    pub(crate) residents: BTreeMap<String, Serial>,
    /// Those for which nothing waits any more, by the role for which it is set aside. They are in no crew.
    pub(crate) litter: BTreeMap<Role, BTreeSet<Serial>>,
    /// Deployments of which not all has been read.
    pub(crate) heads: BTreeMap<Serial, Arc<Head>>,
    pub(crate) parts: BTreeMap<Serial, BTreeMap<u32, Arc<Part>>>,
    /// Kills that are yet to be carried out, and those of each app.
    pub(crate) dooms: BTreeMap<Serial, Arc<Doom>>,
    pub(crate) doomed: BTreeMap<AppId, BTreeSet<Serial>>,
    /// What the deployments under way do with each app.
    pub(crate) held: BTreeMap<AppId, Held>,
    /// How many apps are in each role.
    pub(crate) roles: BTreeMap<Role, u32>,
    pub(crate) service_ports: ServicePorts,
    /// The past of groups, the oldest first.
    pub(crate) pasts: BTreeSet<(Version, GroupId)>,
    /// How often the past of groups, or the way back of a deployment, refers to a spec.
    pub(crate) kept: BTreeMap<(AppId, Version), u32>,
}

/// An app's part in a deployment.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) deployment: Serial,
    /// In which of its steps.
    pub(crate) step: u32,
    pub(crate) kind: ActionKind,
    pub(crate) was: Option<Arc<App>>,
}

impl Memory {
    /// The only writer.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::App(id, app) => self.apply_app(id, app.as_ref()),
            Record::Version(app, version, spec) => {
                self.apply_version(app, *version, spec.as_ref());
            }
            Record::Instance(serial, instance) => self.apply_instance(*serial, instance.as_ref()),
            Record::Deployment(serial, head) => self.apply_head(*serial, head.as_ref()),
            Record::Part(serial, nth, part) => self.apply_part(*serial, *nth, part.as_ref()),
            Record::Autoscaled(app, Some(autoscaled)) => {
                self.view.autoscaled.insert(app.clone(), Arc::clone(autoscaled));
            }
            Record::Autoscaled(app, None) => drop(self.view.autoscaled.remove(app)),
            Record::Doom(serial, doom) => self.apply_doom(*serial, doom.as_ref()),
            Record::History(pod, history) => match history {
                Some(history) => {
                    drop(self.view.histories.insert(pod.clone(), Arc::clone(history)));
                }
                None => drop(self.view.histories.remove(pod)),
            },
            Record::Group(id, Some(group)) => {
                self.view.groups.insert(id.clone(), Arc::clone(group));
            }
            Record::Group(id, None) => drop(self.view.groups.remove(id)),
            Record::Past(group, version, past) => {
                self.apply_past((group.clone(), *version), past.as_ref());
            }
        }
    }

    fn apply_app(&mut self, id: &AppId, app: Option<&Arc<App>>) {
        let was = match app {
            Some(app) => self.view.apps.insert(id.clone(), Arc::clone(app)),
            None => self.view.apps.remove(id),
        };
        if let Some(was) = &was {
            self.count_role(&was.spec, |count| *count -= 1);
            was.spec.service_ports().for_each(|port| self.service_ports.give_back(port));
        }
        if let Some(app) = app {
            self.count_role(&app.spec, |count| *count += 1);
            app.spec.service_ports().for_each(|port| self.service_ports.take(port));
        }
        match app.is_some_and(|app| app.spec.pod.is_some()) {
            true => drop(self.view.pods.insert(id.clone())),
            false => drop(self.view.pods.remove(id)),
        }
        let since = app.map(|app| app.last_config_change_at);
        let crew = self.crews.entry(id.clone()).or_default();
        if crew.since() != since {
            let rules = app.map_or_else(Vec::new, |app| rules(&app.spec));
            let all = self.view.instances.get(id).into_iter().flat_map(|all| all.values());
            crew.configure(since, rules, all.map(|one| &**one));
        }
        if app.is_none() && crew.is_empty() {
            self.crews.remove(id);
        }
    }

    fn count_role(&mut self, spec: &AppSpec, change: impl Fn(&mut u32)) {
        if let Some(role) = &spec.role {
            change_count(&mut self.roles, role.clone(), &change);
        }
    }

    fn apply_version(&mut self, app: &AppId, version: Version, spec: Option<&Arc<AppSpec>>) {
        let key = (app.clone(), version);
        match spec {
            Some(spec) => self.view.versions.insert(key, Arc::clone(spec)),
            None => self.view.versions.remove(&key),
        };
    }

    fn apply_past(&mut self, key: (GroupId, Version), past: Option<&Arc<Past>>) {
        let at = (key.1, key.0.clone());
        match past {
            Some(_) => self.pasts.insert(at),
            None => self.pasts.remove(&at),
        };
        let was = match past {
            Some(past) => self.view.past.insert(key, Arc::clone(past)),
            None => self.view.past.remove(&key),
        };
        let specs = |past: &Past| -> Vec<(AppId, Version)> {
            let apps = past.apps.iter();
            apps.filter_map(|one| Some((one.app.clone(), one.was?))).collect()
        };
        for spec in was.iter().flat_map(|past| specs(past)) {
            change_count(&mut self.kept, spec, |count| *count -= 1);
        }
        for spec in past.into_iter().flat_map(|past| specs(past)) {
            change_count(&mut self.kept, spec, |count| *count += 1);
        }
    }

    fn apply_instance(&mut self, serial: Serial, instance: Option<&Arc<Instance>>) {
        let was = match instance {
            Some(instance) => self.instances.insert(serial, Arc::clone(instance)),
            None => self.instances.remove(&serial),
        };
        self.index_claim(serial, was.as_deref(), instance.map(|instance| &**instance));
        let was = was.filter(|was| !was.is_litter());
        let instance = instance.filter(|instance| !instance.is_litter());
        let Some(app) = instance.or(was.as_ref()).map(|either| either.app.clone()) else { return };
        let crew = self.crews.entry(app.clone()).or_default();
        if let Some(was) = &was {
            crew.leave(was);
        }
        if let Some(instance) = instance {
            let versions = &self.view.versions;
            crew.enter(instance, || {
                let spec = versions.get(&(app.clone(), instance.version));
                spec.map_or(Checks::None, |spec| Checks::of(spec))
            });
        }
        let counts = crew.counts;
        if crew.is_empty() && crew.since().is_none() {
            self.crews.remove(&app);
        }
        if let (Some(was), Some(is)) = (&was, instance)
            && was.incarnation != is.incarnation
        {
            was.tasks().for_each(|task| drop(self.view.tasks.remove(task)));
        }
        match instance {
            Some(instance) => self.show_instance(app.clone(), instance),
            None => self.hide_instance(&app, &was.expect("what is removed was there")),
        }
        match counts == Counts::default() {
            true => drop(self.view.counts.remove(&app)),
            false => drop(self.view.counts.insert(app, counts)),
        }
    }

    fn index_claim(&mut self, serial: Serial, was: Option<&Instance>, is: Option<&Instance>) {
        if let Some(was) = was.filter(|was| was.claim.is_some()) {
            self.residents.remove(&was.id());
            if let Some(litter) = self.litter.get_mut(&was.role).filter(|_| was.is_litter()) {
                litter.remove(&serial);
                if litter.is_empty() {
                    self.litter.remove(&was.role);
                }
            }
        }
        if let Some(is) = is.filter(|is| is.claim.is_some()) {
            self.residents.insert(is.id(), serial);
            if is.is_litter() {
                self.litter.entry(is.role.clone()).or_default().insert(serial);
            }
        }
    }

    fn show_instance(&mut self, app: AppId, instance: &Arc<Instance>) {
        for task in instance.tasks() {
            self.view.tasks.insert(task.clone(), Arc::clone(instance));
        }
        let of_app = self.view.instances.entry(app).or_default();
        of_app.insert(instance.serial, Arc::clone(instance));
    }

    fn hide_instance(&mut self, app: &AppId, was: &Instance) {
        for task in was.tasks() {
            self.view.tasks.remove(task);
        }
        if let Some(of_app) = self.view.instances.get_mut(app) {
            of_app.remove(&was.serial);
            if of_app.is_empty() {
                self.view.instances.remove(app);
            }
        }
    }

    fn apply_doom(&mut self, serial: Serial, doom: Option<&Arc<Doom>>) {
        let was = match doom {
            Some(doom) => self.dooms.insert(serial, Arc::clone(doom)),
            None => self.dooms.remove(&serial),
        };
        if let Some(was) = was {
            let of_app = self.doomed.get_mut(&was.app).expect("indexed by its app");
            of_app.remove(&serial);
            if of_app.is_empty() {
                self.doomed.remove(&was.app);
            }
        }
        if let Some(doom) = doom {
            self.doomed.entry(doom.app.clone()).or_default().insert(serial);
        }
    }

    pub(crate) fn hold(&mut self, serial: Serial, deployment: &Deployment) {
        for spec in deployment.before.iter().filter_map(Before::spec) {
            change_count(&mut self.kept, spec, |count| *count += 1);
        }
        let was: BTreeMap<&AppId, &Option<Arc<App>>> =
            deployment.before.iter().map(|before| (&before.app, &before.was)).collect();
        for (step, actions) in (0..).zip(deployment.steps.iter()) {
            for action in actions {
                let was = was.get(&action.app).copied().cloned().flatten();
                let held = Held { deployment: serial, step, kind: action.kind, was };
                // A new app is first started and then scaled; the last action is the one that matters.
                self.held.insert(action.app.clone(), held);
                let mut by = self.view.locked.get(&action.app).cloned().unwrap_or_default();
                by.insert(serial);
                self.view.locked.insert(action.app.clone(), by);
            }
        }
    }

    pub(crate) fn release(&mut self, serial: Serial, deployment: &Deployment) {
        for spec in deployment.before.iter().filter_map(Before::spec) {
            change_count(&mut self.kept, spec, |count| *count -= 1);
        }
        for action in deployment.steps.iter().flatten() {
            if self.held.get(&action.app).is_some_and(|held| held.deployment == serial) {
                self.held.remove(&action.app);
            }
            let by = self.view.locked.get(&action.app).cloned().unwrap_or_default();
            let others: OrdSet<Serial> = by.without(&serial);
            match others.is_empty() {
                true => self.view.locked.remove(&action.app),
                false => self.view.locked.insert(action.app.clone(), others),
            };
        }
    }

    /// Whether an instance, the past of a group or the way back of a deployment refers to a spec.
    pub(crate) fn is_needed(&self, app: &AppId, version: Version) -> bool {
        self.kept.contains_key(&(app.clone(), version))
            || self.crews.get(app).is_some_and(|crew| crew.has_version(version))
    }

    /// The latest version of a top-level group, or of what lies outside of all.
    pub(crate) fn last_past(&self, top: &GroupId) -> Option<Version> {
        let range = (top.clone(), Version::default())..=(top.clone(), Version::MAX);
        self.view.past.range(range).next_back().map(|((_, version), _)| *version)
    }

    /// The specs of an app, oldest first.
    pub(crate) fn versions_of(&self, app: &AppId) -> impl DoubleEndedIterator<Item = Version> {
        let range = (app.clone(), Version::default())..=(app.clone(), Version::MAX);
        self.view.versions.range(range).map(|((_, version), _)| *version)
    }
}

/// What is counted and not there any more has no entry.
fn change_count<K: Ord + Clone>(counts: &mut BTreeMap<K, u32>, key: K, change: impl Fn(&mut u32)) {
    let count = counts.entry(key.clone()).or_default();
    change(count);
    if *count == 0 {
        counts.remove(&key);
    }
}

/// The constraints of an accepted spec; they were checked when it was accepted.
pub(crate) fn rules(spec: &AppSpec) -> Vec<Rule> {
    spec.constraints.iter().filter_map(|constraint| Rule::new(constraint).ok()).collect()
}
