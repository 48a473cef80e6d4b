//! Scenarios that enter by the public door of the agent's brain.

mod checks;
mod frameworks;
mod groups;
mod killing;
mod lending;
mod looks;
mod operations;
mod programs;
mod providers;
mod start;
mod tasks;
mod updates;
mod volumes;
mod world;
