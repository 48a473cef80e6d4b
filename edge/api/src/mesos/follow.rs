//! SUBSCRIBE: all that there is, then what becomes of it, for as long as the reader likes.
//!
//! A task of its own looks at every commit and keeps what the reader has yet to hear; so a reader that is slow holds
//! nobody up, and is cut off when too much waits for it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::Response;
use engine::Handle;
use futures::stream::{self, StreamExt};
use kernel::history::Told;
use kernel::view::View;
use mesos_v1::codec::Encoding;
use mesos_v1::negotiate::Stream;
use mesos_v1::recordio::record;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use wire::mesos::operator::event;

use super::Endless;
use super::stream::{HEARTBEAT, response};

/// Events that wait for one reader before it counts as too slow.
const EVENTS_WAITING_MAX: usize = 200_000;
/// How much of what is to be said is sent in one piece.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// What was told by one commit, and the cluster after it.
type News = (Arc<cluster::View>, Vec<Told>);

/// What one reader is told.
struct Events {
    /// Of the first event, in the order in which they are sent.
    pieces: std::vec::IntoIter<Bytes>,
    news: mpsc::UnboundedReceiver<News>,
    waiting: Arc<AtomicUsize>,
    heartbeat: Interval,
    encoding: Encoding,
    follower: AbortHandle,
    /// For as long as it is read.
    _counted: Arc<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Begins with the cluster as it is now.
pub(super) async fn subscribe(handle: &Handle, wanted: Stream, counted: Arc<()>) -> Response<Body> {
    let encoding = wanted.message;
    let mut views = handle.views();
    let view = views.next().await;
    let (sender, news) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    let mut follower = Follower {
        term: view.kernel.term,
        position: view.kernel.history.position(),
        sender,
        waiting: waiting.clone(),
    };
    let follower = tokio::spawn(async move { while follower.look(views.next().await) {} });
    let snapshot = tokio::task::spawn_blocking(move || snapshot(&view.kernel, encoding));
    let snapshot = snapshot.await.expect("a panic while answering was reported where it happened");
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = follower.abort_handle();
    let pieces = snapshot.into_iter();
    let events = Events { pieces, news, waiting, heartbeat, encoding, follower, _counted: counted };
    let pieces = stream::unfold(events, |mut events| async move {
        let piece = events.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), events))
    });
    // What compresses it asks once more after the end.
    let mut response = response(wanted, None, Body::from_stream(pieces.fuse()));
    response.extensions_mut().insert(Endless);
    response
}

/// The first event as one record, and a heartbeat by which the reader sees that this was all.
fn snapshot(view: &View, encoding: Encoding) -> Vec<Bytes> {
    let seconds = HEARTBEAT.as_secs_f64();
    let pieces = event::subscribed(view, seconds, encoding, Kept::default());
    let mut pieces = pieces.expect("memory takes all").end();
    let length: usize = pieces.iter().map(Bytes::len).sum();
    pieces.insert(0, format!("{length}\n").into());
    pieces.push(record(&encoding.encode(&event::heartbeat())));
    pieces
}

/// What is written, in pieces, because all of it has to be there before its length can be told.
#[derive(Debug, Default)]
struct Kept {
    full: Vec<Bytes>,
    piece: Vec<u8>,
}

impl Kept {
    fn end(mut self) -> Vec<Bytes> {
        self.full.push(self.piece.into());
        self.full
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES_MAX {
            self.full.push(std::mem::take(&mut self.piece).into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps up with the cluster for a reader that may not.
struct Follower {
    term: model::id::Term,
    /// Of what happens next.
    position: u64,
    sender: mpsc::UnboundedSender<News>,
    waiting: Arc<AtomicUsize>,
}

impl Follower {
    /// `false` once the stream cannot go on: the leader has changed, the reader has gone away, or too much waits.
    fn look(&mut self, view: Arc<cluster::View>) -> bool {
        let history = &view.kernel.history;
        if view.kernel.term != self.term {
            return false;
        }
        let Some(told) = history.since(self.position) else {
            tracing::warn!(
                "a subscriber of the operator API is cut off: too much happened at once"
            );
            return false;
        };
        let told: Vec<Told> = told.cloned().collect();
        self.position = history.position();
        if told.is_empty() {
            return !self.sender.is_closed();
        }
        let waiting = self.waiting.fetch_add(told.len(), Ordering::Relaxed) + told.len();
        if waiting > EVENTS_WAITING_MAX {
            tracing::warn!(
                "a subscriber of the operator API does not keep up; its stream is closed"
            );
            return false;
        }
        self.sender.send((view, told)).is_ok()
    }
}

impl Events {
    /// The next records; the end once the follower has given up.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(piece) = self.pieces.next() {
            return Some(piece);
        }
        loop {
            tokio::select! {
                biased;
                news = self.news.recv() => {
                    let piece = self.spell(news?);
                    if !piece.is_empty() {
                        return Some(piece);
                    }
                }
                _ = self.heartbeat.tick() => {
                    return Some(record(&self.encoding.encode(&event::heartbeat())));
                }
            }
        }
    }

    /// What is there already goes into the same piece, up to a limit.
    fn spell(&mut self, first: News) -> Bytes {
        let mut piece = Vec::new();
        let mut news = Some(first);
        while let Some((view, told)) = news {
            self.waiting.fetch_sub(told.len(), Ordering::Relaxed);
            let events = told.iter().filter_map(|told| event::event(told, &view.kernel));
            events.for_each(|one| piece.extend_from_slice(&record(&self.encoding.encode(&one))));
            news = match piece.len() < PIECE_BYTES_MAX {
                true => self.news.try_recv().ok(),
                false => None,
            };
        }
        piece.into()
    }
}
