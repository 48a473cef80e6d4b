//! An app as users write and read it: the RAML types `App` and `AppUpdate`, which differ only in what must be there.
//!
//! Every field is optional here, so that a definition, a partial update and an answer are one type. What a definition
//! needs, and what a field may hold, is judged in [`judge`](super::judge).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::autoscale::Autoscale;
use super::check::{Check, ReadinessCheck};
use super::container::Container;
use super::health::HealthCheck;
use super::network::IpAddress;
use super::number::{self, Number, Whole};
use super::pod::Resources;
use super::shared::{ResourceLimits, SecretDef};
use super::version::VersionInfo;

/// Fields in the order of Marathon's answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
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
    pub executor_resources: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Vec<Artifact>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_checks: Option<Vec<HealthCheck>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
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
    /// The old spelling of `networks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
    /// The old spelling of `portDefinitions`. Templates fill in texts, and packages live on that.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::list_with_texts")]
    pub ports: Option<Vec<Whole>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_definitions: Option<Vec<PortDefinition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_checks: Option<Vec<ReadinessCheck>>,
    /// Told of apps with persistent volumes; taken, and without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residency: Option<Residency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_ports: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, SecretDef>>,
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
    /// Not of Marathon, nor is the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_timeout_seconds: Option<Whole>,
}

/// A plain text, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    Text(String),
    Secret { secret: String },
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
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

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Network {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
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

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct UpgradeStrategy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_over_capacity: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_health_capacity: Option<Number>,
}

/// `"disabled"` or an object.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum UnreachableStrategy {
    Word(String),
    Enabled(UnreachableEnabled),
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct UnreachableEnabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_after_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expunge_after_seconds: Option<Whole>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Residency {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relaunch_escalation_timeout_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_lost_behavior: Option<String>,
}
