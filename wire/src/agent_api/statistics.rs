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
    pub statistics: Statistics,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// As Mesos' `ResourceStatistics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Statistics {
    pub timestamp: f64,
    pub cpus_limit: f64,
    pub cpus_user_time_secs: f64,
    pub cpus_system_time_secs: f64,
    pub cpus_nr_periods: u64,
    pub cpus_nr_throttled: u64,
    pub cpus_throttled_time_secs: f64,
    pub mem_limit_bytes: u64,
    pub mem_rss_bytes: u64,
    pub mem_total_bytes: u64,
    pub processes: u64,
}

/// What `/containers` says of where a container is.
pub fn status(container: &str, pid: Option<u32>, ip: &str) -> Value {
    let mut status = json!({
        "container_id": {"value": container},
        "network_infos": [{"ip_addresses": [{"protocol": "IPv4", "ip_address": ip}]}],
    });
    if let Some(pid) = pid {
        status["executor_pid"] = pid.into();
    }
    status
}
