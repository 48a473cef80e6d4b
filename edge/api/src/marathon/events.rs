//! The event stream: everything that happens from now on, until the reader falls too far behind.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, HeaderValue};
use engine::notices::{Lagged, Notices};
use futures::{StreamExt, stream};
use tokio::time::Instant;
use wire::marathon::deployment::PlanFormat;
use wire::marathon::event::{self, Event};

use super::{Answer, Api};
use crate::answer;
use crate::failure::Failure;
use crate::request::{Request, now};

/// A silent stream says that it is alive, so that proxies keep it open.
const KEEPALIVE: Duration = Duration::from_secs(10);

struct Subscription {
    notices: Notices,
    format: PlanFormat,
    /// Empty asks for all.
    kinds: BTreeSet<String>,
    /// Spelled and not yet sent.
    pending: VecDeque<Event>,
}

impl Api {
    pub(super) fn events(&self, request: &Request) -> Answer {
        let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        if !accept.is_some_and(|accept| accept.contains("text/event-stream")) {
            return Err(Failure::NotAcceptable(
                "this is a stream of events: ask with 'Accept: text/event-stream'".to_owned(),
            ));
        }
        let remote = request.remote.map(|remote| remote.ip().to_string());
        let light = request.query.first("plan-format") == Some("light");
        let subscription = Subscription {
            notices: self.handle.notices(),
            format: if light { PlanFormat::Light } else { PlanFormat::Heavy },
            kinds: request.query.all("event_type").map(str::to_owned).collect(),
            pending: [event::attached(remote.as_deref().unwrap_or_default(), now())].into(),
        };
        let parts = stream::unfold(subscription, |mut subscription| async move {
            let part = subscription.next().await?;
            Some((Ok::<_, Lagged>(part), subscription))
        });
        let kind = HeaderValue::from_static("text/event-stream");
        Ok(answer::with_body(StatusCode::OK, kind, Body::from_stream(parts.fuse())))
    }
}

impl Subscription {
    /// The next event as bytes; the end if the reader is too far behind or the leader has changed.
    async fn next(&mut self) -> Option<Bytes> {
        // What this reader does not want to hear is no sign of life.
        let deadline = Instant::now() + KEEPALIVE;
        loop {
            while let Some(event) = self.pending.pop_front() {
                if self.kinds.is_empty() || self.kinds.contains(event.kind) {
                    return Some(format!("event: {}\ndata: {}\n\n", event.kind, event.data).into());
                }
            }
            match tokio::time::timeout_at(deadline, self.notices.next()).await {
                Ok(Ok((_, notice))) => self.pending.extend(event::events(&notice, self.format)),
                Ok(Err(Lagged)) => return None,
                Err(_elapsed) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }
}
