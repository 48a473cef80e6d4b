//! Schedulers as they introduce themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::id::{FrameworkId, Role};
use crate::resources::{ResourceName, Scalar};

/// As in Mesos' `FrameworkInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FrameworkInfo {
    /// Unset on the first subscription; the kernel then gives one.
    #[n(0)]
    pub id: Option<FrameworkId>,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub user: String,
    #[n(3)]
    pub roles: Vec<Role>,
    /// How long its tasks live on after it has disconnected.
    #[n(4)]
    pub failover_timeout: Duration,
    #[n(5)]
    pub checkpoint: bool,
    #[n(6)]
    pub hostname: String,
    #[n(7)]
    pub principal: Option<String>,
    #[n(8)]
    pub webui_url: Option<String>,
    #[n(9)]
    pub capabilities: Vec<Capability>,
    #[n(10)]
    pub labels: Vec<(String, String)>,
    /// Of how little a role wants no offer, instead of what the operator has set.
    #[cbor(n(11), default)]
    pub offer_minima: BTreeMap<Role, Minima>,
}

/// What an offer has at least: all of one of these. There is no least if there are none.
pub type Minima = Vec<BTreeMap<ResourceName, Scalar>>;

impl FrameworkInfo {
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Capability {
    #[n(0)]
    RevocableResources,
    #[n(1)]
    TaskKillingState,
    #[n(2)]
    GpuResources,
    #[n(3)]
    SharedResources,
    #[n(4)]
    PartitionAware,
    #[n(5)]
    MultiRole,
    #[n(6)]
    ReservationRefinement,
    #[n(7)]
    RegionAware,
}

impl Capability {
    /// As Mesos' `FrameworkInfo.Capability.Type` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RevocableResources => "REVOCABLE_RESOURCES",
            Self::TaskKillingState => "TASK_KILLING_STATE",
            Self::GpuResources => "GPU_RESOURCES",
            Self::SharedResources => "SHARED_RESOURCES",
            Self::PartitionAware => "PARTITION_AWARE",
            Self::MultiRole => "MULTI_ROLE",
            Self::ReservationRefinement => "RESERVATION_REFINEMENT",
            Self::RegionAware => "REGION_AWARE",
        }
    }
}
