//! Resource arithmetic, exact: scalars are thousandths, as in Mesos; ports are ranges; sets are sets.

mod bag;
mod one;
mod ranges;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

pub use bag::Resources;
pub use one::{
    DiskInfo, DiskKind, DiskSource, DiskVolume, Labels, Persistence, Reservation, ReservationKind,
    Resource,
};
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
            (Amount::Ranges(mine), Amount::Ranges(theirs)) => mine.add(theirs),
            (Amount::Set(mine), Amount::Set(theirs)) => mine.extend(theirs.iter().cloned()),
            (mine, theirs) => panic!("adding {theirs:?} to {mine:?}: entries are of one type"),
        }
    }

    /// Tells the three types apart.
    fn kind(&self) -> u8 {
        match self {
            Amount::Scalar(_) => 0,
            Amount::Ranges(_) => 1,
            Amount::Set(_) => 2,
        }
    }

    /// Takes what is there of `other`.
    fn take(&mut self, other: &Amount) {
        match (self, other) {
            (Amount::Scalar(mine), Amount::Scalar(theirs)) => {
                mine.0 = mine.0.saturating_sub(theirs.0);
            }
            (Amount::Ranges(mine), Amount::Ranges(theirs)) => mine.take(theirs),
            (Amount::Set(mine), Amount::Set(theirs)) => mine.retain(|one| !theirs.contains(one)),
            // What is of another type is not there.
            (Amount::Scalar(_) | Amount::Ranges(_) | Amount::Set(_), _) => (),
        }
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

#[cfg(test)]
mod tests;
