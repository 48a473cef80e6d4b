//! Agents and machines as operators steer them: what their calls order, and what they are told of maintenance.

use std::time::Duration;

use kernel::maintenance::{Asked, MachineId, Mode, Window};
use kernel::operator::Order;
use kernel::view::{AgentView, Answer, View};
use mesos_v1::allocator::InverseOfferStatus;
use mesos_v1::allocator::inverse_offer_status::Status;
use mesos_v1::maintenance::cluster_status::DrainingMachine;
use mesos_v1::maintenance::{ClusterStatus, Schedule, Window as SpelledWindow};
use mesos_v1::master::call::DrainAgent;
use mesos_v1::offer::Operation;
use mesos_v1::{AgentId as SpelledAgentId, MachineId as SpelledMachineId};
use model::id::AgentId;
use model::scheduler::Unavailability;
use model::time::Time;

use super::v1::offer::unavailability;
use super::v1::{Fault, framework_id, nanoseconds, operation, time};

pub fn agent(id: &SpelledAgentId) -> AgentId {
    AgentId::new(id.value.as_str())
}

pub fn drain(asked: &DrainAgent) -> Result<Order, Fault> {
    let grace_max = match &asked.max_grace_period {
        None => None,
        Some(period) => {
            let negative = || Fault::new("Expecting 'max_grace_period' to be non-negative");
            let seconds = u64::try_from(period.seconds).map_err(|_| negative())?;
            let nanos = u32::try_from(period.nanos).map_err(|_| negative())?;
            Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
        }
    };
    let mark_gone = asked.mark_gone.unwrap_or_default();
    Ok(Order::Drain { agent: agent(&asked.agent_id), grace_max, mark_gone })
}

/// What comes of it is told once the agent has done it.
pub fn convert(id: &SpelledAgentId, asked: &Operation) -> Result<Order, Fault> {
    let conversion = operation::conversion(asked, None)?;
    Ok(Order::Convert { agent: agent(id), conversion, principal: None })
}

pub fn schedule(schedule: &Schedule) -> Result<Order, Fault> {
    let windows = schedule.windows.iter().map(|window| {
        let planned = &window.unavailability;
        let start = nanoseconds("unavailability.start", planned.start.nanoseconds)?;
        let span = planned.duration.as_ref().map(|span| span.nanoseconds);
        let duration = span.map(|span| nanoseconds("unavailability.duration", span)).transpose()?;
        let unavailability = Unavailability { start: Time(0) + start, duration };
        Ok(Asked { machines: machines(&window.machine_ids), unavailability })
    });
    Ok(Order::UpdateSchedule(windows.collect::<Result<_, Fault>>()?))
}

pub fn machines(ids: &[SpelledMachineId]) -> Vec<MachineId> {
    ids.iter().map(|id| MachineId::new(id.hostname(), id.ip())).collect()
}

pub fn told_schedule(view: &View) -> Schedule {
    let window = |window: &Window| SpelledWindow {
        machine_ids: window.machines.iter().map(|machine| spell(&machine.id)).collect(),
        unavailability: unavailability(&window.unavailability),
    };
    Schedule { windows: view.schedule.windows.iter().map(window).collect() }
}

/// Machines that are to go down, with what was said by those who hold something there; and machines that are down.
pub fn told_status(view: &View) -> ClusterStatus {
    let mut status = ClusterStatus::default();
    let answered: Vec<&AgentView> =
        view.agents.values().map(AsRef::as_ref).filter(|agent| !agent.answers.is_empty()).collect();
    for machine in view.schedule.machines() {
        let id = spell(&machine.id);
        match machine.mode {
            Mode::Down => status.down_machines.push(id),
            Mode::Draining => {
                let on_it = |agent: &&&AgentView| machine.id.holds(&agent.agent.info);
                let statuses = answered.iter().filter(on_it).flat_map(|agent| answers(agent));
                let statuses = statuses.collect();
                status.draining_machines.push(DrainingMachine { id, statuses });
            }
        }
    }
    status
}

fn answers(agent: &AgentView) -> impl Iterator<Item = InverseOfferStatus> {
    agent.answers.iter().map(|one| InverseOfferStatus {
        status: match one.answer {
            Answer::Accept => Status::Accept.into(),
            Answer::Decline => Status::Decline.into(),
        },
        framework_id: framework_id(&one.framework),
        timestamp: time(one.at),
    })
}

fn spell(id: &MachineId) -> SpelledMachineId {
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SpelledMachineId { hostname: named(id.hostname()), ip: named(id.ip()) }
}
