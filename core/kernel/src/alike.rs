//! What tasks have in common is kept once: those of one app come one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use model::told::TaskMore;

/// Others that have come since the last of a kind, before its like is kept again.
const ALIKE_MAX: usize = 64;

/// The latest that were different.
#[derive(Debug, Default)]
pub(crate) struct Alike(VecDeque<Arc<TaskMore>>);

impl Alike {
    /// The one that is known already, if one like it is.
    pub(crate) fn one(&mut self, more: Option<Arc<TaskMore>>) -> Option<Arc<TaskMore>> {
        let more = more?;
        if let Some(known) = self.0.iter().find(|known| **known == more) {
            return Some(known.clone());
        }
        if self.0.len() == ALIKE_MAX {
            self.0.pop_front();
        }
        self.0.push_back(more.clone());
        Some(more)
    }
}
