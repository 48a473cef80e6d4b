//! Whether the sums that shares are made of are what a recount gives.

use std::collections::BTreeMap;

use model::id::Role;

use super::Shares;
use crate::amounts::{Amounts, Counted, Headroom};
use crate::demand::Client;
use crate::quota::Quantities;

/// What a recount has found.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    pub(crate) totals: Amounts,
    pub(crate) roles: BTreeMap<Role, Amounts>,
    pub(crate) offered: BTreeMap<Role, Amounts>,
    pub(crate) members: BTreeMap<Client, Amounts>,
    pub(crate) limits: BTreeMap<Role, Quantities>,
    pub(crate) promised: BTreeMap<Role, Quantities>,
}

impl Recount {
    fn within(sums: &BTreeMap<Role, Amounts>, role: &Role) -> Amounts {
        let mut held = Amounts::default();
        let within = sums.iter().filter(|(other, _)| other.is_within(role));
        within.for_each(|(_, amounts)| held.add(amounts));
        held
    }
}

impl Shares {
    /// Panics unless these are the sums.
    pub(crate) fn audit(&self, found: &Recount) {
        assert_eq!(self.totals, found.totals, "the cluster's totals");
        for node in self.tree.nodes() {
            let role = &node.role;
            let own = found.roles.get(role).cloned().unwrap_or_default();
            assert_eq!(node.own, own, "held by {role}");
            assert_eq!(node.held, Recount::within(&found.roles, role), "held within {role}");
            let offered = Recount::within(&found.offered, role).counted;
            assert_eq!(node.offered, offered, "offered within {role}");
            let limits = found.limits.get(role).map(Headroom::from);
            assert_eq!(node.limits, limits, "the limits of {role}");
            let promised = found.promised.get(role).map(Counted::from);
            assert_eq!(node.promised, promised, "the promises to {role}");
        }
        self.audit_promises();
        for (client, number) in &self.numbers {
            let member = &self.members[*number];
            let held = found.members.get(client).cloned().unwrap_or_default();
            assert_eq!(member.held, held, "held by {client:?}");
            assert!(self.tree[member.at].members.contains(number), "{client:?} is in its role");
            assert_eq!(self.tree[member.at].role, client.role);
        }
        for (client, held) in found.members.iter().filter(|(_, held)| !held.is_zero()) {
            assert!(self.numbers.contains_key(client), "{client:?} holds {held:?}");
        }
        let holding = found.roles.iter().filter(|(_, held)| !held.is_zero());
        for role in
            holding.map(|(role, _)| role).chain(found.limits.keys()).chain(found.promised.keys())
        {
            assert!(self.tree.find(role).is_some(), "{role} has a share");
        }
    }
}
