//! Whose turn it is: dominant-resource fairness over the tree of roles, then over the frameworks in a role.
//!
//! A holder's share is the largest fraction it holds of any of the cluster's cpus, memory and disk; the holder with the
//! smallest share, divided by its role's weight, comes first. Only who wants something stands in line, so the next one
//! is found without looking at the others. GPUs do not count: DC/OS treats them as scarce, and a framework that
//! holds the cluster's only GPU would otherwise get nothing else.

use std::collections::{BTreeMap, BTreeSet};

use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Resources, Scalar};

use crate::demand::Client;

/// Thousandths of cpus, memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts([u64; 3]);

impl Amounts {
    pub(crate) fn of(resources: &Resources) -> Self {
        // Several may hold a shared volume at once: it is nobody's share.
        let disk = resources.unshared_scalar(&ResourceName::Disk);
        Self([resources.cpus().0, resources.mem().0, disk.0])
    }

    pub(crate) fn add(&mut self, other: Amounts) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    pub(crate) fn subtract(&mut self, other: Amounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.checked_sub(theirs).expect("what is given back was charged before");
        }
    }
}

/// A fraction of the cluster, with room below for exact comparison and above for weights under 1.
type Share = u64;

const SHARE_ONE_BITS: u32 = 40;

const WEIGHT_ONE: u64 = Scalar::whole(1).0;

fn share(held: Amounts, totals: Amounts, weight: u64) -> Share {
    let fraction = |(held, total): (u64, u64)| match total {
        0 => 0,
        total => (u128::from(held) << SHARE_ONE_BITS) / u128::from(total),
    };
    let dominant = held.0.into_iter().zip(totals.0).map(fraction).max().unwrap_or(0);
    let weighted = dominant * u128::from(WEIGHT_ONE) / u128::from(weight.max(1));
    Share::try_from(weighted).unwrap_or(Share::MAX)
}

/// Who stands in line in a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The frameworks of the role itself.
    Own,
    /// A role right below.
    Below(Role),
}

#[derive(Debug, Default)]
struct Node {
    /// By the role and all below it.
    held: Amounts,
    /// By the role itself.
    own: Amounts,
    share: Share,
    own_share: Share,
    line: BTreeSet<(Share, Place)>,
    members: BTreeMap<FrameworkId, Member>,
    member_line: BTreeSet<(Share, FrameworkId)>,
}

#[derive(Debug, Default)]
struct Member {
    held: Amounts,
    share: Share,
    waits: bool,
}

/// The tree's root is the role with the empty name.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    totals: Amounts,
    nodes: BTreeMap<Role, Node>,
    weights: BTreeMap<Role, u64>,
    /// The totals or weights have changed, so every share is out of date.
    stale: bool,
}

/// What a role or framework takes and gives back in one go.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    pub(crate) plus: Amounts,
    pub(crate) minus: Amounts,
}

impl Change {
    pub(crate) fn plus(plus: Amounts) -> Self {
        Self { plus, minus: Amounts::default() }
    }

    pub(crate) fn minus(minus: Amounts) -> Self {
        Self { plus: Amounts::default(), minus }
    }

    fn apply(self, to: &mut Amounts) {
        to.add(self.plus);
        to.subtract(self.minus);
    }
}

impl Shares {
    pub(crate) fn change_totals(&mut self, change: Change) {
        change.apply(&mut self.totals);
        self.stale = true;
    }

    pub(crate) fn set_weight(&mut self, role: &Role, weight: Option<Scalar>) {
        match weight {
            Some(weight) => self.weights.insert(role.clone(), weight.0),
            None => self.weights.remove(role),
        };
        self.stale = true;
    }

    pub(crate) fn change_role(&mut self, role: &Role, change: Change) {
        let totals = self.totals;
        let node = self.nodes.entry(role.clone()).or_default();
        change.apply(&mut node.own);
        let own_share = share(node.own, totals, WEIGHT_ONE);
        if node.line.remove(&(node.own_share, Place::Own)) {
            node.line.insert((own_share, Place::Own));
        }
        node.own_share = own_share;
        for at in path(role) {
            self.change_node(&at, change);
        }
    }

    fn change_node(&mut self, role: &Role, change: Change) {
        let weight = self.weight(role);
        let node = self.nodes.entry(role.clone()).or_default();
        change.apply(&mut node.held);
        let (before, after) = (node.share, share(node.held, self.totals, weight));
        node.share = after;
        if before != after
            && let Some(parent) = self.nodes.get_mut(&parent(role))
            && parent.line.remove(&(before, Place::Below(role.clone())))
        {
            parent.line.insert((after, Place::Below(role.clone())));
        }
    }

    pub(crate) fn change_member(&mut self, client: &Client, change: Change) {
        let totals = self.totals;
        let node = self.nodes.entry(client.role.clone()).or_default();
        let member = node.members.entry(client.framework.clone()).or_default();
        change.apply(&mut member.held);
        let (before, after) = (member.share, share(member.held, totals, WEIGHT_ONE));
        member.share = after;
        if member.waits && before != after {
            node.member_line.remove(&(before, client.framework.clone()));
            node.member_line.insert((after, client.framework.clone()));
        }
        if !member.waits && member.held == Amounts::default() {
            node.members.remove(&client.framework);
        }
    }

    /// The client stands in line.
    pub(crate) fn join(&mut self, client: &Client) {
        let node = self.nodes.entry(client.role.clone()).or_default();
        let member = node.members.entry(client.framework.clone()).or_default();
        if member.waits {
            return;
        }
        member.waits = true;
        node.member_line.insert((member.share, client.framework.clone()));
        node.line.insert((node.own_share, Place::Own));
        for at in path(&client.role) {
            let share = self.nodes.entry(at.clone()).or_default().share;
            let parent = self.nodes.entry(parent(&at)).or_default();
            parent.line.insert((share, Place::Below(at)));
        }
    }

    /// The client wants nothing now.
    pub(crate) fn leave(&mut self, client: &Client) {
        let Some(node) = self.nodes.get_mut(&client.role) else { return };
        let Some(member) = node.members.get_mut(&client.framework) else { return };
        member.waits = false;
        node.member_line.remove(&(member.share, client.framework.clone()));
        if !node.member_line.is_empty() {
            return;
        }
        node.line.remove(&(node.own_share, Place::Own));
        for at in path(&client.role) {
            let node = &self.nodes[&at];
            if !node.line.is_empty() {
                return;
            }
            let share = node.share;
            let parent = self.nodes.get_mut(&parent(&at)).expect("it joined with its children");
            parent.line.remove(&(share, Place::Below(at)));
        }
    }

    /// The client is no more.
    pub(crate) fn forget(&mut self, client: &Client) {
        self.leave(client);
        if let Some(node) = self.nodes.get_mut(&client.role) {
            node.members
                .retain(|id, member| *id != client.framework || member.held != Amounts::default());
        }
    }

    pub(crate) fn anyone_waits(&self) -> bool {
        self.nodes.get(&root()).is_some_and(|root| !root.line.is_empty())
    }

    /// Whose turn it is.
    pub(crate) fn first(&mut self) -> Option<Client> {
        if self.stale {
            self.refresh();
        }
        let mut role = root();
        loop {
            let node = self.nodes.get(&role)?;
            match &node.line.first()?.1 {
                Place::Below(below) => role = below.clone(),
                Place::Own => {
                    let (_, framework) = node.member_line.first()?;
                    return Some(Client { framework: framework.clone(), role });
                }
            }
        }
    }

    /// Computes every share anew and lines everybody up again.
    fn refresh(&mut self) {
        self.stale = false;
        let mut waiting = Vec::new();
        let totals = self.totals;
        for (role, node) in &mut self.nodes {
            let weight = self.weights.get(role).copied().unwrap_or(WEIGHT_ONE);
            node.share = share(node.held, totals, weight);
            node.own_share = share(node.own, totals, WEIGHT_ONE);
            node.line.clear();
            node.member_line.clear();
            for (framework, member) in &mut node.members {
                member.share = share(member.held, totals, WEIGHT_ONE);
                if std::mem::take(&mut member.waits) {
                    waiting.push(Client { framework: framework.clone(), role: role.clone() });
                }
            }
        }
        waiting.iter().for_each(|client| self.join(client));
    }

    /// Panics unless these are the sums that the shares are made of.
    pub(crate) fn audit(
        &self,
        totals: Amounts,
        roles: &BTreeMap<Role, Amounts>,
        members: &BTreeMap<Client, Amounts>,
    ) {
        assert_eq!(self.totals, totals, "the cluster's totals");
        for (role, node) in &self.nodes {
            assert_eq!(node.own, roles.get(role).copied().unwrap_or_default(), "held by {role}");
            let mut held = Amounts::default();
            let within = roles.iter().filter(|(other, _)| other.is_within(role));
            within.for_each(|(_, amounts)| held.add(*amounts));
            if *role != root() {
                assert_eq!(node.held, held, "held within {role}");
            }
            for (framework, member) in &node.members {
                let client = Client { framework: framework.clone(), role: role.clone() };
                let held = members.get(&client).copied().unwrap_or_default();
                assert_eq!(member.held, held, "held by {client:?}");
            }
            let waiting = node.members.values().filter(|member| member.waits).count();
            assert_eq!(node.member_line.len(), waiting, "who waits in {role}");
        }
        for (client, held) in members.iter().filter(|(_, held)| **held != Amounts::default()) {
            let node = self.nodes.get(&client.role).expect("every role that holds has a share");
            assert!(node.members.contains_key(&client.framework), "{client:?} holds {held:?}");
        }
        assert!(roles.keys().all(|role| self.nodes.contains_key(role)), "every role has one");
    }

    fn weight(&self, role: &Role) -> u64 {
        self.weights.get(role).copied().unwrap_or(WEIGHT_ONE)
    }
}

fn root() -> Role {
    Role::new("")
}

fn parent(role: &Role) -> Role {
    Role::new(role.as_str().rsplit_once('/').map_or("", |(parent, _)| parent))
}

/// The role and those that enclose it, innermost first, without the root.
fn path(role: &Role) -> impl Iterator<Item = Role> + use<> {
    let first = Some(role.clone());
    std::iter::successors(first, |role| Some(parent(role))).take_while(|role| *role != root())
}
