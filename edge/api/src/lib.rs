//! The HTTP APIs, a folder per dialect: what is asked becomes an order to the engine or a look at its last snapshot.
//!
//! Each dialect has one table of its endpoints ([`marathon::router`], [`mesos::router`]). A handler reads the request
//! with `wire`, asks the [`engine::Handle`], and spells the answer with `wire` again. Failures become statuses in one
//! place, [`failure`].

mod answer;
pub mod failure;
mod listing;
pub mod logging;
pub mod marathon;
pub mod mesos;
mod pieces;
mod query;
mod request;
