//! From a spec to the app that Marathon would show: complete, in its spelling.

use std::time::Duration;

use model::container::{ContainerInfo, ContainerKind, Family, Scheme, Uri, VolumeMode};
use model::id::Role;
use model::resources::Scalar;
use placement::{Constraint, Operator};
use services::spec::environment;
use services::spec::{
    AppHealthCheck, AppId, AppSpec, CheckKind, CheckPort, KillSelection, PortDefinition, Process,
    UnreachableStrategy,
};
use services::state;

use super::app::{self, App, Artifact, EnvValue, Network, UnreachableEnabled, UpgradeStrategy};
use super::container::{Container, DockerContainer, Parameter, Volume};
use super::health::{CommandCheck, HealthCheck};
use super::number::{Number, Whole};
use super::version::{self, VersionInfo};

/// The app's wanted spec with its version.
pub fn app(app: &state::App) -> App {
    App {
        version: Some(version::spell(app.version.0)),
        version_info: Some(VersionInfo {
            last_scaling_at: version::spell(app.last_scaling_at.0),
            last_config_change_at: version::spell(app.last_config_change_at.0),
        }),
        ..spec(&app.spec)
    }
}

/// What Marathon leaves out where it is empty is left out.
pub fn spec(spec: &AppSpec) -> App {
    let (cmd, args) = match &spec.process {
        Process::Cmd(cmd) => (Some(cmd.clone()), None),
        Process::Args(args) => (None, Some(args.clone())),
        Process::Image => (None, None),
    };
    App {
        id: Some(spec.id.to_string()),
        accepted_resource_roles: spec.accepted_roles.as_deref().map(strings),
        args,
        backoff_factor: Some(number(spec.backoff.factor)),
        backoff_seconds: Some(seconds(spec.backoff.initial)),
        cmd,
        constraints: unless_empty(spec.constraints.iter().map(constraint).collect()),
        container: spec.container.as_ref().map(container),
        cpus: Some(number(spec.cpus)),
        dependencies: unless_empty(spec.dependencies.iter().map(AppId::to_string).collect()),
        disk: Some(number(spec.disk)),
        env: environment(spec),
        executor: Some(spec.executor.clone()),
        fetch: unless_empty(spec.fetch.iter().map(artifact).collect()),
        health_checks: unless_empty(spec.health_checks.iter().map(health_check).collect()),
        instances: Some(Whole(spec.instances.into())),
        labels: Some(spec.labels.clone()),
        max_launch_delay_seconds: Some(seconds(spec.backoff.max)),
        mem: Some(number(spec.mem)),
        gpus: Some(Whole(spec.gpus.into())),
        networks: Some(vec![Network { mode: Some("host".to_owned()), ..Network::default() }]),
        port_definitions: Some(spec.ports.iter().map(port_definition).collect()),
        require_ports: Some(spec.require_ports),
        task_kill_grace_period_seconds: spec.kill_grace.map(seconds),
        upgrade_strategy: Some(UpgradeStrategy {
            maximum_over_capacity: Some(number(spec.upgrade.maximum_over_capacity)),
            minimum_health_capacity: Some(number(spec.upgrade.minimum_health_capacity)),
        }),
        user: spec.user.clone(),
        kill_selection: Some(kill_selection(spec.kill_selection).to_owned()),
        unreachable_strategy: Some(unreachable(spec.unreachable)),
        tty: spec.tty,
        role: spec.role.as_ref().map(Role::to_string),
        ..App::default()
    }
}

pub(super) fn unless_empty<T>(all: Vec<T>) -> Option<Vec<T>> {
    (!all.is_empty()).then_some(all)
}

fn strings(roles: &[Role]) -> Vec<String> {
    roles.iter().map(Role::to_string).collect()
}

pub(super) fn number(scalar: Scalar) -> Number {
    Number(scalar.as_f64())
}

pub(super) fn seconds(duration: Duration) -> Whole {
    Whole(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

fn environment(spec: &AppSpec) -> Option<std::collections::BTreeMap<String, EnvValue>> {
    let text = |(name, value): (&String, &environment::EnvValue)| {
        let value = match value {
            environment::EnvValue::Text(text) => EnvValue::Text(text.clone()),
            environment::EnvValue::Secret(name) => EnvValue::Secret { secret: name.clone() },
        };
        (name.clone(), value)
    };
    (!spec.env.is_empty()).then(|| spec.env.iter().map(text).collect())
}

pub(super) fn artifact(uri: &Uri) -> Artifact {
    Artifact {
        uri: uri.value.clone(),
        extract: Some(uri.extract),
        executable: Some(uri.executable),
        cache: Some(uri.cache),
        dest_path: uri.output_file.clone(),
    }
}

fn port_definition(port: &PortDefinition) -> app::PortDefinition {
    app::PortDefinition {
        port: Some(Whole(port.port.into())),
        labels: (!port.labels.is_empty()).then(|| port.labels.clone()),
        name: port.name.clone(),
        protocol: Some(port.protocol.clone()),
    }
}

pub(super) fn kill_selection(selection: KillSelection) -> &'static str {
    match selection {
        KillSelection::YoungestFirst => "YOUNGEST_FIRST",
        KillSelection::OldestFirst => "OLDEST_FIRST",
    }
}

pub(super) fn unreachable(strategy: UnreachableStrategy) -> app::UnreachableStrategy {
    match strategy {
        UnreachableStrategy::Disabled => app::UnreachableStrategy::Word("disabled".to_owned()),
        UnreachableStrategy::Enabled { inactive_after, expunge_after } => {
            app::UnreachableStrategy::Enabled(UnreachableEnabled {
                inactive_after_seconds: Some(seconds(inactive_after)),
                expunge_after_seconds: Some(seconds(expunge_after)),
            })
        }
    }
}

pub(super) fn constraint(constraint: &Constraint) -> Vec<String> {
    let operator = match constraint.operator {
        Operator::Unique => "UNIQUE",
        Operator::Cluster => "CLUSTER",
        Operator::GroupBy => "GROUP_BY",
        Operator::Like => "LIKE",
        Operator::Unlike => "UNLIKE",
        Operator::MaxPer => "MAX_PER",
        Operator::Is => "IS",
    };
    let words = [constraint.field.clone(), operator.to_owned()];
    words.into_iter().chain(constraint.value.clone()).collect()
}

fn container(container: &ContainerInfo) -> Container {
    let kind = match container.kind {
        ContainerKind::Mesos => "MESOS",
        ContainerKind::Docker => "DOCKER",
    };
    let parameter =
        |(key, value): &(String, String)| Parameter { key: key.clone(), value: value.clone() };
    let docker = container.image.as_ref().map(|image| DockerContainer {
        force_pull_image: Some(image.force_pull),
        image: Some(image.name.clone()),
        parameters: Some(container.parameters.iter().map(parameter).collect()),
        privileged: Some(container.privileged),
        ..DockerContainer::default()
    });
    let volume = |volume: &model::container::Volume| Volume {
        container_path: Some(volume.container_path.clone()),
        host_path: Some(volume.host_path.clone()),
        mode: Some(volume_mode(volume.mode).to_owned()),
        ..Volume::default()
    };
    Container {
        kind: Some(kind.to_owned()),
        docker,
        volumes: Some(container.volumes.iter().map(volume).collect()),
        ..Container::default()
    }
}

fn volume_mode(mode: VolumeMode) -> &'static str {
    match mode {
        VolumeMode::ReadOnly => "RO",
        VolumeMode::ReadWrite => "RW",
    }
}

/// As events and answers show it.
pub fn health_check(check: &AppHealthCheck) -> HealthCheck {
    let common = HealthCheck {
        grace_period_seconds: Some(seconds(check.grace)),
        interval_seconds: Some(seconds(check.interval)),
        max_consecutive_failures: Some(Whole(check.failures_max.into())),
        timeout_seconds: Some(seconds(check.timeout)),
        delay_seconds: Some(seconds(check.delay)),
        ip_protocol: Some("IPv4".to_owned()),
        ignore_http_1xx: check.ignore_http_1xx.then_some(true),
        ..HealthCheck::default()
    };
    match &check.kind {
        CheckKind::Http { scheme, path, port, family, mesos } => HealthCheck {
            protocol: Some(http_protocol(*scheme, *mesos).to_owned()),
            path: path.clone(),
            ip_protocol: Some(spell_family(*family).to_owned()),
            ignore_http_1xx: (!mesos || check.ignore_http_1xx).then_some(check.ignore_http_1xx),
            ..with_port(common, *port)
        },
        CheckKind::Tcp { port, family, mesos } => HealthCheck {
            protocol: Some(if *mesos { "MESOS_TCP" } else { "TCP" }.to_owned()),
            ip_protocol: Some(spell_family(*family).to_owned()),
            ..with_port(common, *port)
        },
        CheckKind::Command(value) => HealthCheck {
            protocol: Some("COMMAND".to_owned()),
            command: Some(CommandCheck { value: value.clone() }),
            ..common
        },
    }
}

fn http_protocol(scheme: Scheme, mesos: bool) -> &'static str {
    match (scheme, mesos) {
        (Scheme::Http, false) => "HTTP",
        (Scheme::Https, false) => "HTTPS",
        (Scheme::Http, true) => "MESOS_HTTP",
        (Scheme::Https, true) => "MESOS_HTTPS",
    }
}

fn spell_family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn with_port(check: HealthCheck, port: CheckPort) -> HealthCheck {
    match port {
        CheckPort::Index(index) => HealthCheck { port_index: Some(Whole(index.into())), ..check },
        CheckPort::Number(number) => HealthCheck { port: Some(Whole(number.into())), ..check },
    }
}
