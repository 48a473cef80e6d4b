//! What a master says of itself.

use model::time::Time;
use serde_json::{Value, json};

/// The release of Mesos whose API this is: clients read it as three whole numbers.
pub const VERSION: &str = "1.11.0";

/// What the operator's settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterInfo {
    pub ip: String,
    pub port: u16,
    pub hostname: String,
    /// The cluster's name.
    pub cluster: String,
    pub started_at: Time,
}

impl MasterInfo {
    pub fn pid(&self) -> String {
        format!("master@{}:{}", self.ip, self.port)
    }
}

/// `id` is the prefix of all ids that this master gives.
pub fn leader(info: &MasterInfo, id: &str) -> Value {
    json!({ "id": id, "pid": info.pid(), "port": info.port, "hostname": info.hostname })
}

pub fn version() -> Value {
    json!({ "version": VERSION, "build_date": "", "build_time": 0.0, "build_user": "" })
}

pub fn flags(info: &MasterInfo) -> Value {
    json!({
        "cluster": info.cluster,
        "hostname": info.hostname,
        "ip": info.ip,
        "port": info.port.to_string(),
    })
}

/// Seconds with a fraction, as Mesos spells times.
#[expect(clippy::cast_precision_loss, reason = "milliseconds until the year 287396 are exact")]
pub fn seconds(time: Time) -> f64 {
    time.0 as f64 / 1000.0
}
