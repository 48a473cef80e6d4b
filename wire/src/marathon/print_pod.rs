//! A pod's spec as JSON again: every default filled in, as Marathon does.

use std::collections::BTreeMap;
use std::time::Duration;

use model::container::Scheme;
use model::id::Role;
use model::limits::{Limit, Limits};
use services::spec::AppSpec;
use services::spec::Backoff;
use services::spec::environment::EnvValue;
use services::spec::network::{Network, NetworkMode};
use services::spec::pod::{
    Command, Exec, PodCheck, PodContainer, PodHealthCheck, PodImage, PodProbe, PodSpec, PodVolume,
    VolumeMount, VolumeSource,
};
use services::spec::resource::{Amounts, IpcMode, LinuxInfo};
use services::spec::volume::{DiskKind, PersistentVolume};
use services::state::App;

use super::app::{self, UpgradeStrategy};
use super::number::{Number, Whole};
use super::pod::{self as written, Pod};
use super::print::{self, number, seconds, unless_empty};
use super::shared::{self, SecretDef};
use super::version;

/// With its version, as answers show it.
pub fn app(app: &App) -> Option<Pod> {
    let pod = spec(&app.spec)?;
    Some(Pod { version: Some(version::spell(app.version.0)), ..pod })
}

/// `None` of an app that is no pod.
pub fn spec(spec: &AppSpec) -> Option<Pod> {
    let pod: &PodSpec = spec.pod.as_ref()?;
    Some(Pod {
        id: Some(spec.id.to_string()),
        labels: some(&spec.labels),
        version: None,
        user: spec.user.clone(),
        environment: environment(&pod.environment),
        containers: Some(pod.containers.iter().map(container).collect()),
        secrets: (!spec.secrets.is_empty()).then(|| secrets(&spec.secrets)),
        volumes: unless_empty(pod.volumes.iter().map(volume).collect()),
        networks: unless_empty(spec.networks.iter().map(network).collect()),
        scaling: Some(written::Scaling {
            kind: Some("fixed".to_owned()),
            instances: Some(Whole(spec.instances.into())),
        }),
        scheduling: Some(scheduling(spec)),
        executor_resources: Some(written::Resources { gpus: None, ..resources(pod.executor) }),
        role: spec.role.as_ref().map(Role::to_string),
        linux_info: pod.linux.as_ref().map(linux_info),
        legacy_shared_cgroups: pod.legacy_shared_cgroups,
    })
}

fn some(labels: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!labels.is_empty()).then(|| labels.clone())
}

pub(super) fn environment(
    env: &BTreeMap<String, EnvValue>,
) -> Option<BTreeMap<String, app::EnvValue>> {
    let value = |value: &EnvValue| match value {
        EnvValue::Text(text) => app::EnvValue::Text(text.clone()),
        EnvValue::Secret(secret) => app::EnvValue::Secret { secret: secret.clone() },
    };
    let all = env.iter().map(|(name, one)| (name.clone(), value(one)));
    (!env.is_empty()).then(|| all.collect())
}

pub(super) fn secrets(secrets: &BTreeMap<String, String>) -> BTreeMap<String, SecretDef> {
    let define = |source: &String| SecretDef { source: Some(source.clone()) };
    secrets.iter().map(|(alias, source)| (alias.clone(), define(source))).collect()
}

fn scheduling(spec: &AppSpec) -> written::Scheduling {
    let Backoff { initial, factor, max } = spec.backoff;
    let constraint = |one: &placement::Constraint| {
        let mut words = print::constraint(one).into_iter();
        written::Constraint {
            field_name: words.next(),
            operator: words.next(),
            value: words.next(),
        }
    };
    let roles = spec.accepted_roles.iter().flatten().map(Role::to_string);
    written::Scheduling {
        backoff: Some(written::Backoff {
            backoff: Some(fraction(initial)),
            backoff_factor: Some(number(factor)),
            max_launch_delay: Some(fraction(max)),
        }),
        upgrade: Some(UpgradeStrategy {
            minimum_health_capacity: Some(number(spec.upgrade.minimum_health_capacity)),
            maximum_over_capacity: Some(number(spec.upgrade.maximum_over_capacity)),
        }),
        placement: Some(written::Placement {
            constraints: unless_empty(spec.constraints.iter().map(constraint).collect()),
            accepted_resource_roles: unless_empty(roles.collect()),
        }),
        kill_selection: Some(print::kill_selection(spec.kill_selection).to_owned()),
        unreachable_strategy: Some(print::unreachable(spec.unreachable)),
    }
}

fn fraction(span: Duration) -> Number {
    Number(span.as_secs_f64())
}

pub(super) fn resources(amounts: Amounts) -> written::Resources {
    written::Resources {
        cpus: Some(number(amounts.cpus)),
        mem: Some(number(amounts.mem)),
        disk: Some(number(amounts.disk)),
        gpus: Some(Whole(amounts.gpus.into())),
    }
}

fn container(one: &PodContainer) -> written::PodContainer {
    written::PodContainer {
        name: Some(one.name.clone()),
        exec: one.exec.as_ref().map(exec),
        resources: Some(resources(one.resources)),
        resource_limits: one.limits.as_ref().map(limits),
        endpoints: unless_empty(one.endpoints.iter().map(endpoint).collect()),
        linux_info: one.linux.as_ref().map(linux_info),
        image: one.image.as_ref().map(image),
        environment: environment(&one.environment),
        user: one.user.clone(),
        health_check: one.health_check.as_ref().map(health_check),
        check: one.check.as_ref().map(check),
        volume_mounts: unless_empty(one.mounts.iter().map(mount).collect()),
        artifacts: unless_empty(one.artifacts.iter().map(print::artifact).collect()),
        labels: some(&one.labels),
        lifecycle: one
            .kill_grace
            .map(|grace| written::Lifecycle { kill_grace_period_seconds: Some(fraction(grace)) }),
        tty: one.tty,
    }
}

fn exec(exec: &Exec) -> written::Exec {
    written::Exec {
        command: Some(command(&exec.command)),
        override_entrypoint: exec.override_entrypoint,
    }
}

pub(super) fn command(command: &Command) -> written::MesosCommand {
    match command {
        Command::Shell(shell) => written::MesosCommand { shell: Some(shell.clone()), argv: None },
        Command::Argv(argv) => written::MesosCommand { shell: None, argv: Some(argv.clone()) },
    }
}

fn endpoint(one: &services::spec::pod::Endpoint) -> written::Endpoint {
    written::Endpoint {
        name: Some(one.name.clone()),
        container_port: one.container_port.map(|port| Whole(port.into())),
        host_port: one.host_port.map(|port| Whole(port.into())),
        protocol: unless_empty(one.protocols.clone()),
        labels: some(&one.labels),
        network_names: unless_empty(one.networks.clone()),
    }
}

fn image(image: &PodImage) -> written::Image {
    let pull_config = |secret: &String| shared::PullConfig { secret: Some(secret.clone()) };
    written::Image {
        kind: Some("DOCKER".to_owned()),
        id: Some(image.name.clone()),
        pull_config: image.pull_config.as_ref().map(pull_config),
        force_pull: image.force_pull,
        labels: some(&image.labels),
    }
}

fn health_check(one: &PodHealthCheck) -> written::PodCheck {
    written::PodCheck {
        grace_period_seconds: Some(seconds(one.grace)),
        interval_seconds: Some(seconds(one.interval)),
        max_consecutive_failures: Some(Whole(one.failures_max.into())),
        timeout_seconds: Some(seconds(one.timeout)),
        delay_seconds: Some(seconds(one.delay)),
        ..probe(&one.probe)
    }
}

fn check(one: &PodCheck) -> written::PodCheck {
    written::PodCheck {
        interval_seconds: Some(seconds(one.interval)),
        timeout_seconds: Some(seconds(one.timeout)),
        delay_seconds: Some(seconds(one.delay)),
        ..probe(&one.probe)
    }
}

fn probe(probe: &PodProbe) -> written::PodCheck {
    let none = written::PodCheck::default();
    match probe {
        PodProbe::Http { endpoint, path, scheme } => {
            let scheme = match scheme {
                Scheme::Http => "HTTP",
                Scheme::Https => "HTTPS",
            };
            let http = written::HttpCheck {
                endpoint: Some(endpoint.clone()),
                path: path.clone(),
                scheme: Some(scheme.to_owned()),
            };
            written::PodCheck { http: Some(http), ..none }
        }
        PodProbe::Tcp { endpoint } => {
            let tcp = written::TcpCheck { endpoint: Some(endpoint.clone()) };
            written::PodCheck { tcp: Some(tcp), ..none }
        }
        PodProbe::Exec(run) => {
            let exec = written::CommandCheck { command: Some(command(run)) };
            written::PodCheck { exec: Some(exec), ..none }
        }
    }
}

fn mount(mount: &VolumeMount) -> written::VolumeMount {
    written::VolumeMount {
        name: Some(mount.name.clone()),
        mount_path: Some(mount.path.clone()),
        read_only: mount.read_only,
    }
}

fn volume(volume: &PodVolume) -> written::PodVolume {
    let named = written::PodVolume { name: Some(volume.name.clone()), ..Default::default() };
    match &volume.source {
        VolumeSource::Ephemeral => named,
        VolumeSource::Host(host) => written::PodVolume { host: Some(host.clone()), ..named },
        VolumeSource::Secret(secret) => {
            written::PodVolume { secret: Some(secret.clone()), ..named }
        }
        VolumeSource::Persistent(info) => {
            written::PodVolume { persistent: Some(persistent(info)), ..named }
        }
    }
}

pub(super) fn persistent(volume: &PersistentVolume) -> shared::PersistentVolume {
    let kind = volume.kind.map(|kind| match kind {
        DiskKind::Root => "root",
        DiskKind::Path => "path",
        DiskKind::Mount => "mount",
    });
    let size = |mib: u64| Whole(i64::try_from(mib).unwrap_or(i64::MAX));
    shared::PersistentVolume {
        kind: kind.map(str::to_owned),
        size: Some(size(volume.size)),
        max_size: volume.size_max.map(size),
        profile_name: volume.profile.clone(),
        constraints: unless_empty(volume.constraints.iter().map(print::constraint).collect()),
    }
}

pub(super) fn network(network: &Network) -> app::Network {
    let mode = match network.mode {
        NetworkMode::Host => "host",
        NetworkMode::Bridge => "container/bridge",
        NetworkMode::Container => "container",
    };
    app::Network {
        name: network.name.clone(),
        mode: Some(mode.to_owned()),
        labels: some(&network.labels),
    }
}

pub(super) fn linux_info(info: &LinuxInfo) -> shared::LinuxInfo {
    let ipc_mode = |mode: IpcMode| match mode {
        IpcMode::Private => "PRIVATE",
        IpcMode::ShareParent => "SHARE_PARENT",
    };
    shared::LinuxInfo {
        seccomp: info.seccomp.as_ref().map(|seccomp| shared::Seccomp {
            profile_name: seccomp.profile.clone(),
            unconfined: Some(seccomp.unconfined),
        }),
        ipc_info: info.ipc.map(|ipc| shared::IpcInfo {
            mode: Some(ipc_mode(ipc.mode).to_owned()),
            shm_size: ipc.shm_size.map(|mib| Whole(mib.into())),
        }),
    }
}

pub(super) fn limits(limits: &Limits) -> shared::ResourceLimits {
    let limit = |limit: Limit| match limit {
        Limit::Unlimited => shared::Limit::Unlimited,
        Limit::Amount(amount) => shared::Limit::Number(number(amount)),
    };
    shared::ResourceLimits { cpus: limits.cpus.map(limit), mem: limits.mem.map(limit) }
}
