//! Storage that outlives a container.

use minicbor::{Decode, Encode};
use placement::Constraint;

/// Lives on one agent and belongs to one instance, whatever becomes of its tasks.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PersistentVolume {
    #[n(0)]
    pub kind: Option<DiskKind>,
    /// MiB.
    #[n(1)]
    pub size: u64,
    /// MiB: of disks that are given as a whole, how large they may be.
    #[n(2)]
    pub size_max: Option<u64>,
    /// Disks of this storage profile only.
    #[n(3)]
    pub profile: Option<String>,
    #[n(4)]
    pub constraints: Vec<Constraint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DiskKind {
    #[n(0)]
    Root,
    #[n(1)]
    Path,
    #[n(2)]
    Mount,
}
