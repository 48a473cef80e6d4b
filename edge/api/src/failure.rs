//! What went wrong, and the one place where it becomes a status.

use axum::body::Body;
use axum::http::header::{ALLOW, HeaderValue};
use axum::http::{Response, StatusCode};
use engine::CallError;
use services::{Fault, Refusal};
use wire::marathon::error::Error;
use wire::marathon::reading::Unreadable;

use crate::answer::{self, Layout};
use crate::request::BODY_BYTES_MAX;

#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    Call(CallError),
    Unreadable(Unreadable),
    /// The body names something impossible.
    Invalid(Vec<Fault>),
    /// The request itself makes no sense.
    BadRequest(String),
    Unknown(String),
    /// Something of that name is there already.
    Conflict(String),
    /// No such endpoint, or not with this method.
    NoEndpoint,
    MethodNotAllowed,
    /// Mesos says which ones it expects.
    Expecting(&'static [&'static str]),
    NotAcceptable(String),
    UnsupportedMedia(String),
    TooLarge,
    /// A later release will know it.
    NotYet(String),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl Failure {
    pub fn status(&self) -> StatusCode {
        match self {
            Failure::Call(CallError::Refused(refusal)) => refused(refusal),
            Failure::Call(CallError::Unfit(refusal)) => unfit(refusal),
            Failure::Call(CallError::NoSpace) => StatusCode::INSUFFICIENT_STORAGE,
            Failure::Call(CallError::NotLeading | CallError::Stopped) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Failure::Call(CallError::Quarantined { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Unreadable(Unreadable::Malformed { .. }) => StatusCode::BAD_REQUEST,
            Failure::Unreadable(Unreadable::Mistyped(_)) | Failure::Invalid(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Failure::BadRequest(_) => StatusCode::BAD_REQUEST,
            Failure::Conflict(_) => StatusCode::CONFLICT,
            Failure::Unknown(_) | Failure::NoEndpoint => StatusCode::NOT_FOUND,
            Failure::MethodNotAllowed | Failure::Expecting(_) => StatusCode::METHOD_NOT_ALLOWED,
            Failure::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Failure::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Failure::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::NotYet(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }

    pub fn body(&self) -> Error {
        match self {
            Failure::Call(CallError::Refused(refusal)) => Error::refused(refusal),
            Failure::Call(error) => Error::new(error.to_string()),
            Failure::Unreadable(unreadable) => Error::unreadable(unreadable),
            Failure::Invalid(faults) => Error::invalid(faults),
            Failure::BadRequest(message)
            | Failure::Unknown(message)
            | Failure::Conflict(message)
            | Failure::UnsupportedMedia(message)
            | Failure::NotAcceptable(message) => Error::new(message.as_str()),
            Failure::NoEndpoint => Error::new("URI not found"),
            Failure::MethodNotAllowed => Error::new("Method Not Allowed"),
            Failure::Expecting(methods) => {
                Error::new(format!("Expecting one of {{ '{}' }}", methods.join("', '")))
            }
            Failure::TooLarge => {
                Error::new(format!("the body is larger than {} MiB", BODY_BYTES_MAX >> 20))
            }
            Failure::NotYet(what) => Error::new(format!("{what} is not supported yet")),
        }
    }

    pub fn response(&self) -> Response<Body> {
        let mut response = answer::json(self.status(), &self.body(), Layout::Compact);
        if let Failure::Expecting(methods) = self {
            let methods = HeaderValue::try_from(methods.join(", ")).expect("methods are ASCII");
            response.headers_mut().insert(ALLOW, methods);
        }
        response
    }
}

/// As Mesos answers.
fn unfit(refusal: &kernel::Refusal) -> StatusCode {
    use kernel::Refusal;
    match refusal {
        Refusal::Overcommitted { .. } | Refusal::NotFree { .. } => StatusCode::CONFLICT,
        Refusal::NothingGone(_) => StatusCode::NOT_FOUND,
        Refusal::InvalidQuota(_)
        | Refusal::OverLimit { .. }
        | Refusal::QuotaExists(_)
        | Refusal::NoQuota(_)
        | Refusal::InvalidWeight(_)
        | Refusal::UnknownAgent(_)
        | Refusal::NoAgent(_)
        | Refusal::InvalidMaintenance(_)
        | Refusal::NotDeactivated(_)
        | Refusal::StillDraining(_)
        | Refusal::InvalidOperation(_)
        | Refusal::InvalidFramework(_)
        | Refusal::UnknownFramework(_)
        | Refusal::CompletedFramework(_) => StatusCode::BAD_REQUEST,
        // Of an agent that hears of it on a stream of its own.
        Refusal::UnknownConnection(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn refused(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::UnknownApp(_)
        | Refusal::UnknownDeployment(_)
        | Refusal::UnknownGroup(_)
        | Refusal::UnknownGroupVersion(..) => StatusCode::NOT_FOUND,
        Refusal::NotScaledBy(..)
        | Refusal::AppExists(_)
        | Refusal::PodExists(_)
        | Refusal::GroupExists(_)
        | Refusal::GroupIsApp(_)
        | Refusal::Locked { .. }
        | Refusal::Stale(_) => StatusCode::CONFLICT,
        Refusal::TooManyDeployments(_) => StatusCode::FORBIDDEN,
        Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
