//! What the kernel is told to run: an app's spec and a place become a `TaskInfo`.
//!
//! Names, environment and discovery are those of Marathon's `TaskBuilder`, `EnvironmentHelper` and `PortDiscovery`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::container::{
    CommandInfo, ContainerInfo, ContainerKind, DiscoveryInfo, DiscoveryPort, Run,
};
use model::id::{AgentId, Role, TaskId};
use model::resources::{Resources, Scalar};
use model::task::TaskInfo;
use placement::fit::Need;

use crate::lacks::lacks;
use crate::need::need;
use crate::pod::TaskGroup;
use crate::spec::environment::EnvValue;
use crate::spec::resource::LinuxInfo;
use crate::spec::{AppId, AppSpec, PortDefinition, Process};
use crate::state::Version;
use crate::{Config, probe};

/// Labels with longer keys or values are not told to the task, as in Marathon.
const ENVIRONMENT_VALUE_CHARS_MAX: usize = 512;
/// By it schedulers that Marathon starts know that their role, `MESOS_ALLOCATION_ROLE`, is that of their group.
pub(crate) const ENFORCED: &str = "MARATHON_APP_ENFORCE_GROUP_ROLE";
const LABEL_PREFIX: &str = "MARATHON_APP_LABEL_";

/// All of a version's tasks that does not vary from one to the next.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) app: AppId,
    pub(crate) version: Version,
    /// Since when the app's configuration is this one.
    pub(crate) since: Version,
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) role: Role,
    pub(crate) need: Need,
    /// While there is anything, nothing is launched.
    pub(crate) lacks: Arc<[String]>,
    words: Words,
    name: String,
    run: Run,
    /// Before the task's own variables.
    context: Vec<(String, String)>,
    container: Option<ContainerInfo>,
    labels: Vec<(String, String)>,
    /// Of a pod: what is launched in place of a single task.
    pub(crate) group: Option<TaskGroup>,
}

/// What words for `docker run` say that is not the agent's affair.
#[derive(Debug, Default)]
struct Words {
    user: Option<String>,
    environment: Vec<(String, String)>,
    stop_timeout: Option<Duration>,
}

/// What varies.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) task: TaskId,
    pub(crate) agent: AgentId,
    pub(crate) host: &'a str,
    pub(crate) resources: Resources,
    pub(crate) ports: &'a [u16],
}

impl Template {
    /// `enforced`: whether the app's top-level group has its name as the role of its apps.
    pub(crate) fn new(
        spec: &Arc<AppSpec>,
        (version, since): (Version, Version),
        enforced: bool,
        config: &Config,
    ) -> Self {
        let role = spec.role.clone().expect("an accepted spec has a role");
        Self {
            app: spec.id.clone(),
            version,
            since,
            need: need(spec, config),
            lacks: lacks(spec).into(),
            words: words(spec),
            name: hostname(&spec.id),
            run: run(spec),
            context: context(spec, version, enforced),
            container: container(spec),
            labels: pairs(&spec.labels),
            group: TaskGroup::new(spec, version, enforced),
            spec: Arc::clone(spec),
            role,
        }
    }

    pub(crate) fn task(&self, launch: Launch<'_>) -> TaskInfo {
        let spec = &*self.spec;
        TaskInfo {
            command: CommandInfo {
                run: self.run.clone(),
                environment: self.environment(&launch),
                uris: spec.fetch.clone(),
                user: spec.user.clone().or_else(|| self.words.user.clone()),
                secrets: Vec::new(),
            },
            id: launch.task,
            name: self.name.clone(),
            agent: launch.agent,
            resources: launch.resources,
            role: self.role.clone(),
            container: self.container.clone(),
            health_checks: spec
                .health_checks
                .iter()
                .filter_map(|check| probe::health_check(check, launch.ports))
                .collect(),
            check: probe::check(spec.check.as_ref(), launch.ports),
            readiness: probe::readiness(spec, launch.ports),
            limits: spec.limits.unwrap_or_default(),
            kill_grace: spec.kill_grace.or(self.words.stop_timeout),
            labels: self.labels.clone(),
            given: None,
            completes_within: None,
            measured: spec.autoscale.as_ref().is_some_and(|one| one.metric.is_measured()),
            discovery: Some(DiscoveryInfo {
                name: self.name.clone(),
                ports: spec.ports.iter().zip(launch.ports).flat_map(discovery_ports).collect(),
                more: None,
            }),
        }
    }

    /// Later ones win, so that what the user set is not overridden.
    fn environment(&self, launch: &Launch<'_>) -> Vec<(String, String)> {
        let mut all = Vec::with_capacity(
            self.context.len() + self.spec.env.len() + 3 * launch.ports.len() + 4,
        );
        all.extend_from_slice(&self.context);
        all.push(("MESOS_TASK_ID".to_owned(), launch.task.as_str().to_owned()));
        port_variables(&self.spec.ports, launch.ports, &mut all);
        all.push(("HOST".to_owned(), launch.host.to_owned()));
        all.extend(self.spec.env.iter().filter_map(|(name, value)| match value {
            EnvValue::Text(text) => Some((name.clone(), text.clone())),
            // Who needs a secret waits: see `lacks`.
            EnvValue::Secret(_) => None,
        }));
        all.extend_from_slice(&self.words.environment);
        all
    }
}

/// `/prod/web` is `web.prod`.
pub(crate) fn hostname(app: &AppId) -> String {
    let mut segments: Vec<&str> = app.as_str().trim_start_matches('/').split('/').collect();
    segments.reverse();
    segments.join(".")
}

fn run(spec: &AppSpec) -> Run {
    let has_image = spec.container.as_ref().is_some_and(|container| container.image.is_some());
    match &spec.process {
        Process::Cmd(cmd) => Run::Shell(cmd.clone()),
        Process::Args(args) if has_image => Run::Image(args.clone()),
        Process::Args(args) => Run::Exec(args.clone()),
        Process::Image => Run::Image(Vec::new()),
    }
}

fn container(spec: &AppSpec) -> Option<ContainerInfo> {
    let tty = spec.tty == Some(true);
    let bounds = spec.linux.as_ref().and_then(LinuxInfo::bounds);
    match &spec.container {
        Some(container) => {
            Some(ContainerInfo { tty: container.tty || tty, bounds, ..container.clone() })
        }
        None => tty.then(|| ContainerInfo {
            kind: ContainerKind::Mesos,
            image: None,
            volumes: Vec::new(),
            privileged: false,
            shared: Vec::new(),
            bounds,
            tty,
            parameters: Vec::new(),
        }),
    }
}

/// Where they cannot be obeyed nothing is launched: see `lacks`.
fn words(spec: &AppSpec) -> Words {
    let docker = spec.container.as_ref().filter(|one| one.kind == ContainerKind::Docker);
    let asked = docker.and_then(|container| model::docker::read(&container.parameters).ok());
    asked.map_or_else(Words::default, |asked| Words {
        user: asked.user,
        environment: asked.environment,
        stop_timeout: asked.stop_timeout,
    })
}

fn context(spec: &AppSpec, version: Version, enforced: bool) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
    set("MARATHON_APP_ID", spec.id.to_string());
    set("MARATHON_APP_VERSION", version.to_string());
    set(ENFORCED, truth(enforced));
    let image = spec.container.as_ref().and_then(|container| container.image.as_ref());
    if let Some(image) = image.filter(|_| is_docker(spec)) {
        set("MARATHON_APP_DOCKER_IMAGE", image.name.clone());
    }
    set("MARATHON_APP_RESOURCE_CPUS", decimal(spec.cpus));
    set("MARATHON_APP_RESOURCE_MEM", decimal(spec.mem));
    set("MARATHON_APP_RESOURCE_DISK", decimal(spec.disk));
    set("MARATHON_APP_RESOURCE_GPUS", spec.gpus.to_string());
    all.extend(label_variables(&spec.labels));
    all
}

/// As Marathon spells it.
pub(crate) fn truth(is: bool) -> String {
    if is { "TRUE".to_owned() } else { "FALSE".to_owned() }
}

pub(crate) fn label_variables(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let labels: Vec<(String, &String)> = labels
        .iter()
        .filter(|(key, value)| {
            key.len() < ENVIRONMENT_VALUE_CHARS_MAX - LABEL_PREFIX.len()
                && value.len() < ENVIRONMENT_VALUE_CHARS_MAX
        })
        .map(|(key, value)| (variable(key), value))
        .collect();
    let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    let names = ("MARATHON_APP_LABELS".to_owned(), names.join(" "));
    let each = labels.iter();
    let each = each.map(|(name, value)| (format!("{LABEL_PREFIX}{name}"), (*value).clone()));
    std::iter::once(names).chain(each).collect()
}

fn is_docker(spec: &AppSpec) -> bool {
    spec.container.as_ref().is_some_and(|container| container.kind == ContainerKind::Docker)
}

/// As Scala spells a double: `1.0`, `0.1`.
pub(crate) fn decimal(value: Scalar) -> String {
    match value.0 % 1000 {
        0 => format!("{value}.0"),
        _ => value.to_string(),
    }
}

/// `my-label.x` is `MY_LABEL_X`: whatever is not a letter, digit or underscore becomes one underscore for each run.
pub(crate) fn variable(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut in_gap = false;
    for c in key.chars() {
        let legal = c.is_ascii_alphanumeric() || c == '_';
        if legal {
            name.push(c.to_ascii_uppercase());
        } else if !in_gap {
            name.push('_');
        }
        in_gap = !legal;
    }
    name
}

fn port_variables(wanted: &[PortDefinition], given: &[u16], all: &mut Vec<(String, String)>) {
    let Some(first) = given.first() else { return };
    let mut set = |name: String, value: String| all.push((name, value));
    for (n, port) in given.iter().enumerate() {
        set(format!("PORT{n}"), port.to_string());
    }
    for (definition, port) in wanted.iter().zip(given) {
        let number = if definition.port == 0 { *port } else { definition.port };
        set(format!("PORT_{number}"), port.to_string());
    }
    for (definition, port) in wanted.iter().zip(given) {
        if let Some(name) = &definition.name {
            set(format!("PORT_{}", name.to_uppercase()), port.to_string());
        }
    }
    let listed: Vec<String> = given.iter().map(u16::to_string).collect();
    set("PORT".to_owned(), first.to_string());
    set("PORTS".to_owned(), listed.join(","));
}

/// One for each protocol of `udp,tcp`.
fn discovery_ports((definition, number): (&PortDefinition, &u16)) -> Vec<DiscoveryPort> {
    let port = |protocol: &str| DiscoveryPort {
        number: *number,
        name: definition.name.clone(),
        protocol: protocol.to_owned(),
        labels: pairs(&definition.labels),
        visibility: None,
    };
    definition.protocol.split(',').map(port).collect()
}

pub(crate) fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
