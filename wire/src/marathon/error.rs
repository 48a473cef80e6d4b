//! The RAML type `Error`: a message, and what is wrong where.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use services::{Fault, Refusal};

use super::reading::Unreadable;
use super::task::Identifiable;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Error {
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Those that lock the app.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Identifiable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Detail {
    pub path: String,
    pub errors: Vec<String>,
}

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The body does not describe a valid object.
    pub fn invalid(faults: &[Fault]) -> Self {
        Self { details: details(faults), ..Self::new("Object is not valid") }
    }

    pub fn unreadable(unreadable: &Unreadable) -> Self {
        let details = match unreadable {
            Unreadable::Malformed { cause } => {
                vec![Detail { path: "/".to_owned(), errors: vec![cause.clone()] }]
            }
            Unreadable::Mistyped(faults) => details(faults),
        };
        Self { details, ..Self::new(unreadable.to_string()) }
    }

    pub fn refused(refusal: &Refusal) -> Self {
        let plain = Self::new(refusal.to_string());
        match refusal {
            Refusal::Invalid(faults) => Self::invalid(faults),
            Refusal::Locked { deployments, .. } => {
                let ids = deployments.iter().map(|id| Identifiable { id: id.to_string() });
                Self { deployments: ids.collect(), ..plain }
            }
            Refusal::UnknownApp(_)
            | Refusal::AppExists(_)
            | Refusal::PodExists(_)
            | Refusal::UnknownDeployment(_)
            | Refusal::NotScaledBy(..)
            | Refusal::UnknownGroup(_)
            | Refusal::GroupExists(_)
            | Refusal::GroupIsApp(_)
            | Refusal::UnknownGroupVersion(..)
            | Refusal::TooManyDeployments(_)
            | Refusal::Stale(_) => plain,
        }
    }
}

/// What concerns one path stands together.
fn details(faults: &[Fault]) -> Vec<Detail> {
    let mut by_path: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for fault in faults {
        by_path.entry(&fault.path).or_default().push(fault.message.clone());
    }
    by_path.into_iter().map(|(path, errors)| Detail { path: path.to_owned(), errors }).collect()
}
