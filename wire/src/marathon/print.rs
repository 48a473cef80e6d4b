//! From a spec to the app that Marathon would show: complete, in its spelling.

pub mod check;
mod container;

use std::time::Duration;

use model::container::Uri;
use model::id::Role;
use model::resources::Scalar;
use placement::{Constraint, Operator};
use services::spec::resource::Amounts;
use services::spec::{AppId, AppSpec, KillSelection, PortDefinition, Process, UnreachableStrategy};
use services::state;

use super::app::{self, App, Artifact, Network, Residency, UnreachableEnabled, UpgradeStrategy};
use super::autoscale::Autoscale;
use super::number::{Number, Whole};
use super::pod::Resources;
use super::print_pod;
use super::version::{self, VersionInfo};

/// Of an app that waits for its instances as long as it takes.
const RELAUNCH_SECONDS: Whole = Whole(3600);

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
        check: spec.check.as_ref().map(check::check),
        container: container::container(spec),
        cpus: Some(number(spec.cpus)),
        dependencies: unless_empty(spec.dependencies.iter().map(AppId::to_string).collect()),
        disk: Some(number(spec.disk)),
        env: print_pod::environment(&spec.env),
        executor: Some(spec.executor.clone()),
        executor_resources: spec.executor_resources.map(executor),
        fetch: unless_empty(spec.fetch.iter().map(artifact).collect()),
        health_checks: unless_empty(spec.health_checks.iter().map(check::health_check).collect()),
        instances: Some(Whole(spec.instances.into())),
        labels: Some(spec.labels.clone()),
        max_launch_delay_seconds: Some(seconds(spec.backoff.max)),
        mem: Some(number(spec.mem)),
        gpus: Some(Whole(spec.gpus.into())),
        networks: Some(networks(spec)),
        port_definitions: spec
            .networks
            .is_empty()
            .then(|| spec.ports.iter().map(port_definition).collect()),
        readiness_checks: unless_empty(spec.readiness.iter().map(check::readiness).collect()),
        residency: spec.is_resident().then(|| residency(spec.unreachable)),
        resource_limits: spec.limits.as_ref().map(print_pod::limits),
        require_ports: Some(spec.require_ports),
        secrets: (!spec.secrets.is_empty()).then(|| print_pod::secrets(&spec.secrets)),
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
        autoscale: spec.autoscale.as_ref().map(autoscale),
        deployment_timeout_seconds: spec.deployment_timeout.map(seconds),
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

fn executor(amounts: Amounts) -> Resources {
    Resources { gpus: None, ..print_pod::resources(amounts) }
}

fn autoscale(autoscale: &services::autoscale::Autoscale) -> Autoscale {
    Autoscale {
        min: Some(Whole(autoscale.min.into())),
        max: Some(Whole(autoscale.max.into())),
        metric: Some(autoscale.metric.to_string()),
        target: Some(number(autoscale.target)),
        scale_up_delay_seconds: Some(seconds(autoscale.scale_up_delay)),
        scale_down_delay_seconds: Some(seconds(autoscale.scale_down_delay)),
    }
}

fn networks(spec: &AppSpec) -> Vec<Network> {
    if spec.networks.is_empty() {
        return vec![Network { mode: Some("host".to_owned()), ..Network::default() }];
    }
    spec.networks.iter().map(print_pod::network).collect()
}

/// What Marathon says of an app that stays where its volumes are; it follows from the unreachable strategy.
fn residency(unreachable: UnreachableStrategy) -> Residency {
    let timeout = match unreachable {
        UnreachableStrategy::Disabled => RELAUNCH_SECONDS,
        UnreachableStrategy::Enabled { inactive_after, .. } => seconds(inactive_after),
    };
    Residency {
        relaunch_escalation_timeout_seconds: Some(timeout),
        task_lost_behavior: Some("WAIT_FOREVER".to_owned()),
    }
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
