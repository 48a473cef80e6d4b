//! One flush of the file system for all who wait for one.
//!
//! A flush takes about as long for twenty layers as for one, so those who come while one is under way share the next.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub(crate) struct Flush {
    /// Any file of the file system. Open for as long as we live: the kernel tells each open file once of a failure.
    on: File,
    arrived: AtomicU64,
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    /// All who arrived until then are served.
    until: u64,
    /// Whose data may not be on the disk.
    failed: Vec<RangeInclusive<u64>>,
}

impl Flush {
    pub(crate) fn new(on: File) -> Self {
        Self { on, arrived: AtomicU64::new(0), done: Mutex::default() }
    }

    /// Returns when all that the caller has written is on the disk. Blocks.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.by(|on| Ok(rustix::fs::syncfs(on)?))
    }

    fn by(&self, sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let ours = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if ours <= done.until {
            if done.failed.iter().any(|failed| failed.contains(&ours)) {
                return Err(io::Error::other("the disk could not be flushed"));
            }
            return Ok(());
        }
        let until = self.arrived.load(Ordering::SeqCst);
        let flushed = sync(&self.on);
        if flushed.is_err() {
            let failed = done.until + 1..=until;
            done.failed.push(failed);
        }
        done.until = until;
        flushed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn who_waits_shares_one_flush_and_its_failure() {
        let flush = Flush::new(File::open("/").expect("a directory"));
        let (calls, waiting) = (AtomicUsize::new(0), 4);
        let check = |fails: bool, from: u64| {
            let outcomes = std::thread::scope(|scope| {
                let first = scope.spawn(|| {
                    flush.by(|_| {
                        calls.fetch_add(1, Ordering::SeqCst);
                        // Until the others have come, who are too late for this one.
                        while flush.arrived.load(Ordering::SeqCst) < from + 1 + waiting {
                            std::thread::yield_now();
                        }
                        Ok(())
                    })
                });
                while flush.arrived.load(Ordering::SeqCst) < from + 1 {
                    std::thread::yield_now();
                }
                let others: Vec<_> = (0..waiting)
                    .map(|_| {
                        scope.spawn(|| {
                            flush.by(|_| {
                                calls.fetch_add(1, Ordering::SeqCst);
                                if fails { Err(io::Error::other("broken")) } else { Ok(()) }
                            })
                        })
                    })
                    .collect();
                assert!(first.join().expect("no panic").is_ok());
                others.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
            });
            assert!(outcomes.iter().all(|outcome| outcome.is_err() == fails), "{outcomes:?}");
        };
        check(false, 0);
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2);
        check(true, 1 + waiting);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
