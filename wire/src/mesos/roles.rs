//! `/roles` and `/weights`.

use std::collections::BTreeMap;

use kernel::quota::Quantities;
use kernel::view::View;
use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Resources, Scalar};
use serde_json::{Value, json};

use super::resource;

/// What a role has.
#[derive(Debug, Default)]
pub(super) struct Share<'a> {
    allocated: Resources,
    offered: Resources,
    reserved: Resources,
    pub(super) frameworks: Vec<&'a FrameworkId>,
}

impl Share<'_> {
    /// What it uses or could use at once.
    pub(super) fn held(&self) -> Resources {
        let mut held = self.allocated.clone();
        held.add(&self.offered);
        held
    }
}

/// Of the roles that somebody has, uses or weighs.
pub(super) fn shares(view: &View) -> BTreeMap<Role, Share<'_>> {
    let mut shares: BTreeMap<Role, Share<'_>> = BTreeMap::new();
    for agent in view.agents.values() {
        for (role, used) in &agent.in_use {
            shares.entry(role.clone()).or_default().allocated.add(&used.unlabelled());
        }
        for one in agent.total().iter() {
            if let Some(role) = one.role() {
                let plain = Resources::new([one.clone()]).unlabelled();
                shares.entry(role.clone()).or_default().reserved.add(&plain);
            }
        }
    }
    for offer in view.offers.values() {
        shares.entry(offer.role.clone()).or_default().offered.add(&offer.resources.unlabelled());
    }
    for (id, framework) in &view.frameworks {
        for role in &framework.framework.info.roles {
            shares.entry(role.clone()).or_default().frameworks.push(id);
        }
    }
    for role in view.weights.keys().chain(view.quotas.keys()) {
        shares.entry(role.clone()).or_default();
    }
    shares
}

pub fn roles(view: &View) -> Value {
    let (mut shares, consumption) = (shares(view), view.consumption());
    for role in consumption.keys() {
        shares.entry(role.clone()).or_default();
    }
    let spell = |(role, share): (&Role, &Share<'_>)| {
        let mut spelled = spell(view, role, share);
        spelled["quota"] = quota(view, role, consumption.get(role));
        spelled
    };
    json!({ "roles": shares.iter().map(spell).collect::<Vec<Value>>() })
}

/// What the role may use and is promised, and what it and all below it use: each by the resource's name.
fn quota(view: &View, role: &Role, used: Option<&Quantities>) -> Value {
    let spell = |all: &Quantities| {
        let one = |(name, amount): (&ResourceName, Scalar)| (name.to_string(), amount.as_f64());
        json!(all.iter().map(one).collect::<BTreeMap<String, f64>>())
    };
    let set = view.quotas.get(role).cloned().unwrap_or_default();
    json!({
        "role": role.as_str(),
        "limit": spell(&set.limits),
        "guarantee": spell(&set.guarantees),
        "consumed": used.map_or_else(|| json!({}), spell),
    })
}

fn spell(view: &View, role: &Role, share: &Share<'_>) -> Value {
    let frameworks: Vec<&str> = share.frameworks.iter().map(|id| id.as_str()).collect();
    json!({
        "name": role.as_str(),
        "weight": weight(view, role),
        "resources": resource::sum(&share.held()),
        "allocated": resource::sum(&share.allocated),
        "offered": resource::sum(&share.offered),
        "reserved": resource::sum(&share.reserved),
        "frameworks": frameworks,
    })
}

pub(super) fn weight(view: &View, role: &Role) -> f64 {
    view.weights.get(role).map_or(1.0, |weight| weight.as_f64())
}

pub fn weights(view: &View) -> Value {
    let spell = |role: &Role| json!({ "role": role.as_str(), "weight": weight(view, role) });
    view.weights.keys().map(spell).collect()
}
