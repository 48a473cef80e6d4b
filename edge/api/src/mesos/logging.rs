//! How much the master logs, in Mesos' numbers: 0 is what a user would care about, each step above tells more.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use mesos_v1::master::{Call, Response as Answer};
use tracing::level_filters::LevelFilter;
use wire::marathon::logging::{LoggerChange, LoggerLevel, ROOT};
use wire::mesos::operator::master;

use super::{Api, orders};
use crate::answer;
use crate::failure::Failure;
use crate::logging::Logging;
use crate::request::Request;

/// Above this nothing more is told.
const LEVEL_MAX: u32 = 3;

impl Logging {
    /// Of the whole program, in Mesos' numbers.
    pub fn level(&self) -> u32 {
        match self.root() {
            LevelFilter::TRACE => 2,
            LevelFilter::DEBUG => 1,
            _ => 0,
        }
    }

    /// Changes it for a while; the error says what is wrong with what is wanted.
    pub fn change_level(self: &Arc<Self>, level: u32, time: Duration) -> Result<(), String> {
        let wanted = match level {
            0 => LoggerLevel::Info,
            1 => LoggerLevel::Debug,
            2..=LEVEL_MAX => LoggerLevel::Trace,
            _ => return Err(format!("'level' is to be from 0 to {LEVEL_MAX}, not {level}")),
        };
        let seconds = u32::try_from(time.as_secs()).ok().and_then(NonZeroU32::new);
        let seconds = seconds.ok_or("'duration' is to be from a second to a hundred years")?;
        let logger = ROOT.to_owned();
        self.change(&LoggerChange { level: wanted, logger, duration_seconds: Some(seconds) });
        Ok(())
    }
}

impl Api {
    pub(super) fn logging_level(&self) -> Answer {
        master::logging_level(self.logging.level())
    }

    pub(super) fn set_logging_level(&self, call: &Call) -> Result<Response<Body>, Failure> {
        let asked = call.set_logging_level.as_ref();
        let asked = asked.ok_or_else(|| orders::lacking("set_logging_level"))?;
        let time = u64::try_from(asked.duration.nanoseconds).map(Duration::from_nanos);
        let negative = |_| Failure::BadRequest("'duration' is negative".to_owned());
        self.logging
            .change_level(asked.level, time.map_err(negative)?)
            .map_err(Failure::BadRequest)?;
        Ok(answer::empty(StatusCode::OK))
    }

    /// `/logging/toggle`: tells, or changes it for a while.
    pub(super) fn toggle(&self, request: &Request) -> Result<Response<Body>, Failure> {
        let Some(level) = request.query.first("level") else {
            return Ok(answer::text(format!("{}\n", self.logging.level())));
        };
        let bad = |what: &str| Failure::BadRequest(what.to_owned());
        let level = level.parse().map_err(|_| bad("'level' is to be a whole number"))?;
        let time = request.query.first("duration");
        let time = time.ok_or_else(|| bad("Expecting 'duration=value' in query"))?;
        let time = duration(time).ok_or_else(|| bad("'duration' is to be like 10secs or 5mins"))?;
        self.logging.change_level(level, time).map_err(Failure::BadRequest)?;
        Ok(answer::empty(StatusCode::OK))
    }
}

/// `10secs`, `1.5hrs`: as Mesos spells times.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "secs" => 1.0,
        "mins" => 60.0,
        "hrs" => 3_600.0,
        "days" => 86_400.0,
        "weeks" => 604_800.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_mesos_spells_them() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        };
        check("10secs", Some(10_000));
        check("1.5hrs", Some(5_400_000));
        check("20ms", Some(20));
        check("5", None);
        check("mins", None);
        check("5parsecs", None);
    }
}
