//! Values that nobody is to see by accident: neither in messages nor where tasks are shown.

use std::fmt;

use minicbor::{Decode, Encode};

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Secret(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

impl Secret {
    pub fn new(value: Vec<u8>) -> Self {
        Self(value)
    }

    /// In the place of one that is told to somebody who has no use for its value.
    pub fn withheld() -> Self {
        Self(Vec::new())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a secret)")
    }
}
