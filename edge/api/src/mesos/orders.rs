//! What the v1 calls of operators order.

use kernel::operator::Order;
use mesos_v1::master::Call;
use mesos_v1::master::call::Type;
use model::id::Role;
use model::operation::Conversion;
use wire::mesos::quota::{self, Faults};

use crate::failure::Failure;

/// Signed by who has proved to give it: what it reserves and creates is to bear its name.
pub(super) fn by(proved: Option<String>, order: Order) -> Order {
    match order {
        Order::Convert { agent, conversion, principal: _ } => {
            Order::Convert { agent, conversion, principal: proved }
        }
        unsigned @ (Order::UpdateQuota { .. }
        | Order::SetQuota { .. }
        | Order::RemoveQuota { .. }
        | Order::UpdateWeights(_)
        | Order::Drain { .. }
        | Order::Deactivate { .. }
        | Order::Reactivate { .. }
        | Order::MarkGone { .. }
        | Order::UpdateSchedule(_)
        | Order::StartMaintenance(_)
        | Order::StopMaintenance(_)) => unsigned,
    }
}

/// As Mesos calls it, and as the log tells it.
pub(super) fn name(order: &Order) -> &'static str {
    match order {
        Order::UpdateQuota { .. } => "UPDATE_QUOTA",
        Order::SetQuota { .. } => "SET_QUOTA",
        Order::RemoveQuota { .. } => "REMOVE_QUOTA",
        Order::UpdateWeights(_) => "UPDATE_WEIGHTS",
        Order::Drain { .. } => "DRAIN_AGENT",
        Order::Deactivate { .. } => "DEACTIVATE_AGENT",
        Order::Reactivate { .. } => "REACTIVATE_AGENT",
        Order::MarkGone { .. } => "MARK_AGENT_GONE",
        Order::UpdateSchedule(_) => "UPDATE_MAINTENANCE_SCHEDULE",
        Order::StartMaintenance(_) => "START_MAINTENANCE",
        Order::StopMaintenance(_) => "STOP_MAINTENANCE",
        Order::Convert { conversion, .. } => match conversion {
            Conversion::Reserve { .. } => "RESERVE_RESOURCES",
            Conversion::Unreserve { .. } => "UNRESERVE_RESOURCES",
            Conversion::Create { .. } => "CREATE_VOLUMES",
            Conversion::Destroy { .. } => "DESTROY_VOLUMES",
            Conversion::GrowVolume { .. } => "GROW_VOLUME",
            Conversion::ShrinkVolume { .. } => "SHRINK_VOLUME",
            Conversion::CreateDisk { .. } => "CREATE_DISK",
            Conversion::DestroyDisk { .. } => "DESTROY_DISK",
        },
    }
}

pub(super) fn lacking(name: &str) -> Failure {
    Failure::BadRequest(format!("the call lacks '{name}'"))
}

pub(super) fn sound(order: Result<Order, Faults>) -> Result<Order, Failure> {
    order.map_err(|faults| Failure::BadRequest(faults.join("; ")))
}

/// What a call about shares of the cluster orders.
#[expect(deprecated, reason = "older clients set and remove quotas so")]
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are answered where they come in")]
pub(super) fn called(call: Call) -> Result<Order, Failure> {
    match call.r#type() {
        Type::UpdateWeights => update_weights(call),
        Type::UpdateQuota => update_quota(call),
        Type::SetQuota => set_quota(call),
        Type::RemoveQuota => remove_quota(call),
        other => unreachable!("{} is about something else", other.as_str_name()),
    }
}

fn update_quota(call: Call) -> Result<Order, Failure> {
    let asked = call.update_quota.ok_or_else(|| lacking("update_quota"))?;
    sound(quota::update(asked.quota_configs, asked.force.unwrap_or_default()))
}

#[expect(deprecated, reason = "older clients ask so")]
fn set_quota(call: Call) -> Result<Order, Failure> {
    let asked = call.set_quota.ok_or_else(|| lacking("set_quota"))?;
    sound(quota::set(asked.quota_request))
}

#[expect(deprecated, reason = "older clients ask so")]
fn remove_quota(call: Call) -> Result<Order, Failure> {
    let asked = call.remove_quota.ok_or_else(|| lacking("remove_quota"))?;
    Ok(Order::RemoveQuota { role: Role::new(asked.role) })
}

fn update_weights(call: Call) -> Result<Order, Failure> {
    let asked = call.update_weights.ok_or_else(|| lacking("update_weights"))?;
    sound(quota::weights(asked.weight_infos))
}
