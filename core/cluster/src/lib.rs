//! The control plane's machines as one machine, and the letters between them.

mod machine;
mod record;

use std::sync::Arc;

use model::agent::{FromAgent, ToAgent};
use model::framework::FrameworkInfo;
use model::id::{Connection, FrameworkId, Term};
use model::scheduler::{Call, Event};
use model::wishes::Wishes;
use services::{Notice, Order};

pub use machine::{Cluster, LETTERS_MAX, RECORDS_MAX};

pub type Out = model::machine::Out<Record, Effect>;

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// First after recovery: this process leads. `cluster` prefixes all ids.
    Lead {
        term: Term,
        cluster: String,
        seed: u64,
    },
    Services {
        order: Order,
        seed: u64,
    },
    Subscribe {
        info: FrameworkInfo,
        /// Which offers it wants.
        wishes: Wishes,
        seed: u64,
    },
    FrameworkLost {
        framework: FrameworkId,
    },
    Framework {
        from: FrameworkId,
        call: Call,
        seed: u64,
    },
    Agent {
        connection: Connection,
        message: FromAgent,
        seed: u64,
    },
    AgentLost {
        connection: Connection,
        seed: u64,
    },
    Operator {
        order: kernel::operator::Order,
        seed: u64,
    },
    Tick {
        seed: u64,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Kernel(kernel::Record),
    Services(services::Record),
}

#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most effects are the large one: a task to run")]
pub enum Effect {
    /// To a framework outside this process.
    Event(FrameworkId, Event),
    ToAgent(Connection, ToAgent),
    Disconnect(Connection),
    Notice(Arc<Notice>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    /// Under this id.
    Subscribed(FrameworkId),
    Services(services::Reply),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Kernel(#[from] kernel::Refusal),
    #[error("framework id {0} belongs to the cluster itself")]
    OwnFramework(FrameworkId),
    #[error(transparent)]
    Services(#[from] services::Refusal),
}

/// What readers see: taken at one commit boundary, its clone costs nothing.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub kernel: kernel::view::View,
    pub services: services::view::View,
}
