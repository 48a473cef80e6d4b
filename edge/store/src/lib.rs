//! Where state is kept: the flat set of the latest values, by key.
//!
//! [`Embedded`] is one file for a cluster with one master, and for each agent; [`Memory`] is for simulated agents.
//! All of them pass the same tests (`tests/conformance.rs`).

mod dump;
mod embedded;
mod error;
mod format;
mod memory;

use model::id::Term;
use model::turn::Write;

pub use dump::dump;
pub use embedded::Embedded;
pub use error::StoreError;
pub use format::FORMAT;
pub use memory::Memory;

/// What [`Store::load`] calls for each key and value. Its error ends the load.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), model::machine::BadRecord> + 'a;

/// A durable, ordered set of keys and values with one writer.
pub trait Store: Send {
    /// Every key and value, in key order.
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError>;

    /// Takes the lead: a term higher than any before. Commits of earlier terms are refused from now on.
    fn lead(&mut self) -> Result<Term, StoreError>;

    /// Makes all of it durable, or none. After an error nobody knows which of the two, so the writer loads again.
    fn commit(&mut self, term: Term, writes: &[Write]) -> Result<(), StoreError>;

    /// A fact about the store that is no record, such as the cluster's id.
    fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Whether there is room to go on after [`StoreError::NoSpace`].
    fn probe(&mut self) -> Result<(), StoreError>;
}
