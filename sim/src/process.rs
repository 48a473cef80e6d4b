//! A machine in its turn loop on a disk of its own: what a crash takes, and what it leaves.

use std::collections::{BTreeMap, VecDeque};

use model::machine::Machine;
use model::time::Time;
use model::turn::{Released, TurnLoop, Write, remember};

/// What a store holds: the encoded bytes that production would hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    pub entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many writes it has taken, for the trace.
    pub writes: usize,
}

impl Disk {
    /// All of it or nothing, as a transaction.
    fn commit(&mut self, batch: Vec<Write>) {
        self.writes += batch.len();
        for (key, value) in batch {
            match value {
                Some(value) => drop(self.entries.insert(key, value)),
                None => drop(self.entries.remove(&key)),
            }
        }
    }
}

/// A life begins with recovery and ends with a crash; commits of an earlier life mean nothing to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Life(u64);

/// `T` comes back with the answer to each input.
#[derive(Debug)]
pub struct Process<M: Machine, T> {
    pub disk: Disk,
    pub life: Life,
    running: Option<TurnLoop<M, T, ()>>,
    /// Decided and on the way to the disk, oldest first.
    committing: VecDeque<Vec<Write>>,
}

impl<M: Machine, T> Default for Process<M, T> {
    fn default() -> Self {
        Self {
            disk: Disk::default(),
            life: Life::default(),
            running: None,
            committing: VecDeque::new(),
        }
    }
}

impl<M: Machine, T> Process<M, T> {
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub fn machine(&self) -> Option<&M> {
        self.running.as_ref().map(TurnLoop::machine)
    }

    /// Whether all that was decided is on the disk.
    pub fn is_settled(&self) -> bool {
        self.committing.is_empty()
    }

    pub fn wake_at(&self) -> Option<Time> {
        self.running.as_ref().and_then(TurnLoop::wake_at)
    }

    /// Recovers `fresh` from the disk and begins a life.
    pub fn start(&mut self, fresh: M) {
        self.life.0 += 1;
        self.running = Some(TurnLoop::new(recovered(fresh, &self.disk)));
    }

    /// What is in memory is gone. Of the batches on the way, the first `arrived` made it to the disk, though nobody heard.
    pub fn crash(&mut self, arrived: usize) {
        self.running = None;
        for batch in self.committing.drain(..).take(arrived) {
            self.disk.commit(batch);
        }
    }

    pub fn push(&mut self, token: T, input: M::Input) {
        if let Some(running) = &mut self.running {
            running.push(token, input);
        }
    }

    /// Steps what waits, if the loop is free. A batch is then on its way to the disk.
    pub fn decide(&mut self, now: Time) -> bool {
        let Some(running) = self.running.as_mut().filter(|running| running.is_ready()) else {
            return false;
        };
        let writes = running.decide(now, |_| (), |_| ());
        self.committing.push_back(writes);
        true
    }

    /// The oldest batch is on the disk, and what it says and does may leave.
    pub fn commit(&mut self) -> Option<Released<M, T, ()>> {
        let running = self.running.as_mut()?;
        self.disk.commit(self.committing.pop_front()?);
        Some(running.committed())
    }
}

/// `fresh` after it has applied all that the disk holds.
pub fn recovered<M: Machine>(mut fresh: M, disk: &Disk) -> M {
    for (key, value) in &disk.entries {
        remember(&mut fresh, key, value).expect("a disk holds what some life has written");
    }
    fresh
}
