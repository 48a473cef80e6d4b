//! How far a task may go beyond what is set aside for it.

use minicbor::{Decode, Encode};

use crate::resources::Scalar;

/// Where unset, what is set aside is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Limits {
    #[n(0)]
    pub cpus: Option<Limit>,
    /// MiB.
    #[n(1)]
    pub mem: Option<Limit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Limit {
    /// Whatever the agent has to spare.
    #[n(0)]
    Unlimited,
    #[n(1)]
    Amount(#[n(0)] Scalar),
}
