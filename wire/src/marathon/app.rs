//! An app as users write and read it: the RAML types `App` and `AppUpdate`, which differ only in what must be there.
//!
//! Every field is optional here, so that a definition, a partial update and an answer are one type. What a definition
//! needs, and what a field may hold, is judged in [`judge`](super::judge).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::Container;
use super::health::HealthCheck;
use super::number::{Number, Whole};
use super::version::VersionInfo;

/// Fields in the order of Marathon's answers. A `Value` is a field that this release knows by name only.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct App {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_resource_roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_factor: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Vec<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, EnvValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_resources: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Vec<Artifact>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_checks: Option<Vec<HealthCheck>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_launch_delay_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
    /// The old spelling of `portDefinitions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Whole>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_definitions: Option<Vec<PortDefinition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_checks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residency: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_ports: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_kill_grace_period_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_strategy: Option<UpgradeStrategy>,
    /// The old spelling of `fetch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uris: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In an update: go back to that version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Told, never taken.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub version_info: Option<VersionInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_selection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable_strategy: Option<UnreachableStrategy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// A plain text, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EnvValue {
    Text(String),
    Secret { secret: String },
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Artifact {
    pub uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PortDefinition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct UpgradeStrategy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_over_capacity: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_health_capacity: Option<Number>,
}

/// `"disabled"` or an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum UnreachableStrategy {
    Word(String),
    Enabled(UnreachableEnabled),
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct UnreachableEnabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_after_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expunge_after_seconds: Option<Whole>,
}

impl App {
    /// What `self` becomes by a partial update: a field that the update has replaces the whole field.
    #[must_use]
    pub fn updated_by(self, update: App) -> App {
        App {
            id: self.id,
            accepted_resource_roles: update
                .accepted_resource_roles
                .or(self.accepted_resource_roles),
            args: update.args.or(self.args),
            backoff_factor: update.backoff_factor.or(self.backoff_factor),
            backoff_seconds: update.backoff_seconds.or(self.backoff_seconds),
            cmd: update.cmd.or(self.cmd),
            constraints: update.constraints.or(self.constraints),
            container: update.container.or(self.container),
            cpus: update.cpus.or(self.cpus),
            dependencies: update.dependencies.or(self.dependencies),
            disk: update.disk.or(self.disk),
            env: update.env.or(self.env),
            executor: update.executor.or(self.executor),
            executor_resources: update.executor_resources,
            health_checks: update.health_checks.or(self.health_checks),
            check: update.check.or(self.check),
            instances: update.instances.or(self.instances),
            labels: update.labels.or(self.labels),
            max_launch_delay_seconds: update
                .max_launch_delay_seconds
                .or(self.max_launch_delay_seconds),
            mem: update.mem.or(self.mem),
            gpus: update.gpus.or(self.gpus),
            ip_address: update.ip_address.or(self.ip_address),
            networks: update.networks.or(self.networks),
            readiness_checks: update.readiness_checks.or(self.readiness_checks),
            residency: update.residency.or(self.residency),
            resource_limits: update.resource_limits,
            require_ports: update.require_ports.or(self.require_ports),
            secrets: update.secrets.or(self.secrets),
            task_kill_grace_period_seconds: update
                .task_kill_grace_period_seconds
                .or(self.task_kill_grace_period_seconds),
            upgrade_strategy: update.upgrade_strategy.or(self.upgrade_strategy),
            user: update.user.or(self.user),
            version: None,
            version_info: None,
            kill_selection: update.kill_selection.or(self.kill_selection),
            unreachable_strategy: update.unreachable_strategy.or(self.unreachable_strategy),
            tty: update.tty.or(self.tty),
            role: update.role.or(self.role),
            // Either spelling replaces what was there, or the two would contradict each other.
            port_definitions: match update.ports {
                Some(_) => update.port_definitions,
                None => update.port_definitions.or(self.port_definitions),
            },
            ports: update.ports,
            fetch: match update.uris {
                Some(_) => update.fetch,
                None => update.fetch.or(self.fetch),
            },
            uris: update.uris,
        }
    }
}
