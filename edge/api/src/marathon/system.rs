//! What the API says of itself: that it is there, how much it does and logs; and who leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::{ACCEPT, HeaderValue};
use axum::http::{HeaderMap, Response, StatusCode};
use model::time::Time;
use serde_json::json;
use wire::marathon::logging::LoggerChange;
use wire::marathon::metrics::{self, Served};
use wire::marathon::reading;

use super::{Answer, Api, respond};
use crate::answer::{self, Layout};
use crate::failure::Failure;
use crate::request::{Request, now};

/// Counts since the start.
#[derive(Debug)]
pub(super) struct Tally {
    started_at: Time,
    responses: [AtomicU64; 5],
    /// Cloned by each stream of events for as long as it lives.
    pub(super) streams: Arc<()>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { started_at: now(), responses: Default::default(), streams: Arc::default() }
    }

    pub(super) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.responses.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn served(&self) -> Served {
        let streams = Arc::strong_count(&self.streams) - 1;
        Served {
            started_at: self.started_at,
            responses: self.responses.each_ref().map(|count| count.load(Ordering::Relaxed)),
            event_streams: streams as u64,
        }
    }
}

impl Api {
    pub(super) fn metrics(&self, request: &Request) -> Response<Body> {
        respond(request, StatusCode::OK, &self.measured())
    }

    pub(super) fn prometheus(&self) -> Response<Body> {
        answer::text(metrics::prometheus(&self.measured()))
    }

    pub(super) fn change_logging(&self, request: &Request) -> Answer {
        let change: LoggerChange = reading::body(&request.body)?;
        self.logging.change(&change);
        Ok(respond(request, StatusCode::OK, &change))
    }

    /// Another leader would read the state from the store; so does this one, in a new term.
    pub(super) async fn abdicate(&self, request: &Request) -> Answer {
        for unknown in ["backup", "restore"] {
            if request.query.first(unknown).is_some() {
                let cause =
                    format!("'{unknown}' is not supported: copy the data directory instead");
                return Err(Failure::BadRequest(cause));
            }
        }
        self.handle.abdicate().await?;
        Ok(respond(request, StatusCode::OK, &json!({ "message": "Leadership abdicated" })))
    }

    fn measured(&self) -> metrics::Metrics {
        metrics::metrics(&self.handle.read().services, &self.tally.served(), now())
    }
}

/// Plain text, unless JSON is what is asked for.
pub(super) fn pong(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    if accept.contains("text/") || accept.contains("*/*") {
        return answer::text("pong");
    }
    if accept.contains("application/json") {
        return answer::json(StatusCode::OK, &"pong", Layout::Compact);
    }
    answer::empty(StatusCode::NO_CONTENT)
}

/// What may be asked with which method is told by [`openapi`](super::openapi); browsers ask before they send.
pub(super) fn options() -> Response<Body> {
    let mut response = answer::empty(StatusCode::OK);
    let all = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(axum::http::header::ALLOW, all);
    response
}
