//! The event stream: everything that happens from now on, until the reader falls too far behind.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, HeaderValue};
use engine::notices::{Lagged, Notices};
use futures::{StreamExt, stream};
use tokio::time::Instant;
use wire::marathon::deployment::PlanFormat;
use wire::marathon::event;

use super::spellings::{self, Spelling, Spellings};
use super::{Answer, Api};
use crate::answer;
use crate::failure::Failure;
use crate::request::{Request, now};

/// A silent stream says that it is alive, so that proxies keep it open.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Notices looked at in one go, and how much of them is sent in one piece.
const NOTICES_AT_ONCE_MAX: usize = 512;
const PIECE_BYTES_MAX: usize = 64 << 10;

struct Subscription {
    notices: Notices,
    spellings: Arc<Spellings>,
    format: PlanFormat,
    /// Empty asks for all.
    kinds: BTreeSet<String>,
    /// Read and not yet sent.
    pending: VecDeque<Arc<Spelling>>,
    /// Said to this subscriber alone, first of all.
    attached: Option<Bytes>,
    /// Counted as long as it lives.
    _counted: Arc<()>,
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
        let kinds: BTreeSet<String> = request.query.all("event_type").map(str::to_owned).collect();
        let attached =
            spellings::line(&event::attached(remote.as_deref().unwrap_or_default(), now()));
        let subscription = Subscription {
            notices: self.handle.notices().without_view(),
            spellings: self.spellings.clone(),
            format: if light { PlanFormat::Light } else { PlanFormat::Heavy },
            attached: wanted(&kinds, attached.kind).then_some(attached.bytes),
            kinds,
            pending: VecDeque::new(),
            _counted: self.tally.streams.clone(),
        };
        let parts = stream::unfold(subscription, |mut subscription| async move {
            let part = subscription.next().await?;
            Some((Ok::<_, Lagged>(part), subscription))
        });
        let kind = HeaderValue::from_static("text/event-stream");
        Ok(answer::with_body(StatusCode::OK, kind, Body::from_stream(parts.fuse())))
    }
}

fn wanted(kinds: &BTreeSet<String>, kind: &str) -> bool {
    kinds.is_empty() || kinds.contains(kind)
}

impl Subscription {
    /// The next events as bytes; the end if the reader is too far behind or the leader has changed.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(attached) = self.attached.take() {
            return Some(attached);
        }
        // What this reader does not want to hear is no sign of life.
        let deadline = Instant::now() + KEEPALIVE;
        loop {
            if let Some(piece) = self.piece() {
                return Some(piece);
            }
            let some = self.notices.some(NOTICES_AT_ONCE_MAX);
            match tokio::time::timeout_at(deadline, some).await {
                Ok(Ok((position, notices))) => {
                    let spelled = self.spellings.of(position, notices);
                    let kinds = &self.kinds;
                    let heard =
                        |one: &Arc<Spelling>| one.kinds().iter().any(|kind| wanted(kinds, kind));
                    self.pending.extend(spelled.into_iter().filter(heard));
                }
                Ok(Err(Lagged)) => return None,
                Err(_elapsed) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// What is pending, up to a limit: a single event as it is shared, several put together.
    fn piece(&mut self) -> Option<Bytes> {
        let mut single: Option<Bytes> = None;
        let mut together = Vec::new();
        while let Some(spelling) = self.pending.pop_front() {
            for line in spelling.lines(self.format).iter().filter(|l| wanted(&self.kinds, l.kind)) {
                match single.take() {
                    None if together.is_empty() => single = Some(line.bytes.clone()),
                    None => together.extend_from_slice(&line.bytes),
                    Some(first) => together = [first, line.bytes.clone()].concat(),
                }
            }
            if PIECE_BYTES_MAX <= together.len() {
                break;
            }
        }
        single.or_else(|| (!together.is_empty()).then(|| together.into()))
    }
}
