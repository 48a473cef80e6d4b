//! What this process measures of itself, for `/metrics/snapshot`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::mesos::metrics::Machine;
use wire::mesos::metrics::agent::Measured;

use crate::collect::Policy;

/// A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges(Arc<Mutex<Measured>>);

impl Gauges {
    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn recovered(&self, took: Duration) {
        self.lock().recovery = Some(took);
    }

    /// The files of a task are there, or cannot be had.
    pub(crate) fn fetched<T>(&self, done: &anyhow::Result<T>) {
        self.lock().fetches[usize::from(done.is_err())] += 1;
    }

    pub(crate) fn pulled(&self, since: Instant) {
        self.lock().pulls.add(since.elapsed());
    }

    pub(crate) fn not_destroyed(&self) {
        self.lock().destroy_errors += 1;
    }

    pub(crate) fn removed<T, E>(&self, done: &Result<T, E>) {
        self.lock().removals[usize::from(done.is_err())] += 1;
    }

    /// So many sandboxes wait.
    pub(crate) fn due(&self, sandboxes: usize) {
        self.lock().removals[2] = sandboxes as u64;
    }

    pub(crate) fn read(&self, policy: Policy, used: f64, cache_bytes: [u64; 2]) -> Measured {
        let sandbox_age_max = policy.age_max(used);
        Measured { machine: machine(), sandbox_age_max, cache_bytes, ..self.lock().clone() }
    }
}

pub(crate) fn machine() -> Machine {
    let told = rustix::system::sysinfo();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = [told.totalram, told.freeram, told.mem_unit.into()];
    Machine::read(cpus, told.loads, memory)
}
