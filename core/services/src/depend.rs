//! Who comes before whom: the graph of what apps and groups depend on, without recursion, because chains may be as long
//! as there are apps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::group::GroupId;
use crate::spec::AppId;

/// A group is two nodes, so that a dependency of a thousand apps on a thousand others is not a million edges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    App(AppId),
    /// What the apps of a group wait for.
    Before(GroupId),
    /// All apps of a group.
    All(GroupId),
}

impl Node {
    /// Only apps make a chain longer.
    fn length(&self) -> usize {
        match self {
            Node::App(_) => 1,
            Node::Before(_) | Node::All(_) => 0,
        }
    }
}

/// Nodes that depend on each other, each on the next and the last on the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cycle(pub(crate) Vec<Node>);

impl Cycle {
    /// `/web → /db → /web`
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        let name = |node: &Node| match node {
            Node::App(app) => Some(app.to_string()),
            Node::All(group) => Some(group.to_string()),
            Node::Before(_) => None,
        };
        let names: Vec<String> = self.0.iter().filter_map(name).collect();
        for name in names.iter().chain(names.first()) {
            let arrow = if path.is_empty() { "" } else { " → " };
            write!(path, "{arrow}{name}").expect("writing to memory does not fail");
        }
        path
    }
}

/// A node whose dependencies are being looked at.
struct Visit {
    node: Node,
    left: Vec<Node>,
    level: usize,
}

/// For each node the length of the longest chain of apps below it.
#[derive(Debug, Default)]
pub(crate) struct Levels(BTreeMap<Node, usize>);

impl Levels {
    pub(crate) fn visit(
        &mut self,
        start: Node,
        below: impl Fn(&Node) -> Vec<Node>,
    ) -> Result<usize, Cycle> {
        let visit = |node: Node| Visit { left: below(&node), node, level: 0 };
        let mut path = vec![visit(start.clone())];
        let mut on_path = BTreeSet::from([start.clone()]);
        while let Some(top) = path.last_mut() {
            let Some(next) = top.left.pop() else {
                let done = path.pop().expect("just looked");
                on_path.remove(&done.node);
                if let Some(above) = path.last_mut() {
                    above.level = above.level.max(done.level + done.node.length());
                }
                self.0.insert(done.node, done.level);
                continue;
            };
            if let Some(known) = self.0.get(&next) {
                top.level = top.level.max(known + next.length());
            } else if on_path.insert(next.clone()) {
                path.push(visit(next));
            } else {
                let around = path.into_iter().map(|one| one.node);
                return Err(Cycle(around.skip_while(|one| *one != next).collect()));
            }
        }
        Ok(self.0[&start])
    }
}
