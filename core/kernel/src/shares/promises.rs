//! What roles are promised, and what is laid aside for them: others get what is left.
//!
//! A role needs what it is promised and does not hold yet, and at least what the roles below it need. All that the
//! outermost roles need is kept out of offers to others, wherever in the cluster it is free.

use std::collections::BTreeMap;

use model::id::Role;
use model::resources::ResourceName;

use super::Shares;
use super::tree::{At, Node, ROOT};
use crate::amounts::{Counted, Headroom};
use crate::demand::Number;
use crate::quota::Quantities;

impl Node {
    /// What it is promised and does not hold.
    fn lacks(&self) -> Counted {
        self.promised.as_ref().map(|all| all.without(&self.held.counted)).unwrap_or_default()
    }

    fn count_need(&self) -> Counted {
        self.lacks().at_least(&self.needed_below)
    }
}

impl Shares {
    pub(crate) fn set_promises(&mut self, role: &Role, promised: Option<&Quantities>) {
        let promised = promised.map(Counted::from);
        let at = self.tree.enter(role);
        self.promises += usize::from(promised.is_some());
        let before = std::mem::replace(&mut self.tree[at].promised, promised);
        self.promises -= usize::from(before.is_some());
        let up: Vec<At> = self.tree.up(at).collect();
        up.into_iter().for_each(|at| self.renew_need(at));
        self.tree.prune(at);
    }

    /// Whether anything is to be laid aside for anybody.
    pub(crate) fn has_promises(&self) -> bool {
        self.promises > 0
    }

    /// What is laid aside, all in all.
    pub(crate) fn laid_aside(&self) -> &Counted {
        &self.tree[ROOT].needed_below
    }

    /// Whether the role, or one above it, holds no more of it than it is promised.
    pub(crate) fn is_owed(&self, role: &Role, name: &ResourceName) -> bool {
        let is_owed = |node: &Node| {
            let promised = node.promised.as_ref().map(|all| all.get(name)).unwrap_or_default();
            !promised.is_zero() && node.held.counted.get(name) <= promised
        };
        role.up().any(|role| self.tree.find(&role).is_some_and(|at| is_owed(&self.tree[at])))
    }

    /// The role holds more or less than before, or it is promised something else, or those below it need more or less.
    pub(super) fn renew_need(&mut self, at: At) {
        let need = self.tree[at].count_need();
        let node = &mut self.tree[at];
        if node.need == need {
            return;
        }
        self.is_freer |= node.need.exceeds(&need);
        let before = std::mem::replace(&mut node.need, need.clone());
        let parent = node.parent;
        let below = &mut self.tree[parent].needed_below;
        below.subtract(&before);
        below.add(&need);
    }

    /// More is free than before.
    pub(crate) fn note_freer(&mut self) {
        self.is_freer = true;
    }

    /// A promise to others has kept something back from the client.
    pub(crate) fn keep_back(&mut self, client: Number) {
        self.kept_back.set(client);
    }

    /// What is left for the role, and those above it that it shares promises with.
    pub(super) fn narrow_to_promises(&self, at: At, spare: &Counted, room: &mut Headroom) {
        let mut down: Vec<At> = self.tree.up(at).collect();
        down.push(ROOT);
        down.reverse();
        let mut left = spare.clone();
        for (depth, at) in down.iter().enumerate() {
            let node = &self.tree[*at];
            let others = match down.get(depth + 1) {
                Some(next) => node.needed_below.without(&self.tree[*next].need),
                None => node.needed_below.clone(),
            };
            left = left.at_least(&node.lacks()).without(&others);
        }
        room.narrow_where(self.laid_aside(), &left);
    }

    /// Panics unless what is laid aside follows from what is promised and held.
    pub(super) fn audit_promises(&self) {
        for node in self.tree.nodes() {
            assert_eq!(node.need, node.count_need(), "what {} needs", node.role);
        }
        let mut below = BTreeMap::<At, Counted>::new();
        for node in self.tree.nodes() {
            below.entry(node.parent).or_default().add(&node.need);
        }
        for (at, sum) in below {
            assert_eq!(self.tree[at].needed_below, sum, "needed below {}", self.tree[at].role);
        }
        assert_eq!(
            self.promises,
            self.tree.nodes().filter(|node| node.promised.is_some()).count(),
            "roles with promises"
        );
    }
}
