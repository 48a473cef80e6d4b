//! Scenarios that enter by the public door of the agent's brain.

mod checks;
mod start;
mod tasks;
mod updates;
mod world;
