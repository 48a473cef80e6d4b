//! Every byte promised to outsiders, a folder per dialect: types, both conversions, golden files. No handlers, no IO.

pub mod agent;
pub mod agent_api;
pub mod marathon;
pub mod mesos;
