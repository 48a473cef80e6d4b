//! The apps and groups as they are to be, judged against each other before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use model::id::Role;

use crate::depend::{Cycle, Levels, Node};
use crate::deploy::Conflict;
use crate::group::{Group, GroupId};
use crate::memory::Memory;
use crate::ports::ServicePorts;
use crate::spec::{AppId, AppSpec};
use crate::state::Version;
use crate::{Config, Fault};

/// Changes laid over what is.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) memory: &'a Memory,
    config: &'a Config,
    pub(crate) targets: BTreeMap<AppId, Target>,
    pub(crate) groups: BTreeMap<GroupId, GroupTarget>,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Debug)]
pub(crate) struct Target {
    /// Where in the request, for faults: `/0` or `/0/groups/2/apps/1`.
    pub(crate) at: String,
    /// `None`: it is to go.
    pub(crate) spec: Option<AppSpec>,
    pub(crate) restart: Restart,
}

#[derive(Debug)]
pub(crate) struct GroupTarget {
    pub(crate) at: String,
    /// `None`: its record is to go.
    pub(crate) group: Option<Group>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    IfChanged,
    Always,
    /// A restart or a deletion is taken back: what runs since this version is as it is to be.
    Undone(Version),
}

impl<'a> Draft<'a> {
    pub(crate) fn new(memory: &'a Memory, config: &'a Config) -> Self {
        Self {
            memory,
            config,
            targets: BTreeMap::new(),
            groups: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn set(&mut self, app: AppId, target: Target) {
        self.targets.insert(app, target);
    }

    pub(crate) fn fault(&mut self, path: String, message: String) {
        self.faults.push(Fault { path, message });
    }

    /// The spec that an app is to have.
    pub(crate) fn spec(&self, app: &AppId) -> Option<&AppSpec> {
        match self.targets.get(app) {
            Some(target) => target.spec.as_ref(),
            None => self.memory.view.apps.get(app).map(|app| &*app.spec),
        }
    }

    /// The record that a group is to have.
    pub(crate) fn group(&self, group: &GroupId) -> Option<&Group> {
        match self.groups.get(group) {
            Some(target) => target.group.as_ref(),
            None => self.memory.view.groups.get(group).map(|group| &**group),
        }
    }

    /// The apps that are to lie in a group.
    pub(crate) fn within(&self, group: &GroupId) -> impl Iterator<Item = &AppId> {
        let (from, until) = group.inside();
        let known = self.memory.view.apps.range(from.clone()..until.clone()).map(|(app, _)| app);
        let known = known.filter(|app| !self.targets.contains_key(*app));
        let drafted = self.targets.range(from..until);
        known.chain(drafted.filter(|(_, target)| target.spec.is_some()).map(|(app, _)| app))
    }

    /// The groups below a group that are to have records.
    pub(crate) fn groups_within(&self, group: &GroupId) -> impl Iterator<Item = &GroupId> {
        let known = self.memory.view.groups_in(group).map(|(group, _)| group);
        let known = known.filter(|group| !self.groups.contains_key(*group));
        let (from, until) = group.inside();
        let drafted = self.groups.range(GroupId::Path(from)..GroupId::Path(until));
        known.chain(drafted.filter(|(_, target)| target.group.is_some()).map(|(group, _)| group))
    }

    pub(crate) fn has_group(&self, group: &GroupId) -> bool {
        *group == GroupId::Root
            || self.group(group).is_some()
            || self.within(group).next().is_some()
            || self.groups_within(group).next().is_some()
    }

    /// Fills in what depends on other apps and on the configuration; tells everything that is wrong.
    pub(crate) fn settle(&mut self, conflict: &Conflict) -> Result<(), Vec<Fault>> {
        let mut faults = std::mem::take(&mut self.faults);
        self.settle_roles(&mut faults);
        self.settle_ports(&mut faults);
        self.settle_counts();
        for (app, target) in &self.targets {
            if let Some(spec) = &target.spec {
                let mut fault = |path: &str, message: String| {
                    faults.push(Fault { path: format!("{}{path}", target.at), message });
                };
                self.check_id(app, &mut fault);
                self.check_kind(app, spec, &mut fault);
                self.check_estate(app, spec, conflict, &mut fault);
                check_constraints(spec, &mut fault);
            }
        }
        self.check_groups(&mut faults);
        self.check_dependencies(&mut faults);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Where a top-level group enforces its role, apps in it have its name as their role and no other; else they may.
    /// A role that an app has or had it may keep, or take back.
    fn settle_roles(&mut self, faults: &mut Vec<Fault>) {
        let enforcing: BTreeMap<GroupId, bool> = self
            .targets
            .keys()
            .filter_map(|app| GroupId::of(app).top())
            .map(|top| (top.clone(), self.enforces_role(&top)))
            .collect();
        for (app, target) in &mut self.targets {
            let Some(spec) = &mut target.spec else { continue };
            let of_config = &self.config.default_role;
            let enforces = GroupId::of(app).top().is_some_and(|top| enforcing[&top]);
            let of_group = app.top_group().map(Role::new);
            let mut valid: Vec<Role> = Vec::new();
            valid.extend(Some(of_config.clone()).filter(|_| !enforces));
            valid.extend(of_group);
            let default = if enforces { valid.last() } else { valid.first() };
            let default = default.cloned().expect("what enforces its role has one");
            let role = spec.role.get_or_insert(default);
            let of_version = |version| self.memory.view.versions.get(&(app.clone(), version));
            let had = |role: &Role| {
                let specs = self.memory.versions_of(app).filter_map(of_version);
                specs.into_iter().any(|spec| spec.role.as_ref() == Some(role))
            };
            let mut fault = |field: &str, message: String| {
                faults.push(Fault { path: format!("{}/{field}", target.at), message });
            };
            if !valid.contains(role) && !had(role) {
                let valid: Vec<&str> = valid.iter().map(Role::as_str).collect();
                fault("role", format!("expected one of: [{}]; got: {role}", valid.join(", ")));
            }
            let may_accept = |one: &Role| one.as_str() == "*" || one == role;
            if spec.accepted_roles.iter().flatten().any(|one| !may_accept(one)) {
                fault(
                    "acceptedResourceRoles",
                    format!("acceptedResourceRoles can only contain * and {role}"),
                );
            }
        }
    }

    fn enforces_role(&self, top: &GroupId) -> bool {
        let own = self.group(top).and_then(|group| group.enforce_role);
        own.unwrap_or(self.config.enforce_group_role)
    }

    /// Ports that are left open are given what the app had before, else the lowest that no app has
    /// (Marathon's `AssignDynamicServiceLogic`).
    fn settle_ports(&mut self, faults: &mut Vec<Fault>) {
        let (low, high) = self.config.service_ports;
        let specs = self.targets.values().flat_map(|target| &target.spec);
        let taken = specs.flat_map(AppSpec::service_ports).collect();
        let mut free = Free { ports: &self.memory.service_ports, taken, next: Some(low), high };
        for (app, target) in &mut self.targets {
            // A pod has host ports, and no service ports; a required port that is left open is chosen at each launch.
            let is_host_only = |spec: &AppSpec| spec.pod.is_some() || spec.require_ports;
            let Some(spec) = target.spec.as_mut().filter(|spec| !is_host_only(spec)) else {
                continue;
            };
            let had = self.memory.view.apps.get(app).map(|app| &app.spec.ports);
            let had = had.into_iter().flatten().map(|port| port.port);
            let kept: Vec<u16> = had
                .filter(|port| (low..=high).contains(port))
                .filter(|port| spec.ports.iter().all(|one| one.port != *port))
                .collect();
            let mut kept = kept.into_iter();
            for (at, port) in spec.ports.iter_mut().enumerate().filter(|(_, port)| port.port == 0) {
                match kept.next().or_else(|| free.next()) {
                    Some(free) => port.port = free,
                    None => faults.push(Fault {
                        path: format!("{}/portDefinitions/{at}/port", target.at),
                        message: format!("no service port from {low} to {high} is free"),
                    }),
                }
            }
        }
    }

    /// What is scaled by itself is never out of its bounds, but for what its user has suspended.
    fn settle_counts(&mut self) {
        for spec in self.targets.values_mut().filter_map(|target| target.spec.as_mut()) {
            if let Some(autoscale) = spec.autoscale.as_ref().filter(|_| spec.instances > 0) {
                spec.instances = spec.instances.clamp(autoscale.min, autoscale.max);
            }
        }
    }

    /// A name is an app's or a group's, never both.
    fn check_id(&self, app: &AppId, fault: &mut impl FnMut(&str, String)) {
        for group in app.groups().filter(|group| self.spec(group).is_some()) {
            fault("/id", format!("{group} is an app already, so nothing can lie within it"));
        }
        let group = GroupId::Path(app.clone());
        if let Some(inner) = self.within(&group).next() {
            fault("/id", format!("{app} is a group already: {inner} lies within it"));
        } else if self.has_group(&group) {
            fault("/id", format!("{app} is a group already"));
        }
    }

    /// What is an app does not become a pod while it is there, nor a pod an app.
    fn check_kind(&self, app: &AppId, spec: &AppSpec, fault: &mut impl FnMut(&str, String)) {
        let now = self.memory.view.apps.get(app);
        if now.is_some_and(|now| now.spec.pod.is_some() != spec.pod.is_some()) {
            fault("/id", not_both(app));
        }
    }

    /// What is set aside for the instances of an app with volumes stays as it is; who goes back goes back in any case.
    fn check_estate(
        &self,
        app: &AppId,
        spec: &AppSpec,
        conflict: &Conflict,
        fault: &mut impl FnMut(&str, String),
    ) {
        let now = self.memory.view.apps.get(app).map(|now| &now.spec);
        let Some(now) = now.filter(|now| now.is_resident()) else { return };
        let all = self.memory.view.instances.get(app);
        if !all.into_iter().flatten().any(|(_, one)| one.claim.is_some()) {
            return;
        }
        let may_move = match conflict {
            Conflict::RollBack(_) => return,
            Conflict::Force => true,
            Conflict::Refuse | Conflict::Ignore => false,
        };
        if !now.persistent_volumes().eq(spec.persistent_volumes()) {
            let cause = "the persistent volumes of an app cannot be changed while it is there";
            fault("/volumes", cause.to_owned());
        }
        let asked = |spec: &AppSpec| {
            let ports = spec.ports.iter().map(|port| spec.require_ports.then_some(port.port));
            (spec.cpus, spec.mem, spec.disk, spec.gpus, ports.collect::<Vec<_>>())
        };
        if asked(now) != asked(spec) {
            let cause = "the resources of an app with persistent volumes (cpus, mem, disk, gpus, ports) cannot be \
                         changed: they are reserved together with the volumes";
            fault("/", cause.to_owned());
        }
        if now.role != spec.role && !may_move {
            let cause = "the volumes of an app are reserved for its role; with the option '?force=true' it gets \
                         another one, and new volumes once the old ones are wiped";
            fault("/role", cause.to_owned());
        }
    }

    fn check_groups(&self, faults: &mut Vec<Fault>) {
        for (id, target) in &self.groups {
            let (GroupId::Path(path), Some(group)) = (id, &target.group) else { continue };
            let mut fault = |field: &str, message: String| {
                faults.push(Fault { path: format!("{}/{field}", target.at), message });
            };
            // An app that is to be there as well tells of it itself.
            let as_app = std::iter::once(path.clone()).chain(path.groups());
            for app in as_app.filter(|app| !self.targets.contains_key(app)) {
                if self.spec(&app).is_some() {
                    fault("id", format!("An app with the path {app} already exists."));
                }
            }
            if group.enforce_role.is_some() && !id.is_top_level() {
                fault("enforceRole", "only top-level groups can enforce their role".to_owned());
            }
        }
    }

    /// A dependency on what does not exist is taken and waited for by nobody, as in Marathon; a cycle is not. One can
    /// only go through what is changed here.
    fn check_dependencies(&self, faults: &mut Vec<Fault>) {
        let apps = self.targets.iter().filter(|(_, target)| target.spec.is_some());
        let apps = apps.map(|(app, target)| (Node::App(app.clone()), &target.at));
        let groups = self.groups.iter().filter(|(_, target)| target.group.is_some());
        let groups = groups.map(|(group, target)| (Node::Before(group.clone()), &target.at));
        let mut levels = Levels::default();
        for (node, at) in apps.chain(groups) {
            if let Err(cycle) = levels.visit(node, |node| self.below(node)) {
                let path = format!("{}/dependencies", self.blame(&cycle).unwrap_or(at));
                let message = format!("Dependency graph has cyclic dependencies: {}", cycle.path());
                return faults.push(Fault { path, message });
            }
        }
    }

    /// Where in the request a part of the cycle stands.
    fn blame(&self, cycle: &Cycle) -> Option<&String> {
        cycle.0.iter().find_map(|node| match node {
            Node::App(app) => self.targets.get(app).map(|target| &target.at),
            Node::Before(group) => self.groups.get(group).map(|target| &target.at),
            Node::All(_) => None,
        })
    }

    fn below(&self, node: &Node) -> Vec<Node> {
        let named = |one: &AppId| match self.spec(one) {
            Some(_) => Node::App(one.clone()),
            None => Node::All(GroupId::Path(one.clone())),
        };
        match node {
            Node::App(app) => {
                let own = self.spec(app).into_iter().flat_map(|spec| &spec.dependencies);
                let around = app.groups().map(GroupId::Path).chain([GroupId::Root]);
                let around = around.filter(|group| {
                    self.group(group).is_some_and(|group| !group.dependencies.is_empty())
                });
                own.map(named).chain(around.map(Node::Before)).collect()
            }
            Node::Before(group) => {
                let record = self.group(group);
                record.into_iter().flat_map(|group| &group.dependencies).map(named).collect()
            }
            Node::All(group) => self.within(group).map(|app| Node::App(app.clone())).collect(),
        }
    }

    /// For each target the length of the longest chain of dependencies below it; of what is to go, as it is now.
    pub(crate) fn levels(&self) -> BTreeMap<AppId, usize> {
        let now = Draft::new(self.memory, self.config);
        let (mut staying, mut going) = (Levels::default(), Levels::default());
        let mut all = BTreeMap::new();
        for (app, target) in &self.targets {
            let node = Node::App(app.clone());
            let level = match target.spec {
                Some(_) => staying.visit(node, |node| self.below(node)),
                None => going.visit(node, |node| now.below(node)),
            };
            all.insert(app.clone(), level.expect("cycles are refused when they would come about"));
        }
        all
    }
}

fn check_constraints(spec: &AppSpec, fault: &mut impl FnMut(&str, String)) {
    for (at, constraint) in spec.constraints.iter().enumerate() {
        if let Err(message) = constraint.check() {
            fault(&format!("/constraints/{at}"), message);
        }
    }
}

/// Free service ports, from the lowest on.
struct Free<'a> {
    ports: &'a ServicePorts,
    /// By the apps that are being changed.
    taken: BTreeSet<u16>,
    next: Option<u16>,
    high: u16,
}

impl Iterator for Free<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        loop {
            let port = self.ports.next_free(self.next?).filter(|port| *port <= self.high)?;
            self.next = port.checked_add(1);
            if !self.taken.contains(&port) {
                return Some(port);
            }
        }
    }
}

pub(crate) fn not_both(id: &AppId) -> String {
    format!("Applications and Pods may not share the same id: {id}")
}
