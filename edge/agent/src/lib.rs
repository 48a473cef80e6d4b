//! The agent process: drives the brain in `core/node`, speaks to the master, carries out what the brain decides.

mod brain;
mod disk;
mod idle;
mod line;
mod runtime;
mod seeds;
mod simulated;

pub use line::channel;
pub use simulated::{Simulated, simulated};
