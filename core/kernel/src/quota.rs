//! Quotas: how much of the cluster a role and all roles below it may use, and how much they are promised.
//!
//! A limit is kept by what is offered: an offer is cut to what its role may still use, and an outstanding offer counts as
//! used. What is reserved counts from the moment it is reserved, and is offered to its role whatever the limit. What was
//! over a limit before it was set stays over it until it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use minicbor::{Decode, Encode};
use model::id::{OfferId, Role};
use model::operation::Conversion;
use model::resources::{Resource, ResourceName, Resources, Scalar};

use crate::frameworks::is_role;
use crate::{Kernel, Out, Record, Refusal};

/// Roles in one call: each writes a record, and they are committed together.
const ROLES_PER_CALL_MAX: usize = 1_024;

/// Amounts of scalar resources, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Quantities(#[n(0)] BTreeMap<ResourceName, Scalar>);

impl Quantities {
    pub fn get(&self, name: &ResourceName) -> Option<Scalar> {
        self.0.get(name).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, Scalar)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the scalars of these resources amount to.
    pub fn of(resources: &Resources) -> Self {
        let mut sum = Self::default();
        for one in resources.iter() {
            let scalar = resources.scalar(&one.name);
            if !scalar.is_zero() {
                sum.0.insert(one.name.clone(), scalar);
            }
        }
        sum
    }

    pub(crate) fn add(&mut self, other: &Quantities) {
        for (name, amount) in other.iter() {
            self.0.entry(name.clone()).or_default().0 += amount.0;
        }
    }
}

impl FromIterator<(ResourceName, Scalar)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (ResourceName, Scalar)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> =
            self.0.iter().map(|(name, amount)| format!("{name}:{amount}")).collect();
        f.write_str(&all.join("; "))
    }
}

/// A resource that `limits` does not name is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Quota {
    #[n(0)]
    pub limits: Quantities,
    #[n(1)]
    pub guarantees: Quantities,
}

impl Quota {
    /// What is promised is the limit as well: so it was before there were limits.
    pub fn both(guarantees: Quantities) -> Self {
        Self { limits: guarantees.clone(), guarantees }
    }

    pub fn is_default(&self) -> bool {
        self.limits.is_empty() && self.guarantees.is_empty()
    }
}

/// What an operator wants of quotas: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) quotas: Vec<(Role, Quota)>,
    /// Even if more is used than allowed, or more promised than there is.
    pub(crate) force: bool,
}

impl Kernel {
    pub(crate) fn update_quota(&mut self, update: Update, out: &mut Out) -> Result<(), Refusal> {
        self.judge_quotas(&update)?;
        if !update.force {
            self.judge_use(&update.quotas)?;
            self.judge_promises(&update.quotas)?;
        }
        for (role, quota) in update.quotas {
            let quota = (!quota.is_default()).then_some(quota);
            if self.state.quotas.get(&role) != quota.as_ref() {
                let is_promised = quota.as_ref().is_some_and(|one| !one.guarantees.is_empty());
                self.commit(Record::Quota(role.clone(), quota), out);
                self.rescind_excess(&role, out);
                if is_promised {
                    self.rescind_promised(out);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn set_quota(
        &mut self,
        role: Role,
        quota: Quota,
        force: bool,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        if self.state.quotas.contains_key(&role) {
            return Err(Refusal::QuotaExists(role));
        }
        let quotas = vec![(role, quota)];
        if !force {
            self.judge_promises(&quotas)?;
        }
        // Who asks in the older way has never been refused for what is used already.
        self.update_quota(Update { quotas, force: true }, out)
    }

    pub(crate) fn remove_quota(&mut self, role: Role, out: &mut Out) -> Result<(), Refusal> {
        if !self.state.quotas.contains_key(&role) {
            return Err(Refusal::NoQuota(role));
        }
        let quotas = vec![(role, Quota::default())];
        self.update_quota(Update { quotas, force: true }, out)
    }

    /// All that is wrong whatever the cluster does.
    fn judge_quotas(&self, update: &Update) -> Result<(), Refusal> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        if update.quotas.len() > ROLES_PER_CALL_MAX {
            faults.push(format!("more than {ROLES_PER_CALL_MAX} roles in one call: send several"));
        }
        for (role, quota) in &update.quotas {
            if !seen.insert(role) {
                faults.push(format!("role {role} is named twice"));
            }
            if role.as_str() == "*" {
                faults.push("role * cannot have a quota: it is everybody's".to_owned());
            } else if !is_role(role) {
                faults.push(format!("{:?} is not a role", role.as_str()));
            }
            faults.extend(quota_faults(role, quota));
        }
        let after = self.quotas_after(&update.quotas);
        let mut concerned = BTreeSet::new();
        for role in seen {
            concerned.extend(after.get_key_value(role).map(|(role, _)| role));
            concerned.extend(above(&after, role));
            concerned.extend(below(&after, role));
        }
        faults.extend(concerned.into_iter().flat_map(|role| tree_faults(&after, role)));
        if faults.is_empty() { Ok(()) } else { Err(Refusal::InvalidQuota(faults)) }
    }

    fn quotas_after(&self, updates: &[(Role, Quota)]) -> BTreeMap<Role, Quota> {
        let mut after = self.state.quotas.clone();
        after.extend(updates.iter().cloned());
        after.retain(|_, quota| !quota.is_default());
        after
    }

    /// A limit below what is used would not be kept.
    fn judge_use(&self, updates: &[(Role, Quota)]) -> Result<(), Refusal> {
        for (role, quota) in updates {
            let used = self.shares.consumption(role);
            let over = quota.limits.iter().find(|(name, limit)| used.get(name) > *limit);
            if let Some((name, limit)) = over {
                let (role, resource) = (role.clone(), name.clone());
                let used = used.get(name);
                return Err(Refusal::OverLimit { role, resource, used, limit });
            }
        }
        Ok(())
    }

    /// No more is promised than the cluster has.
    fn judge_promises(&self, updates: &[(Role, Quota)]) -> Result<(), Refusal> {
        if updates.iter().all(|(_, quota)| quota.guarantees.is_empty()) {
            return Ok(());
        }
        let mut promised = Quantities::default();
        let after = self.quotas_after(updates);
        // What is promised within a role that is promised something itself is part of that.
        let outermost = after.iter().filter(|(role, _)| above(&after, role).next().is_none());
        outermost.for_each(|(_, quota)| promised.add(&quota.guarantees));
        let there = self.shares.capacity();
        match promised.iter().find(|(name, amount)| *amount > there.get(name)) {
            None => Ok(()),
            Some((name, amount)) => Err(Refusal::Overcommitted {
                resource: name.clone(),
                promised: amount,
                there: there.get(name),
            }),
        }
    }

    /// What is reserved counts: a limit is for operators too.
    pub(crate) fn judge_reserved(&self, conversion: &Conversion) -> Result<(), Refusal> {
        let (before, after) = (conversion.consumed(), conversion.converted());
        for (role, quota) in &self.state.quotas {
            let within = |one: &Resource| one.role().is_some_and(|owner| owner.is_within(role));
            for (name, limit) in quota.limits.iter() {
                let sum = |all: &Resources| all.only(within).scalar(name).0;
                let more = sum(&after).saturating_sub(sum(&before));
                let used = Scalar(self.shares.consumption(role).get(name).0 + more);
                if more > 0 && used > limit {
                    let (role, resource) = (role.clone(), name.clone());
                    return Err(Refusal::OverLimit { role, resource, used, limit });
                }
            }
        }
        Ok(())
    }

    /// What an agent says it holds counts, and what an operator reserves: offers make room for it.
    pub(crate) fn rescind_exceeding(&mut self, out: &mut Out) {
        for role in self.shares.take_exceeded() {
            self.rescind_excess(&role, out);
        }
    }

    /// Takes back offers to the role and those below until what is used and offered is within the limit, as far as
    /// offers are the cause.
    fn rescind_excess(&mut self, role: &Role, out: &mut Out) {
        if self.shares.over_limit(role).is_empty() {
            return;
        }
        let within = self.view.offers.values().filter(|offer| offer.role.is_within(role));
        let offers: Vec<OfferId> = within.map(|offer| offer.id.clone()).collect();
        for id in offers {
            let over = self.shares.over_limit(role);
            let offer = &self.view.offers[&id];
            if offer.resources.iter().any(|one| is_counted(one) && over.contains(&one.name)) {
                self.rescind(&id, out);
            }
        }
    }
}

pub(crate) fn is_counted(one: &Resource) -> bool {
    one.role().is_none() && !one.revocable
}

/// What is wrong with one quota by itself.
fn quota_faults(role: &Role, quota: &Quota) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, _) in quota.limits.iter().chain(quota.guarantees.iter()) {
        if *name == ResourceName::Ports {
            faults
                .push(format!("the quota of role {role} names ports: only numbers can be limited"));
        }
    }
    for (name, guarantee) in quota.guarantees.iter() {
        if let Some(limit) = quota.limits.get(name).filter(|limit| *limit < guarantee) {
            faults.push(format!(
                "role {role} is promised {guarantee} of {name}, more than its limit of {limit}"
            ));
        }
    }
    faults
}

/// What is wrong with the role's quota as one of many.
fn tree_faults(all: &BTreeMap<Role, Quota>, role: &Role) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, limit) in all[role].limits.iter() {
        let mut above = above(all, role).filter_map(|at| Some((at, all[at].limits.get(name)?)));
        if let Some((at, outer)) = above.find(|(_, outer)| *outer < limit) {
            faults.push(format!(
                "role {role} is limited to {limit} of {name}, more than the limit of {at} above it, {outer}"
            ));
        }
    }
    let mut promised = Quantities::default();
    let children = below(all, role).filter(|other| above(all, other).next() == Some(role));
    children.for_each(|child| promised.add(&all[child].guarantees));
    for (name, amount) in promised.iter() {
        let own = all[role].guarantees.get(name).unwrap_or_default();
        if amount > own {
            faults.push(format!(
                "the roles below {role} are promised {amount} of {name}, more than the {own} that it is promised"
            ));
        }
    }
    faults
}

/// Roles with a quota that enclose this one, innermost first.
fn above<'a>(all: &'a BTreeMap<Role, Quota>, role: &Role) -> impl Iterator<Item = &'a Role> {
    let parent = |name: &str| name.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let up = std::iter::successors(parent(role.as_str()), move |name| parent(name));
    up.filter_map(|name| all.get_key_value(&Role::new(name)).map(|(role, _)| role))
}

/// Roles with a quota that this one encloses.
fn below<'a>(all: &'a BTreeMap<Role, Quota>, role: &Role) -> impl Iterator<Item = &'a Role> {
    // The character after the slash: what is between the two begins with the role and a slash.
    let (first, end) = (format!("{role}/"), format!("{role}0"));
    all.range(Role::new(first)..Role::new(end)).map(|(role, _)| role)
}
