//! The words of the domain. No behaviour beyond arithmetic and spelling.
//!
//! Reading order: [`id`], [`time`], [`resources`], [`attributes`], [`secret`], [`container`], [`confinement`], [`docker`],
//! [`check`], [`limits`], [`task`], [`told`], [`executor`], [`framework`], [`wishes`], [`operation`], [`scheduler`], [`agent`],
//! [`machine`], [`turn`].
//!
//! Every type that crosses a process or reaches a disk carries numbered CBOR fields (`#[n(0)]`): a number is never
//! reused, a new field is an `Option` or has a default, and so a release reads what its predecessor wrote.

pub mod agent;
pub mod attributes;
pub mod check;
pub mod confinement;
pub mod container;
pub mod docker;
pub mod executor;
pub mod framework;
pub mod id;
pub mod limits;
pub mod machine;
pub mod operation;
pub mod provider;
pub mod resources;
pub mod scheduler;
pub mod secret;
pub mod shared;
pub mod task;
pub mod time;
pub mod told;
pub mod turn;
pub mod wishes;
