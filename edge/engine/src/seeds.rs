//! Randomness for the machine, from the operating system.

use std::fs::File;
use std::io::Read;

use anyhow::Context;

/// Seeds read at once.
const BATCH: usize = 512;

#[derive(Debug)]
pub(crate) struct Seeds {
    source: File,
    left: Vec<u64>,
}

impl Seeds {
    pub(crate) fn open() -> anyhow::Result<Self> {
        let source = File::open("/dev/urandom").context("opening /dev/urandom")?;
        Ok(Self { source, left: Vec::new() })
    }

    pub(crate) fn next(&mut self) -> u64 {
        if self.left.is_empty() {
            let mut bytes = [0; BATCH * 8];
            self.source.read_exact(&mut bytes).expect("an open /dev/urandom does not fail");
            let (words, _) = bytes.as_chunks();
            self.left.extend(words.iter().copied().map(u64::from_ne_bytes));
        }
        self.left.pop().expect("filled above")
    }
}
