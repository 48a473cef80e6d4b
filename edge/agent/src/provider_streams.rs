//! The streams to resource providers that listen. What cannot be said is not kept: whoever subscribes again says what it
//! knows, and is told the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use node::ToProvider;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What may wait for a provider that does not read. One more, and its stream is given up.
const WAITING_MAX: usize = 1_024;

/// A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProviderStreams(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    by_number: BTreeMap<u64, Stream>,
}

#[derive(Debug)]
struct Stream {
    /// What the provider is to call it.
    name: String,
    to: mpsc::Sender<ToProvider>,
    over: CancellationToken,
}

/// A stream that has just begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) number: u64,
    pub(crate) waiting: mpsc::Receiver<ToProvider>,
    /// The stream is over once this is dropped.
    pub(crate) guard: DropGuard,
}

impl ProviderStreams {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, name: String) -> Begun {
        let (to, waiting) = mpsc::channel(WAITING_MAX);
        let over = CancellationToken::new();
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.by_number.insert(number, Stream { name, to, over: over.clone() });
        Begun { number, waiting, guard: over.drop_guard() }
    }

    /// Whether this is what the stream is called.
    pub(crate) fn is_named(&self, number: u64, name: &str) -> bool {
        self.open().by_number.get(&number).is_some_and(|stream| stream.name == name)
    }

    /// Ends with the stream, if that has not ended.
    pub(crate) fn over(&self, number: u64) -> Option<CancellationToken> {
        self.open().by_number.get(&number).map(|stream| stream.over.clone())
    }

    pub(crate) fn say(&self, number: u64, said: ToProvider) {
        let mut open = self.open();
        let Some(stream) = open.by_number.get(&number) else { return };
        let is_last = matches!(said, ToProvider::HangUp | ToProvider::Teardown);
        if stream.to.try_send(said).is_err() || is_last {
            open.by_number.remove(&number);
        }
    }

    /// Nobody is at its other end any more.
    pub(crate) fn end(&self, number: u64) {
        self.open().by_number.remove(&number);
    }

    /// All of them end: who still lives subscribes again.
    pub(crate) fn hang_up(&self) {
        self.open().by_number.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_when_either_side_has_ended_it() {
        let streams = ProviderStreams::default();
        let Begun { number, mut waiting, guard } = streams.begin("s".to_owned());
        let over = streams.over(number).expect("it is there");
        assert!(streams.is_named(number, "s") && !streams.is_named(number, "t"));
        streams.say(number, ToProvider::Teardown);
        assert_eq!(waiting.try_recv(), Ok(ToProvider::Teardown));
        assert_eq!(waiting.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert!(!over.is_cancelled());
        drop(guard);
        assert!(over.is_cancelled());
    }
}
