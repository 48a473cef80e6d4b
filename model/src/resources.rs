//! Resource arithmetic, exact: scalars are thousandths, as in Mesos; ports are ranges; sets are sets.

mod ranges;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::id::Role;

pub use ranges::Ranges;

/// A quantity in thousandths: 0.1 cpus is `Scalar(100)`, 128 MiB of memory is `Scalar(128_000)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Scalar(#[n(0)] pub u64);

/// Beyond this a float no longer holds every thousandth.
const SCALAR_MAX: f64 = 1e12;

impl Scalar {
    /// Rounds to three decimals; `None` for what is negative, not finite or absurdly large.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    pub fn from_f64(value: f64) -> Option<Self> {
        (value.is_finite() && (0.0..=SCALAR_MAX).contains(&value))
            .then(|| Self((value * 1000.0).round() as u64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "every thousandth up to SCALAR_MAX has a float of its own"
    )]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    pub const fn whole(value: u64) -> Self {
        Self(value * 1000)
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        match part {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{part:03}").trim_end_matches('0')),
        }
    }
}

impl FromStr for Scalar {
    type Err = BadResources;

    fn from_str(text: &str) -> Result<Self, BadResources> {
        text.parse()
            .ok()
            .and_then(Self::from_f64)
            .ok_or_else(|| BadResources::new(text, "is not a number"))
    }
}

/// What a resource is called. The five that schedulers know have an order of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum ResourceName {
    #[n(0)]
    Cpus,
    /// MiB.
    #[n(1)]
    Mem,
    /// MiB.
    #[n(2)]
    Disk,
    #[n(3)]
    Gpus,
    #[n(4)]
    Ports,
    #[n(5)]
    Other(#[n(0)] String),
}

impl ResourceName {
    pub fn as_str(&self) -> &str {
        match self {
            ResourceName::Cpus => "cpus",
            ResourceName::Mem => "mem",
            ResourceName::Disk => "disk",
            ResourceName::Gpus => "gpus",
            ResourceName::Ports => "ports",
            ResourceName::Other(name) => name,
        }
    }
}

impl From<&str> for ResourceName {
    fn from(name: &str) -> Self {
        match name {
            "cpus" => ResourceName::Cpus,
            "mem" => ResourceName::Mem,
            "disk" => ResourceName::Disk,
            "gpus" => ResourceName::Gpus,
            "ports" => ResourceName::Ports,
            other => ResourceName::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Amount {
    #[n(0)]
    Scalar(#[n(0)] Scalar),
    #[n(1)]
    Ranges(#[n(0)] Ranges),
    #[n(2)]
    Set(#[n(0)] BTreeSet<String>),
}

impl Amount {
    fn is_empty(&self) -> bool {
        match self {
            Amount::Scalar(scalar) => scalar.is_zero(),
            Amount::Ranges(ranges) => ranges.is_empty(),
            Amount::Set(set) => set.is_empty(),
        }
    }

    fn contains(&self, other: &Amount) -> bool {
        match (self, other) {
            (Amount::Scalar(mine), Amount::Scalar(theirs)) => theirs <= mine,
            (Amount::Ranges(mine), Amount::Ranges(theirs)) => mine.contains(theirs),
            (Amount::Set(mine), Amount::Set(theirs)) => theirs.is_subset(mine),
            (Amount::Scalar(_) | Amount::Ranges(_) | Amount::Set(_), _) => false,
        }
    }

    fn add(&mut self, other: &Amount) {
        match (self, other) {
            (Amount::Scalar(mine), Amount::Scalar(theirs)) => mine.0 += theirs.0,
            (Amount::Ranges(mine), Amount::Ranges(theirs)) => *mine = mine.union(theirs),
            (Amount::Set(mine), Amount::Set(theirs)) => mine.extend(theirs.iter().cloned()),
            (mine, theirs) => panic!("adding {theirs:?} to {mine:?}: one name, two types"),
        }
    }

    fn subtract(&mut self, other: &Amount) {
        match (self, other) {
            (Amount::Scalar(mine), Amount::Scalar(theirs)) => mine.0 -= theirs.0,
            (mine, theirs) => mine.take(theirs),
        }
    }

    /// Takes what is there of `other`.
    fn take(&mut self, other: &Amount) {
        match (self, other) {
            (Amount::Scalar(mine), Amount::Scalar(theirs)) => {
                mine.0 = mine.0.saturating_sub(theirs.0);
            }
            (Amount::Ranges(mine), Amount::Ranges(theirs)) => *mine = mine.minus(theirs),
            (Amount::Set(mine), Amount::Set(theirs)) => mine.retain(|one| !theirs.contains(one)),
            // What is of another type is not there.
            (Amount::Scalar(_) | Amount::Ranges(_) | Amount::Set(_), _) => (),
        }
    }
}

/// One resource of an agent, free for all or reserved for a role.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Resource {
    #[n(0)]
    pub name: ResourceName,
    #[n(1)]
    pub amount: Amount,
    /// The role that the agent's operator set it aside for, if any.
    #[n(2)]
    pub reserved: Option<Role>,
}

/// A bag of resources, at most one entry for each name and reservation, sorted, none of them empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Resources(#[n(0)] Vec<Resource>);

impl Resources {
    pub fn new(all: impl IntoIterator<Item = Resource>) -> Self {
        let mut bag = Self::default();
        for resource in all {
            bag.add_one(&resource);
        }
        bag
    }

    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, of: &Resource) -> Result<usize, usize> {
        self.0.binary_search_by(|one| (&one.name, &one.reserved).cmp(&(&of.name, &of.reserved)))
    }

    fn add_one(&mut self, resource: &Resource) {
        if resource.amount.is_empty() {
            return;
        }
        match self.position(resource) {
            Ok(at) => self.0[at].amount.add(&resource.amount),
            Err(at) => self.0.insert(at, resource.clone()),
        }
    }

    pub fn add(&mut self, other: &Resources) {
        other.0.iter().for_each(|resource| self.add_one(resource));
    }

    pub fn contains(&self, other: &Resources) -> bool {
        other.0.iter().all(|theirs| {
            self.position(theirs).is_ok_and(|at| self.0[at].amount.contains(&theirs.amount))
        })
    }

    /// Takes `other` out. The caller has made sure that it is there.
    pub fn subtract(&mut self, other: &Resources) {
        assert!(self.contains(other), "subtracting {other} from {self}");
        for theirs in &other.0 {
            let at = self.position(theirs).expect("contained");
            self.0[at].amount.subtract(&theirs.amount);
            if self.0[at].amount.is_empty() {
                self.0.remove(at);
            }
        }
    }

    /// What is left without `other`; what is not there cannot be taken and is passed over.
    #[must_use]
    pub fn minus(&self, other: &Resources) -> Resources {
        let mut rest = self.clone();
        rest.take(other);
        rest
    }

    /// Takes what is there of `other`.
    pub fn take(&mut self, other: &Resources) {
        for theirs in &other.0 {
            let Ok(at) = self.position(theirs) else { continue };
            self.0[at].amount.take(&theirs.amount);
            if self.0[at].amount.is_empty() {
                self.0.remove(at);
            }
        }
    }

    /// The sum over all reservations of a scalar; zero if there is none.
    pub fn scalar(&self, name: &ResourceName) -> Scalar {
        let of = |one: &Resource| match &one.amount {
            Amount::Scalar(scalar) if one.name == *name => scalar.0,
            Amount::Scalar(_) | Amount::Ranges(_) | Amount::Set(_) => 0,
        };
        Scalar(self.0.iter().map(of).sum())
    }

    pub fn cpus(&self) -> Scalar {
        self.scalar(&ResourceName::Cpus)
    }

    /// MiB.
    pub fn mem(&self) -> Scalar {
        self.scalar(&ResourceName::Mem)
    }

    /// MiB.
    pub fn disk(&self) -> Scalar {
        self.scalar(&ResourceName::Disk)
    }

    pub fn gpus(&self) -> Scalar {
        self.scalar(&ResourceName::Gpus)
    }

    /// All ports, whoever they are reserved for.
    pub fn ports(&self) -> Ranges {
        let mut ports = Ranges::default();
        for one in &self.0 {
            if let (ResourceName::Ports, Amount::Ranges(ranges)) = (&one.name, &one.amount) {
                ports = ports.union(ranges);
            }
        }
        ports
    }

    #[must_use]
    pub fn unreserved(&self) -> Resources {
        Self(self.0.iter().filter(|one| one.reserved.is_none()).cloned().collect())
    }

    #[must_use]
    pub fn reserved_for(&self, role: &Role) -> Resources {
        Self(self.0.iter().filter(|one| one.reserved.as_ref() == Some(role)).cloned().collect())
    }

    /// What a framework in `role` may use: the unreserved, and what is reserved for the role or one that encloses it.
    #[must_use]
    pub fn allocatable_to(&self, role: &Role) -> Resources {
        let may_use =
            |one: &&Resource| one.reserved.as_ref().is_none_or(|owner| role.is_within(owner));
        Self(self.0.iter().filter(may_use).cloned().collect())
    }

    /// The same amounts without their reservations.
    #[must_use]
    pub fn unlabelled(&self) -> Resources {
        Self::new(self.0.iter().map(|one| Resource { reserved: None, ..one.clone() }))
    }
}

impl fmt::Display for Resources {
    /// The spelling of Mesos' `--resources`, which [`parse`](FromStr) reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, one) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ";" })?;
            f.write_str(one.name.as_str())?;
            if let Some(role) = &one.reserved {
                write!(f, "({role})")?;
            }
            match &one.amount {
                Amount::Scalar(scalar) => write!(f, ":{scalar}")?,
                Amount::Ranges(ranges) => write!(f, ":{ranges}")?,
                Amount::Set(set) => {
                    write!(f, ":{{{}}}", set.iter().cloned().collect::<Vec<_>>().join(","))?
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {cause}")]
pub struct BadResources {
    text: String,
    cause: &'static str,
}

impl BadResources {
    fn new(text: &str, cause: &'static str) -> Self {
        Self { text: text.to_owned(), cause }
    }
}

impl FromStr for Resources {
    type Err = BadResources;

    /// `cpus:4;mem:8192;ports:[31000-32000];cpus(slave_public):2;zones:{a,b}`.
    fn from_str(text: &str) -> Result<Self, BadResources> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let mut bag = Self::default();
        for part in parts {
            let one = parse_one(part)?;
            if bag.position(&one).is_ok() {
                return Err(BadResources::new(part, "is given twice"));
            }
            bag.add_one(&one);
        }
        Ok(bag)
    }
}

fn parse_one(text: &str) -> Result<Resource, BadResources> {
    let bad = |cause| BadResources::new(text, cause);
    let (name, amount) =
        text.split_once(':').ok_or_else(|| bad("is not of the form name:amount"))?;
    let (name, reserved) = match name.split_once('(') {
        None => (name, None),
        Some((name, role)) => {
            let role = role
                .trim_end()
                .strip_suffix(')')
                .ok_or_else(|| bad("lacks a closing parenthesis"))?;
            (name, (role != "*").then(|| Role::new(role)))
        }
    };
    let (name, amount) = (ResourceName::from(name.trim()), amount.trim());
    let amount = if amount.starts_with('[') {
        Amount::Ranges(amount.parse()?)
    } else if let Some(inner) = amount.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Amount::Set(
            inner
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
        )
    } else {
        Amount::Scalar(amount.parse()?)
    };
    let fits = match (&name, &amount) {
        (ResourceName::Ports, Amount::Ranges(_)) => true,
        (ResourceName::Ports, Amount::Scalar(_) | Amount::Set(_)) => false,
        (
            ResourceName::Cpus | ResourceName::Mem | ResourceName::Disk | ResourceName::Gpus,
            given,
        ) => {
            matches!(given, Amount::Scalar(_))
        }
        (ResourceName::Other(_), _) => true,
    };
    if !fits {
        return Err(bad(
            "has the wrong type: cpus, mem, disk and gpus are numbers, ports are ranges",
        ));
    }
    Ok(Resource { name, amount, reserved })
}

#[cfg(test)]
mod tests;
