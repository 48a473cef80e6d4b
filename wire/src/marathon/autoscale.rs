//! How many instances an app should have, decided by how much they are used. Marathon has no such field, so answers have
//! it only where it was asked for.

use serde::{Deserialize, Serialize};

use super::number::{Number, Whole};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Autoscale {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Whole>,
    /// `cpu`, `mem`, `requestsPerInstance`, or the name of a metric of the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up_delay_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<Whole>,
}
