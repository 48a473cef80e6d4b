//! Time for the brain, read from the machine's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::time::{Steady, Time};

/// The wall clock.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[derive(Debug)]
pub(crate) struct Clock {
    steady: Steady,
    begun: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { steady: Steady::new(wall()), begun: Instant::now() }
    }

    pub(crate) fn now(&mut self) -> Time {
        self.steady.at(wall(), self.begun.elapsed())
    }
}
