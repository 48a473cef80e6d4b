//! What operators ask for: weights, quotas, the duty of agents, maintenance, reservations and volumes. Each order is carried out whole or refused.

use std::time::Duration;

use model::id::{AgentId, Role};
use model::operation::Conversion;
use model::resources::Scalar;

use crate::frameworks::is_role;
use crate::maintenance::{Asked, MachineId};
use crate::quota::{Quantities, Quota, Update};
use crate::state::Drain;
use crate::{Kernel, Out, Record, Refusal};

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "operators give few orders, and none of them is kept"
)]
pub enum Order {
    /// The roles' quotas are these from now on; one without limits and guarantees is removed.
    UpdateQuota {
        quotas: Vec<(Role, Quota)>,
        /// Even if more is used than the limits allow, or more is promised than there is.
        force: bool,
    },
    /// The older way: the role must have none, and what it is promised is its limit as well.
    SetQuota {
        role: Role,
        guarantees: Quantities,
        force: bool,
    },
    RemoveQuota {
        role: Role,
    },
    UpdateWeights(Vec<(Role, Scalar)>),
    /// Nothing of the agent is offered any more, and all that runs on it is ended.
    Drain {
        agent: AgentId,
        grace_max: Option<Duration>,
        mark_gone: bool,
    },
    /// Nothing of the agent is offered any more; what runs goes on.
    Deactivate {
        agent: AgentId,
    },
    /// It is used again.
    Reactivate {
        agent: AgentId,
    },
    /// It is given up with all that was on it, and does not come back under this id.
    MarkGone {
        agent: AgentId,
    },
    /// These machines are to be down at these times, and no others.
    UpdateSchedule(Vec<Asked>),
    /// The machines are down from now on, whatever runs there.
    StartMaintenance(Vec<MachineId>),
    /// They are up again.
    StopMaintenance(Vec<MachineId>),
    /// Resources of an agent become others. Offers are taken back if that frees what it needs.
    Convert {
        agent: AgentId,
        conversion: Conversion,
        principal: Option<String>,
    },
}

impl Kernel {
    pub(crate) fn order(&mut self, order: Order, out: &mut Out) -> Result<(), Refusal> {
        match order {
            Order::UpdateQuota { quotas, force } => {
                self.update_quota(Update { quotas, force }, out)
            }
            Order::SetQuota { role, guarantees, force } => {
                self.set_quota(role, Quota::both(guarantees), force, out)
            }
            Order::RemoveQuota { role } => self.remove_quota(role, out),
            Order::UpdateWeights(weights) => self.update_weights(weights, out),
            Order::Drain { agent, grace_max, mark_gone } => {
                let drain = Drain { since: self.now, grace_max, mark_gone };
                self.drain(&agent, drain, out)
            }
            Order::Deactivate { agent } => self.deactivate(&agent, out),
            Order::Reactivate { agent } => self.reactivate(&agent, out),
            Order::MarkGone { agent } => self.mark_gone(&agent, out),
            Order::UpdateSchedule(asked) => self.update_schedule(asked, out),
            Order::StartMaintenance(machines) => self.start_maintenance(&machines, out),
            Order::StopMaintenance(machines) => self.stop_maintenance(&machines, out),
            Order::Convert { agent, conversion, principal } => {
                self.convert_for_operator(&agent, conversion, principal, out)
            }
        }
    }

    fn update_weights(
        &mut self,
        weights: Vec<(Role, Scalar)>,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let faults: Vec<String> = weights.iter().filter_map(weight_fault).collect();
        if !faults.is_empty() {
            return Err(Refusal::InvalidWeight(faults));
        }
        for (role, weight) in weights {
            if self.state.weights.get(&role) != Some(&weight) {
                self.commit(Record::Weight(role, Some(weight)), out);
            }
        }
        Ok(())
    }
}

fn weight_fault((role, weight): &(Role, Scalar)) -> Option<String> {
    if !is_role(role) {
        return Some(format!("{:?} is not a role", role.as_str()));
    }
    weight.is_zero().then(|| format!("the weight of role {role} must be 0.001 or more"))
}
