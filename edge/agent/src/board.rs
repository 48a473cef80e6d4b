//! What readers see: the brain as of its last checkpoint, and the tasks that it has forgotten since the start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use model::framework::FrameworkInfo;
use model::id::ContainerId;
use node::{Held, View};
use tokio::sync::watch;

/// Ended tasks that are still shown.
const COMPLETED_MAX: usize = 1_000;

/// A task that was held.
#[derive(Debug, Clone)]
pub(crate) struct Completed {
    pub(crate) container: ContainerId,
    pub(crate) held: Arc<Held>,
    /// Whose it was, if that was known: the brain forgets it with the last task.
    pub(crate) framework: Option<Arc<FrameworkInfo>>,
}

type Shelf = Arc<Mutex<VecDeque<Completed>>>;

#[derive(Debug)]
pub(crate) struct Publisher {
    view: watch::Sender<View>,
    completed: Shelf,
}

/// A clone shows the same.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    view: watch::Receiver<View>,
    completed: Shelf,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self { view: watch::Sender::default(), completed: Shelf::default() }
    }

    pub(crate) fn board(&self) -> Board {
        Board { view: self.view.subscribe(), completed: self.completed.clone() }
    }

    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Gives back what was shown before.
    pub(crate) fn publish(&self, view: View) -> View {
        self.view.send_replace(view)
    }

    pub(crate) fn complete(&self, task: Completed) {
        let mut completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        completed.push_back(task);
        if COMPLETED_MAX < completed.len() {
            completed.pop_front();
        }
    }
}

impl Board {
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Wakes whoever waits for another view.
    pub(crate) fn changes(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Oldest first.
    pub(crate) fn completed(&self) -> Vec<Completed> {
        let completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        completed.iter().cloned().collect()
    }
}
