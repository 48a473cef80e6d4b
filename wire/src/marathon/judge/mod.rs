//! From an app as it was written to the spec that is kept: old spellings rewritten, defaults filled in, all faults told.
//!
//! Each part of an app has its file: [`command`], [`container`], [`health`], [`ports`], [`placement`], [`strategy`].
//! Every part gives a value even where it finds a fault, so that the other parts are judged as well.

mod command;
mod container;
mod faults;
mod health;
mod later;
mod linux;
mod network;
mod placement;
pub mod pod;
mod ports;
mod quantity;
mod secret;
mod strategy;
mod volume;

use std::collections::BTreeMap;

use model::id::Role;
use services::Fault;
use services::spec::{AppId, AppSpec};

use super::app::App;
use super::reading::Read;
use faults::Faults;

/// What the operator's settings say about apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Of apps that name no role.
    pub default_role: Role,
    /// An app in a group has the top group's name as its role.
    pub enforce_group_role: bool,
}

/// The last segments that the API needs for itself.
const RESERVED: [&str; 3] = ["restart", "tasks", "versions"];

/// The kernel takes task ids of 255 bytes, and a task's id is the app's with an instance and a number behind it.
const APP_ID_BYTES_MAX: usize = 200;

/// An absolute path that `text` means at the root: double slashes folded, `.` and `..` resolved.
pub fn app_id(text: &str) -> Result<AppId, String> {
    let id = path_id(text)?;
    let last = id.as_str().rsplit('/').next().unwrap_or_default();
    if RESERVED.contains(&last) {
        return Err(format!(
            "must not end with any of the following reserved keywords: {}",
            RESERVED.join(", ")
        ));
    }
    Ok(id)
}

/// The same for a pod, whose endpoints are told in another way.
pub fn path_id(text: &str) -> Result<AppId, String> {
    let mut path: Vec<&str> = Vec::new();
    for segment in text.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        match segment {
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    if path.is_empty() {
        return Err("Path must contain at least one path element".to_owned());
    }
    let path = path.join("/");
    if APP_ID_BYTES_MAX < path.len() {
        return Err(format!("must not be longer than {APP_ID_BYTES_MAX} characters"));
    }
    path.parse().map_err(|bad: services::spec::BadAppId| bad.to_string())
}

/// The same for what was read from a body: its unreadable fields are told beside what is wrong with the others.
pub fn read(read: Read, rules: &Rules) -> Result<AppSpec, Vec<Fault>> {
    let Read { app: readable, faults } = read;
    unreadable_too(faults, app(readable, rules))
}

/// What was judged of a body some fields of which could not be read.
fn unreadable_too<T>(faults: Vec<Fault>, judged: Result<T, Vec<Fault>>) -> Result<T, Vec<Fault>> {
    if faults.is_empty() {
        return judged;
    }
    // Faults of a field that was left out, or of the whole, may come from its absence.
    let field =
        |path: &str| path.split(['/', '(']).find(|part| !part.is_empty()).map(str::to_owned);
    let unread: Vec<_> = faults.iter().map(|fault| field(&fault.path)).collect();
    let others = judged.err().unwrap_or_default();
    let known = others.into_iter().filter(|fault| {
        let name = field(&fault.path);
        name.is_some() && !unread.contains(&name)
    });
    Err(faults.into_iter().chain(known).collect())
}

/// The spec that `app` describes, or everything that is wrong with it.
pub fn app(app: App, rules: &Rules) -> Result<AppSpec, Vec<Fault>> {
    let mut faults = Faults::default();
    later::refuse(&app, &mut faults);
    let id = id(&app, &mut faults);
    command::judge(&app, &mut faults);
    let ports = ports::judge(&app, &mut faults);
    let health_checks = health::judge(&app, ports.len(), &mut faults);
    let role = placement::role(&app, id.as_ref(), rules, &mut faults);
    let accepted_roles = placement::accepted_roles(&app, id.as_ref(), rules, &mut faults);
    let constraints = placement::constraints(&app, &mut faults);
    let dependencies = dependencies(&app, &mut faults);
    let upgrade = strategy::upgrade(&app, &mut faults);
    let backoff = strategy::backoff(&app, &mut faults);
    let kill_selection = strategy::kill_selection(&app, &mut faults);
    let unreachable = strategy::unreachable(&app, &mut faults);
    let quantities = quantity::judge(&app, &mut faults);
    let container = container::judge(&app, &mut faults);
    let fetch = command::fetch(&app, &mut faults);
    let env = command::env(&app, &mut faults);
    command::labels(&app, &quantities, &upgrade, &mut faults);
    let (Some(id), true) = (id, faults.is_empty()) else { return Err(faults.into_vec()) };
    Ok(AppSpec {
        id,
        process: command::process(&app),
        user: app.user,
        env,
        labels: app.labels.unwrap_or_default(),
        cpus: quantities.cpus,
        mem: quantities.mem,
        disk: quantities.disk,
        gpus: quantities.gpus,
        instances: quantities.instances,
        container,
        ports,
        require_ports: app.require_ports.unwrap_or(false),
        constraints,
        health_checks,
        upgrade,
        backoff,
        kill_selection,
        unreachable,
        kill_grace: quantities.kill_grace,
        fetch,
        dependencies,
        accepted_roles,
        role,
        executor: app.executor.unwrap_or_default(),
        tty: app.tty,
        readiness: None,
        pod: None,
        networks: Vec::new(),
        secrets: BTreeMap::new(),
        volumes: Vec::new(),
        pull_secret: None,
        linux: None,
        limits: None,
        executor_resources: None,
        check: None,
        autoscale: None,
        deployment_timeout: None,
    })
}

fn id(app: &App, faults: &mut Faults) -> Option<AppId> {
    match app.id.as_deref().map(app_id) {
        None => {
            faults.add("/id", "undefined");
            None
        }
        Some(Err(message)) => {
            faults.add("/id", message);
            None
        }
        Some(Ok(id)) => Some(id),
    }
}

fn dependencies(app: &App, faults: &mut Faults) -> Vec<AppId> {
    let mut all: Vec<AppId> = Vec::new();
    for (n, text) in app.dependencies.iter().flatten().enumerate() {
        match app_id(text) {
            Ok(id) if all.contains(&id) => {}
            Ok(id) => all.push(id),
            Err(message) => faults.add(format!("/dependencies({n})"), message),
        }
    }
    all
}
