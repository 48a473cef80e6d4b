//! The tree of roles: nodes by number, so that going up and down costs no names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

use model::id::Role;

use super::WEIGHT_ONE;
use super::past::Past;
use crate::amounts::{Amounts, Counted, Headroom};
use crate::demand::Number;

/// A node's number.
pub(super) type At = usize;

/// The role with the empty name, which encloses all.
pub(super) const ROOT: At = 0;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) role: Role,
    pub(super) parent: At,
    /// By the last part of their names.
    children: BTreeMap<Box<str>, At>,
    pub(super) weight: u64,
    /// If an operator has set some.
    pub(super) limits: Option<Headroom>,
    /// If an operator has promised some.
    pub(super) promised: Option<Counted>,
    /// What is laid aside for the role and those below it.
    pub(super) need: Counted,
    /// What is laid aside for the roles right below.
    pub(super) needed_below: Counted,
    /// By the role and all below it.
    pub(super) held: Amounts,
    /// By the role itself.
    pub(super) own: Amounts,
    /// What of `held` is only offered.
    pub(super) offered: Counted,
    /// What `held` and `own` were until then.
    pub(super) past: Past,
    pub(super) own_past: Past,
    /// When that changed last.
    pub(super) turn: u64,
    pub(super) own_turn: u64,
    /// The clients of the role itself.
    pub(super) members: BTreeSet<Number>,
}

impl Node {
    fn new(role: Role, parent: At, weight: u64) -> Self {
        Self {
            role,
            parent,
            children: BTreeMap::new(),
            weight,
            limits: None,
            promised: None,
            need: Counted::default(),
            needed_below: Counted::default(),
            held: Amounts::default(),
            own: Amounts::default(),
            offered: Counted::default(),
            past: Past::default(),
            own_past: Past::default(),
            turn: 0,
            own_turn: 0,
            members: BTreeSet::new(),
        }
    }

    fn is_needed(&self) -> bool {
        !self.children.is_empty()
            || !self.members.is_empty()
            || self.limits.is_some()
            || self.promised.is_some()
            || !self.held.is_zero()
    }
}

#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Numbers that are not used any more.
    unused: Vec<At>,
    /// Those that an operator has set.
    weights: BTreeMap<Role, u64>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node::new(Role::new(""), ROOT, WEIGHT_ONE);
        Self { nodes: vec![root], unused: Vec::new(), weights: BTreeMap::new() }
    }
}

impl Index<At> for Tree {
    type Output = Node;

    fn index(&self, at: At) -> &Node {
        &self.nodes[at]
    }
}

impl IndexMut<At> for Tree {
    fn index_mut(&mut self, at: At) -> &mut Node {
        &mut self.nodes[at]
    }
}

impl Tree {
    pub(super) fn find(&self, role: &Role) -> Option<At> {
        let mut parts = role.as_str().split('/');
        parts.try_fold(ROOT, |at, part| self.nodes[at].children.get(part).copied())
    }

    pub(super) fn set_weight(&mut self, role: &Role, weight: Option<u64>) {
        match weight {
            Some(weight) => self.weights.insert(role.clone(), weight),
            None => self.weights.remove(role),
        };
        if let Some(at) = self.find(role) {
            self.nodes[at].weight = weight.unwrap_or(WEIGHT_ONE);
        }
    }

    /// The role's number, one of its own from now on.
    pub(super) fn enter(&mut self, role: &Role) -> At {
        let mut at = ROOT;
        let mut end = 0;
        for part in role.as_str().split('/') {
            end += part.len();
            at = match self.nodes[at].children.get(part) {
                Some(child) => *child,
                None => self.add(at, part, Role::new(&role.as_str()[..end])),
            };
            end += 1;
        }
        at
    }

    fn add(&mut self, parent: At, part: &str, role: Role) -> At {
        let weight = self.weights.get(&role).copied().unwrap_or(WEIGHT_ONE);
        let node = Node::new(role, parent, weight);
        let at = match self.unused.pop() {
            Some(at) => {
                self.nodes[at] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        self.nodes[parent].children.insert(part.into(), at);
        at
    }

    /// Forgets the node and those above it that nothing is known of any more.
    pub(super) fn prune(&mut self, first: At) {
        let mut at = first;
        while at != ROOT && !self.nodes[at].is_needed() {
            let (parent, role) = (self.nodes[at].parent, self.nodes[at].role.clone());
            let part = role.as_str().rsplit_once('/').map_or(role.as_str(), |(_, part)| part);
            self.nodes[parent].children.remove(part);
            self.unused.push(at);
            at = parent;
        }
    }

    /// The node and those that enclose it, without the root.
    pub(super) fn up(&self, first: At) -> impl Iterator<Item = At> {
        std::iter::successors(Some(first), |at| Some(self.nodes[*at].parent))
            .take_while(|at| *at != ROOT)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        let is_used = |(at, node): &(At, &Node)| self.find(&node.role) == Some(*at);
        self.nodes.iter().enumerate().skip(1).filter(is_used).map(|(_, node)| node)
    }

    /// Adds those of the node and all below it.
    pub(super) fn clients(&self, at: At, to: &mut Vec<Number>) {
        let node = &self.nodes[at];
        to.extend(&node.members);
        node.children.values().for_each(|child| self.clients(*child, to));
    }
}
