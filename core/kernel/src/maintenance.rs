//! Maintenance: which machines are to be down and when, by operators' word, and what follows for the agents on them.
//!
//! A machine that is in the schedule is `Draining`: its agents are offered with the time of their unavailability, and
//! whoever holds something there is asked whether it will let go of it. It is `Down` from the order that starts
//! maintenance until the one that stops it, whatever the schedule says of times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use minicbor::{Decode, Encode};
use model::agent::AgentInfo;
use model::id::AgentId;
use model::scheduler::Unavailability;

use crate::duty::Exit;
use crate::state::{Standing, State};
use crate::{Kernel, Out, Record, Refusal};

/// Machines in one schedule: it is one record.
const MACHINES_MAX: usize = 10_000;

/// A machine by its host name, its address or both; an agent is on it if all that is named is its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
pub struct MachineId {
    /// Without capitals; empty if unset.
    #[n(0)]
    hostname: String,
    /// Empty if unset.
    #[n(1)]
    ip: String,
}

impl MachineId {
    pub fn new(hostname: &str, ip: &str) -> Self {
        Self { hostname: hostname.to_lowercase(), ip: ip.to_owned() }
    }

    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    pub fn ip(&self) -> &str {
        &self.ip
    }

    pub fn holds(&self, agent: &AgentInfo) -> bool {
        let is = |named: &str, own: &str| named.is_empty() || named == own;
        is(&self.hostname, &agent.hostname.to_lowercase()) && is(&self.ip, &agent.ip)
    }

    fn fault(&self) -> Option<String> {
        if self.hostname.is_empty() && self.ip.is_empty() {
            return Some("Both 'hostname' and 'ip' for a machine are empty".to_owned());
        }
        let is_ip = self.ip.is_empty() || self.ip.parse::<Ipv4Addr>().is_ok();
        (!is_ip).then(|| format!("'{}' of machine {self} is not an IPv4 address", self.ip))
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.hostname.as_str(), self.ip.as_str()) {
            (hostname, "") => write!(f, "'{hostname}'"),
            ("", ip) => write!(f, "'{ip}'"),
            (hostname, ip) => write!(f, "'{hostname}' ({ip})"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Mode {
    #[n(0)]
    Draining,
    #[n(1)]
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Machine {
    #[n(0)]
    pub id: MachineId,
    #[n(1)]
    pub mode: Mode,
}

/// Machines that are to be down at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Window {
    #[n(0)]
    pub machines: Vec<Machine>,
    #[n(1)]
    pub unavailability: Unavailability,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Schedule {
    #[n(0)]
    pub windows: Vec<Window>,
}

impl Schedule {
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.windows.iter().flat_map(|window| &window.machines)
    }

    fn mode(&self, id: &MachineId) -> Option<Mode> {
        self.machines().find(|machine| machine.id == *id).map(|machine| machine.mode)
    }

    fn change(&mut self, ids: &BTreeSet<&MachineId>, mode: Mode) {
        for machine in self.windows.iter_mut().flat_map(|window| &mut window.machines) {
            if ids.contains(&machine.id) {
                machine.mode = mode;
            }
        }
    }
}

/// One window as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub machines: Vec<MachineId>,
    pub unavailability: Unavailability,
}

/// What the schedule says of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub mode: Mode,
    pub unavailability: Unavailability,
}

impl Planned {
    pub(crate) fn index(schedule: &Schedule) -> BTreeMap<MachineId, Planned> {
        let of = |window: &Window| {
            let unavailability = window.unavailability;
            let plan =
                move |one: &Machine| (one.id.clone(), Planned { mode: one.mode, unavailability });
            window.machines.iter().map(plan).collect::<Vec<_>>()
        };
        schedule.windows.iter().flat_map(of).collect()
    }
}

impl State {
    /// What the schedule says of the machine that an agent is on.
    pub fn planned(&self, agent: &AgentInfo) -> Option<Planned> {
        if self.schedule.windows.is_empty() {
            return None;
        }
        let names =
            [(agent.hostname.as_str(), agent.ip.as_str()), (&agent.hostname, ""), ("", &agent.ip)];
        let ids = names.into_iter().map(|(hostname, ip)| MachineId::new(hostname, ip));
        ids.filter_map(|id| self.machines.get(&id))
            .max_by_key(|one| one.mode == Mode::Down)
            .copied()
    }

    pub(crate) fn is_down(&self, agent: &AgentInfo) -> bool {
        self.planned(agent).is_some_and(|planned| planned.mode == Mode::Down)
    }
}

impl Kernel {
    /// The schedule is this from now on. Machines that are new in it are draining, those that are down stay so.
    pub(crate) fn update_schedule(
        &mut self,
        asked: Vec<Asked>,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let known = &self.state.machines;
        judge_schedule(&asked, known).map_err(Refusal::InvalidMaintenance)?;
        let mode = |id: &MachineId| known.get(id).map_or(Mode::Draining, |known| known.mode);
        let window = |one: Asked| Window {
            machines: one.machines.into_iter().map(|id| Machine { mode: mode(&id), id }).collect(),
            unavailability: one.unavailability,
        };
        let schedule = Schedule { windows: asked.into_iter().map(window).collect() };
        self.set_schedule(schedule, out);
        Ok(())
    }

    pub(crate) fn start_maintenance(
        &mut self,
        machines: &[MachineId],
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let ids = self.named(machines, Mode::Draining)?;
        let mut schedule = self.state.schedule.clone();
        schedule.change(&ids, Mode::Down);
        self.set_schedule(schedule, out);
        let is_on = |agent: &AgentInfo| machines.iter().any(|machine| machine.holds(agent));
        let admitted = self.state.agents.iter();
        let admitted = admitted.filter(|(_, agent)| agent.standing == Standing::Admitted);
        let down = admitted.filter(|(_, agent)| is_on(&agent.info));
        let down: Vec<AgentId> = down.map(|(id, _)| id.clone()).collect();
        down.iter().for_each(|id| self.take_out(id, Exit::Down, out));
        Ok(())
    }

    /// The machines are up, and are in the schedule no more.
    pub(crate) fn stop_maintenance(
        &mut self,
        machines: &[MachineId],
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let ids = self.named(machines, Mode::Down)?;
        let mut schedule = self.state.schedule.clone();
        for window in &mut schedule.windows {
            window.machines.retain(|machine| !ids.contains(&machine.id));
        }
        schedule.windows.retain(|window| !window.machines.is_empty());
        self.set_schedule(schedule, out);
        Ok(())
    }

    /// The machines of a list, if each of them is in this mode.
    fn named<'a>(
        &self,
        machines: &'a [MachineId],
        mode: Mode,
    ) -> Result<BTreeSet<&'a MachineId>, Refusal> {
        let invalid = |cause: String| Err(Refusal::InvalidMaintenance(cause));
        if machines.is_empty() {
            return invalid("List of machines is empty".to_owned());
        }
        let mut ids = BTreeSet::new();
        for id in machines {
            if let Some(fault) = id.fault() {
                return invalid(fault);
            }
            if !ids.insert(id) {
                return invalid(format!("Machine {id} appears more than once in the list"));
            }
        }
        for id in machines {
            let (named, change) = match mode {
                Mode::Draining => ("DRAINING", "down"),
                Mode::Down => ("DOWN", "up"),
            };
            match self.state.schedule.mode(id) {
                None => {
                    return invalid(format!("Machine {id} is not part of a maintenance schedule"));
                }
                Some(is) if is != mode => {
                    return invalid(format!(
                        "Machine {id} is not in {named} mode and cannot be brought {change}"
                    ));
                }
                Some(_) => (),
            }
        }
        Ok(ids)
    }

    fn set_schedule(&mut self, schedule: Schedule, out: &mut Out) {
        let schedule = (!schedule.windows.is_empty()).then_some(schedule);
        self.commit(Record::Maintenance(schedule), out);
        let ids: Vec<AgentId> = self.agents.keys().cloned().collect();
        ids.iter().for_each(|id| self.follow_plan(id, out));
    }
}

/// What is wrong with a schedule, if anything; the words are Mesos'.
fn judge_schedule(asked: &[Asked], known: &BTreeMap<MachineId, Planned>) -> Result<(), String> {
    let mut named = BTreeSet::new();
    for window in asked {
        if window.machines.is_empty() {
            return Err("List of machines in the maintenance window is empty".to_owned());
        }
        for id in &window.machines {
            if let Some(fault) = id.fault() {
                return Err(fault);
            }
            if !named.insert(id) {
                return Err(format!("Machine {id} appears more than once in the schedule"));
            }
        }
    }
    if named.len() > MACHINES_MAX {
        return Err(format!("A schedule names {MACHINES_MAX} machines at most"));
    }
    let mut down = known.iter().filter(|(_, planned)| planned.mode == Mode::Down);
    match down.find(|(id, _)| !named.contains(id)) {
        Some((id, _)) => {
            Err(format!("Machine {id} is deactivated and cannot be removed from the schedule"))
        }
        None => Ok(()),
    }
}
