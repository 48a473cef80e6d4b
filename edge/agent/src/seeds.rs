//! Where the ids that the brain makes come from.

use std::sync::atomic::{AtomicU64, Ordering};

/// Odd, so that a counter that grows by it meets every number before it meets one again.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A different number each time, from a start that nobody can guess.
#[derive(Debug)]
pub(crate) struct Seeds(AtomicU64);

impl Seeds {
    pub(crate) fn random() -> Self {
        Self(AtomicU64::new(uuid::Uuid::new_v4().as_u64_pair().0))
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(STEP, Ordering::Relaxed)
    }
}
