//! How long the engine takes for what: measured by the loop and the thread that commits, read by whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::mesos::metrics::Samples;

/// A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges(Arc<Mutex<Took>>);

#[derive(Debug, Clone, Default)]
pub struct Took {
    pub fetch: Samples,
    pub store: Samples,
    pub allocation: Samples,
    pub allocation_wait: Samples,
    /// Batches that are not durable yet.
    pub uncommitted: usize,
}

impl Gauges {
    fn lock(&self) -> MutexGuard<'_, Took> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> Took {
        self.lock().clone()
    }

    pub(crate) fn fetched(&self, took: Duration) {
        self.lock().fetch.add(took);
    }

    pub(crate) fn stored(&self, took: Duration) {
        self.lock().store.add(took);
    }

    pub(crate) fn uncommitted(&self, batches: usize) {
        self.lock().uncommitted = batches;
    }
}

/// The tick that waits among the inputs, or is being decided.
#[derive(Debug, Default)]
pub(crate) struct Tick {
    due: Option<Instant>,
    begun: Option<Instant>,
    took: Option<Duration>,
    /// So many allocations there were before it.
    allocations: u64,
}

impl Tick {
    pub(crate) fn is_waiting(&self) -> bool {
        self.due.is_some()
    }

    pub(crate) fn wait(&mut self) {
        self.due = Some(Instant::now());
    }

    /// It is decided next, or whatever follows it.
    pub(crate) fn next(&mut self, is_tick: bool) {
        self.took = self.took.or(self.begun.map(|begun| begun.elapsed()));
        if is_tick {
            self.begun = Some(Instant::now());
        }
    }

    /// All that waited is decided: not every tick allocates.
    pub(crate) fn decided(&mut self, gauges: &Gauges, allocations: u64) {
        let before = std::mem::replace(&mut self.allocations, allocations);
        let Some(begun) = self.begun.take() else { return };
        let took = self.took.take().unwrap_or_else(|| begun.elapsed());
        let due = self.due.take().unwrap_or(begun);
        if before < allocations {
            let mut gauges = gauges.lock();
            gauges.allocation.add(took);
            gauges.allocation_wait.add(begun - due);
        }
    }
}
