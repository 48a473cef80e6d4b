//! An agent's own API on port 5051, as Mesos spells it: files in sandboxes, state, statistics.

pub mod files;
pub mod state;
pub mod statistics;
