//! Who stands in line, and in which order: drawn up anew for each allocation, of those who want something then.
//!
//! Within one allocation only the first in line gets anything, so only places on its own way to the root change. A heap
//! for each role is enough for that, and between allocations there is no order to keep.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::tree::{At, ROOT};
use super::{Share, Sorter, Turn};
use crate::demand::Number;

/// The smallest share comes first; among equals, the one whose share changed longest ago.
pub(super) type Place<T> = Reverse<(Share, u64, T)>;

/// Who stands in line in a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Branch {
    /// The frameworks of the role itself.
    Own,
    /// A role right below.
    Below(At),
}

#[derive(Debug, Default)]
struct Queue {
    /// Empty if only frameworks of the role itself stand in line.
    branches: BinaryHeap<Place<Branch>>,
    clients: BinaryHeap<Place<Number>>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.branches.is_empty() && self.clients.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Line {
    /// By the roles' numbers. They are kept for the memory that they have.
    queues: Vec<Queue>,
    /// Those of them that somebody stood in.
    used: Vec<At>,
}

impl Line {
    pub(super) fn clear(&mut self) {
        for at in self.used.drain(..) {
            self.queues[at].branches.clear();
            self.queues[at].clients.clear();
        }
    }

    /// Whether anybody stands in line in the role.
    pub(super) fn is_used(&self, at: At) -> bool {
        self.queues.get(at).is_some_and(|queue| !queue.is_empty())
    }

    fn queue(&mut self, at: At) -> &mut Queue {
        if self.queues.len() <= at {
            self.queues.resize_with(at + 1, Queue::default);
        }
        if self.queues[at].is_empty() {
            self.used.push(at);
        }
        &mut self.queues[at]
    }

    pub(super) fn add_client(&mut self, at: At, place: Place<Number>) {
        self.queue(at).clients.push(place);
    }

    pub(super) fn add_branch(&mut self, at: At, place: Place<Branch>) {
        self.queue(at).branches.push(place);
    }

    /// Roles with clients of their own beside roles below.
    pub(super) fn mixed(&self) -> Vec<At> {
        let is_mixed = |at: &At| {
            let queue = &self.queues[*at];
            !queue.branches.is_empty() && !queue.clients.is_empty()
        };
        self.used.iter().copied().filter(is_mixed).collect()
    }

    pub(super) fn first(&self) -> Option<Turn> {
        let mut at = ROOT;
        loop {
            let queue = self.queues.get(at)?;
            match queue.branches.peek() {
                Some(Reverse((_, _, Branch::Below(below)))) => at = *below,
                Some(Reverse((_, _, Branch::Own))) | None => {
                    let Reverse((_, _, client)) = *queue.clients.peek()?;
                    return Some(Turn { client, at });
                }
            }
        }
    }

    /// The first client of the role has another share now.
    pub(super) fn move_client(&mut self, at: At, place: Place<Number>, sorter: Sorter) {
        replace_first(&mut self.queues[at].clients, place, sorter);
    }

    /// So has the first branch; a role without roles below that want something has none.
    pub(super) fn move_branch(&mut self, at: At, place: Place<Branch>, sorter: Sorter) {
        replace_first(&mut self.queues[at].branches, place, sorter);
    }

    /// The first client of the role goes.
    pub(super) fn pop_client(&mut self, at: At) {
        let queue = &mut self.queues[at];
        queue.clients.pop();
        if queue.clients.is_empty() {
            queue.branches.pop();
        }
    }

    pub(super) fn pop_branch(&mut self, at: At) {
        self.queues[at].branches.pop();
    }
}

fn replace_first<T: Ord>(heap: &mut BinaryHeap<Place<T>>, place: Place<T>, sorter: Sorter) {
    if let Some(mut first) = heap.peek_mut() {
        let Reverse((share, turn, who)) = place;
        *first = Reverse((sorter.after(first.0.0, share), turn, who));
        // It finds its place when the borrow ends.
        drop::<PeekMut<'_, _>>(first);
    }
}
