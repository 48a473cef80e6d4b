//! Time as a number that is handed in, never read.

use std::ops::{Add, Sub};
pub use std::time::Duration;

use minicbor::{Decode, Encode};

/// Milliseconds since the Unix epoch, never going back within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Time(#[n(0)] pub u64);

impl Time {
    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, delay: Duration) -> Time {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(millis))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, span: Duration) -> Time {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Time(self.0.saturating_sub(millis))
    }
}

/// The wall clock, except that it neither goes back nor stands still.
///
/// One that is set back would otherwise stop every timer until it has caught up; so the time goes on from where it was,
/// and follows the wall clock again once that is ahead. Both are handed in.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    /// What the time was, and after how long a run.
    anchor: (Time, Duration),
}

impl Steady {
    /// The wall clock's time at the beginning of the run.
    pub fn new(wall: Time) -> Self {
        Self { anchor: (wall, Duration::ZERO) }
    }

    /// The time, given what the wall clock says after so long a run.
    pub fn at(&mut self, wall: Time, ran: Duration) -> Time {
        let (time, since) = self.anchor;
        let steady = time + ran.saturating_sub(since);
        if wall > steady {
            self.anchor = (wall, ran);
        }
        wall.max(steady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_the_wall_clock_but_never_goes_back_nor_stands_still() {
        let mut steady = Steady::new(Time(1_000));
        let mut check = |wall, ran, expected| {
            let time = steady.at(Time(wall), Duration::from_millis(ran));
            assert_eq!(time, Time(expected), "the wall says {wall} after {ran} ms");
        };
        check(1_000, 0, 1_000);
        check(1_010, 10, 1_010);
        check(5_000, 20, 5_000);
        check(400, 30, 5_010);
        check(500, 130, 5_110);
        check(6_000, 140, 6_000);
    }
}
