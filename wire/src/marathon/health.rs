//! The RAML types `AppHealthCheck` and `AppCommandCheck`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::Whole;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HealthCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<Whole>,
    #[serde(rename = "ignoreHttp1xx", skip_serializing_if = "Option::is_none")]
    pub ignore_http_1xx: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_consecutive_failures: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_index: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<Whole>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CommandCheck {
    pub value: String,
}
