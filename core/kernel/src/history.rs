//! What has happened lately, for those who follow the cluster: it is part of the view, so whoever has seen one view can go
//! on to the next without a gap and without hearing anything twice.

use std::sync::Arc;

use imbl::Vector;
use model::id::{AgentId, FrameworkId};
use model::task::{Task, TaskState};

use crate::counts::Counts;
use crate::view::{AgentView, FrameworkView};

/// Who has not looked for so long that more has happened has to begin anew.
pub const CHANGES_KEPT_MAX: usize = 16_384;

/// As it was right after.
#[derive(Debug, Clone)]
pub enum Told {
    TaskAdded(Arc<Task>),
    /// Something new was said of it: its status is set.
    TaskUpdated(Arc<Task>),
    AgentAdded(AgentId, Arc<AgentView>),
    /// It is unreachable, or gone.
    AgentRemoved(AgentId),
    FrameworkAdded(FrameworkId, Arc<FrameworkView>),
    FrameworkUpdated(FrameworkId, Arc<FrameworkView>),
    /// As it was before.
    FrameworkRemoved(FrameworkId, Arc<FrameworkView>),
}

/// Volatile: a new leader starts without it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The position of the oldest that is kept.
    first: u64,
    told: Vector<Told>,
    pub counts: Counts,
}

impl History {
    /// Of what happens next.
    pub fn position(&self) -> u64 {
        self.first + self.told.len() as u64
    }

    /// What has happened since this position; `None` if not all of that is known any more.
    pub fn since(&self, position: u64) -> Option<impl Iterator<Item = &Told>> {
        let nth = usize::try_from(position.checked_sub(self.first)?).ok()?;
        (nth <= self.told.len()).then(|| self.told.iter().skip(nth))
    }

    pub(crate) fn push(&mut self, told: Told) {
        if self.told.len() == CHANGES_KEPT_MAX {
            self.told.pop_front();
            self.first += 1;
        }
        self.told.push_back(told);
    }

    /// News of a task that was in another state, or the same, before.
    pub(crate) fn updated(&mut self, task: &Arc<Task>, before: TaskState) {
        if task.state.is_terminal() && !before.is_terminal() {
            self.counts.task_ended(task);
        }
        self.push(Told::TaskUpdated(Arc::clone(task)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_too_far_behind_is_told_so_and_all_others_hear_everything_once() {
        let mut history = History::default();
        let kept = CHANGES_KEPT_MAX as u64;
        for n in 0..=kept {
            history.push(Told::AgentRemoved(AgentId::new(format!("S{n}"))));
        }
        let count = |position| history.since(position).map(Iterator::count);
        assert_eq!(history.position(), kept + 1);
        assert_eq!(count(0), None);
        assert_eq!(count(1), Some(CHANGES_KEPT_MAX));
        assert_eq!(count(kept), Some(1));
        assert_eq!(count(kept + 1), Some(0));
        // Of another leader, say.
        assert_eq!(count(kept + 2), None);
    }
}
