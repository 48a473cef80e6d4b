//! Everything that is wrong with an app, as it is found.

use std::time::Duration;

use services::Fault;

use crate::marathon::number::Whole;

/// What RAML calls `int32`.
pub(super) const WHOLE_MAX: i64 = i32::MAX as i64;

#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { path: path.into(), message: message.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// A count of zero or more; `default` if it is not given.
    pub(super) fn count(&mut self, path: &str, given: Option<Whole>, default: u32) -> u32 {
        match given {
            None => default,
            Some(Whole(value)) if value < 0 => {
                self.add(path, "must be 0 or more");
                default
            }
            Some(Whole(value)) if value > WHOLE_MAX => {
                self.add(path, format!("must be at most {WHOLE_MAX}"));
                default
            }
            Some(Whole(value)) => u32::try_from(value).expect("0 to WHOLE_MAX fit"),
        }
    }

    pub(super) fn seconds(&mut self, path: &str, given: Option<Whole>, default: u32) -> Duration {
        Duration::from_secs(self.count(path, given, default).into())
    }

    pub(super) fn port(&mut self, path: &str, given: Whole) -> u16 {
        u16::try_from(given.0).unwrap_or_else(|_| {
            self.add(path, "must be from 0 to 65535");
            0
        })
    }
}
