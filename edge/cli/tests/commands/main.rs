//! Commands as users type them, against a cluster that answers from a table.

mod fake;
mod groups;
mod marathon;
mod nodes;
mod pods;
mod quota;
mod service;
mod tasks;
