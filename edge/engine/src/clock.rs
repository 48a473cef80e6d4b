//! Time for the machine: the wall clock, except that it neither goes back nor stands still.
//!
//! A wall clock that is set back would otherwise stop every timer until it has caught up; so the time goes on from
//! where it was, and follows the wall clock again once that is ahead.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::time::Time;

#[derive(Debug)]
pub(crate) struct Clock {
    /// What the time was, and when.
    anchor: (Time, Instant),
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { anchor: (wall(), Instant::now()) }
    }

    pub(crate) fn now(&mut self) -> Time {
        self.at(wall(), Instant::now())
    }

    fn at(&mut self, wall: Time, instant: Instant) -> Time {
        let (time, since) = self.anchor;
        let ran = time + instant.saturating_duration_since(since);
        if wall > ran {
            self.anchor = (wall, instant);
        }
        wall.max(ran)
    }
}

fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_follows_the_wall_clock_but_never_goes_back_nor_stands_still() {
        let start = Instant::now();
        let mut clock = Clock { anchor: (Time(1_000), start) };
        let mut check = |wall, ran, expected| {
            let time = clock.at(Time(wall), start + Duration::from_millis(ran));
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
