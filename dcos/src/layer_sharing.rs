//! The part of the configuration that says whether agents give each other layers of images.

use anyhow::{Result, ensure};
use images::Sharing;
use serde::Deserialize;

use crate::settings::Settings;

const KEPT_MIB: u64 = 10_240;
const GIVEN_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LayerSharing {
    enabled: bool,
    /// Of layers as they came.
    kept_mib: u64,
    /// To others, at a time.
    given_max: usize,
}

impl Default for LayerSharing {
    fn default() -> Self {
        Self { enabled: false, kept_mib: KEPT_MIB, given_max: GIVEN_MAX }
    }
}

impl LayerSharing {
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            !self.enabled || (self.kept_mib > 0 && self.given_max > 0),
            "layer_sharing: kept_mib and given_max are at least 1; set enabled to false to share nothing"
        );
        Ok(())
    }

    /// The agents of a process share a store; the first answers for it.
    pub(crate) fn config(&self, settings: &Settings) -> Option<Sharing> {
        self.enabled.then(|| Sharing {
            master: settings.agents_door().to_string(),
            address: settings.agent_address(0).to_string(),
            kept_bytes_max: self.kept_mib.saturating_mul(1 << 20),
            given_max: self.given_max,
        })
    }
}
