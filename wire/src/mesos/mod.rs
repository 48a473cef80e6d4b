//! Mesos' JSON: what the master tells of agents, frameworks and tasks. Unset fields are left out, 64-bit integers are
//! numbers, enums are their names.
//!
//! [`state`] and [`summary`] are the big answers of the v0 API, made of [`agent`], [`framework`] and [`task`];
//! [`operator`] is the operator API v1, [`upkeep`] how operators steer agents and machines, [`v1`] what schedulers and executors speak.

pub mod agent;
pub mod command;
pub mod framework;
pub mod help;
pub mod master;
pub mod metrics;
pub mod operator;
pub mod quota;
pub mod resource;
pub mod roles;
pub mod state;
pub mod summary;
pub mod sums;
pub mod task;
pub mod upkeep;
pub mod v1;
mod written;
