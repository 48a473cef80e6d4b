//! The one shape of everything that decides.

use std::fmt::Debug;

use crate::time::Time;

/// A deterministic state machine without IO.
///
/// Durable state changes only in [`apply`](Machine::apply): `step` decides which records to write and applies each as
/// it writes it. Hence three laws, tested for every machine by the simulator. *Replay*: applying a run's records to a
/// fresh machine gives the same durable state. *Seed*: the same inputs at the same times give the same records.
/// *Wake*: at one `now` it asks for finitely many ticks, and each makes progress.
pub trait Machine {
    type Input;
    type Reply;
    /// The caller's fault. Whoever sent the input gets it back.
    type Refusal;
    type Record: Record;
    /// A deed for the edge. It may be lost in a crash, so it can always be derived again from state.
    type Effect;

    /// Decides. Durable state changes only through the records it writes.
    fn step(
        &mut self,
        now: Time,
        input: Self::Input,
        out: &mut Out<Self::Record, Self::Effect>,
    ) -> Result<Self::Reply, Self::Refusal>;

    /// Remembers. The only writer of durable state: called by `step`, by recovery and by a new leader.
    fn apply(&mut self, record: &Self::Record);

    /// When it next wants a tick, if at all.
    fn wake_at(&self) -> Option<Time>;
}

/// The new value of one entity, or its removal.
///
/// The durable state is the flat set of the latest values, so recovery reads them all in key order and applies each.
pub trait Record: Sized + Clone + Debug + PartialEq {
    /// Where it is kept: a byte for the machine, a byte for the kind of entity, then its id. Ids that ascend with
    /// creation are big-endian numbers, because stores are fast when keys ascend.
    fn key(&self) -> Vec<u8>;
    /// Its encoded value, or `None` if it says that the entity is gone.
    fn value(&self) -> Option<Vec<u8>>;
    /// The record that has this key and value.
    fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord>;
}

/// What the store gave back is not what any release wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {key:02x?} cannot be read: {cause}")]
pub struct BadRecord {
    pub key: Vec<u8>,
    pub cause: String,
}

impl BadRecord {
    pub fn new(key: &[u8], cause: impl ToString) -> Self {
        Self { key: key.to_vec(), cause: cause.to_string() }
    }
}

/// What one step produced. Records are stored before any effect is carried out.
#[derive(Debug)]
pub struct Out<R, E> {
    pub records: Vec<R>,
    pub effects: Vec<E>,
}

impl<R, E> Default for Out<R, E> {
    fn default() -> Self {
        Self { records: Vec::new(), effects: Vec::new() }
    }
}
