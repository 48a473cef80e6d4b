//! Executors that are programs of their frameworks: custom executors, as Mesos calls them.
//!
//! An agent starts the program, tells it of its tasks and hears from it what becomes of them. Much of what framework and
//! executor tell each other concerns nobody between them, and is handed on as it was given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::container::{CommandInfo, ContainerInfo};
use crate::id::{FrameworkId, Role};
use crate::task::ExecutorInfo;

/// How an executor is started that is its framework's own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Program {
    #[n(0)]
    pub command: CommandInfo,
    #[n(1)]
    pub container: Option<ContainerInfo>,
    /// From the word that it is to end to SIGKILL; as the agent has it if unset.
    #[n(2)]
    pub shutdown_grace: Option<Duration>,
    /// The whole of it, for the executor itself.
    #[n(3)]
    pub given: Given,
}

/// What a framework or its executor wrote, as protobuf of Mesos v1, for the other of them to read.
#[derive(Clone, PartialEq, Eq)]
pub struct Given(pub Arc<[u8]>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<C> Encode<C> for Given {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Given {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.bytes()?.into()))
    }
}

/// Whether tasks reach their executor one by one, or as a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Together {
    #[n(0)]
    No,
    #[default]
    #[n(1)]
    Yes,
}

/// An executor that is a program and that an agent holds: started, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HeldExecutor {
    #[n(0)]
    pub framework: FrameworkId,
    #[n(1)]
    pub info: ExecutorInfo,
    /// What its resources are charged to.
    #[n(2)]
    pub role: Role,
}
