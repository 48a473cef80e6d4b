//! Fairness over time: what somebody has held until now counts beside what it holds.
//!
//! Without it a role that has had the whole cluster for hours is, once its tasks end, an equal of one that has had
//! nothing. Here each holder has an average of what it has held, in which what is one half-life old counts half. It is
//! brought up to date when its holder takes something or gives it back, and read when the holder stands in line: nothing
//! has to be done while time passes. Whoever waits sees the averages of the others stay and its own fall, so nobody waits
//! for ever. All of it is whole numbers, so that the same inputs at the same times give the same order.

use std::time::Duration;

use model::time::Time;

use super::tree::{At, ROOT};
use super::{Share, Shares, WEIGHT_ONE};
use crate::amounts::Amounts;

/// Averages are kept in these parts of a thousandth, or small ones would never fade.
const PART_BITS: u32 = 16;
/// After so many half-lives nothing is left.
const HALF_LIVES_MAX: u64 = 63;
/// Of a fraction, in powers of one half: as exact as averages are.
const FRACTION_BITS: usize = 16;
/// 2^-(1/2), 2^-(1/4) and so on, in parts of 2^32.
const ROOTS: [u64; FRACTION_BITS] = [
    3_037_000_500,
    3_611_622_603,
    3_938_502_376,
    4_112_874_773,
    4_202_935_003,
    4_248_701_965,
    4_271_771_996,
    4_283_353_945,
    4_289_156_690,
    4_292_061_010,
    4_293_513_907,
    4_294_240_540,
    4_294_603_903,
    4_294_785_595,
    4_294_876_445,
    4_294_921_870,
];

/// What a holder has held on the average.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    /// In parts of a thousandth.
    average: [u64; 4],
    /// Up to then.
    at: Time,
}

impl Past {
    /// What it is by now, if so much was held since it was last brought up to date.
    fn average(&self, held: &Amounts, now: Time, half_life: Duration) -> [u64; 4] {
        let elapsed = now.since(self.at);
        let fade = |(average, held): (u64, u64)| {
            let held = held << PART_BITS;
            match average.checked_sub(held) {
                Some(more) => held + faded(more, elapsed, half_life),
                None => held - faded(held - average, elapsed, half_life),
            }
        };
        let mut averages = self.average.into_iter().zip(held.shared).map(fade);
        std::array::from_fn(|_| averages.next().expect("there are four"))
    }

    /// So much was held until now.
    pub(super) fn remember(&mut self, held: &Amounts, now: Time, half_life: Duration) {
        *self = Self { average: self.average(held, now, half_life), at: self.at.max(now) };
    }
}

/// What is left of it after this long.
fn faded(amount: u64, elapsed: Duration, half_life: Duration) -> u64 {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    if elapsed.is_zero() {
        return amount;
    }
    let (elapsed, half_life) = (millis(elapsed), millis(half_life));
    let halvings = elapsed / half_life;
    if halvings > HALF_LIVES_MAX {
        return 0;
    }
    let rest = u128::from(elapsed % half_life) << FRACTION_BITS;
    let fraction = rest / u128::from(half_life);
    let mut left = u128::from(amount >> halvings);
    for (nth, root) in ROOTS.into_iter().enumerate() {
        if fraction >> (FRACTION_BITS - 1 - nth) & 1 == 1 {
            left = (left * u128::from(root)) >> 32;
        }
    }
    u64::try_from(left).expect("less is left than there was")
}

impl Shares {
    /// Time has passed.
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// What the role, and those above it, have held until now, before that changes.
    pub(super) fn remember(&mut self, first: At) {
        let (Some(half_life), now) = (self.fairness.over, self.now) else { return };
        let node = &mut self.tree[first];
        node.own_past.remember(&node.own, now, half_life);
        let mut at = first;
        while at != ROOT {
            let node = &mut self.tree[at];
            node.past.remember(&node.held, now, half_life);
            at = node.parent;
        }
    }

    /// Of what is held and, where the past counts, of what was held: an average of the two.
    pub(super) fn share_over(&self, held: &Amounts, past: &Past, weight: u64) -> Share {
        let Some(half_life) = self.fairness.over else { return self.share(held, weight) };
        let average = past.average(held, self.now, half_life);
        let sums = held
            .shared
            .into_iter()
            .zip(average)
            .map(|(held, past)| u128::from(held << PART_BITS) + u128::from(past));
        let weight = weight.max(1) as f64 / WEIGHT_ONE as f64;
        let fraction = |(sum, total): (u128, u64)| match total {
            0 => 0.0,
            total => sum as f64 / (total as f64 * weight),
        };
        let counted = sums.zip(self.totals.shared).take(self.counted);
        counted.map(fraction).fold(0.0, f64::max).to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_is_a_half_life_old_counts_half() {
        let check = |minutes: u64, left: u64| {
            let found = faded(1_000_000, Duration::from_secs(60 * minutes), HOUR);
            assert!(found.abs_diff(left) < 50, "{minutes} minutes: {found}");
        };
        check(0, 1_000_000);
        check(15, 840_896);
        check(30, 707_107);
        check(60, 500_000);
        check(90, 353_553);
        check(120, 250_000);
        check(60 * 64, 0);
    }

    #[test]
    fn an_average_follows_what_is_held_and_does_not_depend_on_how_often_it_is_looked_at() {
        let held = |cpus: u64| Amounts { shared: [cpus, 0, 0, 0], ..Amounts::default() };
        let of = |past: &Past| past.average[0] >> PART_BITS;
        let minutes = |n: u64| Time(1_000) + Duration::from_secs(60 * n);
        let mut past = Past { average: [0; 4], at: minutes(0) };
        past.remember(&held(1_000), minutes(60), HOUR);
        assert_eq!(of(&past), 500);
        past.remember(&held(1_000), minutes(120), HOUR);
        assert_eq!(of(&past), 750);
        let mut often = Past { average: [0; 4], at: minutes(0) };
        (0..=120).for_each(|n| often.remember(&held(1_000), minutes(n), HOUR));
        assert!(of(&often).abs_diff(750) <= 1, "{often:?}");
        past.remember(&held(0), minutes(180), HOUR);
        assert_eq!(of(&past), 375);
        // Time that goes back is no time.
        past.remember(&held(0), minutes(10), HOUR);
        assert_eq!(of(&past), 375);
    }
}
