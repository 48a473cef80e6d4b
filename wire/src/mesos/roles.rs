//! `/roles` and `/weights`.

use std::collections::BTreeMap;

use kernel::view::View;
use model::id::{FrameworkId, Role};
use model::resources::Resources;
use serde_json::{Value, json};

use super::resource;

#[derive(Default)]
struct Share<'a> {
    allocated: Resources,
    offered: Resources,
    reserved: Resources,
    frameworks: Vec<&'a FrameworkId>,
}

/// Roles that somebody has, uses or weighs.
pub fn roles(view: &View) -> Value {
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
    for role in view.weights.keys() {
        shares.entry(role.clone()).or_default();
    }
    let spelled: Vec<Value> = shares.iter().map(|(role, share)| spell(view, role, share)).collect();
    json!({ "roles": spelled })
}

fn spell(view: &View, role: &Role, share: &Share<'_>) -> Value {
    let mut held = share.allocated.clone();
    held.add(&share.offered);
    let frameworks: Vec<&str> = share.frameworks.iter().map(|id| id.as_str()).collect();
    json!({
        "name": role.as_str(),
        "weight": weight(view, role),
        "resources": resource::sum(&held),
        "allocated": resource::sum(&share.allocated),
        "offered": resource::sum(&share.offered),
        "reserved": resource::sum(&share.reserved),
        "frameworks": frameworks,
    })
}

fn weight(view: &View, role: &Role) -> f64 {
    view.weights.get(role).map_or(1.0, |weight| weight.as_f64())
}

pub fn weights(view: &View) -> Value {
    let spell = |role: &Role| json!({ "role": role.as_str(), "weight": weight(view, role) });
    view.weights.keys().map(spell).collect()
}
