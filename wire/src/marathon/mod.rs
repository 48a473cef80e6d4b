//! Marathon's JSON: what users send to `/v2` and what they are told.
//!
//! In: [`reading`] makes an [`app::App`] of bytes, [`judge`] makes a spec of it or names every fault.
//! Out: [`print`] makes an `App` of a spec again. The rest are answers only.

pub mod app;
pub mod app_info;
pub mod autoscale;
pub mod check;
pub mod container;
pub mod deployment;
pub mod error;
pub mod event;
pub mod explain;
pub mod group;
pub mod group_update;
pub mod health;
pub mod info;
pub mod instance;
pub mod judge;
pub mod logging;
pub mod metrics;
pub mod network;
pub mod number;
pub mod pod;
pub mod pod_status;
pub mod print;
pub mod print_pod;
pub mod queue;
pub mod readiness;
pub mod reading;
pub mod shared;
pub mod task;
mod update;
pub mod version;
