//! One piece of work for all who want it at the same time.
//!
//! The first does it, the others wait for its outcome. If the first gives up (its task was killed), one of those who
//! wait takes over, so that nobody's work depends on somebody else's patience and no task is left without an owner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::Mutex;

type Slot<T> = Arc<Mutex<Option<T>>>;

#[derive(Debug)]
pub(crate) struct Flights<T>(StdMutex<BTreeMap<String, Slot<T>>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(StdMutex::new(BTreeMap::new()))
    }
}

impl<T: Clone> Flights<T> {
    /// Joins the work of this name, or does it. Who comes after it is done, does it anew.
    pub(crate) async fn join(&self, name: &str, work: impl Future<Output = T>) -> T {
        let slot = Arc::clone(self.lock().entry(name.to_owned()).or_default());
        let mut leaving = Leaving { flights: self, name, slot, done: false };
        let mut outcome = Arc::clone(&leaving.slot).lock_owned().await;
        if let Some(outcome) = &*outcome {
            return outcome.clone();
        }
        let done = work.await;
        *outcome = Some(done.clone());
        leaving.done = true;
        done
    }
}

impl<T> Flights<T> {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Slot<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the name when its work is done or nobody waits for it any more.
struct Leaving<'a, T> {
    flights: &'a Flights<T>,
    name: &'a str,
    slot: Slot<T>,
    done: bool,
}

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        const MAP_AND_US: usize = 2;
        let mut flights = self.flights.lock();
        let ours = flights.get(self.name).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot));
        if ours && (self.done || Arc::strong_count(&self.slot) == MAP_AND_US) {
            flights.remove(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_who_want_the_same_at_once_do_it_once() {
        let (flights, done) = (Flights::default(), AtomicU32::new(0));
        let work = || async {
            tokio::task::yield_now().await;
            done.fetch_add(1, Ordering::SeqCst)
        };
        assert_eq!(join_all((0..9).map(|_| flights.join("a", work()))).await, vec![0; 9]);
        assert_eq!(flights.join("a", work()).await, 1, "who comes later does it anew");
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn one_who_waits_takes_over_from_one_who_gives_up() {
        let flights = Flights::default();
        let mut first = Box::pin(flights.join("a", futures::future::pending()));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(flights.join("a", async { "second" }));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert_eq!(second.await, "second");
        assert!(flights.lock().is_empty());
    }
}
