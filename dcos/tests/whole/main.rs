//! The whole binary, as users run it: a real cluster on a loopback address of its own, real containers. Needs root.

mod attach;
mod autoscale;
mod clients;
mod cluster;
mod constraints;
mod doors;
mod draining;
mod executors;
#[path = "../../../edge/images/tests/support/fake.rs"]
mod fake;
mod frameworks;
mod images;
mod life;
mod pods;
mod processes;
mod providers;
mod readiness;
mod refusals;
#[path = "../../../edge/images/tests/support/mod.rs"]
mod registry;
mod terminals;
mod upgrade;
mod volumes;
mod zones;

/// As its neighbour calls it.
use registry as support;
