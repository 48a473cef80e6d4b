//! A stream of events to a scheduler: records, each one event, with a heartbeat while nothing happens.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode};
use engine::Handle;
use engine::frameworks::Subscribed;
use futures::stream::{self, StreamExt};
use mesos_v1::codec::{Encoding, RECORDIO};
use mesos_v1::negotiate::Stream;
use mesos_v1::recordio::record;
use mesos_v1::scheduler::Event as Spelled;
use model::scheduler::Event;
use tokio::time::{Instant, MissedTickBehavior};
use wire::mesos::master::MasterInfo;
use wire::mesos::v1::event::{self, Greeting};

use super::scheduler::{STREAM_ID, named};

/// A scheduler that hears nothing for some of these takes its connection for broken.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How much of what is to be said is sent in one piece.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// What one scheduler is told.
pub(super) struct Events {
    handle: Handle,
    info: Arc<MasterInfo>,
    subscribed: Subscribed,
    heartbeat: tokio::time::Interval,
    /// Heard of and not yet spelled.
    rest: std::vec::IntoIter<Event>,
    has_begun: bool,
}

impl Events {
    pub(super) fn new(handle: Handle, info: Arc<MasterInfo>, subscribed: Subscribed) -> Self {
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rest = Vec::new().into_iter();
        Self { handle, info, subscribed, heartbeat, rest, has_begun: false }
    }

    pub(super) fn body(self, encoding: Encoding) -> Body {
        let pieces = stream::unfold(self, move |mut events| async move {
            let piece = events.next(encoding).await?;
            Some((Ok::<_, std::convert::Infallible>(piece), events))
        });
        // What compresses it asks once more after the end.
        Body::from_stream(pieces.fuse())
    }

    /// The next records; the end once the engine has ended the stream.
    async fn next(&mut self, encoding: Encoding) -> Option<Bytes> {
        loop {
            let piece = self.piece(encoding);
            if !piece.is_empty() {
                return Some(piece.into());
            }
            tokio::select! {
                biased;
                events = self.subscribed.next() => self.rest = events?.into_iter(),
                _ = self.heartbeat.tick() => {
                    return Some(record(&encoding.encode(&event::heartbeat())));
                }
            }
        }
    }

    /// What is to be said, up to a limit.
    fn piece(&mut self, encoding: Encoding) -> Vec<u8> {
        let mut piece = Vec::new();
        if self.rest.len() == 0 {
            return piece;
        }
        let view = self.handle.read();
        // Who has been torn down is told the rest of it as well.
        let (all, id) = (&view.kernel, &self.subscribed.framework);
        let known = all.frameworks.get(id).or_else(|| all.completed_frameworks.get(id));
        let Some(known) = known else {
            self.rest = Vec::new().into_iter();
            return piece;
        };
        let greeting = Greeting {
            master: &self.info,
            cluster: &view.kernel.cluster,
            heartbeat_seconds: HEARTBEAT.as_secs_f64(),
        };
        while piece.len() < PIECE_BYTES_MAX {
            let Some(told) = self.rest.next() else { break };
            let Some(spelled) = event::event(&told, &known.framework.info, greeting) else {
                continue;
            };
            piece.extend_from_slice(&record(&encoding.encode(&spelled)));
            // A scheduler may wait for its first heartbeat before it believes that all is well.
            if !std::mem::replace(&mut self.has_begun, true) {
                piece.extend_from_slice(&record(&encoding.encode(&event::heartbeat())));
            }
        }
        piece
    }
}

/// The answer that carries a stream.
pub(super) fn response(wanted: Stream, id: Option<&str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let media_type = wanted.message.media_type();
    if wanted.is_named {
        headers.extend([named(RECORDIO)]);
        headers.insert("message-content-type", HeaderValue::from_static(media_type));
    } else {
        headers.extend([named(media_type)]);
    }
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(STREAM_ID, id);
    }
    response
}

/// A stream that says why there is none, and ends.
pub(super) fn refused(wanted: Stream, cause: &str) -> Response<Body> {
    let error: Spelled = event::error(cause);
    let only = record(&wanted.message.encode(&error));
    // Clients insist on a stream's framing, however short it is.
    let pieces = stream::once(async move { Ok::<_, std::convert::Infallible>(only) });
    response(wanted, None, Body::from_stream(pieces))
}
