//! Agents and machines as operators steer them: by the v1 calls, and by `/maintenance`, `/machine`, `/reserve` and the
//! like.

use axum::http::Method;
use kernel::operator::Order;
use mesos_v1::codec::Encoding;
use mesos_v1::maintenance::Schedule;
use mesos_v1::master::Call;
use mesos_v1::master::call::Type as Asked;
use mesos_v1::offer::Operation;
use mesos_v1::offer::operation::{
    Create, Destroy, GrowVolume, Reserve, ShrinkVolume, Type, Unreserve,
};
use mesos_v1::{AgentId, MachineId, Resource, json};
use wire::mesos::upkeep;
use wire::mesos::v1::Fault;

use super::orders::lacking;
use crate::failure::Failure;
use crate::query::Query;
use crate::request::Request;

fn sound(order: Result<Order, Fault>) -> Result<Order, Failure> {
    order.map_err(|Fault(cause)| Failure::BadRequest(cause))
}

/// What a call orders that [`operator`](super::operator) passes on.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are answered where they come in")]
pub(super) fn called(call: Call) -> Result<Order, Failure> {
    match call.r#type() {
        Asked::DrainAgent => drain(call),
        Asked::DeactivateAgent => deactivate(call),
        Asked::ReactivateAgent => reactivate(call),
        Asked::MarkAgentGone => mark_gone(call),
        Asked::UpdateMaintenanceSchedule => update_schedule(call),
        Asked::StartMaintenance => start_maintenance(call),
        Asked::StopMaintenance => stop_maintenance(call),
        Asked::ReserveResources => reserve_resources(call),
        Asked::UnreserveResources => unreserve_resources(call),
        Asked::CreateVolumes => create_volumes(call),
        Asked::DestroyVolumes => destroy_volumes(call),
        Asked::GrowVolume => grow_volume(call),
        Asked::ShrinkVolume => shrink_volume(call),
        other => unreachable!("{} steers no agent", other.as_str_name()),
    }
}

fn drain(call: Call) -> Result<Order, Failure> {
    sound(upkeep::drain(&call.drain_agent.ok_or_else(|| lacking("drain_agent"))?))
}

fn deactivate(call: Call) -> Result<Order, Failure> {
    let asked = call.deactivate_agent.ok_or_else(|| lacking("deactivate_agent"))?;
    Ok(Order::Deactivate { agent: upkeep::agent(&asked.agent_id) })
}

fn reactivate(call: Call) -> Result<Order, Failure> {
    let asked = call.reactivate_agent.ok_or_else(|| lacking("reactivate_agent"))?;
    Ok(Order::Reactivate { agent: upkeep::agent(&asked.agent_id) })
}

fn mark_gone(call: Call) -> Result<Order, Failure> {
    let asked = call.mark_agent_gone.ok_or_else(|| lacking("mark_agent_gone"))?;
    Ok(Order::MarkGone { agent: upkeep::agent(&asked.agent_id) })
}

fn update_schedule(call: Call) -> Result<Order, Failure> {
    let asked = call.update_maintenance_schedule;
    let asked = asked.ok_or_else(|| lacking("update_maintenance_schedule"))?;
    sound(upkeep::schedule(&asked.schedule))
}

fn start_maintenance(call: Call) -> Result<Order, Failure> {
    let asked = call.start_maintenance.ok_or_else(|| lacking("start_maintenance"))?;
    Ok(Order::StartMaintenance(upkeep::machines(&asked.machines)))
}

fn stop_maintenance(call: Call) -> Result<Order, Failure> {
    let asked = call.stop_maintenance.ok_or_else(|| lacking("stop_maintenance"))?;
    Ok(Order::StopMaintenance(upkeep::machines(&asked.machines)))
}

fn reserve_resources(call: Call) -> Result<Order, Failure> {
    let asked = call.reserve_resources.ok_or_else(|| lacking("reserve_resources"))?;
    convert(&asked.agent_id, reserve(asked.source, asked.resources))
}

fn unreserve_resources(call: Call) -> Result<Order, Failure> {
    let asked = call.unreserve_resources.ok_or_else(|| lacking("unreserve_resources"))?;
    convert(&asked.agent_id, unreserve(asked.resources))
}

fn create_volumes(call: Call) -> Result<Order, Failure> {
    let asked = call.create_volumes.ok_or_else(|| lacking("create_volumes"))?;
    convert(&asked.agent_id, create(asked.volumes))
}

fn destroy_volumes(call: Call) -> Result<Order, Failure> {
    let asked = call.destroy_volumes.ok_or_else(|| lacking("destroy_volumes"))?;
    convert(&asked.agent_id, destroy(asked.volumes))
}

fn grow_volume(call: Call) -> Result<Order, Failure> {
    let asked = call.grow_volume.ok_or_else(|| lacking("grow_volume"))?;
    let agent = asked.agent_id.ok_or_else(|| lacking("grow_volume.agent_id"))?;
    let grow = GrowVolume { volume: asked.volume, addition: asked.addition };
    let operation = Operation { grow_volume: Some(grow), ..of(Type::GrowVolume) };
    convert(&agent, operation)
}

fn shrink_volume(call: Call) -> Result<Order, Failure> {
    let asked = call.shrink_volume.ok_or_else(|| lacking("shrink_volume"))?;
    let agent = asked.agent_id.ok_or_else(|| lacking("shrink_volume.agent_id"))?;
    let shrink = ShrinkVolume { volume: asked.volume, subtract: asked.subtract };
    let operation = Operation { shrink_volume: Some(shrink), ..of(Type::ShrinkVolume) };
    convert(&agent, operation)
}

fn of(kind: Type) -> Operation {
    Operation { r#type: Some(kind.into()), ..Operation::default() }
}

fn reserve(source: Vec<Resource>, resources: Vec<Resource>) -> Operation {
    Operation { reserve: Some(Reserve { source, resources }), ..of(Type::Reserve) }
}

fn unreserve(resources: Vec<Resource>) -> Operation {
    Operation { unreserve: Some(Unreserve { resources }), ..of(Type::Unreserve) }
}

fn create(volumes: Vec<Resource>) -> Operation {
    Operation { create: Some(Create { volumes }), ..of(Type::Create) }
}

fn destroy(volumes: Vec<Resource>) -> Operation {
    Operation { destroy: Some(Destroy { volumes }), ..of(Type::Destroy) }
}

fn convert(agent: &AgentId, operation: Operation) -> Result<Order, Failure> {
    sound(upkeep::convert(agent, &operation))
}

/// What the request orders, if it is one that orders something; `path` is that below `/master`.
pub(super) fn order(request: &Request, path: &[&str]) -> Option<Result<Order, Failure>> {
    if request.method != Method::POST {
        return None;
    }
    Some(match path {
        ["maintenance", "schedule"] => posted_schedule(request),
        ["machine", "down"] => machines(request).map(Order::StartMaintenance),
        ["machine", "up"] => machines(request).map(Order::StopMaintenance),
        ["reserve"] => form(request, "resources", |resources| reserve(Vec::new(), resources)),
        ["unreserve"] => form(request, "resources", unreserve),
        ["create-volumes"] => form(request, "volumes", create),
        ["destroy-volumes"] => form(request, "volumes", destroy),
        _ => return None,
    })
}

fn posted_schedule(request: &Request) -> Result<Order, Failure> {
    let bad = |cause: &dyn std::fmt::Display| {
        Failure::BadRequest(format!("the body is no maintenance schedule: {cause}"))
    };
    let schedule: Schedule = Encoding::Json.decode(&request.body).map_err(|cause| bad(&cause))?;
    sound(upkeep::schedule(&schedule))
}

fn machines(request: &Request) -> Result<Vec<kernel::maintenance::MachineId>, Failure> {
    let ids: Vec<MachineId> = list("the body", "machines", &request.body)?;
    Ok(upkeep::machines(&ids))
}

/// `slaveId=...&resources=[...]`
fn form(
    request: &Request,
    name: &'static str,
    operation: impl Fn(Vec<Resource>) -> Operation,
) -> Result<Order, Failure> {
    let form = Query::parse(&String::from_utf8_lossy(&request.body));
    let named = |name: &'static str| {
        let missing = || format!("Missing '{name}' query parameter in the request body");
        form.first(name).ok_or_else(|| Failure::BadRequest(missing()))
    };
    let agent = AgentId { value: named("slaveId")?.to_owned() };
    let resources = list(name, "resources", named(name)?.as_bytes())?;
    convert(&agent, operation(resources))
}

fn list<M: json::Message>(of: &str, what: &str, text: &[u8]) -> Result<Vec<M>, Failure> {
    let bad = |cause: &dyn std::fmt::Display| {
        Failure::BadRequest(format!("{of} is no list of {what}: {cause}"))
    };
    let all: Vec<json::Value> = serde_json::from_slice(text).map_err(|cause| bad(&cause))?;
    let read = |one| json::from_value(one).map_err(|cause| bad(&cause));
    all.into_iter().map(read).collect()
}
