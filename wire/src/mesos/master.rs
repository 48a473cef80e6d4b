//! What a master says of itself.

use std::collections::BTreeMap;

use model::attributes::FaultDomain;
use model::time::Time;
use serde_json::{Value, json};

use super::agent::domain;

/// The release of Mesos whose API this is: clients read it as three whole numbers.
pub const VERSION: &str = "1.11.0";

/// What a master of this release can do, as tools look it up.
pub(super) const CAPABILITIES: [&str; 3] = ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"];

/// The flag by which Mesos is told where its log is kept.
pub const EXTERNAL_LOG_FILE: &str = "external_log_file";

/// What the operator's settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterInfo {
    pub ip: String,
    pub port: u16,
    pub hostname: String,
    /// The cluster's name.
    pub cluster: String,
    pub started_at: Time,
    /// Where it is, if that was said.
    pub domain: Option<FaultDomain>,
    /// How it was started, in Mesos' words, besides what is above.
    pub flags: Vec<(&'static str, String)>,
}

impl MasterInfo {
    /// Where the log is kept, if it is in a file.
    pub fn log(&self) -> Option<&str> {
        let (_, file) = self.flags.iter().find(|(name, _)| *name == EXTERNAL_LOG_FILE)?;
        Some(file)
    }

    pub fn pid(&self) -> String {
        format!("master@{}:{}", self.ip, self.port)
    }
}

/// `id` is the prefix of all ids that this master gives.
pub fn leader(info: &MasterInfo, id: &str) -> Value {
    let mut leader =
        json!({ "id": id, "pid": info.pid(), "port": info.port, "hostname": info.hostname });
    if let Some(place) = &info.domain {
        leader["domain"] = domain(place);
    }
    leader
}

pub fn version() -> Value {
    json!({ "version": VERSION, "build_date": "", "build_time": 0.0, "build_user": "" })
}

pub fn flags(info: &MasterInfo) -> BTreeMap<&'static str, String> {
    let told = [
        ("cluster", info.cluster.clone()),
        ("hostname", info.hostname.clone()),
        ("ip", info.ip.clone()),
        ("port", info.port.to_string()),
    ];
    told.into_iter().chain(info.flags.iter().map(|(name, value)| (*name, value.clone()))).collect()
}

/// Seconds with a fraction, as Mesos spells times.
#[expect(clippy::cast_precision_loss, reason = "milliseconds until the year 287396 are exact")]
pub fn seconds(time: Time) -> f64 {
    time.0 as f64 / 1000.0
}
