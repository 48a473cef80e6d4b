//! Mesos' v1 messages and our words: what frameworks say and hear, whichever encoding it comes in.
//!
//! [`call`] reads what a scheduler says, [`task`] with [`command`], [`container`] and [`check`] what it wants run,
//! [`resource`] with what, [`wishes`] of which agents; [`event`] writes what it is told. A task that names what this release cannot do is refused by
//! the field's name: nothing is passed over in silence that would change how it runs.

pub(crate) mod bounds;
pub mod call;
pub mod check;
pub mod command;
pub mod container;
pub mod event;
pub mod framework;
mod group;
pub(crate) mod linux;
pub mod offer;
pub mod operation;
mod program;
pub mod resource;
pub(crate) mod secret;
pub mod status;
pub mod task;
pub mod wishes;

use std::time::Duration;

use mesos_v1::Labels;
use model::time::Time;

/// Why something cannot be what it says it is: a sentence that names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

impl Fault {
    pub fn new(cause: impl Into<String>) -> Self {
        Self(cause.into())
    }

    /// A field that a later release will know.
    fn not_yet(field: &str) -> Self {
        Self(format!("'{field}' is not supported yet"))
    }
}

/// Refuses a field that is set and not supported.
fn unset<T>(field: &str, value: Option<&T>) -> Result<(), Fault> {
    value.map_or(Ok(()), |_| Err(Fault::not_yet(field)))
}

fn empty<T>(field: &str, values: &[T]) -> Result<(), Fault> {
    if values.is_empty() { Ok(()) } else { Err(Fault::not_yet(field)) }
}

/// Ten thousand years: more is a mistake, and would not fit everywhere.
const SECONDS_MAX: f64 = 3.2e11;

fn seconds(field: &str, value: f64) -> Result<Duration, Fault> {
    if value < 0.0 {
        return Err(Fault::new(format!("Expecting '{field}' to be non-negative")));
    }
    if !(0.0..=SECONDS_MAX).contains(&value) {
        return Err(Fault::new(format!("'{field}' is not a sensible number of seconds: {value}")));
    }
    Ok(Duration::from_secs_f64(value))
}

pub(super) fn nanoseconds(field: &str, value: i64) -> Result<Duration, Fault> {
    let value = u64::try_from(value);
    let negative = |_| Fault::new(format!("Expecting '{field}' to be non-negative"));
    value.map(Duration::from_nanos).map_err(negative)
}

#[expect(clippy::cast_possible_wrap, reason = "times are until the year 2262")]
pub(crate) fn time(time: Time) -> mesos_v1::TimeInfo {
    mesos_v1::TimeInfo { nanoseconds: time.0.saturating_mul(1_000_000).min(i64::MAX as u64) as i64 }
}

pub(crate) fn pairs(labels: Option<&Labels>) -> Vec<(String, String)> {
    let all = labels.into_iter().flat_map(|labels| &labels.labels);
    all.map(|label| (label.key.clone(), label.value.clone().unwrap_or_default())).collect()
}

pub(crate) fn agent_id(id: &model::id::AgentId) -> mesos_v1::AgentId {
    mesos_v1::AgentId { value: id.as_str().to_owned() }
}

pub(crate) fn framework_id(id: &model::id::FrameworkId) -> mesos_v1::FrameworkId {
    mesos_v1::FrameworkId { value: id.as_str().to_owned() }
}
