//! The messages of Mesos' v1 API: one set of types, two encodings.
//!
//! The types and their protobuf come from the files in `proto/` by prost; [`json`] spells them as Mesos does, by code
//! that the build script writes from the same files; [`schema`] says what a message must have. [`codec`] puts the two
//! encodings behind one door, [`negotiate`] finds out which is meant, [`authorization`] who asks, [`recordio`] cuts streams
//! into records, and [`lists`] writes what is too long to be held, with entries that [`direct`] spells if there are very many
//! of them.

pub mod authorization;
pub mod codec;
pub mod direct;
pub mod json;
pub mod lists;
pub mod negotiate;
pub mod recordio;
pub mod schema;

/// What prost makes, in its own arrangement.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    reason = "made by a program"
)]
mod tree {
    include!(concat!(env!("OUT_DIR"), "/tree.rs"));
}

#[allow(
    unused_variables,
    clippy::all,
    clippy::too_many_lines,
    deprecated,
    reason = "made by a program"
)]
mod made {
    include!(concat!(env!("OUT_DIR"), "/json.rs"));
}

// The package `mesos.v1` is this crate's root: users write `mesos_v1::TaskInfo`.
pub use tree::mesos::v1::*;
