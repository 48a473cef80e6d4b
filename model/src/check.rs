//! Checks that decide neither over life nor death: those whose result is only shown, and those that say when a task is
//! ready. Mesos' `CheckInfo` and `CheckStatusInfo`, and Marathon's readiness check.

use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::container::Probe;

/// A probe whose result is shown and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CheckInfo {
    #[n(0)]
    pub probe: Probe,
    /// Before the first probe.
    #[n(1)]
    pub delay: Duration,
    #[n(2)]
    pub interval: Duration,
    #[n(3)]
    pub timeout: Duration,
}

/// What the latest probe of a check found; unset before the first, and where it found nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum CheckStatus {
    /// The status of the answer.
    #[n(0)]
    Http(#[n(0)] Option<u16>),
    /// Whether it could connect.
    #[n(1)]
    Tcp(#[n(0)] Option<bool>),
    /// The exit status.
    #[n(2)]
    Command(#[n(0)] Option<i32>),
}

impl CheckStatus {
    /// Before the first probe has ended.
    pub fn unknown(probe: &Probe) -> Self {
        match probe {
            Probe::Http { .. } => CheckStatus::Http(None),
            Probe::Tcp { .. } => CheckStatus::Tcp(None),
            Probe::Command(..) => CheckStatus::Command(None),
        }
    }
}

/// A page that is asked from the start of a task until it first answers with one of these statuses. Its framework hears
/// that the task is ready.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReadinessCheck {
    #[n(0)]
    pub probe: Probe,
    #[n(1)]
    pub interval: Duration,
    #[n(2)]
    pub timeout: Duration,
    #[n(3)]
    pub statuses: Vec<u16>,
    /// Tell the answers as well.
    #[n(4)]
    pub keeps_answer: bool,
}

/// What a page answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PageAnswer {
    #[n(0)]
    pub status: u16,
    #[n(1)]
    pub content_type: String,
    /// Cut where it is longer than anybody reads.
    #[n(2)]
    pub body: String,
}

/// What the latest probe of a readiness check found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Readiness {
    #[n(0)]
    pub ready: bool,
    /// Only if the check keeps it.
    #[n(1)]
    pub answer: Option<PageAnswer>,
}
