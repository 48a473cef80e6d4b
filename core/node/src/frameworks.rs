//! Who the frameworks are whose tasks and executors are held: what a master last said of each.

use std::sync::Arc;

use model::framework::FrameworkInfo;
use model::id::{ExecutorId, FrameworkId, TaskId};

use crate::state::{Record, State};
use crate::tasks::Order;
use crate::{Node, Turn};

impl State {
    pub(crate) fn framework(&self, id: &FrameworkId) -> Option<&Arc<FrameworkInfo>> {
        self.frameworks.get(id)
    }

    fn holds_of(&self, id: &FrameworkId) -> bool {
        let task = self.by_task.range((id.clone(), TaskId::new(""))..).next();
        let program = self.programs.range((id.clone(), ExecutorId::new(""))..).next();
        task.is_some_and(|((of, _), _)| of == id) || program.is_some_and(|((of, _), _)| of == id)
    }
}

impl Node {
    /// Writes down what is new of the framework that wants something run.
    pub(crate) fn meet(&mut self, order: &Order, turn: &mut Turn<'_>) {
        let Some(info) = &order.of else { return };
        if self.state.framework(&order.framework) != Some(info) {
            self.commit(Record::Framework(order.framework.clone(), Some(info.clone())), turn);
        }
    }

    /// With the last of its tasks and executors a framework is forgotten.
    pub(crate) fn part_from(&mut self, framework: &FrameworkId, turn: &mut Turn<'_>) {
        if self.state.framework(framework).is_some() && !self.state.holds_of(framework) {
            self.commit(Record::Framework(framework.clone(), None), turn);
        }
    }
}
