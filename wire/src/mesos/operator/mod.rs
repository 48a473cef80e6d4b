//! What the v1 operator API of the master tells: the messages of `mesos.v1.master`, made of what the view shows.
//!
//! [`master`] and [`role`] make whole answers, which are short; [`listing`] writes the long ones while they are sent, each
//! entry made by [`agent`], [`executor`], [`framework`], [`operation`] or [`task`] ([`direct`] where there are very many). [`event`] is what those hear who follow
//! the cluster.

pub mod agent;
pub(super) mod container;
mod direct;
pub mod event;
pub mod executor;
pub mod framework;
pub mod listing;
pub mod master;
pub(crate) mod operation;
pub mod role;
pub mod task;

use mesos_v1::{Label, Labels};

/// `None` where there are none.
pub(in crate::mesos) fn labels(pairs: &[(String, String)]) -> Option<Labels> {
    let label =
        |(key, value): &(String, String)| Label { key: key.clone(), value: Some(value.clone()) };
    (!pairs.is_empty()).then(|| Labels { labels: pairs.iter().map(label).collect() })
}
