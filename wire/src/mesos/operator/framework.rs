//! Frameworks as GET_FRAMEWORKS and the events of frameworks tell of them.

use kernel::view::FrameworkView;
use mesos_v1::FrameworkInfo as Spelled;
use mesos_v1::framework_info::Capability as SpelledCapability;
use mesos_v1::framework_info::capability::Type;
use mesos_v1::master::response::get_frameworks::Framework;
use model::framework::{Capability, FrameworkInfo};
use model::id::FrameworkId;

use super::labels;
use crate::mesos::sums::Sum;
use crate::mesos::v1::framework::spell_minima;
use crate::mesos::v1::offer::{inverse_offer, offer};
use crate::mesos::v1::resource::{SHOWN, shown};
use crate::mesos::v1::{framework_id, time, wishes};

pub fn framework(id: &FrameworkId, seen: &FrameworkView, sum: &Sum<'_>) -> Framework {
    Framework {
        framework_info: info(id, &seen.framework.info),
        active: seen.connected && seen.framework.completed_at.is_none(),
        connected: seen.connected,
        recovered: seen.recovered,
        registered_time: Some(time(seen.framework.registered_at)),
        unregistered_time: seen.framework.completed_at.map(time),
        offers: sum.offers.iter().map(|one| offer(one, SHOWN)).collect(),
        inverse_offers: sum.inverse_offers.iter().map(|one| inverse_offer(one)).collect(),
        allocated_resources: shown(&sum.used.resources(), None),
        offered_resources: shown(&sum.offered.resources(), None),
        offer_constraints: (!seen.constraints.is_empty()).then(|| wishes::spell(&seen.constraints)),
        ..Framework::default()
    }
}

#[expect(
    deprecated,
    reason = "of who has a single role it is told by the old field, as it said it"
)]
pub fn info(id: &FrameworkId, info: &FrameworkInfo) -> Spelled {
    let is_multi = info.can(Capability::MultiRole);
    let mut names = info.roles.iter().map(|role| role.as_str().to_owned());
    let capability = |one: &Capability| SpelledCapability { r#type: Some(capability(*one).into()) };
    Spelled {
        user: info.user.clone(),
        name: info.name.clone(),
        id: Some(framework_id(id)),
        failover_timeout: Some(info.failover_timeout.as_secs_f64()),
        checkpoint: Some(info.checkpoint),
        role: if is_multi { None } else { names.next() },
        roles: names.collect(),
        hostname: Some(info.hostname.clone()),
        principal: info.principal.clone(),
        webui_url: info.webui_url.clone(),
        capabilities: info.capabilities.iter().map(capability).collect(),
        labels: labels(&info.labels),
        offer_filters: spell_minima(&info.offer_minima),
    }
}

fn capability(capability: Capability) -> Type {
    match capability {
        Capability::RevocableResources => Type::RevocableResources,
        Capability::TaskKillingState => Type::TaskKillingState,
        Capability::GpuResources => Type::GpuResources,
        Capability::SharedResources => Type::SharedResources,
        Capability::PartitionAware => Type::PartitionAware,
        Capability::MultiRole => Type::MultiRole,
        Capability::ReservationRefinement => Type::ReservationRefinement,
        Capability::RegionAware => Type::RegionAware,
    }
}
