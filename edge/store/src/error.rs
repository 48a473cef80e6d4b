//! What can go wrong with a store.

use std::path::PathBuf;

use model::id::Term;
use model::machine::BadRecord;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no space left on the device that holds the state")]
    NoSpace,
    #[error("the lead was taken by term {}; writes of term {} are refused", by.0, term.0)]
    Fenced { term: Term, by: Term },
    #[error(
        "{path} is in use by another dcos process; stop that one first, or use another data directory"
    )]
    Locked { path: PathBuf },
    #[error("{path} is damaged: {cause}")]
    Damaged { path: PathBuf, cause: String },
    /// Data of a later release.
    #[error(
        "{path} was written by dcos {release} in format {needed}, and this is dcos {ours} that reads up to format \
         {format}; use dcos {release} or later, or restore a backup that dcos {ours} made"
    )]
    Later { path: PathBuf, release: String, needed: u32, ours: String, format: u32 },
    #[error(transparent)]
    Bad(#[from] BadRecord),
    #[error(transparent)]
    Mishap(#[from] anyhow::Error),
}
