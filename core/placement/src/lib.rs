//! Does this need fit this offer, and if not, why? Pure matching.
//!
//! Reading order: [`Constraint`] (what a user writes), [`rule`] (the same, ready to be asked), [`room`] (what is left of
//! an offer), [`disk`] (disks for volumes), [`fit`] (the question), [`demand`] (the answer, where it is no).

pub mod demand;
pub mod disk;
pub mod fit;
pub mod room;
pub mod rule;

use minicbor::{Decode, Encode};

use crate::rule::Rule;

/// `["hostname", "UNIQUE"]`, `["rack", "GROUP_BY", "3"]`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Constraint {
    /// `hostname`, `@hostname`, `@region`, `@zone` or an attribute's name.
    #[n(0)]
    pub field: String,
    #[n(1)]
    pub operator: Operator,
    #[n(2)]
    pub value: Option<String>,
}

impl Constraint {
    /// Whether it makes sense; the fault is told in Marathon's words.
    pub fn check(&self) -> Result<(), String> {
        Rule::new(self).map(drop)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Operator {
    #[n(0)]
    Unique,
    #[n(1)]
    Cluster,
    #[n(2)]
    GroupBy,
    #[n(3)]
    Like,
    #[n(4)]
    Unlike,
    #[n(5)]
    MaxPer,
    #[n(6)]
    Is,
}
