//! The turn loop as a value: batch, step, commit, publish, release.
//!
//! Inputs wait here with a token each that says who is to hear the answer. [`TurnLoop::decide`] steps a bounded batch
//! of them and gives the writes of one commit. What the batch answers and does stays inside until the owner says that
//! the writes are durable ([`TurnLoop::committed`]); if they are not, the whole loop is dropped, because its machine
//! is ahead of the store. While a batch commits the next may be decided, and nothing of it leaves.
//!
//! The engine, the agent and the simulator drive this same type; they differ in what a commit is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::machine::{BadRecord, Machine, Out, Record};
use crate::time::Time;

/// A batch takes no further input once it writes so many keys.
pub const TURN_OPS_MAX: usize = 4_096;
/// A batch takes no further input once its writes are so large.
pub const TURN_BYTES_MAX: usize = 4 << 20;
/// A batch takes no more inputs than this, however little they write, so that nobody waits long for the next snapshot.
pub const TURN_INPUTS_MAX: usize = 4_096;
/// Batches that are decided and not yet durable.
pub const BATCHES_MAX: usize = 2;

/// A key and its new value, or `None` if it is gone.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// A machine, the inputs that wait for it, and the batches that wait for their commit.
///
/// `T` is the token that comes back with the answer, `V` the snapshot that is published with the batch.
pub struct TurnLoop<M: Machine, T, V> {
    machine: M,
    now: Time,
    waiting: VecDeque<(T, M::Input)>,
    /// Oldest first.
    decided: VecDeque<Released<M, T, V>>,
}

/// What leaves the process once a batch is durable, in this order: publish, answer, act.
pub struct Released<M: Machine, T, V> {
    pub view: V,
    pub answers: Vec<Answer<M, T>>,
    pub effects: Vec<M::Effect>,
}

/// Who asked, and what they hear.
pub type Answer<M, T> = (T, Result<<M as Machine>::Reply, <M as Machine>::Refusal>);

impl<M: Machine, T, V> TurnLoop<M, T, V> {
    /// `machine` has applied all that is durable.
    pub fn new(machine: M) -> Self {
        Self { machine, now: Time(0), waiting: VecDeque::new(), decided: VecDeque::new() }
    }

    pub fn machine(&self) -> &M {
        &self.machine
    }

    pub fn push(&mut self, token: T, input: M::Input) {
        self.waiting.push_back((token, input));
    }

    /// How many inputs wait to be decided.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether [`decide`](Self::decide) may be called: something waits, and not too much is uncommitted.
    pub fn is_ready(&self) -> bool {
        !self.waiting.is_empty() && self.decided.len() < BATCHES_MAX
    }

    /// How many batches wait for their commit.
    pub fn uncommitted(&self) -> usize {
        self.decided.len()
    }

    /// When the machine wants a tick. The owner then pushes one.
    pub fn wake_at(&self) -> Option<Time> {
        self.machine.wake_at()
    }

    /// Steps as many of the waiting inputs as fit one commit and gives its writes: one for each key, in key order.
    ///
    /// `now` may go back; the machine's time does not. `about` sees each input before the machine does; `look` takes
    /// the snapshot that is published once the writes are durable.
    pub fn decide(
        &mut self,
        now: Time,
        mut about: impl FnMut(&M::Input),
        look: impl FnOnce(&M) -> V,
    ) -> Vec<Write> {
        assert!(self.decided.len() < BATCHES_MAX, "too many batches wait for their commit");
        self.now = self.now.max(now);
        let mut writes = BTreeMap::new();
        let mut bytes = 0;
        let mut answers = Vec::new();
        let mut out = Out::default();
        while answers.len() < TURN_INPUTS_MAX
            && writes.len() < TURN_OPS_MAX
            && bytes < TURN_BYTES_MAX
        {
            let Some((token, input)) = self.waiting.pop_front() else { break };
            about(&input);
            answers.push((token, self.machine.step(self.now, input, &mut out)));
            for record in out.records.drain(..) {
                let (key, value) = (record.key(), record.value());
                bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                writes.insert(key, value);
            }
        }
        self.decided.push_back(Released {
            view: look(&self.machine),
            answers,
            effects: out.effects,
        });
        writes.into_iter().collect()
    }

    /// The oldest batch is durable: what it says and does may leave.
    pub fn committed(&mut self) -> Released<M, T, V> {
        self.decided.pop_front().expect("a commit ends a batch that was decided")
    }

    /// The oldest batch is not durable, nor is any after it, and the machine knows too much: all of it goes. Whoever
    /// asked is told so: first those whose batch is lost, then those whose input was never looked at.
    pub fn failed(self) -> Vec<T> {
        let lost = self.decided.into_iter().flat_map(|batch| batch.answers).map(|(token, _)| token);
        lost.chain(self.waiting.into_iter().map(|(token, _)| token)).collect()
    }
}

/// Recovery, called for each key and value of the store in key order.
pub fn remember<M: Machine>(machine: &mut M, key: &[u8], value: &[u8]) -> Result<(), BadRecord> {
    machine.apply(&M::Record::read(key, value)?);
    Ok(())
}

impl<M: Machine, T, V> fmt::Debug for TurnLoop<M, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnLoop")
            .field("now", &self.now)
            .field("waiting", &self.waiting.len())
            .field("decided", &self.decided)
            .finish_non_exhaustive()
    }
}

impl<M: Machine, T, V> fmt::Debug for Released<M, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Released")
            .field("answers", &self.answers.len())
            .field("effects", &self.effects.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
