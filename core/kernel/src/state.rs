//! What the kernel must not forget.

use model::agent::AgentInfo;
use model::framework::FrameworkInfo;
use model::id::{AgentId, FrameworkId, Role};
use model::resources::{Resources, Scalar};
use model::time::Time;

/// The new value of one entity; `None` says that it is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Agent(AgentId, Option<Agent>),
    Framework(FrameworkId, Option<Framework>),
    /// A role's weight; 1 if there is none.
    Weight(Role, Option<Scalar>),
    /// What the tasks of one role hold on one agent: what a new leader charges until the agent is back.
    InUse(AgentId, Role, Option<Resources>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    pub info: AgentInfo,
    pub standing: Standing,
    pub registered_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Admitted,
    Unreachable {
        since: Time,
    },
    /// Never to come back under this id.
    Gone {
        since: Time,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framework {
    pub info: FrameworkInfo,
    pub registered_at: Time,
}
