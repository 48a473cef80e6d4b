//! An agent's own API on port 5051, as Mesos spells it: files in sandboxes, state, statistics, executors.

pub mod executor;
pub mod files;
pub mod provider;
mod spelled;
pub mod state;
pub mod statistics;
pub mod told;
