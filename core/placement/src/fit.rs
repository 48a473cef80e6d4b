//! The question itself: does one more task fit into what is left of an offer?

use model::agent::AgentInfo;
use model::id::Role;
use model::resources::{Reservation, Scalar};

use crate::demand::{Demand, Lack};
use crate::disk::{DiskNeed, nth_volume, pick_disks};
use crate::room::{Room, Scalars, Taken};
use crate::rule::{Field, Rule, Spot, Tally};

/// What one instance of an app asks of an agent.
#[derive(Debug, Clone)]
pub struct Need {
    /// Cpus, mem, disk, gpus.
    pub scalars: Scalars,
    /// One disk for each, besides what it takes of the agent's own.
    pub disks: Vec<DiskNeed>,
    /// One host port for each.
    pub ports: Vec<Port>,
    /// Whose reservations it may use; `*` stands for what nobody has reserved.
    pub accepts: Vec<Role>,
    pub rules: Vec<Rule>,
    /// The region that it stays in unless a rule names a region or zone. Agents without one are everywhere.
    pub home: Option<String>,
    /// How many instances the app wants, for even spreading.
    pub instances: u32,
    pub gpus: GpuUse,
    /// It goes where something is set aside for it, once something is.
    pub resident: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Any,
    Exactly(u16),
}

/// Whether what needs no gpu may take up an agent that has some (`--gpu_scheduling_behavior`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuUse {
    Restricted,
    Unrestricted,
}

/// Whom an offer is of.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub agent: &'a AgentInfo,
    pub prospect: Prospect,
}

/// Whether an agent will be there for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    Stays,
    /// It is down for maintenance, or soon will be.
    Leaves,
}

/// What it would take out of the room, or every demand that is not met. `tallies` belong to the rules one by one; the
/// seed spreads the ports.
pub fn fit(
    need: &Need,
    room: &Room,
    site: Site<'_>,
    tallies: &[Tally],
    seed: u64,
) -> Result<Taken, Vec<Lack>> {
    assert_eq!(need.rules.len(), tallies.len(), "one tally for each rule");
    let usable: Vec<bool> =
        room.shelves.iter().map(|shelf| need.may_use(&shelf.reserved)).collect();
    let scalars = pick_scalars(need, room, &usable);
    let ports = pick_ports(need, room, &usable, seed);
    let disks = pick_disks(need, room);
    match (scalars, ports, disks) {
        (Some(scalars), Ok(ports), Ok(disks)) if need.suits(room, site, tallies) => {
            Ok(Taken { scalars, ports, disks })
        }
        (_, ports, disks) => {
            let missing = Missing { ports: ports.err(), disks: disks.err().unwrap_or_default() };
            Err(lacks(need, room, &usable, site, tallies, missing))
        }
    }
}

impl Need {
    /// Everything that it demands, in the order in which an offer is judged.
    pub fn demands(&self) -> Vec<Demand> {
        let region = self.bound_to().map(|_| Demand::Region);
        let constraints = (0..self.rules.len()).map(nth_constraint);
        let amounts = AMOUNTS.into_iter().zip(self.scalars);
        let amounts = amounts.filter(|(_, amount)| !amount.is_zero()).map(|(demand, _)| demand);
        let volumes = (0..self.disks.len()).map(nth_volume);
        let ports = (!self.ports.is_empty()).then_some(Demand::Ports);
        let thrift = self.is_thrifty().then_some(Demand::Thrift);
        let reservation = self.resident.then_some(Demand::Reservation);
        let first = reservation.into_iter().chain([Demand::Role]);
        let first = first.chain(region).chain(constraints);
        first
            .chain([Demand::Stay])
            .chain(amounts)
            .chain(volumes)
            .chain(ports)
            .chain(thrift)
            .collect()
    }

    pub(crate) fn may_use(&self, reserved: &[Reservation]) -> bool {
        self.accepts.iter().any(|role| match reserved.last() {
            Some(last) => last.role == *role,
            None => role.as_str() == "*",
        })
    }

    fn suits(&self, room: &Room, site: Site<'_>, tallies: &[Tally]) -> bool {
        let mut rules = self.rules.iter().zip(tallies);
        !self.wastes_gpus(room)
            && site.prospect == Prospect::Stays
            && !self.is_abroad(site.agent)
            && rules.all(|(rule, tally)| rule.allows(Spot::of(site.agent), tally, self.instances))
    }

    fn is_thrifty(&self) -> bool {
        self.gpus == GpuUse::Restricted && self.scalars[3].is_zero()
    }

    fn wastes_gpus(&self, room: &Room) -> bool {
        self.is_thrifty() && !room.total(3).is_zero()
    }

    /// The region that it does not leave.
    pub fn bound_to(&self) -> Option<&str> {
        let chooses =
            self.rules.iter().any(|rule| matches!(rule.field, Field::Region | Field::Zone));
        self.home.as_deref().filter(|_| !chooses)
    }

    fn is_abroad(&self, agent: &AgentInfo) -> bool {
        let region = agent.domain.as_ref().map(|domain| domain.region.as_str());
        region.zip(self.bound_to()).is_some_and(|(region, home)| region != home)
    }
}

/// The demands of the scalars, in their order.
const AMOUNTS: [Demand; 4] = [Demand::Cpus, Demand::Mem, Demand::Disk, Demand::Gpus];

fn nth_constraint(nth: usize) -> Demand {
    Demand::Constraint(u16::try_from(nth).unwrap_or(u16::MAX))
}

/// Each scalar from the first shelves that have it.
fn pick_scalars(need: &Need, room: &Room, usable: &[bool]) -> Option<Vec<Scalars>> {
    let mut left = need.scalars;
    let mut picked = vec![Scalars::default(); room.shelves.len()];
    for (at, shelf) in room.shelves.iter().enumerate().filter(|(at, _)| usable[*at]) {
        for (n, left) in left.iter_mut().enumerate() {
            let part = (*left).min(shelf.scalars[n]);
            picked[at][n] = part;
            left.0 -= part.0;
        }
    }
    left.iter().all(|left| left.is_zero()).then_some(picked)
}

/// A port for each that is needed, in their order; or how many are not there.
fn pick_ports(
    need: &Need,
    room: &Room,
    usable: &[bool],
    seed: u64,
) -> Result<Vec<(usize, u16)>, u64> {
    if need.ports.is_empty() {
        return Ok(Vec::new());
    }
    let mut missing = 0;
    let mut exact: Vec<(usize, u16)> = Vec::new();
    for port in need.ports.iter().filter_map(|port| port.number()) {
        let has = |at: &usize| usable[*at] && room.shelves[*at].has_port(port);
        // A port that is needed twice is not there for the second.
        match (0..room.shelves.len()).find(has).map(|at| (at, port)) {
            Some(found) if !exact.contains(&found) => exact.push(found),
            Some(_) | None => missing += 1,
        }
    }
    let any = need.ports.iter().filter(|port| **port == Port::Any).count();
    let chosen = any_ports(any, &exact, room, usable, seed);
    missing += u64::try_from(any - chosen.len()).expect("ports are few");
    if missing > 0 {
        return Err(missing);
    }
    let (mut exact, mut chosen) = (exact.into_iter(), chosen.into_iter());
    let picked = need.ports.iter().map(|port| match port {
        Port::Any => chosen.next(),
        Port::Exactly(_) => exact.next(),
    });
    Ok(picked.map(|port| port.expect("one was found for each")).collect())
}

impl Port {
    fn number(self) -> Option<u16> {
        match self {
            Port::Any => None,
            Port::Exactly(number) => Some(number),
        }
    }
}

/// Up to so many consecutive free ports from a place that the seed chooses, but for those that are spoken for: a port is
/// not soon used again for something else, and the ranges stay whole.
fn any_ports(
    count: usize,
    spoken_for: &[(usize, u16)],
    room: &Room,
    usable: &[bool],
    seed: u64,
) -> Vec<(usize, u16)> {
    let shelves = || (0..room.shelves.len()).filter(|at| usable[*at]);
    let total: usize = shelves().map(|at| room.shelves[at].port_count()).sum();
    if total == 0 {
        return Vec::new();
    }
    let start = usize::try_from(seed % u64::try_from(total).expect("ports are few")).expect("less");
    let nth = |mut nth: usize| {
        for at in shelves() {
            let here = room.shelves[at].port_count();
            if nth < here {
                return (at, room.shelves[at].port(nth));
            }
            nth -= here;
        }
        panic!("port {nth} past the last free one");
    };
    let in_turn = (0..total).map(|n| nth((start + n) % total));
    in_turn.filter(|port| !spoken_for.contains(port)).take(count).collect()
}

/// What picking has found to be missing.
struct Missing {
    ports: Option<u64>,
    disks: Vec<Lack>,
}

/// Every demand that is not met, in the order in which Marathon looks.
fn lacks(
    need: &Need,
    room: &Room,
    usable: &[bool],
    site: Site<'_>,
    tallies: &[Tally],
    missing: Missing,
) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut note = |lacking: bool, demand| lacks.extend(lacking.then(|| Lack::of(demand)));
    note(!usable.contains(&true), Demand::Role);
    note(need.is_abroad(site.agent), Demand::Region);
    for (nth, (rule, tally)) in need.rules.iter().zip(tallies).enumerate() {
        let allowed = rule.allows(Spot::of(site.agent), tally, need.instances);
        note(!allowed, nth_constraint(nth));
    }
    note(site.prospect == Prospect::Leaves, Demand::Stay);
    for (n, demand) in AMOUNTS.into_iter().enumerate() {
        let shelves = room.shelves.iter().zip(usable).filter(|(_, usable)| **usable);
        let free: u64 = shelves.map(|(shelf, _)| shelf.scalars[n].0).sum();
        let missing = Scalar(need.scalars[n].0.saturating_sub(free));
        lacks.extend((!missing.is_zero()).then_some(Lack { demand, missing }));
    }
    lacks.extend(missing.disks);
    let ports = missing
        .ports
        .map(|missing| Lack { demand: Demand::Ports, missing: Scalar::whole(missing) });
    lacks.extend(ports);
    lacks.extend(need.wastes_gpus(room).then(|| Lack::of(Demand::Thrift)));
    lacks
}
