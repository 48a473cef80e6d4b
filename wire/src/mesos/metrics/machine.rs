//! The machine that a master or an agent runs on.

use serde_json::{Value, json};

use super::{Figures, whole};

/// As the kernel of its operating system tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    pub cpus: usize,
    /// Of the last minute, 5 and 15 minutes.
    pub loads: [f64; 3],
    pub mem_bytes: u64,
    pub mem_free_bytes: u64,
}

/// Loads are told in these parts of one.
const LOAD_UNIT: f64 = 65_536.0;

impl Machine {
    /// From what `sysinfo` tells; memory in units of so many bytes.
    pub fn read(cpus: usize, loads: [u64; 3], [total, free, unit]: [u64; 3]) -> Self {
        Self {
            cpus,
            loads: loads.map(|load| whole(load) / LOAD_UNIT),
            mem_bytes: total.saturating_mul(unit),
            mem_free_bytes: free.saturating_mul(unit),
        }
    }

    /// `/system/stats.json`.
    pub fn stats(&self) -> Value {
        let [minute, five, fifteen] = self.loads;
        json!({
            "avg_load_1min": minute,
            "avg_load_5min": five,
            "avg_load_15min": fifteen,
            "cpus_total": self.cpus,
            "mem_total_bytes": self.mem_bytes,
            "mem_free_bytes": self.mem_free_bytes,
        })
    }

    pub fn spell(&self, figures: &mut Figures) {
        let [minute, five, fifteen] = self.loads;
        for (name, value) in [
            ("cpus_total", super::count(self.cpus)),
            ("load_1min", minute),
            ("load_5min", five),
            ("load_15min", fifteen),
            ("mem_total_bytes", whole(self.mem_bytes)),
            ("mem_free_bytes", whole(self.mem_free_bytes)),
        ] {
            figures.insert(format!("system/{name}"), value);
        }
    }
}
