//! Frameworks as they introduce themselves.

use std::collections::BTreeMap;

use mesos_v1::FrameworkInfo as Spelled;
use mesos_v1::OfferFilters;
use mesos_v1::framework_info::capability::Type;
use mesos_v1::offer_filters::{MinAllocatableResources, ResourceQuantities};
use model::framework::{Capability, FrameworkInfo, Minima};
use model::id::{FrameworkId, Role};
use model::resources::{ResourceName, Scalar};

use super::{Fault, pairs, seconds};

/// What can be judged without knowing who else is registered.
#[expect(deprecated, reason = "who has a single role gives it by the old field")]
pub fn read(spelled: &Spelled) -> Result<FrameworkInfo, Fault> {
    let capabilities: Vec<Capability> =
        spelled.capabilities.iter().filter_map(|one| capability(one.r#type())).collect();
    let is_multi = capabilities.contains(&Capability::MultiRole);
    if is_multi && spelled.role.is_some() {
        return Err(Fault::new(
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ));
    }
    if !is_multi && !spelled.roles.is_empty() {
        return Err(Fault::new(
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        ));
    }
    let names = if is_multi { spelled.roles.clone() } else { vec![spelled.role().to_owned()] };
    if let Some(twice) = twice(&names) {
        return Err(Fault::new(format!("'FrameworkInfo.roles' contains duplicate items: {twice}")));
    }
    let offer_minima = offer_minima(spelled, &names)?;
    let id = spelled.id.as_ref().filter(|id| !id.value.is_empty());
    Ok(FrameworkInfo {
        id: id.map(|id| FrameworkId::new(id.value.as_str())),
        name: spelled.name.clone(),
        user: spelled.user.clone(),
        roles: names.into_iter().map(Role::new).collect(),
        failover_timeout: seconds("failover_timeout", spelled.failover_timeout())?,
        checkpoint: spelled.checkpoint(),
        hostname: spelled.hostname().to_owned(),
        principal: spelled.principal.clone(),
        webui_url: spelled.webui_url.clone(),
        capabilities,
        labels: pairs(spelled.labels.as_ref()),
        offer_minima,
    })
}

fn offer_minima(spelled: &Spelled, names: &[String]) -> Result<BTreeMap<Role, Minima>, Fault> {
    let mut all = BTreeMap::new();
    for (name, filters) in &spelled.offer_filters {
        if !names.contains(name) {
            return Err(Fault::new(format!(
                "'FrameworkInfo.offer_filters' contains invalid roles: {name} is not contained in the set of roles"
            )));
        }
        if let Some(least) = &filters.min_allocatable_resources {
            let least = minima(least).map_err(|cause| {
                Fault::new(format!("'FrameworkInfo.offer_filters' of role '{name}': {cause}"))
            })?;
            all.insert(Role::new(name.as_str()), least);
        }
    }
    Ok(all)
}

/// The same as they were said.
pub fn spell_minima(all: &BTreeMap<Role, Minima>) -> BTreeMap<String, OfferFilters> {
    let quantity = |(name, least): (&ResourceName, &Scalar)| {
        (name.to_string(), mesos_v1::value::Scalar { value: least.as_f64() })
    };
    let one = |least: &BTreeMap<ResourceName, Scalar>| ResourceQuantities {
        quantities: least.iter().map(quantity).collect(),
    };
    let role = |(role, minima): (&Role, &Minima)| {
        let least = MinAllocatableResources { quantities: minima.iter().map(one).collect() };
        (role.to_string(), OfferFilters { min_allocatable_resources: Some(least) })
    };
    all.iter().map(role).collect()
}

fn minima(spelled: &MinAllocatableResources) -> Result<Minima, String> {
    let mut all = Minima::new();
    for one in &spelled.quantities {
        if one.quantities.is_empty() {
            return Err("Resource quantities must contain at least one quantity".to_owned());
        }
        let mut least = BTreeMap::new();
        for (name, quantity) in &one.quantities {
            let amount = Scalar::from_f64(quantity.value);
            let amount = amount.ok_or_else(|| {
                format!("Invalid resource quantity for '{name}': {}", quantity.value)
            })?;
            least.insert(ResourceName::from(name.as_str()), amount);
        }
        all.push(least);
    }
    Ok(all)
}

/// The roles that are to get no offers, all of them among the framework's own.
pub fn suppressed(info: &FrameworkInfo, names: &[String]) -> Result<Vec<Role>, Fault> {
    let roles: Vec<Role> = names.iter().map(|name| Role::new(name.as_str())).collect();
    match roles.iter().find(|role| !info.roles.contains(role)) {
        None => Ok(roles),
        Some(stranger) => Err(Fault::new(format!(
            "Suppressed roles {{ {stranger} }} are not contained in the set of roles"
        ))),
    }
}

fn twice(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(n, name)| names[..*n].contains(name)).map(|(_, name)| name)
}

fn capability(kind: Type) -> Option<Capability> {
    match kind {
        Type::Unknown => None,
        Type::RevocableResources => Some(Capability::RevocableResources),
        Type::TaskKillingState => Some(Capability::TaskKillingState),
        Type::GpuResources => Some(Capability::GpuResources),
        Type::SharedResources => Some(Capability::SharedResources),
        Type::PartitionAware => Some(Capability::PartitionAware),
        Type::MultiRole => Some(Capability::MultiRole),
        Type::ReservationRefinement => Some(Capability::ReservationRefinement),
        Type::RegionAware => Some(Capability::RegionAware),
    }
}
