//! Whose turn it is: dominant-resource fairness over the tree of roles, then over the frameworks in a role.
//!
//! A holder's share is the largest fraction it holds of any of the cluster's cpus, memory and disk; the holder with the
//! smallest share, divided by its role's weight, comes first; among equals the one that has waited longest. Only who
//! wants something stands in line, so the next one is found without looking at the others. GPUs do not count while they
//! are scarce: a framework that holds the cluster's only GPU would otherwise get nothing else. An operator may have lots
//! drawn instead, or let what was held until now count as well.

mod audit;
mod line;
mod past;
mod promises;
mod sorter;
mod tree;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Scalar};
use model::time::Time;

use crate::amounts::{Amounts, Change, Counted, Headroom};
use crate::bits::Bits;
use crate::demand::{Client, Number};
use crate::quota::Quantities;

pub(crate) use audit::Recount;
use line::{Branch, Line, Place};
use past::Past;
use sorter::Lots;
pub use sorter::{Fairness, Sorter};
use tree::{At, ROOT, Tree};

/// A fraction of the cluster, as the bits of a number that is not negative: they compare as the numbers do.
type Share = u64;

const WEIGHT_ONE: u64 = Scalar::whole(1).0;

/// The shares of roles and frameworks, and who stands in line.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    fairness: Fairness,
    /// Of the step under way.
    now: Time,
    /// Of how many kinds of resources shares are made.
    counted: usize,
    lots: Lots,
    totals: Amounts,
    tree: Tree,
    /// By number.
    members: Vec<Member>,
    numbers: BTreeMap<Client, Number>,
    unused: Vec<Number>,
    /// Those who may want some of what is free.
    waiting: Bits,
    line: Line,
    /// Counts up with each change of what somebody holds: who waits longest has the lowest.
    turns: u64,
    /// Roles with a limit within which something was given back, or whose limit has changed.
    eased: BTreeSet<At>,
    /// Roles that use more than their limit, offers included.
    exceeded: BTreeSet<At>,
    /// How many roles are promised something.
    promises: usize,
    /// Clients that got less than there is because of promises to others.
    kept_back: Bits,
    /// They may get more now.
    is_freer: bool,
}

/// One role of one framework that wants or holds something.
#[derive(Debug)]
struct Member {
    client: Client,
    at: At,
    held: Amounts,
    /// What it held until its turn.
    past: Past,
    turn: u64,
    /// Until it is forgotten.
    enrolled: bool,
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
    }

    /// Of scalars that are not reserved.
    pub(crate) fn capacity(&self) -> &Counted {
        &self.totals.counted
    }

    pub(crate) fn set_weight(&mut self, role: &Role, weight: Option<Scalar>) {
        self.tree.set_weight(role, weight.map(|weight| weight.0));
    }

    pub(crate) fn set_limits(&mut self, role: &Role, limits: Option<&Quantities>) {
        let at = self.tree.enter(role);
        self.tree[at].limits = limits.map(Headroom::from);
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
        self.remember(first);
        let node = &mut self.tree[first];
        change.apply(&mut node.own);
        node.own_turn = self.turns;
        let mut at = first;
        while at != ROOT {
            let node = &mut self.tree[at];
            change.apply(&mut node.held);
            node.turn = self.turns;
            let parent = node.parent;
            if let Some(limits) = &node.limits {
                if !change.minus.is_zero() {
                    self.eased.insert(at);
                }
                if !limits.covers(&node.held.counted) {
                    self.exceeded.insert(at);
                }
            }
            if self.promises > 0 {
                self.renew_need(at);
            }
            at = parent;
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
        if let Some(half_life) = self.fairness.over {
            member.past.remember(&member.held, self.now, half_life);
        }
        change.apply(&mut member.held);
        member.turn = self.turns;
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
            past: Past::default(),
            turn: 0,
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

    /// The client may want some of what is free.
    pub(crate) fn join(&mut self, number: Number) {
        self.waiting.set(number);
    }

    pub(crate) fn join_all(&mut self, clients: &Bits) {
        self.waiting.add(clients);
    }

    /// The client wants nothing now.
    pub(crate) fn leave(&mut self, number: Number) {
        self.waiting.unset(number);
    }

    pub(crate) fn leave_all(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn anyone_waits(&self) -> bool {
        let is_freer = self.is_freer && !self.kept_back.is_empty();
        !self.waiting.is_empty() || !self.eased.is_empty() || is_freer
    }

    /// Everybody who waits stands in line, in the order of their shares.
    pub(crate) fn line_up(&mut self) {
        self.line.clear();
        self.lots.lines += 1;
        for number in self.waiting.iter() {
            let mut at = self.members[number].at;
            let mut is_new = !self.line.is_used(at);
            self.line.add_client(at, self.place(number));
            while is_new && at != ROOT {
                let parent = self.tree[at].parent;
                is_new = !self.line.is_used(parent);
                self.line.add_branch(parent, self.place_below(at));
                at = parent;
            }
        }
        for at in self.line.mixed() {
            self.line.add_branch(at, self.place_own(at));
        }
    }

    fn place(&self, number: Number) -> Place<Number> {
        let member = &self.members[number];
        let share = match self.fairness.frameworks {
            Sorter::Drf => self.share_over(&member.held, &member.past, WEIGHT_ONE),
            Sorter::Random => self.lots.draw(3 * number as u64, member.turn, WEIGHT_ONE),
        };
        Reverse((share, member.turn, number))
    }

    fn place_own(&self, at: At) -> Place<Branch> {
        let node = &self.tree[at];
        let share = match self.fairness.roles {
            Sorter::Drf => self.share_over(&node.own, &node.own_past, WEIGHT_ONE),
            Sorter::Random => self.lots.draw(3 * at as u64 + 1, node.own_turn, WEIGHT_ONE),
        };
        Reverse((share, node.own_turn, Branch::Own))
    }

    fn place_below(&self, at: At) -> Place<Branch> {
        let node = &self.tree[at];
        let share = match self.fairness.roles {
            Sorter::Drf => self.share_over(&node.held, &node.past, node.weight),
            Sorter::Random => self.lots.draw(3 * at as u64 + 2, node.turn, node.weight),
        };
        Reverse((share, node.turn, Branch::Below(at)))
    }

    /// Whose turn it is.
    pub(crate) fn first(&self) -> Option<Turn> {
        self.line.first()
    }

    /// Whose turn it was has got something, and stands further back now.
    pub(crate) fn move_back(&mut self, turn: Turn) {
        let Fairness { roles, frameworks, over: _ } = self.fairness;
        self.line.move_client(turn.at, self.place(turn.client), frameworks);
        self.line.move_branch(turn.at, self.place_own(turn.at), roles);
        let mut at = turn.at;
        while at != ROOT {
            let parent = self.tree[at].parent;
            self.line.move_branch(parent, self.place_below(at), roles);
            at = parent;
        }
    }

    /// Whose turn it was wants nothing of what is free.
    pub(crate) fn pass(&mut self, turn: Turn) {
        self.leave(turn.client);
        self.line.pop_client(turn.at);
        let mut at = turn.at;
        while at != ROOT && !self.line.is_used(at) {
            at = self.tree[at].parent;
            self.line.pop_branch(at);
        }
    }

    /// What may still be used in the role whose turn it is, of so much that is free; `None` if nothing limits it.
    pub(crate) fn headroom(&self, turn: Turn, spare: &Counted) -> Option<Headroom> {
        let mut headroom: Option<Headroom> = None;
        for at in self.tree.up(turn.at) {
            let node = &self.tree[at];
            if let Some(limits) = &node.limits {
                let room = headroom.get_or_insert_with(Headroom::unlimited);
                room.narrow(limits, &node.held.counted);
            }
        }
        if !self.laid_aside().is_zero() {
            let room = headroom.get_or_insert_with(Headroom::unlimited);
            self.narrow_to_promises(turn.at, spare, room);
        }
        headroom
    }

    /// What the role and those below use more of than they may, offers included.
    pub(crate) fn over_limit(&self, role: &Role) -> Vec<ResourceName> {
        let Some(node) = self.tree.find(role).map(|at| &self.tree[at]) else { return vec![] };
        let limits = node.limits.as_ref();
        limits.map(|limits| limits.exceeded_by(&node.held.counted)).unwrap_or_default()
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

    /// Who may have been kept back by a limit or a promise that leaves more room now.
    pub(crate) fn take_eased(&mut self) -> Vec<Number> {
        let mut clients = Vec::new();
        for at in std::mem::take(&mut self.eased) {
            self.tree.clients(at, &mut clients);
        }
        if std::mem::take(&mut self.is_freer) {
            clients.extend(self.kept_back.iter());
            self.kept_back.clear();
        }
        clients
    }
}
