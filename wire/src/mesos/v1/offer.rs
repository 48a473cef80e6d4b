//! Offers as a framework can read them.

use mesos_v1::domain_info::FaultDomain as SpelledDomain;
use mesos_v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
use mesos_v1::{
    Address, Attribute as SpelledAttribute, DomainInfo, Offer as Spelled, OfferId, Url, resource,
    value,
};
use model::attributes::{Attribute, AttributeValue, FaultDomain};
use model::id;
use model::scheduler::{InverseOffer, Offer, Unavailability};

use super::event::executor_id;
use super::resource::{Dialect, spell, spell_ranges};
use super::{agent_id, framework_id, time};

/// Where the agent's own API is, for clients that ask it about its tasks.
const AGENT_PATH: &str = "/slave(1)";

pub fn offer(offer: &Offer, dialect: Dialect) -> Spelled {
    let agent = &offer.agent;
    let role = || Some(offer.role.as_str().to_owned());
    Spelled {
        id: offer_id(&offer.id),
        framework_id: framework_id(&offer.framework),
        agent_id: agent_id(&offer.agent_id),
        hostname: agent.hostname.clone(),
        url: Some(Url {
            scheme: "http".to_owned(),
            address: Address {
                hostname: Some(agent.hostname.clone()),
                ip: Some(agent.ip.clone()),
                port: agent.port.into(),
            },
            path: Some(AGENT_PATH.to_owned()),
            query: Vec::new(),
            fragment: None,
        }),
        domain: agent.domain.as_ref().map(domain),
        resources: spell(&offer.resources, dialect, Some(&offer.role)),
        attributes: agent.attributes.iter().map(attribute).collect(),
        executor_ids: offer.executors.iter().map(executor_id).collect(),
        unavailability: offer.unavailability.as_ref().map(unavailability),
        allocation_info: dialect.is_allocated.then(|| resource::AllocationInfo { role: role() }),
    }
}

pub fn inverse_offer(offer: &InverseOffer) -> mesos_v1::InverseOffer {
    mesos_v1::InverseOffer {
        id: offer_id(&offer.id),
        url: None,
        framework_id: framework_id(&offer.framework),
        agent_id: Some(agent_id(&offer.agent)),
        unavailability: unavailability(&offer.unavailability),
        resources: Vec::new(),
    }
}

pub(super) fn offer_id(id: &id::OfferId) -> OfferId {
    OfferId { value: id.as_str().to_owned() }
}

pub(crate) fn domain(domain: &FaultDomain) -> DomainInfo {
    DomainInfo {
        fault_domain: Some(SpelledDomain {
            region: RegionInfo { name: domain.region.clone() },
            zone: ZoneInfo { name: domain.zone.clone() },
        }),
    }
}

pub(in crate::mesos) fn unavailability(planned: &Unavailability) -> mesos_v1::Unavailability {
    let nanoseconds =
        |span: std::time::Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    mesos_v1::Unavailability {
        start: time(planned.start),
        duration: planned
            .duration
            .map(|span| mesos_v1::DurationInfo { nanoseconds: nanoseconds(span) }),
    }
}

pub(crate) fn attribute(one: &Attribute) -> SpelledAttribute {
    let mut spelled = SpelledAttribute { name: one.name.clone(), ..SpelledAttribute::default() };
    match &one.value {
        AttributeValue::Text(text) => {
            spelled.r#type = value::Type::Text as i32;
            spelled.text = Some(value::Text { value: text.clone() });
        }
        AttributeValue::Scalar(scalar) => {
            spelled.r#type = value::Type::Scalar as i32;
            spelled.scalar = Some(value::Scalar { value: scalar.as_f64() });
        }
        AttributeValue::Ranges(ranges) => {
            spelled.r#type = value::Type::Ranges as i32;
            spelled.ranges = Some(spell_ranges(ranges));
        }
        AttributeValue::Set(items) => {
            spelled.r#type = value::Type::Set as i32;
            spelled.set = Some(value::Set { item: items.iter().cloned().collect() });
        }
    }
    spelled
}
