//! The agent process: drives the brain in `core/node`, speaks to the master, carries out what the brain decides.
//!
//! Reading order: [`brain`] (the loop: step, checkpoint, act), [`line`] (the stream to the master), [`runtime`] (who
//! carries effects out: the real one in `real`, one that does nothing in `idle`), [`sandbox`], [`probe`], [`collect`],
//! [`api`] (what can be asked over HTTP on port 5051).
//!
//! [`run`] may be called several times in one process; each agent has its own directory, address or port, and slot.

mod api;
mod aside;
mod asked;
mod board;
mod brain;
mod clock;
mod collect;
mod config;
mod detect;
mod disk;
mod docker;
mod door;
mod environment;
mod extras;
mod gauges;
mod gpus;
mod guests;
mod host_paths;
mod idle;
mod line;
mod links;
mod logger;
mod probe;
mod projects;
mod provider_streams;
mod real;
mod reconfigure;
mod run;
mod runtime;
mod sandbox;
mod seeds;
mod simulated;
mod streams;
mod usage;
mod volumes;

pub use api::access::Access;
pub use api::logging::Levels;
pub use config::AgentConfig;
pub use detect::{Machine, machine_resources};
pub use docker::{DockerConfig, SOCKET as DOCKER_SOCKET, dispatch};
pub use door::{Door, Key};
pub use gpus::{Gpu, Search as GpuSearch, handed_out};
pub use host_paths::HostPaths;
pub use line::channel;
pub use logger::LogPolicy;
pub use projects::{Beyond, Projects};
pub use reconfigure::Reconfiguration;
pub use run::run;
pub use simulated::{Simulated, simulated};
