//! `/monitor/statistics` and `/containers`.

use serde::Serialize;
use serde_json::{Value, json};

/// One container and what it uses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    pub executor_id: String,
    pub executor_name: String,
    pub framework_id: String,
    pub source: String,
    /// Mesos' `ResourceStatistics`; missing if it cannot be told, which is not the same as nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// What `/containers` says of where a container is.
pub fn status(container: &str, pid: Option<u32>, ip: Option<&str>) -> Value {
    let address = |ip| json!({"ip_addresses": [{"protocol": "IPv4", "ip_address": ip}]});
    let networks: Vec<Value> = ip.into_iter().map(address).collect();
    let mut status = json!({ "container_id": {"value": container}, "network_infos": networks });
    if let Some(pid) = pid {
        status["executor_pid"] = pid.into();
    }
    status
}
