//! Marathon's JSON: what users send to `/v2` and what they are told.
//!
//! In: [`reading`] makes an [`app::App`] of bytes, [`judge`] makes a spec of it or names every fault.
//! Out: [`print`] makes an `App` of a spec again. The rest are answers only.

pub mod app;
pub mod container;
pub mod health;
pub mod judge;
pub mod number;
pub mod print;
pub mod reading;
pub mod version;
