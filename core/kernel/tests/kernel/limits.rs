//! No step takes a role above its limit, or further above it.

use std::collections::BTreeMap;

use kernel::Input;
use kernel::view::View;
use model::id::Role;
use model::resources::ResourceName;

/// What roles with a quota use, offers included.
pub(crate) type Used = BTreeMap<(Role, ResourceName), u64>;

/// `returns`: an agent has just said what it has, and that is so.
pub(crate) fn check(view: &View, before: &Used, returns: bool, said: Option<Input>) -> Used {
    let consumption = view.consumption();
    let mut used = Used::new();
    for (role, quota) in &view.quotas {
        let within = view.offers.values().filter(|offer| offer.role.is_within(role));
        let within: Vec<_> = within.collect();
        for (name, limit) in quota.limits.iter() {
            let consumed = consumption.get(role).and_then(|all| all.get(name));
            let offered = within.iter().map(|one| one.resources.unreserved().scalar(name).0);
            let now = consumed.unwrap_or_default().0 + offered.sum::<u64>();
            let key = (role.clone(), name.clone());
            let before = before.get(&key).copied().unwrap_or(u64::MAX);
            assert!(
                now <= limit.0.max(before) || returns,
                "{role} uses {now} of {name}, of {} that it may, and {before} before {said:?}",
                limit.0
            );
            used.insert(key, now);
        }
    }
    used
}
