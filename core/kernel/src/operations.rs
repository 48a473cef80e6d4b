//! Operations: what is done with accepted resources other than running tasks.

use model::id::{AgentId, FrameworkId, OperationId};
use model::operation::{OperationState, OperationStatus};
use model::resources::Resources;
use model::scheduler::Event;

use crate::{Kernel, Out};

impl Kernel {
    /// To its framework, if it wants to hear of it.
    pub(crate) fn tell_operation(
        &self,
        framework: &FrameworkId,
        id: Option<OperationId>,
        verdict: (OperationState, String),
        out: &mut Out,
    ) {
        if id.is_none() {
            return;
        }
        let status = OperationStatus {
            operation: id,
            state: verdict.0,
            message: Some(verdict.1),
            converted: Resources::default(),
            uuid: None,
            agent: None,
        };
        self.tell(framework, Event::UpdateOperation(status), out);
    }

    pub(crate) fn reconcile_operations(
        &self,
        from: &FrameworkId,
        asked: Vec<(OperationId, Option<AgentId>)>,
        out: &mut Out,
    ) {
        for (id, _) in asked {
            let cause = "the operation is not known".to_owned();
            self.tell_operation(from, Some(id), (OperationState::Unknown, cause), out);
        }
    }
}
