//! How much may be fetched: of one file, and for one task.

use std::sync::atomic::{AtomicU64, Ordering};

use super::client::Failure;

/// What of its limit a task has left for what is fetched for it.
#[derive(Debug)]
pub(super) struct Room(AtomicU64);

/// Which limit is exceeded.
#[derive(Debug)]
pub(super) enum Excess {
    /// That of any file.
    File(u64),
    Room,
}

impl Room {
    pub(super) fn new(bytes_max: Option<u64>) -> Self {
        Self(AtomicU64::new(bytes_max.unwrap_or(u64::MAX)))
    }

    pub(super) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether there is so much.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// What has come of one file.
#[derive(Debug)]
pub(super) struct Count<'a> {
    bytes: u64,
    bytes_max: u64,
    room: &'a Room,
}

impl<'a> Count<'a> {
    pub(super) fn new(bytes_max: u64, room: &'a Room) -> Self {
        Self { bytes: 0, bytes_max, room }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Before anything has come: whether so much may.
    pub(super) fn expect(&self, bytes: u64) -> Result<(), Failure> {
        match bytes {
            _ if self.bytes_max < bytes => Err(Failure::TooLarge(Excess::File(self.bytes_max))),
            _ if self.room.left() < bytes => Err(Failure::TooLarge(Excess::Room)),
            _ => Ok(()),
        }
    }

    pub(super) fn add(&mut self, bytes: u64) -> Result<(), Failure> {
        self.bytes += bytes;
        if self.bytes_max < self.bytes {
            return Err(Failure::TooLarge(Excess::File(self.bytes_max)));
        }
        if self.room.take(bytes) { Ok(()) } else { Err(Failure::TooLarge(Excess::Room)) }
    }
}
