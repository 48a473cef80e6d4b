//! Resource providers: programs beside an agent that bring it resources, above all disks that are made when somebody wants
//! them.

use minicbor::{Decode, Encode};

use crate::executor::Given;
use crate::id::{ProviderId, Uuid};
use crate::resources::Resources;

/// What a provider says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ProviderInfo {
    /// `org.apache.mesos.rp.local.storage`.
    #[n(0)]
    pub kind: String,
    /// Tells those of one kind apart.
    #[n(1)]
    pub name: String,
    /// All of it, as it was said: operators are shown it, nothing here follows from it.
    #[n(2)]
    pub given: Given,
}

/// A provider that is there and has said what it has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Provided {
    #[n(0)]
    pub id: ProviderId,
    #[n(1)]
    pub info: ProviderInfo,
    /// All that it brings, with what comes of the operations that whoever says this knows of.
    #[n(2)]
    pub total: Resources,
    /// Names the state that the provider told last: an operation that was asked for in another one is not done.
    #[n(3)]
    pub version: Uuid,
    /// Operations on its resources that the agent knows of and that are not over.
    #[n(4)]
    pub pending: Vec<Uuid>,
}
