//! The RAML types `AppCheck`, whose result is only shown, and `ReadinessCheck`, which deployments wait for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::Whole;
use super::pod::CommandCheck;

/// One of the three ways.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Check {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<CommandCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<Whole>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_index: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TcpCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_index: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Whole>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ReadinessCheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status_codes_for_ready: Option<Vec<Whole>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_last_response: Option<bool>,
}
