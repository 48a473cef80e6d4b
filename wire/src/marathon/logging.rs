//! How much is logged, by the name of who logs: the RAML types `Loggers` and `LoggerChange`.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where everybody inherits from who has no level of its own.
pub const ROOT: &str = "ROOT";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoggerLevel {
    #[serde(alias = "TRACE")]
    Trace,
    #[serde(alias = "DEBUG")]
    Debug,
    #[serde(alias = "INFO")]
    Info,
    #[serde(alias = "WARN")]
    Warn,
    #[serde(alias = "ERROR")]
    Error,
}

/// The body of `POST /logging`, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggerChange {
    pub level: LoggerLevel,
    /// A part of the program such as `engine`, or `ROOT`.
    pub logger: String,
    /// Then it is as it was before; unset, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marathon::reading::{Unreadable, body};

    #[test]
    fn levels_are_said_in_small_or_large_letters_and_for_a_while() {
        let check = |text: &str, expected: Result<(LoggerLevel, Option<u32>), &str>| {
            let read = body::<LoggerChange>(text.as_bytes());
            let read = read.map(|change| (change.level, change.duration_seconds.map(u32::from)));
            let read = read.map_err(|unreadable| match unreadable {
                Unreadable::Mistyped(faults) => faults[0].path.clone(),
                Unreadable::Malformed { cause } => cause,
            });
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        };
        check(r#"{"level": "debug", "logger": "engine"}"#, Ok((LoggerLevel::Debug, None)));
        let timed = r#"{"level": "TRACE", "logger": "ROOT", "durationSeconds": 60}"#;
        check(timed, Ok((LoggerLevel::Trace, Some(60))));
        check(r#"{"level": "loud", "logger": "engine"}"#, Err("/level"));
        check(r#"{"level": "info", "logger": "engine", "durationSeconds": 0}"#, {
            Err("/durationSeconds")
        });
        check(r#"{"level": "info"}"#, Err("/"));
    }
}
