//! What is done with an agent's resources other than running tasks: reserving them, making volumes of them, and back.

use minicbor::{Decode, Encode};

use crate::id::{AgentId, FrameworkId, OperationId, ProviderId, Uuid};
use crate::resources::{DiskKind, Resource, Resources, Scalar};

/// Resources of an agent become others, of the same amounts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Conversion {
    #[n(0)]
    Reserve {
        /// What they are reserved from; without it, what they were before their last reservation.
        #[n(0)]
        source: Vec<Resource>,
        #[n(1)]
        resources: Vec<Resource>,
    },
    /// Their last reservation goes.
    #[n(1)]
    Unreserve {
        #[n(0)]
        resources: Vec<Resource>,
    },
    #[n(2)]
    Create {
        #[n(0)]
        volumes: Vec<Resource>,
    },
    /// What is in the volumes goes for good.
    #[n(3)]
    Destroy {
        #[n(0)]
        volumes: Vec<Resource>,
    },
    #[n(4)]
    GrowVolume {
        #[n(0)]
        volume: Resource,
        #[n(1)]
        addition: Resource,
    },
    #[n(5)]
    ShrinkVolume {
        #[n(0)]
        volume: Resource,
        #[n(1)]
        subtract: Scalar,
    },
    /// Only a resource provider can do this one and the next.
    #[n(6)]
    CreateDisk {
        #[n(0)]
        source: Resource,
        #[n(1)]
        target: DiskKind,
        #[n(2)]
        profile: Option<String>,
    },
    #[n(7)]
    DestroyDisk {
        #[n(0)]
        source: Resource,
    },
}

/// What an operation is at, as in Mesos v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum OperationState {
    #[n(0)]
    Unsupported,
    #[n(1)]
    Pending,
    #[n(2)]
    Finished,
    /// It was tried and went wrong.
    #[n(3)]
    Failed,
    /// Its description is at fault.
    #[n(4)]
    Error,
    /// It never reached its agent.
    #[n(5)]
    Dropped,
    /// Its agent does not answer.
    #[n(6)]
    Unreachable,
    #[n(7)]
    GoneByOperator,
    /// Its agent has yet to return.
    #[n(8)]
    Recovering,
    #[n(9)]
    Unknown,
}

impl OperationState {
    /// No later state follows.
    pub fn is_terminal(self) -> bool {
        match self {
            OperationState::Finished
            | OperationState::Failed
            | OperationState::Error
            | OperationState::Dropped
            | OperationState::GoneByOperator => true,
            OperationState::Unsupported
            | OperationState::Pending
            | OperationState::Unreachable
            | OperationState::Recovering
            | OperationState::Unknown => false,
        }
    }
}

/// What has become of an operation, told to its framework until acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OperationStatus {
    /// As the framework named it. It does not hear of those that it gave no name.
    #[n(0)]
    pub operation: Option<OperationId>,
    #[n(1)]
    pub state: OperationState,
    #[n(2)]
    pub message: Option<String>,
    /// What came of it, once it has finished.
    #[n(3)]
    pub converted: Resources,
    /// Names this very status. Unset for what the kernel itself says, which wants no acknowledgement.
    #[n(4)]
    pub uuid: Option<Uuid>,
    #[n(5)]
    pub agent: Option<AgentId>,
    /// Whose resources it is about. As an agent keeps it, it is set only if the provider itself has said this.
    #[n(6)]
    pub provider: Option<ProviderId>,
}

/// An operation that an agent was told of, until its last status is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Operated {
    /// The kernel's own name for it.
    #[n(0)]
    pub uuid: Uuid,
    /// Unset for what an operator asked for.
    #[n(1)]
    pub framework: Option<FrameworkId>,
    #[n(2)]
    pub conversion: Conversion,
    #[n(3)]
    pub latest: OperationStatus,
}

impl OperationStatus {
    pub fn new(operation: Option<OperationId>, state: OperationState, message: &str) -> Self {
        Self {
            operation,
            state,
            message: (!message.is_empty()).then(|| message.to_owned()),
            converted: Resources::default(),
            uuid: None,
            agent: None,
            provider: None,
        }
    }
}

impl Conversion {
    /// The volumes that it makes.
    pub fn created(&self) -> &[Resource] {
        match self {
            Conversion::Create { volumes } => volumes,
            Conversion::Reserve { .. }
            | Conversion::Unreserve { .. }
            | Conversion::Destroy { .. }
            | Conversion::GrowVolume { .. }
            | Conversion::ShrinkVolume { .. }
            | Conversion::CreateDisk { .. }
            | Conversion::DestroyDisk { .. } => &[],
        }
    }

    /// The volumes whose contents go.
    pub fn destroyed(&self) -> &[Resource] {
        match self {
            Conversion::Destroy { volumes } => volumes,
            Conversion::Reserve { .. }
            | Conversion::Unreserve { .. }
            | Conversion::Create { .. }
            | Conversion::GrowVolume { .. }
            | Conversion::ShrinkVolume { .. }
            | Conversion::CreateDisk { .. }
            | Conversion::DestroyDisk { .. } => &[],
        }
    }

    /// One of the resources that it is about, which are all of one provider or of none.
    fn subject(&self) -> Option<&Resource> {
        match self {
            Conversion::Reserve { resources, .. } | Conversion::Unreserve { resources } => {
                resources.first()
            }
            Conversion::Create { volumes } | Conversion::Destroy { volumes } => volumes.first(),
            Conversion::GrowVolume { volume, .. } | Conversion::ShrinkVolume { volume, .. } => {
                Some(volume)
            }
            Conversion::CreateDisk { source, .. } | Conversion::DestroyDisk { source } => {
                Some(source)
            }
        }
    }

    /// Whose resources it is about; the agent's own if unset.
    pub fn provider(&self) -> Option<&ProviderId> {
        self.subject()?.provider()
    }

    /// Whether what comes of it is known before it is done, so that others may already count on it. Of disks only their
    /// provider knows.
    pub fn is_foreseeable(&self) -> bool {
        match self {
            Conversion::CreateDisk { .. } | Conversion::DestroyDisk { .. } => false,
            Conversion::Reserve { .. }
            | Conversion::Unreserve { .. }
            | Conversion::Create { .. }
            | Conversion::Destroy { .. }
            | Conversion::GrowVolume { .. }
            | Conversion::ShrinkVolume { .. } => true,
        }
    }

    /// What others may use of `all` from when it is asked for, if what it uses up is there.
    pub fn applied(&self, all: &Resources) -> Option<Resources> {
        match self.is_foreseeable() {
            true => all.converted(&self.consumed(), &self.converted()),
            false => all.converted(&self.consumed(), &Resources::default()),
        }
    }

    /// What is used up. The conversion has been judged: amounts are of the types that their names have.
    pub fn consumed(&self) -> Resources {
        match self {
            Conversion::Reserve { source, resources } => match source.is_empty() {
                true => Resources::new(resources.iter().map(Resource::unreserved_once)),
                false => Resources::new(source.iter().cloned()),
            },
            Conversion::Unreserve { resources } => Resources::new(resources.iter().cloned()),
            Conversion::Create { volumes } => {
                Resources::new(volumes.iter().map(Resource::without_volume))
            }
            Conversion::Destroy { volumes } => Resources::new(volumes.iter().cloned()),
            Conversion::GrowVolume { volume, addition } => {
                Resources::new([volume.clone(), addition.clone()])
            }
            Conversion::ShrinkVolume { volume, .. } => Resources::new([volume.clone()]),
            Conversion::CreateDisk { source, .. } | Conversion::DestroyDisk { source } => {
                Resources::new([source.clone()])
            }
        }
    }

    /// What comes of it, if that can be foreseen.
    pub fn converted(&self) -> Resources {
        match self {
            Conversion::Reserve { resources, .. } => Resources::new(resources.iter().cloned()),
            Conversion::Unreserve { resources } => {
                Resources::new(resources.iter().map(Resource::unreserved_once))
            }
            Conversion::Create { volumes } => Resources::new(volumes.iter().cloned()),
            Conversion::Destroy { volumes } => {
                Resources::new(volumes.iter().map(Resource::without_volume))
            }
            Conversion::GrowVolume { volume, addition } => {
                let size = Scalar(volume.scalar().0 + addition.scalar().0);
                Resources::new([volume.sized(size)])
            }
            Conversion::ShrinkVolume { volume, subtract } => {
                let rest = Scalar(volume.scalar().0.saturating_sub(subtract.0));
                Resources::new([volume.sized(rest), volume.without_volume().sized(*subtract)])
            }
            Conversion::CreateDisk { .. } | Conversion::DestroyDisk { .. } => Resources::default(),
        }
    }
}
