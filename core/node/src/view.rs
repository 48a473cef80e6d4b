//! What can be asked of an agent's brain: a snapshot whose clone costs nothing.

use std::sync::Arc;

use imbl::OrdMap;
use model::agent::HeldTask;
use model::id::ContainerId;
use model::task::{Task, TaskState};

use crate::state::{Held, Own};

/// All of it is durable once the batch that it was taken after is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Unset before the first start.
    pub own: Option<Arc<Own>>,
    /// Tasks that run or whose end nobody has acknowledged.
    pub held: OrdMap<ContainerId, Arc<Held>>,
}

impl Held {
    /// Staging until anything was reported.
    pub fn state(&self) -> TaskState {
        self.latest.as_ref().map_or(TaskState::Staging, |status| status.state)
    }

    /// Whether its process is over, though its end may not be acknowledged.
    pub fn is_ended(&self) -> bool {
        self.state().is_terminal()
    }

    /// What a master is told when the agent registers.
    pub fn told(&self) -> HeldTask {
        let staged = Task::staged(self.framework.clone(), &self.info, None);
        HeldTask { task: Task { state: self.state(), status: self.latest.clone(), ..staged } }
    }
}
