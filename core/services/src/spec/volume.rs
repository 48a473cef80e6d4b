//! Storage that outlives a container.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use model::container::VolumeMode;
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

impl PersistentVolume {
    /// Where it is if nothing is said: who asks for a profile asks for a disk that has one.
    pub fn disk_kind(&self) -> DiskKind {
        let usual = if self.profile.is_some() { DiskKind::Mount } else { DiskKind::Root };
        self.kind.unwrap_or(usual)
    }

    /// Not on the agent's own disk.
    pub fn is_apart(&self) -> bool {
        self.disk_kind() != DiskKind::Root
    }
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

/// A volume of an app that is more than a path of the agent; those are the container's.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct AppVolume {
    /// Its place among all volumes of the app: they are mounted in this order.
    #[n(0)]
    pub at: u32,
    #[n(1)]
    pub container_path: String,
    #[n(2)]
    pub mode: VolumeMode,
    #[n(3)]
    pub source: AppVolumeSource,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum AppVolumeSource {
    #[n(0)]
    Persistent(#[n(0)] PersistentVolume),
    #[n(1)]
    Dvdi(#[n(0)] Dvdi),
    #[n(2)]
    Csi(#[n(0)] Csi),
    /// What the secret of this name holds.
    #[n(3)]
    Secret(#[n(0)] String),
}

/// Lent by a storage system, by way of a docker volume driver.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Dvdi {
    #[n(0)]
    pub name: String,
    /// GiB.
    #[n(1)]
    pub size: Option<u64>,
    #[n(2)]
    pub options: BTreeMap<String, String>,
    /// Other apps may use it, too.
    #[n(3)]
    pub shared: bool,
}

/// Lent by a storage system, by way of its CSI plugin.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Csi {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub plugin: String,
    #[n(2)]
    pub access: CsiAccess,
    #[n(3)]
    pub kind: CsiKind,
    #[n(4)]
    pub node_stage_secret: BTreeMap<String, String>,
    #[n(5)]
    pub node_publish_secret: BTreeMap<String, String>,
    #[n(6)]
    pub context: BTreeMap<String, String>,
}

/// How many nodes may have it at once, and what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum CsiAccess {
    #[n(0)]
    SingleNodeWriter,
    #[n(1)]
    SingleNodeReaderOnly,
    #[n(2)]
    MultiNodeReaderOnly,
    #[n(3)]
    MultiNodeSingleWriter,
    #[n(4)]
    MultiNodeMultiWriter,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CsiKind {
    /// A device without a file system.
    #[n(0)]
    Block,
    #[n(1)]
    Mount {
        #[n(0)]
        file_system: String,
        #[n(1)]
        flags: Vec<String>,
    },
}
