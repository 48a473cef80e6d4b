//! How containers ended, for those who wait for them: of the latest ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use containers::Exited;
use model::id::ContainerId;
use tokio::sync::watch;

/// Ends that are remembered.
const EXITS_MAX: usize = 4_096;

/// A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Exits {
    shelf: Arc<Mutex<Shelf>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Shelf {
    by_container: BTreeMap<ContainerId, Exited>,
    oldest_first: VecDeque<ContainerId>,
}

impl Exits {
    pub(crate) fn new() -> Self {
        Self { shelf: Arc::default(), changed: watch::Sender::new(()) }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember(&self, container: &ContainerId, exited: Exited) {
        let mut shelf = self.shelf();
        if shelf.by_container.insert(container.clone(), exited).is_none() {
            shelf.oldest_first.push_back(container.clone());
        }
        if EXITS_MAX < shelf.oldest_first.len()
            && let Some(oldest) = shelf.oldest_first.pop_front()
        {
            shelf.by_container.remove(&oldest);
        }
        drop(shelf);
        self.changed.send_replace(());
    }

    /// Another may have its name now.
    pub(crate) fn forget(&self, container: &ContainerId) {
        let mut shelf = self.shelf();
        if shelf.by_container.remove(container).is_some() {
            shelf.oldest_first.retain(|one| one != container);
        }
    }

    pub(crate) fn get(&self, container: &ContainerId) -> Option<Exited> {
        self.shelf().by_container.get(container).cloned()
    }

    /// Waits for its end.
    pub(crate) async fn of(&self, container: &ContainerId) -> Exited {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(exited) = self.get(container) {
                return exited;
            }
            changed.changed().await.expect("this is one of the senders");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_ends_are_remembered() {
        let exits = Exits::new();
        let named = |number: usize| ContainerId::new(format!("c{number}"));
        let exited = |wait_status| Exited { wait_status, limitation: None };
        for number in 0..=EXITS_MAX {
            exits.remember(&named(number), exited(0));
        }
        exits.remember(&named(1), exited(9));
        let told = |number| exits.get(&named(number)).map(|exited| exited.wait_status);
        assert_eq!((told(0), told(1), told(EXITS_MAX)), (None, Some(9), Some(0)));
        exits.forget(&named(1));
        assert_eq!(told(1), None);
    }
}
