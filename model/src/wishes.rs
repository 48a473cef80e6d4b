//! Which offers a framework wants: said with each subscription, and forgotten with it.

use std::collections::BTreeMap;

use crate::id::Role;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Roles that want no offers for now.
    pub suppressed: Vec<Role>,
    pub constraints: OfferConstraints,
}

/// Roles that want offers of some agents only.
pub type OfferConstraints = BTreeMap<Role, Vec<Group>>;

/// An agent fits if it meets all of these. Of several groups it is to fit one.
pub type Group = Vec<AttributeConstraint>;

/// What a property of an agent is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeConstraint {
    pub of: Property,
    pub is: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    Hostname,
    Region,
    Zone,
    Attribute(String),
}

/// An attribute that is no text meets all but the first two: what is meant for text says nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    Exists,
    NotExists,
    TextEquals(String),
    /// Or there is none.
    TextNotEquals(String),
    /// From beginning to end; a regular expression as RE2 reads it.
    TextMatches(String),
    /// Or there is none.
    TextNotMatches(String),
}
