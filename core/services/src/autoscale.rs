//! Autoscaling: how many instances an app should have, from how much they are used.

use std::fmt;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::resources::Scalar;

/// Between how many and by what an app is scaled. Marathon knows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Autoscale {
    /// At least 1.
    #[n(0)]
    pub min: u32,
    /// At least `min`.
    #[n(1)]
    pub max: u32,
    #[n(2)]
    pub metric: Metric,
    /// What the metric is to be on average over the instances, greater than 0: of `cpu` and `mem` the fraction of what
    /// an instance is allotted.
    #[n(3)]
    pub target: Scalar,
    /// The metric must call for more instances for so long before there are more.
    #[n(4)]
    pub scale_up_delay: Duration,
    /// The same for fewer.
    #[n(5)]
    pub scale_down_delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Metric {
    /// Measured by the agents.
    #[n(0)]
    Cpu,
    #[n(1)]
    Mem,
    /// Reported from outside, as the average over the instances.
    #[n(2)]
    RequestsPerInstance,
    /// Any other number, reported from outside by this name.
    #[n(3)]
    Custom(#[n(0)] String),
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Cpu => "cpu",
            Metric::Mem => "mem",
            Metric::RequestsPerInstance => "requestsPerInstance",
            Metric::Custom(name) => name,
        })
    }
}
