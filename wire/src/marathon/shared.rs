//! What apps and pods spell in the same way: secrets, limits, Linux' own settings, persistent volumes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::number::{Number, Whole};

/// The RAML type `SecretDef`: where the secret with this alias lies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretDef {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The RAML type `DockerPullConfig`: the alias of a secret that holds a `config.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PullConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The RAML type `ResourceLimits`: how far a task may go beyond what is set aside for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourceLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<Limit>,
}

/// A number, or `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    Unlimited,
    Number(Number),
}

const UNLIMITED: &str = "unlimited";

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "enum": [UNLIMITED] }, { "type": "number" }] })
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Unlimited => out.serialize_str(UNLIMITED),
            Limit::Number(number) => number.serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(input)? {
            Value::Number(number) => number.as_f64(),
            Value::String(word) if word == UNLIMITED => return Ok(Limit::Unlimited),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        };
        let number = number.map(|number| Limit::Number(Number(number)));
        number.ok_or_else(|| serde::de::Error::custom("expected a number or \"unlimited\""))
    }
}

/// The RAML type `LinuxInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LinuxInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc_info: Option<IpcInfo>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Seccomp {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfined: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct IpcInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Whole>,
}

/// The RAML type `PersistentVolumeInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PersistentVolume {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Whole>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Vec<Vec<String>>>,
}
