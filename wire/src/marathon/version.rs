//! Points in time as Marathon spells them: `2015-09-25T15:13:48.343Z`, always with milliseconds.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use model::time::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    pub last_scaling_at: String,
    pub last_config_change_at: String,
}

/// The latest time that has four digits for its year: 9999-12-30.
const SPELLED_MS_MAX: i64 = 253_402_200_000_000;

/// A time that is spelled when it is written, without a string between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelled(pub Time);

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.0).unwrap_or(SPELLED_MS_MAX).min(SPELLED_MS_MAX);
        let at =
            Timestamp::from_millisecond(millis).expect("SPELLED_MS_MAX lies within jiff's range");
        write!(f, "{at:.3}")
    }
}

impl JsonSchema for Spelled {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Serialize for Spelled {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

pub fn spell(time: Time) -> String {
    Spelled(time).to_string()
}

/// Reads any RFC 3339 time; `None` for what is not one, or lies before 1970.
pub fn read(text: &str) -> Option<Time> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_to_the_millisecond_and_read_back() {
        let check = |millis: u64, text: &str| {
            assert_eq!(spell(Time(millis)), text);
            assert_eq!(read(text), Some(Time(millis)), "{text}");
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_443_194_028_343, "2015-09-25T15:13:48.343Z");
        check(1_443_194_028_000, "2015-09-25T15:13:48.000Z");
    }

    #[test]
    fn other_spellings_of_a_time_are_read_and_nonsense_is_not() {
        let check = |text: &str, millis: Option<u64>| assert_eq!(read(text), millis.map(Time));
        check("2015-09-25T15:13:48Z", Some(1_443_194_028_000));
        check("2015-09-25T17:13:48+02:00", Some(1_443_194_028_000));
        check("1960-01-01T00:00:00Z", None);
        check("yesterday", None);
        check("", None);
        assert_eq!(spell(Time(u64::MAX)), "9999-12-30T20:00:00.000Z");
    }
}
