//! In which order roles, and the frameworks of a role, are served: by what they hold, or by lot.
//!
//! By lot, each is served as often as its weight says, whatever it holds. Everybody's turns come like calls at random
//! times, at a rate that is the weight; who is next is whose call comes first. So a weight of two is twice as often
//! first, and nobody is passed over for ever. Nothing but the leader's term and what has happened decides the lots.

use std::time::Duration;

use super::{Share, Shares};
use crate::amounts::Amounts;
use crate::eligible::Gpus;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sorter {
    /// Dominant-resource fairness.
    #[default]
    Drf,
    Random,
}

/// What is fair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fairness {
    pub roles: Sorter,
    pub frameworks: Sorter,
    /// If what was held counts as well as what is held: what is so old counts half.
    pub over: Option<Duration>,
}

/// What lots are drawn from.
#[derive(Debug, Default)]
pub(super) struct Lots {
    pub(super) seed: u64,
    /// Lines that were drawn up.
    pub(super) lines: u64,
}

/// Of what shares are made: gpus come last, and do not count while they are scarce.
const SHARED: usize = 4;

impl Shares {
    pub(crate) fn new(fairness: Fairness, gpus: Gpus) -> Self {
        let counted = match gpus {
            Gpus::Scarce => SHARED - 1,
            Gpus::Plenty => SHARED,
        };
        Self { fairness, counted, ..Self::default() }
    }

    pub(crate) fn seed_lots(&mut self, seed: u64) {
        self.lots.seed = seed;
    }

    /// What is divided and what it is divided by are exact, so equal fractions are equal numbers.
    pub(super) fn share(&self, held: &Amounts, weight: u64) -> Share {
        let fraction = |(held, total): (u64, u64)| match total {
            0 => 0.0,
            total => held as f64 / (total as f64 * weight.max(1) as f64),
        };
        let counted = held.shared.into_iter().zip(self.totals.shared).take(self.counted);
        counted.map(fraction).fold(0.0, f64::max).to_bits()
    }
}

impl Lots {
    /// Until the next turn of one that has had its last at `turn`.
    pub(super) fn draw(&self, who: u64, turn: u64, weight: u64) -> Share {
        let mixed = [who, turn, self.lines].into_iter().fold(self.seed, |sum, one| mix(sum ^ one));
        // Above zero and at most one: its logarithm is a number.
        let even = ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        (-even.ln() / weight.max(1) as f64).abs().to_bits()
    }
}

impl Sorter {
    /// Where whoever was first at `before` stands now.
    pub(super) fn after(self, before: Share, now: Share) -> Share {
        match self {
            Sorter::Drf => now,
            Sorter::Random => (f64::from_bits(before) + f64::from_bits(now)).to_bits(),
        }
    }
}

/// SplitMix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
