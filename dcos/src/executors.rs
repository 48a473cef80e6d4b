//! How long executors that are their frameworks' own are waited for.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Executors {
    /// From the launch of one to its subscription.
    registration_timeout_seconds: u64,
    /// From a restart of the agent to a new subscription.
    reregistration_timeout_seconds: u64,
    /// From the word that one is to end to SIGKILL, where it does not say itself.
    shutdown_grace_period_seconds: u64,
}

impl Default for Executors {
    fn default() -> Self {
        let node = node::Config::default();
        Self {
            registration_timeout_seconds: node.registration_timeout.as_secs(),
            reregistration_timeout_seconds: node.reregistration_timeout.as_secs(),
            shutdown_grace_period_seconds: node.shutdown_grace.as_secs(),
        }
    }
}

impl Executors {
    pub(crate) fn check(self) -> Result<()> {
        if self.registration_timeout_seconds == 0 || self.reregistration_timeout_seconds == 0 {
            bail!(
                "executors: registration_timeout_seconds and reregistration_timeout_seconds are at least 1"
            );
        }
        Ok(())
    }

    pub(crate) fn config(self) -> node::Config {
        node::Config {
            registration_timeout: Duration::from_secs(self.registration_timeout_seconds),
            reregistration_timeout: Duration::from_secs(self.reregistration_timeout_seconds),
            shutdown_grace: Duration::from_secs(self.shutdown_grace_period_seconds),
            ..node::Config::default()
        }
    }
}
