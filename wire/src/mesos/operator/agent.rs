//! Agents as GET_AGENTS and AGENT_ADDED tell of them.

use std::time::Duration;

use kernel::state::Duty;
use kernel::view::AgentView;
use mesos_v1::agent_info::Capability;
use mesos_v1::agent_info::capability::Type;
use mesos_v1::master::response::get_agents::Agent;
use mesos_v1::master::response::get_agents::agent::ResourceProvider;
use mesos_v1::{AgentInfo, DrainConfig, DrainInfo, DrainState, DurationInfo};
use model::id::AgentId;
use model::provider::Provided;
use model::resources::Resources;

use crate::agent_api::provider;
use crate::mesos::agent::{is_active, is_deactivated, pid, used};
use crate::mesos::master;
use crate::mesos::v1::offer::{attribute, domain};
use crate::mesos::v1::resource::shown;
use crate::mesos::v1::{agent_id, time};

pub fn agent(id: &AgentId, view: &AgentView, offered: &Resources) -> Agent {
    Agent {
        agent_info: info(id, view),
        active: is_active(view),
        deactivated: Some(is_deactivated(view)),
        version: master::VERSION.to_owned(),
        pid: Some(pid(view)),
        registered_time: Some(time(view.agent.registered_at)),
        reregistered_time: view.reregistered_at.map(time),
        total_resources: shown(&crate::mesos::agent::everything(view), None),
        allocated_resources: allocated(view),
        offered_resources: shown(offered, None),
        capabilities: capabilities(),
        drain_info: drain_info(&view.agent.duty),
        resource_providers: view.provided.iter().map(provider).collect(),
        estimated_drain_start_time: view.agent.duty.drain().map(|drain| time(drain.since)),
    }
}

fn provider(one: &Provided) -> ResourceProvider {
    ResourceProvider {
        resource_provider_info: provider::info(&one.id, &one.info),
        total_resources: shown(&one.total, None),
    }
}

fn drain_info(duty: &Duty) -> Option<DrainInfo> {
    let (state, drain) = match duty {
        Duty::Active | Duty::Deactivated => return None,
        Duty::Draining(drain) => (DrainState::Draining, drain),
        Duty::Drained(drain) => (DrainState::Drained, drain),
    };
    let span = |span: Duration| DurationInfo {
        nanoseconds: i64::try_from(span.as_nanos()).unwrap_or(i64::MAX),
    };
    let config = DrainConfig {
        max_grace_period: drain.grace_max.map(span),
        mark_gone: Some(drain.mark_gone),
    };
    Some(DrainInfo { state: state.into(), config })
}

fn allocated(view: &AgentView) -> Vec<mesos_v1::Resource> {
    match view.in_use.len() {
        0 | 1 => view.in_use.iter().flat_map(|(role, held)| shown(held, Some(role))).collect(),
        _ => shown(&used(view), None),
    }
}

pub fn info(id: &AgentId, view: &AgentView) -> AgentInfo {
    let info = &view.agent.info;
    AgentInfo {
        id: Some(agent_id(id)),
        hostname: info.hostname.clone(),
        port: Some(info.port.into()),
        resources: shown(&info.resources, None),
        attributes: info.attributes.iter().map(attribute).collect(),
        domain: info.domain.as_ref().map(domain),
    }
}

/// The names are those of `mesos::agent::CAPABILITIES`.
fn capabilities() -> Vec<Capability> {
    let all = crate::mesos::agent::CAPABILITIES.iter();
    let known = all.filter_map(|name| Type::from_str_name(name));
    known.map(|kind| Capability { r#type: Some(kind.into()) }).collect()
}
