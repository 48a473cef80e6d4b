//! An operator who takes agents out of use, empties them and uses them again, and plans maintenance, at random.

use std::time::Duration;

use kernel::maintenance::{Asked, MachineId};
use kernel::operator::Order;
use kernel::state::{Duty, Standing};
use kernel::view::{AgentView, View};
use model::framework::Capability;
use model::id::AgentId;
use model::scheduler::Unavailability;

use crate::host::HOME;
use crate::parcel::{Host, Parcel};
use crate::process::Disk;
use crate::world::World;

/// Until the cluster is asked again whether all agents can be used, once the weather is calm.
const LIFT_AGAIN_MS: u64 = 2_000;
/// A machine whose agent was marked gone is a new one by then.
const WIPED_MS_MAX: u64 = 10_000;

impl World {
    pub fn steer(&mut self) {
        let Some(cluster) = self.master.machine() else { return };
        let view = cluster.view().kernel;
        let agents: Vec<AgentId> = view.agents.keys().cloned().collect();
        let Some(agent) = self.dice.pick(&agents).cloned() else { return };
        let order = match self.dice.between(0, 9) {
            0 => {
                let grace_max = Some(Duration::from_secs(self.dice.between(0, 30)));
                Order::Drain { agent, grace_max, mark_gone: self.dice.chance(200) }
            }
            1 => Order::Deactivate { agent },
            2 if self.dice.chance(200) => Order::MarkGone { agent },
            // Otherwise there would soon be nothing left to run on.
            2..=7 => Order::Reactivate { agent },
            _ => Order::UpdateSchedule(self.some_windows(&view)),
        };
        self.trace(|| format!("operator steers: {order:?}"));
        self.tell_operator(order);
    }

    /// Its agent was marked gone: somebody removes all that it has, and it comes back as another.
    pub fn wipe_host(&mut self, host: Host) {
        self.crash_host(host);
        self.trace(|| format!("host {host} is wiped"));
        let own = &mut self.hosts[host];
        own.process.disk = Disk::default();
        own.containers.clear();
        own.programs.clear();
        let down = self.dice.between(10, WIPED_MS_MAX);
        self.send_in(down, Parcel::HostStarts { host });
    }

    fn some_windows(&mut self, view: &View) -> Vec<Asked> {
        let known = view.agents.values().map(|agent| agent.agent.info.hostname.clone());
        let some: Vec<String> = known.filter(|_| self.dice.chance(400)).collect();
        let mut machines: Vec<MachineId> =
            some.iter().map(|hostname| MachineId::new(hostname, "")).collect();
        machines.sort();
        machines.dedup();
        let start = self.now + Duration::from_secs(self.dice.between(0, 60));
        let duration = Some(Duration::from_secs(self.dice.between(1, 60)));
        let unavailability = Unavailability { start, duration };
        machines.into_iter().map(|id| Asked { machines: vec![id], unavailability }).collect()
    }

    /// All agents are used again, as soon as that is possible.
    pub fn lift_duties(&mut self) {
        let view = self.master.machine().map(|cluster| cluster.view().kernel);
        let Some(view) = view else { return self.send_in(LIFT_AGAIN_MS, Parcel::OperatorActs) };
        let out = view.agents.iter().filter(|(_, agent)| is_out(agent));
        let out: Vec<AgentId> = out.map(|(id, _)| id.clone()).collect();
        if !view.schedule.windows.is_empty() {
            self.tell_operator(Order::UpdateSchedule(Vec::new()));
        }
        if !out.is_empty() || !view.schedule.windows.is_empty() {
            // Those that are still draining refuse, and a crash may take the order with it.
            self.send_in(LIFT_AGAIN_MS, Parcel::OperatorActs);
        }
        for agent in out {
            self.tell_operator(Order::Reactivate { agent });
        }
    }
}

/// It could be used, and is not.
fn is_out(agent: &AgentView) -> bool {
    agent.agent.duty != Duty::Active && !is_gone(agent)
}

fn is_gone(agent: &AgentView) -> bool {
    match agent.agent.standing {
        Standing::Gone { .. } => true,
        Standing::Admitted | Standing::Unreachable { .. } => false,
    }
}

/// A drained agent holds nothing, and nothing is offered of one that is out of use: so nothing is launched there. Who has
/// not said that it knows of regions is offered nothing in another.
pub fn check(world: &World, kernel: &View) {
    for offer in kernel.offers.values() {
        let agent = &kernel.agents[&offer.agent_id].agent;
        assert_eq!(agent.duty, Duty::Active, "{} is offered", offer.agent_id);
        let info = &kernel.frameworks[&offer.framework].framework.info;
        let is_home = agent.info.domain.as_ref().is_none_or(|domain| domain.region == HOME);
        assert!(is_home || info.can(Capability::RegionAware), "offered abroad: {offer:?}");
    }
    for (id, agent) in &kernel.agents {
        if is_gone(agent) {
            assert!(agent.in_use.is_empty() && agent.claims.is_empty(), "{id} is gone: {agent:?}");
            assert!(!agent.connected, "agent {id} is gone and connected");
        }
        let Duty::Drained(_) = agent.agent.duty else { continue };
        assert!(agent.in_use.is_empty(), "agent {id} is drained and is charged: {agent:?}");
        let Some(host) = world.host_of(id) else { continue };
        let left = host.containers.values().find(|one| one.is_alive());
        assert!(left.is_none(), "agent {id} is drained and runs {left:?}");
        let left = host.programs.values().find(|one| one.is_alive());
        assert!(left.is_none(), "agent {id} is drained and runs {left:?}");
    }
}

/// Whether some agent cannot be used.
pub fn unsettled(kernel: &View) -> Option<String> {
    // A drain ends when the agent is back, which those never are that were given an id and have not heard it.
    let is_stuck = |agent: &AgentView| is_out(agent) && agent.connected;
    let (id, agent) = kernel.agents.iter().find(|(_, agent)| is_stuck(agent))?;
    let held: Vec<_> = kernel
        .tasks
        .values()
        .flat_map(|tasks| tasks.values())
        .filter(|task| task.agent == *id)
        .collect();
    Some(format!("agent {id} is not used: {agent:?}, with {held:?}, {:?}", kernel.operations))
}
