//! `/v2/info`: who answers, and how it was started.

use serde_json::{Value, json};

/// The release of Marathon whose API this is.
pub const VERSION: &str = "1.11.24";

/// What the answer tells beside constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// `127.0.0.1:8080`: where the leader answers.
    pub leader: String,
    pub hostname: String,
    pub http_port: u16,
    pub mesos_master: String,
    pub framework: Option<String>,
    pub config: services::Config,
}

pub fn info(info: &Info) -> Value {
    json!({
        "name": "marathon",
        "version": VERSION,
        "buildref": env!("CARGO_PKG_VERSION"),
        "elected": true,
        "leader": info.leader,
        "frameworkId": info.framework,
        "marathon_config": config(info),
        "zookeeper_config": {},
        "http_config": { "http_port": info.http_port, "https_port": 0 },
    })
}

fn config(info: &Info) -> Value {
    let config = &info.config;
    json!({
        "access_control_allow_origin": [],
        "checkpoint": true,
        "decline_offer_duration": config.decline_duration.as_millis(),
        "executor": "//cmd",
        "failover_timeout": 604_800,
        "features": ["task_killing", "gpu_resources"],
        "framework_name": "marathon",
        "ha": true,
        "hostname": info.hostname,
        "local_port_max": config.service_ports.1,
        "local_port_min": config.service_ports.0,
        "master": info.mesos_master,
        "max_instances_per_offer": config.instances_per_offer_max,
        "mesos_leader_ui_url": format!("http://{}/", info.mesos_master),
        "mesos_role": config.default_role.as_str(),
        "new_group_enforce_role": if config.enforce_group_role { "top" } else { "off" },
        "task_launch_confirm_timeout": config.launch_confirm_timeout.as_millis(),
        "task_launch_timeout": config.launch_timeout.as_millis(),
        "webui_url": format!("http://{}", info.leader),
    })
}
