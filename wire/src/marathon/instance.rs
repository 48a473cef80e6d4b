//! An instance as those are told who kill one: the RAML type `Instance`.

use schemars::JsonSchema;
use serde::Serialize;
use services::spec::AppSpec;
use services::state::{self, Goal};

use super::app::UnreachableStrategy;
use super::print;
use super::queue::{Quantity, attribute};
use super::task::condition;
use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub instance_id: String,
    pub state: InstanceState,
    pub agent_info: AgentInfo,
    pub run_spec_version: Spelled,
    pub unreachable_strategy: UnreachableStrategy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceState {
    pub condition: &'static str,
    pub since: Spelled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Spelled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    pub goal: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    pub host: String,
    pub agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    pub attributes: Vec<Quantity>,
}

pub fn instance(one: &state::Instance, spec: &AppSpec) -> Instance {
    let since = one.members.iter().map(|member| member.since).max();
    let since = since.unwrap_or_else(|| one.started_at.unwrap_or(one.staged_at));
    let domain = one.place.domain.as_ref();
    let goal = match one.goal {
        Goal::Running => "Running",
        Goal::Stopped => "Stopped",
        Goal::Decommissioned => "Decommissioned",
    };
    Instance {
        instance_id: one.id(),
        state: InstanceState {
            condition: condition(one.state),
            since: Spelled(since),
            active_since: one.started_at.map(Spelled),
            healthy: one.healthy,
            goal,
        },
        agent_info: AgentInfo {
            host: one.place.host.clone(),
            agent_id: one.place.agent.to_string(),
            region: domain.map(|domain| domain.region.clone()),
            zone: domain.map(|domain| domain.zone.clone()),
            attributes: one.place.attributes.iter().map(attribute).collect(),
        },
        run_spec_version: Spelled(one.version.0),
        unreachable_strategy: print::unreachable(spec.unreachable),
    }
}
