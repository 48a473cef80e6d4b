//! How long agents are remembered that are gone or out of reach: the flags of the Mesos master's registry.

use std::time::Duration;

use anyhow::{Result, bail};
use kernel::registry::Remembered;
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GoneAgents {
    /// From one look to the next.
    look_interval_seconds: u64,
    /// Those that left longer ago are forgotten.
    age_seconds_max: u64,
    /// Of more than so many the oldest are forgotten.
    count_max: usize,
}

impl Default for GoneAgents {
    fn default() -> Self {
        let Remembered { look_interval, age_max, count_max } = Remembered::default();
        Self {
            look_interval_seconds: look_interval.as_secs(),
            age_seconds_max: age_max.as_secs(),
            count_max,
        }
    }
}

impl GoneAgents {
    pub(crate) fn config(self) -> Result<Remembered> {
        if self.look_interval_seconds == 0 {
            bail!("gone_agents: look_interval_seconds is at least 1");
        }
        Ok(Remembered {
            look_interval: Duration::from_secs(self.look_interval_seconds),
            age_max: Duration::from_secs(self.age_seconds_max),
            count_max: self.count_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_remembered_as_long_as_mesos_does_unless_the_operator_says_otherwise() {
        let read = |text: &str| serde_saphyr::from_str::<GoneAgents>(text).expect(text).config();
        assert_eq!(read("{}").expect("the defaults"), Remembered::default());
        let said = read("{look_interval_seconds: 60, age_seconds_max: 3600, count_max: 10}");
        let secs = Duration::from_secs;
        let expected = Remembered { look_interval: secs(60), age_max: secs(3600), count_max: 10 };
        assert_eq!(said.expect("it makes sense"), expected);
        let refused = read("{look_interval_seconds: 0}").expect_err("never is not an interval");
        assert!(refused.to_string().contains("look_interval_seconds"), "{refused}");
    }
}
