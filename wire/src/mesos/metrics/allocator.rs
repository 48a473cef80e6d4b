//! What there is to share out, who has how much of it, and how long sharing it out takes.

use std::collections::BTreeMap;

use kernel::view::View;
use model::id::Role;
use model::resources::{ResourceName, Resources};

use super::{Figures, Measured, NAMES, whole};
use crate::mesos::agent;
use crate::mesos::roles::weight;
use crate::mesos::sums::Scalars;

pub(super) fn figures(view: &View, measured: &Measured, figures: &mut Figures) {
    let mut total = Scalars::default();
    let mut by_role: BTreeMap<&Role, Scalars> = BTreeMap::new();
    for agent in view.agents.values().filter(|one| agent::is_registered(one)) {
        total.add(&firm(&agent.total()));
        for (role, held) in &agent.in_use {
            by_role.entry(role).or_default().add(&firm(held));
        }
    }
    for offer in view.offers.values() {
        by_role.entry(&offer.role).or_default().add(&firm(&offer.resources));
    }
    let mut taken = Scalars::default();
    by_role.values().for_each(|sum| taken.add(&sum.resources()));
    let mut put =
        |name: String, value: f64| figures.insert(format!("allocator/mesos/{name}"), value);
    for name in &NAMES {
        put(format!("resources/{name}/total"), total.get(name).as_f64());
        put(format!("resources/{name}/offered_or_allocated"), taken.get(name).as_f64());
    }
    put("allocation_runs".to_owned(), whole(view.history.counts.allocations));
    for (role, sum) in &by_role {
        let share = dominant(sum, &total) / weight(view, role);
        put(format!("roles/{role}/shares/dominant"), share);
    }
    for (role, number) in &view.history.counts.filters {
        put(format!("offer_filters/roles/{role}/active"), whole(*number));
    }
    for (name, role, value) in quotas(view, &by_role) {
        put(format!("quota/roles/{role}/resources/{name}"), value);
    }
    measured.allocation.spell("allocator/mesos/allocation_run_ms", figures);
    measured.allocation_wait.spell("allocator/mesos/allocation_run_latency_ms", figures);
}

/// Without what may be revoked at any time, and each shared volume as nothing.
fn firm(resources: &Resources) -> Resources {
    resources.only(|one| !one.revocable && !one.shared)
}

/// The largest fraction of any resource that shares are made of.
fn dominant(held: &Scalars, total: &Scalars) -> f64 {
    let of = |name: &ResourceName| match total.get(name).as_f64() {
        0.0 => 0.0,
        all => held.get(name).as_f64() / all,
    };
    NAMES.iter().filter(|name| **name != ResourceName::Gpus).map(of).fold(0.0, f64::max)
}

fn quotas<'a>(view: &'a View, by_role: &BTreeMap<&Role, Scalars>) -> Vec<(String, &'a Role, f64)> {
    let mut told = Vec::new();
    for (role, quota) in &view.quotas {
        let below = by_role.iter().filter(|(held, _)| held.up().any(|up| up == *role));
        let mut sum = Scalars::default();
        below.for_each(|(_, held)| sum.add(&held.resources()));
        for (kind, amounts) in [("guarantee", &quota.guarantees), ("limit", &quota.limits)] {
            for (name, amount) in amounts.iter() {
                told.push((format!("{name}/{kind}"), role, amount.as_f64()));
                let taken = format!("{name}/offered_or_allocated");
                told.push((taken, role, sum.get(name).as_f64()));
            }
        }
    }
    told
}
