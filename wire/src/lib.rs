//! Every byte promised to outsiders, a folder per dialect: types, both conversions, golden files. No handlers, no IO.

pub mod agent;
pub mod exec;
pub mod marathon;
