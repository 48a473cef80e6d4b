//! What a scheduler outside is told.

use std::net::Ipv4Addr;

use mesos_v1::scheduler::{Event as Spelled, event};
use mesos_v1::{Address, MasterInfo as SpelledMaster, master_info};
use model::framework::FrameworkInfo;
use model::id::{AgentId, FrameworkId};
use model::scheduler::{Ended, Event};

use super::offer::{domain, inverse_offer, offer, offer_id};
use super::resource::Dialect;
use super::{agent_id, framework_id, operation, status};
use crate::mesos::master::{self, MasterInfo};

/// Of an executor whose end nobody has seen, as Mesos has it.
const UNKNOWN_STATUS: i32 = -1;

/// What the first event says of the master.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    pub master: &'a MasterInfo,
    /// The prefix of all ids.
    pub cluster: &'a str,
    pub heartbeat_seconds: f64,
}

/// `None` for what Mesos has no word for.
pub fn event(told: &Event, framework: &FrameworkInfo, greeting: Greeting<'_>) -> Option<Spelled> {
    let dialect = Dialect::of(framework);
    let spelled = Spelled::default();
    let of = |kind: event::Type| Some(kind as i32);
    Some(match told {
        Event::Subscribed { framework } => {
            let subscribed = Some(subscribed(framework, greeting));
            Spelled { r#type: of(event::Type::Subscribed), subscribed, ..spelled }
        }
        Event::Offers(offers) => {
            let offers = offers.iter().map(|one| offer(one, dialect)).collect();
            let offers = Some(event::Offers { offers });
            Spelled { r#type: of(event::Type::Offers), offers, ..spelled }
        }
        Event::Rescind(id) => {
            let rescind = Some(event::Rescind { offer_id: offer_id(id) });
            Spelled { r#type: of(event::Type::Rescind), rescind, ..spelled }
        }
        Event::InverseOffers(offers) => {
            let inverse_offers = offers.iter().map(inverse_offer).collect();
            let inverse_offers = Some(event::InverseOffers { inverse_offers });
            Spelled { r#type: of(event::Type::InverseOffers), inverse_offers, ..spelled }
        }
        Event::RescindInverse(id) => Spelled {
            r#type: of(event::Type::RescindInverseOffer),
            rescind_inverse_offer: Some(event::RescindInverseOffer {
                inverse_offer_id: offer_id(id),
            }),
            ..spelled
        },
        Event::Update(update) => {
            let update = Some(event::Update { status: status::status(update) });
            Spelled { r#type: of(event::Type::Update), update, ..spelled }
        }
        Event::UpdateOperation(update) => Spelled {
            r#type: of(event::Type::UpdateOperationStatus),
            update_operation_status: Some(event::UpdateOperationStatus {
                status: operation::status(update, dialect),
            }),
            ..spelled
        },
        Event::Message { agent, executor, data } => {
            let message = event::Message {
                agent_id: agent_id(agent),
                executor_id: executor_id(executor),
                data: data.0.to_vec(),
            };
            Spelled { r#type: of(event::Type::Message), message: Some(message), ..spelled }
        }
        Event::Failure { agent, executor } => {
            let failure = Some(failure(agent, executor.as_ref()));
            Spelled { r#type: of(event::Type::Failure), failure, ..spelled }
        }
        Event::Away(agent) => {
            let failure = Some(failure(agent, None));
            Spelled { r#type: of(event::Type::Failure), failure, ..spelled }
        }
        Event::Error(message) => error(message),
        Event::Checked { .. } | Event::Used(_) => return None,
    })
}

fn subscribed(framework: &FrameworkId, greeting: Greeting<'_>) -> event::Subscribed {
    event::Subscribed {
        framework_id: framework_id(framework),
        heartbeat_interval_seconds: Some(greeting.heartbeat_seconds),
        master_info: Some(master_info(greeting.master, greeting.cluster)),
    }
}

fn failure(agent: &AgentId, executor: Option<&Ended>) -> event::Failure {
    event::Failure {
        agent_id: Some(agent_id(agent)),
        executor_id: executor.map(|ended| executor_id(&ended.executor)),
        status: executor.map(|ended| ended.wait_status.unwrap_or(UNKNOWN_STATUS)),
    }
}

pub fn error(message: &str) -> Spelled {
    let error = Some(event::Error { message: message.to_owned() });
    Spelled { r#type: Some(event::Type::Error as i32), error, ..Spelled::default() }
}

pub fn heartbeat() -> Spelled {
    Spelled { r#type: Some(event::Type::Heartbeat as i32), ..Spelled::default() }
}

pub(super) fn executor_id(id: &model::id::ExecutorId) -> mesos_v1::ExecutorId {
    mesos_v1::ExecutorId { value: id.as_str().to_owned() }
}

/// `cluster` is the prefix of all ids.
pub(crate) fn master_info(master: &MasterInfo, cluster: &str) -> SpelledMaster {
    // The four bytes in the order in which they lie in memory, as Mesos has them.
    let ip = master.ip.parse::<Ipv4Addr>().map_or(0, |ip| u32::from_le_bytes(ip.octets()));
    SpelledMaster {
        id: cluster.to_owned(),
        ip,
        port: master.port.into(),
        pid: Some(master.pid()),
        hostname: Some(master.hostname.clone()),
        version: Some(master::VERSION.to_owned()),
        address: Some(Address {
            hostname: Some(master.hostname.clone()),
            ip: Some(master.ip.clone()),
            port: master.port.into(),
        }),
        domain: master.domain.as_ref().map(domain),
        capabilities: master::CAPABILITIES.map(capability).to_vec(),
    }
}

fn capability(name: &str) -> master_info::Capability {
    let kind = master_info::capability::Type::from_str_name(name);
    master_info::Capability { r#type: kind.map(Into::into) }
}
