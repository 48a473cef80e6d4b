//! What is left of an offer while tasks are placed into it, in a form that is cheap to take from.

use model::resources::{Amount, Ranges, Reservation, Resource, ResourceName, Resources, Scalar};

use crate::disk::{Pick, is_disk};

/// The scalars that apps ask for, in this order.
pub const SCALARS: [ResourceName; 4] =
    [ResourceName::Cpus, ResourceName::Mem, ResourceName::Disk, ResourceName::Gpus];

pub type Scalars = [Scalar; SCALARS.len()];

/// An offer's free resources, shelf by shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What is reserved comes first, so that it is used up before what others could use as well.
    pub(crate) shelves: Vec<Shelf>,
    /// Besides the agent's own: each is taken for volumes that ask for one, in part or whole.
    pub(crate) disks: Vec<Resource>,
}

/// What is free under one reservation, or under none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) reserved: Vec<Reservation>,
    pub(crate) scalars: Scalars,
    pub(crate) ports: Vec<(u16, u16)>,
}

/// What one task takes out of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Shelf by shelf.
    pub(crate) scalars: Vec<Scalars>,
    /// In the order of the need, each with its shelf.
    pub(crate) ports: Vec<(usize, u16)>,
    /// In the order of the volumes that ask for one.
    pub(crate) disks: Vec<Pick>,
}

impl Taken {
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().map(|(_, port)| *port)
    }
}

impl Room {
    pub fn new(offered: &Resources) -> Self {
        let mut shelves: Vec<Shelf> = Vec::new();
        // A volume is not a place for anything else, what may be taken away again is not what apps are promised, and what a
        // provider brings does not add up with what the agent has.
        let usable = |one: &&Resource| {
            one.disk.is_none() && one.provider.is_none() && !one.shared && !one.revocable
        };
        for resource in offered.iter().filter(usable) {
            let at =
                shelves.iter().position(|shelf| shelf.reserved.as_slice() == resource.reservations);
            let at = at.unwrap_or_else(|| {
                shelves.push(Shelf::empty(resource.reservations.clone()));
                shelves.len() - 1
            });
            shelves[at].put(resource);
        }
        shelves.sort_by_key(|shelf| shelf.reserved.is_empty());
        let disks = offered.iter().filter(|one| is_disk(one)).cloned().collect();
        Self { shelves, disks }
    }

    /// Whether nothing is left that a task could run on.
    pub fn is_used_up(&self) -> bool {
        self.shelves.iter().all(|shelf| shelf.scalars[0].is_zero() || shelf.scalars[1].is_zero())
    }

    /// What is set aside for one instance is not a place for another.
    #[must_use]
    pub fn beside(offered: &Resources, estates: &Resources) -> Self {
        if estates.is_empty() { Self::new(offered) } else { Self::new(&offered.minus(estates)) }
    }

    pub(crate) fn total(&self, scalar: usize) -> Scalar {
        Scalar(self.shelves.iter().map(|shelf| shelf.scalars[scalar].0).sum())
    }

    /// Takes it out and tells what the task is charged for.
    pub fn take(&mut self, taken: &Taken) -> Resources {
        for (shelf, part) in self.shelves.iter_mut().zip(&taken.scalars) {
            for (free, used) in shelf.scalars.iter_mut().zip(part) {
                free.0 -= used.0;
            }
        }
        for (at, port) in &taken.ports {
            self.shelves[*at].take_port(*port);
        }
        for (at, size) in &taken.disks {
            let left = Scalar(self.disks[*at].scalar().0 - size.0);
            self.disks[*at].amount = Amount::Scalar(left);
        }
        self.charge(taken)
    }

    /// The disks among what is taken, one for each volume that asks for one.
    pub fn disks(&self, taken: &Taken) -> Vec<Resource> {
        taken.disks.iter().map(|(at, size)| self.disks[*at].sized(*size)).collect()
    }

    fn charge(&self, taken: &Taken) -> Resources {
        let mut charged = Vec::with_capacity(SCALARS.len() + 1);
        for (at, (shelf, part)) in self.shelves.iter().zip(&taken.scalars).enumerate() {
            let mut charge = |name: &ResourceName, amount| {
                let reservations = shelf.reserved.clone();
                charged.push(Resource { reservations, ..Resource::plain(name.clone(), amount) });
            };
            for (name, amount) in SCALARS.iter().zip(part).filter(|(_, amount)| !amount.is_zero()) {
                charge(name, Amount::Scalar(*amount));
            }
            let ports = taken.ports.iter().filter(|(of, _)| *of == at);
            let ports = Ranges::new(ports.map(|(_, port)| (u64::from(*port), u64::from(*port))));
            if !ports.is_empty() {
                charge(&ResourceName::Ports, Amount::Ranges(ports));
            }
        }
        charged.extend(self.disks(taken));
        Resources::new(charged)
    }
}

impl Shelf {
    fn empty(reserved: Vec<Reservation>) -> Self {
        Self { reserved, scalars: Scalars::default(), ports: Vec::new() }
    }

    fn put(&mut self, resource: &Resource) {
        match &resource.amount {
            Amount::Scalar(scalar) => {
                if let Some(at) = SCALARS.iter().position(|name| *name == resource.name) {
                    self.scalars[at] = *scalar;
                }
            }
            Amount::Ranges(ranges) if resource.name == ResourceName::Ports => {
                let port = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
                let intervals = ranges.intervals().iter();
                self.ports = intervals.map(|(begin, end)| (port(*begin), port(*end))).collect();
            }
            Amount::Ranges(_) | Amount::Set(_) => (),
        }
    }

    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|(begin, end)| (*begin..=*end).contains(&port))
    }

    pub(crate) fn port_count(&self) -> usize {
        self.ports.iter().map(|(begin, end)| usize::from(end - begin) + 1).sum()
    }

    /// The nth free port, counted from the lowest.
    pub(crate) fn port(&self, mut nth: usize) -> u16 {
        for (begin, end) in &self.ports {
            let length = usize::from(end - begin) + 1;
            if nth < length {
                return begin + u16::try_from(nth).expect("less than the length of a port range");
            }
            nth -= length;
        }
        panic!("port {nth} past the last free one");
    }

    fn take_port(&mut self, port: u16) {
        let at = self.ports.iter().position(|(begin, end)| (*begin..=*end).contains(&port));
        let at = at.expect("a port that is taken was free");
        let (begin, end) = self.ports[at];
        let mut left = Vec::with_capacity(2);
        if begin < port {
            left.push((begin, port - 1));
        }
        if port < end {
            left.push((port + 1, end));
        }
        self.ports.splice(at..=at, left);
    }
}
