//! An agent's own API on port 5051, as Mesos spells it: files in sandboxes, state, statistics.

pub mod files;
pub mod state;
pub mod statistics;

/// Clients read numbers out of it, so it names the release of Mesos whose API this is.
pub const MESOS_VERSION: &str = "1.11.0";
