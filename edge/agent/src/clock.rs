//! Time for the brain: the wall clock, except that it neither goes back nor stands still.
//!
//! A wall clock that is set back would otherwise hold up health checks and repeated updates until it has caught up.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::time::Time;

/// The wall clock.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_when_the_wall_clock_is_set_back() {
        let start = Instant::now();
        let mut clock = Clock { anchor: (Time(5_000), start) };
        let mut check = |wall, ran, expected| {
            let time = clock.at(Time(wall), start + Duration::from_millis(ran));
            assert_eq!(time, Time(expected), "the wall says {wall} after {ran} ms");
        };
        check(5_000, 0, 5_000);
        check(400, 10, 5_010);
        check(500, 110, 5_110);
        check(6_000, 120, 6_000);
    }
}
