//! The cluster kernel: agents, frameworks, roles, offers and tasks. What the Mesos master decides.
//!
//! Reading order: [`state`] (what is durable), [`view`] (what can be asked), this file (who may say what).

pub mod state;
pub mod view;

use std::time::Duration;

use model::agent::{FromAgent, ToAgent};
use model::framework::FrameworkInfo;
use model::id::{Connection, FrameworkId, TaskId, Term};
use model::scheduler::{Call, Event};

pub use state::Record;

pub type Out = model::machine::Out<Record, Effect>;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// From one ping of an agent to the next: 15 s.
    pub ping_interval: Duration,
    /// An agent that misses so many pings in a row is unreachable: 20, as DC/OS ships it.
    pub pings_missed_max: u32,
    /// After a change of leader, an admitted agent that has not registered again by then is unreachable: 10 min.
    pub reregister_timeout: Duration,
    /// An offer that nobody has answered by then is rescinded: 2 min, as DC/OS ships it.
    pub offer_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// First after recovery. `cluster` is the prefix of all ids; the term grows with each leader.
    Lead {
        term: Term,
        cluster: String,
    },
    /// A scheduler introduces itself; the kernel answers with `Event::Subscribed`.
    Subscribe {
        info: FrameworkInfo,
    },
    /// Its stream is gone. Its tasks live on for the failover time-out.
    FrameworkLost {
        framework: FrameworkId,
    },
    Framework {
        from: FrameworkId,
        call: Call,
    },
    /// `connection` is the stream; the first message on it is `Register`.
    Agent {
        connection: Connection,
        message: FromAgent,
    },
    AgentLost {
        connection: Connection,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Event(FrameworkId, Event),
    ToAgent(Connection, ToAgent),
    /// Close this stream: another took its place, or the agent was refused.
    Disconnect(Connection),
}

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("framework {0} is not subscribed")]
    UnknownFramework(FrameworkId),
    #[error("framework {0} has been torn down")]
    CompletedFramework(FrameworkId),
    #[error("task {0} is unknown")]
    UnknownTask(TaskId),
    #[error("stream {0:?} has not registered an agent")]
    UnknownConnection(Connection),
}
