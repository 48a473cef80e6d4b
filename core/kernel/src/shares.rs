//! Whose turn it is: dominant-resource fairness over the tree of roles, then over the frameworks in a role.
//!
//! A holder's share is the largest fraction it holds of any of the cluster's cpus, memory and disk; the holder with the
//! smallest share, divided by its role's weight, comes first; among equals the one that has waited longest. Only who
//! wants something stands in line, so the next one is found without looking at the others. GPUs do not count: DC/OS
//! treats them as scarce, and a framework that holds the cluster's only GPU would otherwise get nothing else.

mod audit;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Scalar};

use crate::amounts::{Amounts, Change, Counted, Headroom};
use crate::demand::{Client, Number};
use crate::quota::{Quantities, over};

pub(crate) use audit::Recount;
use tree::{At, Place, ROOT, Tree};

/// A fraction of the cluster, with room below for exact comparison and above for weights under 1.
type Share = u64;

const SHARE_ONE_BITS: u32 = 40;

const WEIGHT_ONE: u64 = Scalar::whole(1).0;

fn share(held: &Amounts, totals: &Amounts, weight: u64) -> Share {
    let fraction = |(held, total): (u64, u64)| match total {
        0 => 0,
        total => (u128::from(held) << SHARE_ONE_BITS) / u128::from(total),
    };
    let dominant = held.shared.into_iter().zip(totals.shared).map(fraction).max().unwrap_or(0);
    let weighted = dominant * u128::from(WEIGHT_ONE) / u128::from(weight.max(1));
    Share::try_from(weighted).unwrap_or(Share::MAX)
}

/// The shares of roles and frameworks, and who stands in line.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    totals: Amounts,
    tree: Tree,
    /// By number.
    members: Vec<Member>,
    numbers: BTreeMap<Client, Number>,
    unused: Vec<Number>,
    /// The totals or weights have changed, so every share is out of date.
    stale: bool,
    /// Counts up with each change of what somebody holds: who waits longest has the lowest.
    turns: u64,
    /// Roles with a limit within which something was given back, or whose limit has changed.
    eased: BTreeSet<At>,
    /// Roles that use more than their limit, offers included.
    exceeded: BTreeSet<At>,
}

/// One role of one framework that wants or holds something.
#[derive(Debug)]
struct Member {
    client: Client,
    at: At,
    held: Amounts,
    share: Share,
    turn: u64,
    waits: bool,
    /// Until it is forgotten.
    enrolled: bool,
}

impl Member {
    fn place(&self, number: Number) -> (Share, u64, Number) {
        (self.share, self.turn, number)
    }
}

/// Whose turn it is, and in which role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) client: Number,
    at: At,
}

impl Shares {
    pub(crate) fn change_totals(&mut self, change: &Change) {
        change.apply(&mut self.totals);
        self.stale = true;
    }

    /// Of scalars that are not reserved.
    pub(crate) fn capacity(&self) -> &Counted {
        &self.totals.counted
    }

    pub(crate) fn set_weight(&mut self, role: &Role, weight: Option<Scalar>) {
        self.tree.set_weight(role, weight.map(|weight| weight.0));
        self.stale = true;
    }

    pub(crate) fn set_limits(&mut self, role: &Role, limits: Option<Quantities>) {
        let at = self.tree.enter(role);
        self.tree[at].limits = limits;
        self.eased.insert(at);
        self.tree.prune(at);
    }

    /// The role holds more or less than before.
    pub(crate) fn change_role(&mut self, role: &Role, change: &Change) {
        let at = self.tree.enter(role);
        self.change_at(at, change);
        self.tree.prune(at);
    }

    /// The client is offered more or less than before.
    pub(crate) fn change_offered(&mut self, number: Number, change: &Change) {
        let first = self.members[number].at;
        let mut at = first;
        while at != ROOT {
            let node = &mut self.tree[at];
            node.offered.add(&change.plus.counted);
            node.offered.subtract(&change.minus.counted);
            at = node.parent;
        }
        self.change_at(first, change);
        self.change_number(number, change);
        self.drop_unneeded(number);
    }

    fn change_at(&mut self, first: At, change: &Change) {
        self.turns += 1;
        let (totals, turn) = (&self.totals, self.turns);
        let node = &mut self.tree[first];
        change.apply(&mut node.own);
        let waits = node.line.remove(&(node.own_share, node.own_turn, Place::Own));
        (node.own_share, node.own_turn) = (share(&node.own, totals, WEIGHT_ONE), turn);
        if waits {
            node.line.insert((node.own_share, turn, Place::Own));
        }
        let mut at = first;
        while at != ROOT {
            let node = &mut self.tree[at];
            change.apply(&mut node.held);
            let before = node.place(at);
            (node.share, node.turn) = (share(&node.held, totals, node.weight), turn);
            let after = node.place(at);
            if let Some(limits) = &node.limits {
                if !change.minus.is_zero() {
                    self.eased.insert(at);
                }
                if !over(limits, &node.held.counted).is_empty() {
                    self.exceeded.insert(at);
                }
            }
            at = node.parent;
            let line = &mut self.tree[at].line;
            if line.remove(&before) {
                line.insert(after);
            }
        }
    }

    /// The client holds more or less than before.
    pub(crate) fn change_member(&mut self, client: &Client, change: &Change) {
        let number = self.number(client);
        self.change_number(number, change);
        self.drop_unneeded(number);
    }

    fn change_number(&mut self, number: Number, change: &Change) {
        self.turns += 1;
        let member = &mut self.members[number];
        let before = member.place(number);
        change.apply(&mut member.held);
        (member.share, member.turn) = (share(&member.held, &self.totals, WEIGHT_ONE), self.turns);
        if member.waits {
            let line = &mut self.tree[member.at].member_line;
            line.remove(&before);
            line.insert(member.place(number));
        }
    }

    /// The client's number, from now on.
    fn number(&mut self, client: &Client) -> Number {
        if let Some(number) = self.numbers.get(client) {
            return *number;
        }
        let at = self.tree.enter(&client.role);
        let member = Member {
            client: client.clone(),
            at,
            held: Amounts::default(),
            share: 0,
            turn: 0,
            waits: false,
            enrolled: false,
        };
        let number = self.unused.pop().unwrap_or(self.members.len());
        match self.members.get_mut(number) {
            Some(unused) => *unused = member,
            None => self.members.push(member),
        }
        self.tree[at].members.insert(number);
        self.numbers.insert(client.clone(), number);
        number
    }

    /// All of the framework's, by role.
    pub(crate) fn of(&self, framework: &FrameworkId) -> impl Iterator<Item = (&Role, Number)> {
        // No role comes before the empty one.
        let first = Client { framework: framework.clone(), role: Role::new("") };
        let all = self.numbers.range(first..);
        let all = all.take_while(|(client, _)| client.framework == *framework);
        all.map(|(client, number)| (&client.role, *number))
    }

    pub(crate) fn find(&self, client: &Client) -> Option<Number> {
        self.numbers.get(client).copied()
    }

    /// The client may want something from now on.
    pub(crate) fn enroll(&mut self, client: &Client) -> Number {
        let number = self.number(client);
        self.members[number].enrolled = true;
        number
    }

    /// The client is no more.
    pub(crate) fn forget(&mut self, number: Number) {
        self.leave(number);
        self.members[number].enrolled = false;
        self.drop_unneeded(number);
    }

    fn drop_unneeded(&mut self, number: Number) {
        let member = &self.members[number];
        if member.enrolled || !member.held.is_zero() {
            return;
        }
        self.numbers.remove(&member.client);
        self.unused.push(number);
        self.tree[member.at].members.remove(&number);
        self.tree.prune(member.at);
    }

    /// The client stands in line.
    pub(crate) fn join(&mut self, number: Number) {
        let member = &mut self.members[number];
        if std::mem::replace(&mut member.waits, true) {
            return;
        }
        let mut at = member.at;
        let node = &mut self.tree[at];
        node.member_line.insert(member.place(number));
        node.line.insert((node.own_share, node.own_turn, Place::Own));
        while at != ROOT {
            let node = &self.tree[at];
            let (parent, place) = (node.parent, node.place(at));
            self.tree[parent].line.insert(place);
            at = parent;
        }
    }

    /// The client wants nothing now.
    pub(crate) fn leave(&mut self, number: Number) {
        let member = &mut self.members[number];
        if !std::mem::replace(&mut member.waits, false) {
            return;
        }
        let mut at = member.at;
        let node = &mut self.tree[at];
        node.member_line.remove(&member.place(number));
        if !node.member_line.is_empty() {
            return;
        }
        node.line.remove(&(node.own_share, node.own_turn, Place::Own));
        while at != ROOT && self.tree[at].line.is_empty() {
            let node = &self.tree[at];
            let (parent, place) = (node.parent, node.place(at));
            self.tree[parent].line.remove(&place);
            at = parent;
        }
    }

    pub(crate) fn anyone_waits(&self) -> bool {
        !self.tree[ROOT].line.is_empty() || !self.eased.is_empty()
    }

    /// Whose turn it is.
    pub(crate) fn first(&mut self) -> Option<Turn> {
        if self.stale {
            self.refresh();
        }
        let mut at = ROOT;
        loop {
            let node = &self.tree[at];
            match node.line.first()?.2 {
                Place::Below(below) => at = below,
                Place::Own => {
                    let (_, _, client) = *node.member_line.first()?;
                    return Some(Turn { client, at });
                }
            }
        }
    }

    /// Computes every share anew and lines everybody up again.
    fn refresh(&mut self) {
        self.stale = false;
        let totals = &self.totals;
        for node in self.tree.nodes_mut() {
            node.share = share(&node.held, totals, node.weight);
            node.own_share = share(&node.own, totals, WEIGHT_ONE);
            node.line.clear();
            node.member_line.clear();
        }
        let mut waiting = Vec::new();
        for (number, member) in self.members.iter_mut().enumerate() {
            member.share = share(&member.held, totals, WEIGHT_ONE);
            if std::mem::take(&mut member.waits) {
                waiting.push(number);
            }
        }
        waiting.into_iter().for_each(|number| self.join(number));
    }

    /// What may still be used in the role whose turn it is; `None` if nothing limits it.
    pub(crate) fn headroom(&self, turn: Turn) -> Option<Headroom> {
        let mut headroom: Option<Headroom> = None;
        for at in self.tree.up(turn.at) {
            let node = &self.tree[at];
            if let Some(limits) = &node.limits {
                let room = headroom.get_or_insert_with(Headroom::unlimited);
                room.narrow(limits, &node.held.counted);
            }
        }
        headroom
    }

    /// What the role and those below use more of than they may, offers included.
    pub(crate) fn over_limit(&self, role: &Role) -> Vec<ResourceName> {
        let Some(node) = self.tree.find(role).map(|at| &self.tree[at]) else { return vec![] };
        let limits = node.limits.as_ref();
        limits.map(|limits| over(limits, &node.held.counted)).unwrap_or_default()
    }

    /// What the role and those below use, without what they are only offered.
    pub(crate) fn consumption(&self, role: &Role) -> Counted {
        let Some(node) = self.tree.find(role).map(|at| &self.tree[at]) else {
            return Counted::default();
        };
        let mut used = node.held.counted.clone();
        used.subtract(&node.offered);
        used
    }

    /// Roles that may use more than their limit now.
    pub(crate) fn take_exceeded(&mut self) -> Vec<Role> {
        let all = std::mem::take(&mut self.exceeded);
        all.into_iter().map(|at| self.tree[at].role.clone()).collect()
    }

    /// Who may have been kept back by a limit that leaves more room now.
    pub(crate) fn take_eased(&mut self) -> Vec<Number> {
        let mut clients = Vec::new();
        for at in std::mem::take(&mut self.eased) {
            self.tree.clients(at, &mut clients);
        }
        clients
    }
}
