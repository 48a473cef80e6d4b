//! What containers are given, and how Linux confines them.

use minicbor::{Decode, Encode};
use model::confinement::{self, Confinement, Namespaces, Sharing};
use model::container::Bounds;
use model::resources::Scalar;

/// What is set aside for one container or executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Amounts {
    #[n(0)]
    pub cpus: Scalar,
    /// MiB.
    #[n(1)]
    pub mem: Scalar,
    /// MiB.
    #[n(2)]
    pub disk: Scalar,
    #[n(3)]
    pub gpus: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct LinuxInfo {
    #[n(0)]
    pub seccomp: Option<Seccomp>,
    #[n(1)]
    pub ipc: Option<Ipc>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seccomp {
    #[n(0)]
    pub profile: Option<String>,
    #[n(1)]
    pub unconfined: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Ipc {
    #[n(0)]
    pub mode: IpcMode,
    /// MiB.
    #[n(1)]
    pub shm_size: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum IpcMode {
    #[n(0)]
    Private,
    #[n(1)]
    ShareParent,
}

const BYTES_PER_MIB: u64 = 1 << 20;

impl Ipc {
    fn sharing(self) -> Sharing {
        match self.mode {
            IpcMode::Private => Sharing::Private,
            IpcMode::ShareParent => Sharing::Parent,
        }
    }

    fn shm_bytes(self) -> Option<u64> {
        self.shm_size.map(|mib| u64::from(mib) * BYTES_PER_MIB)
    }
}

impl LinuxInfo {
    /// Of a pod: what its containers share that have it of their parent.
    pub(crate) fn namespaces(&self) -> Namespaces {
        let Some(ipc) = self.ipc else { return Namespaces::default() };
        Namespaces { pid: None, ipc: Some(ipc.sharing()), shm_bytes: ipc.shm_bytes() }
    }

    /// As the agent is told.
    pub(crate) fn bounds(&self) -> Option<Box<Bounds>> {
        let seccomp = self.seccomp.as_ref();
        let confinement = Confinement {
            seccomp: seccomp.map(|given| match &given.profile {
                Some(name) => confinement::Seccomp::Profile(name.clone()),
                None => confinement::Seccomp::Unconfined,
            }),
            ipc: self.ipc.map(Ipc::sharing),
            shm_bytes: self.ipc.and_then(Ipc::shm_bytes),
            ..Confinement::default()
        };
        let bounds = Bounds { confinement, ..Bounds::default() };
        (bounds != Bounds::default()).then(|| Box::new(bounds))
    }
}
