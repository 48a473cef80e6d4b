//! The streams to executors that listen. What cannot be said is not kept: whoever subscribes again is told again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::id::ContainerId;
use node::ToExecutor;
use tokio::sync::mpsc;

/// What may wait for an executor that does not read. One more, and its stream is given up.
const WAITING_MAX: usize = 4_096;

/// A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    by_container: BTreeMap<ContainerId, Stream>,
}

#[derive(Debug)]
struct Stream {
    number: u64,
    /// The brain knows of it. What it said before was for an older one.
    greeted: bool,
    to: mpsc::Sender<ToExecutor>,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new one, with its number. The older one of the same executor ends.
    pub(crate) fn begin(&self, container: &ContainerId) -> (u64, mpsc::Receiver<ToExecutor>) {
        let (to, waiting) = mpsc::channel(WAITING_MAX);
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.by_container.insert(container.clone(), Stream { number, greeted: false, to });
        (number, waiting)
    }

    pub(crate) fn say(&self, container: &ContainerId, said: ToExecutor) {
        let mut open = self.open();
        let Some(stream) = open.by_container.get_mut(container) else { return };
        if let ToExecutor::Subscribed { stream: number, .. } = &said {
            stream.greeted |= stream.number == *number;
        }
        if stream.greeted && stream.to.try_send(said).is_err() {
            tracing::info!(%container, "an executor does not listen any more");
            open.by_container.remove(container);
        }
    }

    /// The executor has ended.
    pub(crate) fn end(&self, container: &ContainerId) {
        self.open().by_container.remove(container);
    }

    /// All of them end: who still lives subscribes again.
    pub(crate) fn hang_up(&self) {
        self.open().by_container.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shutdowns(waiting: &mut mpsc::Receiver<ToExecutor>) -> usize {
        std::iter::from_fn(|| waiting.try_recv().ok())
            .filter(|said| *said == ToExecutor::Shutdown)
            .count()
    }

    #[test]
    fn nothing_is_said_before_the_brain_knows_of_the_stream_and_nothing_on_an_older_one() {
        let (streams, container) = (Streams::default(), ContainerId::new("c"));
        let (_, mut older) = streams.begin(&container);
        let (_, mut newer) = streams.begin(&container);
        streams.say(&container, ToExecutor::Shutdown);
        assert_eq!((shutdowns(&mut older), shutdowns(&mut newer)), (0, 0));
        assert!(older.is_closed());
    }

    #[test]
    fn who_does_not_read_is_given_up() {
        let (streams, container) = (Streams::default(), ContainerId::new("c"));
        let (_, mut waiting) = streams.begin(&container);
        streams.open().by_container.get_mut(&container).expect("it is open").greeted = true;
        for _ in 0..=WAITING_MAX {
            streams.say(&container, ToExecutor::Shutdown);
        }
        assert_eq!(shutdowns(&mut waiting), WAITING_MAX);
        assert!(waiting.is_closed());
    }
}
