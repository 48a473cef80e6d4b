//! Commands as users type them, against a cluster that answers from a table.

mod fake;
mod marathon;
mod tasks;
