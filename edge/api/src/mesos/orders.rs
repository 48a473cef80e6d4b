//! What the v1 calls of operators order.

use kernel::operator::Order;
use mesos_v1::master::Call;
use model::id::Role;
use wire::mesos::quota::{self, Faults};

use crate::failure::Failure;

pub(super) fn lacking(name: &str) -> Failure {
    Failure::BadRequest(format!("the call lacks '{name}'"))
}

pub(super) fn sound(order: Result<Order, Faults>) -> Result<Order, Failure> {
    order.map_err(|faults| Failure::BadRequest(faults.join("; ")))
}

pub(super) fn update_quota(call: Call) -> Result<Order, Failure> {
    let asked = call.update_quota.ok_or_else(|| lacking("update_quota"))?;
    sound(quota::update(asked.quota_configs, asked.force.unwrap_or_default()))
}

#[expect(deprecated, reason = "older clients ask so")]
pub(super) fn set_quota(call: Call) -> Result<Order, Failure> {
    let asked = call.set_quota.ok_or_else(|| lacking("set_quota"))?;
    sound(quota::set(asked.quota_request))
}

#[expect(deprecated, reason = "older clients ask so")]
pub(super) fn remove_quota(call: Call) -> Result<Order, Failure> {
    let asked = call.remove_quota.ok_or_else(|| lacking("remove_quota"))?;
    Ok(Order::RemoveQuota { role: Role::new(asked.role) })
}

pub(super) fn update_weights(call: Call) -> Result<Order, Failure> {
    let asked = call.update_weights.ok_or_else(|| lacking("update_weights"))?;
    sound(quota::weights(asked.weight_infos))
}
