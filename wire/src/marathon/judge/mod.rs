//! From an app as it was written to the spec that is kept: old spellings rewritten, defaults filled in, all faults told.
//!
//! Old spellings are rewritten first, see [`older`]. Each part of an app has its file: [`command`], [`container`],
//! [`health`], [`ports`], [`placement`], [`strategy`] and more.
//! Every part gives a value even where it finds a fault, so that the other parts are judged as well.

mod autoscale;
mod check;
mod command;
mod container;
mod external;
mod faults;
mod health;
mod linux;
mod mount;
mod network;
mod older;
mod placement;
pub mod pod;
mod ports;
mod quantity;
mod secret;
mod strategy;
mod volume;

use std::collections::BTreeMap;

use model::container::Uri;
use model::id::Role;
use services::Fault;
use services::autoscale::Autoscale;
use services::spec::check::Check;
use services::spec::environment::EnvValue;
use services::spec::network::{Network, NetworkMode};
use services::spec::{AppHealthCheck, AppId, AppSpec, PortDefinition, ReadinessCheck};

use super::app::App;
use super::print;
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

/// What an app becomes by an update, in which only the fields that change are given.
pub fn updated(before: &AppSpec, update: Read, rules: &Rules) -> Result<AppSpec, Vec<Fault>> {
    let mut faults = Faults::default();
    let spelling = older::Spelling::of(&update.app);
    let changes = older::translate(update.app, &mut faults);
    let whole = older::rewrite(print::spec(before).updated_by(changes), &mut faults);
    let judged = today(whole, rules, faults).map_err(|faults| spelling.locate(faults));
    unreadable_too(update.faults, judged)
}

/// The spec that `app` describes, or everything that is wrong with it.
pub fn app(app: App, rules: &Rules) -> Result<AppSpec, Vec<Fault>> {
    let mut faults = Faults::default();
    let spelling = older::Spelling::of(&app);
    let app = older::rewrite(app, &mut faults);
    today(app, rules, faults).map_err(|faults| spelling.locate(faults))
}

/// The same for an app in today's spelling, of which some faults are known already.
fn today(app: App, rules: &Rules, mut faults: Faults) -> Result<AppSpec, Vec<Fault>> {
    let id = id(&app, &mut faults);
    let parts = parts(&app, id.as_ref(), rules, &mut faults);
    match id {
        Some(id) if faults.is_empty() => Ok(spec(id, app, parts)),
        Some(_) | None => Err(faults.into_vec()),
    }
}

/// An app, part by part.
struct Parts {
    networks: Vec<Network>,
    ports: Vec<PortDefinition>,
    secrets: BTreeMap<String, String>,
    env: BTreeMap<String, EnvValue>,
    container: container::Judged,
    health_checks: Vec<AppHealthCheck>,
    check: Option<Check>,
    readiness: Option<ReadinessCheck>,
    place: placement::Place,
    policy: strategy::Policy,
    quantities: quantity::Quantities,
    autoscale: Option<Autoscale>,
    dependencies: Vec<AppId>,
    fetch: Vec<Uri>,
}

fn parts(app: &App, id: Option<&AppId>, rules: &Rules, faults: &mut Faults) -> Parts {
    command::judge(app, faults);
    let networks = networks(app, faults);
    let ports = ports::judge(app, &networks, faults);
    let secrets = secret::judge(app.secrets.as_ref(), faults);
    let around = container::Around { networks: &networks, secrets: &secrets };
    let container = container::judge(app, &around, faults);
    let stay = strategy::Stay::of(app, &container.volumes);
    let quantities = quantity::judge(app, faults);
    let policy = strategy::judge(app, stay, faults);
    command::labels(app, &quantities, &policy.upgrade, faults);
    external::fit_instances(&container.volumes, quantities.instances, faults);
    let check = app.check.as_ref();
    let autoscale = app.autoscale.as_ref();
    Parts {
        autoscale: autoscale.map(|autoscale| {
            faults.within("/autoscale", |faults| autoscale::judge(autoscale, faults))
        }),
        env: secret::environment("/env", app.env.as_ref(), &secrets, faults),
        health_checks: health::judge(app, ports.len(), faults),
        check: check.map(|check| {
            faults.within("/check", |faults| check::check(check, ports.len(), faults))
        }),
        readiness: check::readiness(app, &ports, faults),
        place: placement::judge(app, id, (rules, stay), faults),
        dependencies: dependencies(app, faults),
        fetch: command::fetch(app, faults),
        networks,
        ports,
        secrets,
        container,
        policy,
        quantities,
    }
}

fn spec(id: AppId, app: App, parts: Parts) -> AppSpec {
    let Parts { container, place, policy, quantities, .. } = parts;
    AppSpec {
        user: app.user.clone(),
        env: parts.env,
        labels: app.labels.clone().unwrap_or_default(),
        cpus: quantities.cpus,
        mem: quantities.mem,
        disk: quantities.disk,
        gpus: quantities.gpus,
        instances: quantities.instances,
        container: container.info,
        ports: parts.ports,
        require_ports: app.require_ports.unwrap_or(false),
        constraints: place.constraints,
        health_checks: parts.health_checks,
        upgrade: policy.upgrade,
        backoff: policy.backoff,
        kill_selection: policy.kill_selection,
        unreachable: policy.unreachable,
        kill_grace: quantities.kill_grace,
        fetch: parts.fetch,
        dependencies: parts.dependencies,
        accepted_roles: place.accepted_roles,
        role: place.role,
        executor: app.executor.clone().unwrap_or_default(),
        tty: app.tty,
        readiness: parts.readiness,
        networks: parts.networks,
        secrets: parts.secrets,
        volumes: container.volumes,
        pull_secret: container.pull_secret,
        linux: container.linux,
        limits: quantities.limits,
        executor_resources: quantities.executor,
        check: parts.check,
        autoscale: parts.autoscale,
        deployment_timeout: quantities.deployment_timeout,
        ..AppSpec::new(id, command::process(&app))
    }
}

/// None for the agent's own.
fn networks(app: &App, faults: &mut Faults) -> Vec<Network> {
    let networks = network::judge(app.networks.as_deref().unwrap_or_default(), faults);
    networks.into_iter().filter(|network| network.mode != NetworkMode::Host).collect()
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
