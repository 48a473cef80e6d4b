//! The apps as they are to be, judged against each other before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use model::id::Role;

use crate::memory::Memory;
use crate::ports::ServicePorts;
use crate::spec::{AppId, AppSpec};
use crate::{Config, Fault};

/// Changes laid over what is.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    memory: &'a Memory,
    config: &'a Config,
    pub(crate) targets: BTreeMap<AppId, Target>,
}

#[derive(Debug)]
pub(crate) struct Target {
    /// Where in the request, for faults.
    pub(crate) index: usize,
    /// `None`: it is to go.
    pub(crate) spec: Option<AppSpec>,
    pub(crate) restart: Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    IfChanged,
    Always,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(memory: &'a Memory, config: &'a Config) -> Self {
        Self { memory, config, targets: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, app: AppId, target: Target) {
        self.targets.insert(app, target);
    }

    /// The spec that an app is to have.
    pub(crate) fn spec(&self, app: &AppId) -> Option<&AppSpec> {
        match self.targets.get(app) {
            Some(target) => target.spec.as_ref(),
            None => self.memory.view.apps.get(app).map(|app| &*app.spec),
        }
    }

    /// Fills in what depends on other apps and on the configuration; tells everything that is wrong.
    pub(crate) fn settle(&mut self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        self.settle_roles(&mut faults);
        self.settle_ports(&mut faults);
        for (app, target) in &self.targets {
            if let Some(spec) = &target.spec {
                let mut fault = |path: &str, message: String| {
                    faults.push(Fault { path: format!("/{}{path}", target.index), message });
                };
                self.check_id(app, &mut fault);
                self.check_kind(app, spec, &mut fault);
                self.check_constraints(spec, &mut fault);
                self.check_dependencies(app, spec, &mut fault);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// An app in a group is in the top group's role where groups enforce theirs (`--new_group_enforce_role top`).
    fn settle_roles(&mut self, faults: &mut Vec<Fault>) {
        for (app, target) in &mut self.targets {
            let Some(spec) = &mut target.spec else { continue };
            let of_group = app.top_group().map(Role::new);
            let of_config = &self.config.default_role;
            let role = spec.role.get_or_insert_with(|| {
                let enforced = of_group.clone().filter(|_| self.config.enforce_group_role);
                enforced.unwrap_or_else(|| of_config.clone())
            });
            let mut fault = |field: &str, message: String| {
                faults.push(Fault { path: format!("/{}/{field}", target.index), message });
            };
            if role != of_config && of_group.as_ref() != Some(role) {
                let or_group = of_group.map(|group| format!(", {group}")).unwrap_or_default();
                fault("role", format!("expected one of: [{of_config}{or_group}]; got: {role}"));
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
                        path: format!("/{}/portDefinitions/{at}/port", target.index),
                        message: format!("no service port from {low} to {high} is free"),
                    }),
                }
            }
        }
    }

    /// A name is an app's or a group's, never both.
    fn check_id(&self, app: &AppId, fault: &mut impl FnMut(&str, String)) {
        for group in app.groups().filter(|group| self.spec(group).is_some()) {
            fault("/id", format!("{group} is an app already, so nothing can lie within it"));
        }
        if let Some(inner) = self.within(app).next() {
            fault("/id", format!("{app} is a group already: {inner} lies within it"));
        }
    }

    /// What is an app does not become a pod while it is there, nor a pod an app.
    fn check_kind(&self, app: &AppId, spec: &AppSpec, fault: &mut impl FnMut(&str, String)) {
        let now = self.memory.view.apps.get(app);
        if now.is_some_and(|now| now.spec.pod.is_some() != spec.pod.is_some()) {
            fault("/id", format!("Applications and Pods may not share the same id: {app}"));
        }
    }

    /// The apps that are to lie in the group of this name.
    fn within(&self, group: &AppId) -> impl Iterator<Item = &AppId> {
        let (from, until) = group.inside();
        let known = self.memory.view.apps.range(from.clone()..until.clone()).map(|(app, _)| app);
        let known = known.filter(|app| self.spec(app).is_some());
        let drafted = self.targets.range(from..until);
        known.chain(drafted.filter(|(_, target)| target.spec.is_some()).map(|(app, _)| app))
    }

    fn check_constraints(&self, spec: &AppSpec, fault: &mut impl FnMut(&str, String)) {
        for (at, constraint) in spec.constraints.iter().enumerate() {
            if let Err(message) = constraint.check() {
                fault(&format!("/constraints/{at}"), message);
            }
        }
    }

    /// A dependency on what does not exist is taken and waited for by nobody, as in Marathon; a cycle is not.
    fn check_dependencies(
        &self,
        app: &AppId,
        spec: &AppSpec,
        fault: &mut impl FnMut(&str, String),
    ) {
        if spec.dependencies.is_empty() {
            return;
        }
        let mut seen = BTreeSet::new();
        let mut next = self.dependencies(app);
        while let Some(one) = next.pop() {
            if one == *app {
                fault("/dependencies", format!("Dependency graph has cyclic dependencies: {app}"));
                return;
            }
            if seen.insert(one.clone()) {
                next.extend(self.dependencies(&one));
            }
        }
    }

    /// What an app depends on: apps, and all apps of groups.
    fn dependencies(&self, app: &AppId) -> Vec<AppId> {
        let mut all = Vec::new();
        for one in self.spec(app).into_iter().flat_map(|spec| &spec.dependencies) {
            match self.spec(one) {
                Some(_) => all.push(one.clone()),
                None => all.extend(self.within(one).cloned()),
            }
        }
        all
    }

    /// For each target the length of the longest chain of dependencies below it; of what is to go, as it is now. There
    /// are no cycles in either.
    pub(crate) fn levels(&self) -> BTreeMap<AppId, usize> {
        let now = Draft::new(self.memory, self.config);
        let (mut staying, mut going) = (BTreeMap::new(), BTreeMap::new());
        for (app, target) in &self.targets {
            match target.spec {
                Some(_) => self.find_level(app, &mut staying),
                None => now.find_level(app, &mut going),
            }
        }
        going.retain(|app, _| self.targets.get(app).is_some_and(|target| target.spec.is_none()));
        staying.extend(going);
        staying
    }

    /// Without recursion, because chains may be as long as there are apps.
    fn find_level(&self, app: &AppId, levels: &mut BTreeMap<AppId, usize>) {
        let mut path = vec![app.clone()];
        while let Some(app) = path.last().cloned() {
            let below = self.dependencies(&app);
            let unknown: Vec<AppId> =
                below.iter().filter(|one| !levels.contains_key(*one)).cloned().collect();
            if unknown.is_empty() {
                let deepest = below.iter().map(|one| levels[one] + 1).max();
                levels.insert(app, deepest.unwrap_or(0));
                path.pop();
            } else {
                path.extend(unknown);
            }
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
