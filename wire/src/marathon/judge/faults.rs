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

    /// What `judge` finds wrong lies within the field at `path`.
    pub(super) fn within<T>(&mut self, path: &str, judge: impl FnOnce(&mut Faults) -> T) -> T {
        self.moved(("", path), judge)
    }

    /// What `judge` finds wrong at the first path is told of the second.
    pub(super) fn moved<T>(
        &mut self,
        (from, to): (&str, &str),
        judge: impl FnOnce(&mut Faults) -> T,
    ) -> T {
        let mut found = Faults::default();
        let judged = judge(&mut found);
        for fault in found.0 {
            let rest = fault.path.strip_prefix(from).unwrap_or(&fault.path);
            // A fault of the whole field is one of the field.
            let rest = if rest == "/" { "" } else { rest };
            self.add(format!("{to}{rest}"), fault.message);
        }
        judged
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
