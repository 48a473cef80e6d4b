//! Long lists, encoded slice by slice while they are sent: the first byte leaves at once, a slow reader holds nobody up.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use futures::{StreamExt, stream};
use serde::Serialize;

use crate::answer::{self, Layout};

/// A slice is sent when it has grown to this; the first one sooner, so that the reader sees at once that there is an answer.
const SLICE_BYTES: usize = 64 << 10;
const FIRST_SLICE_BYTES: usize = 4 << 10;
/// Entries looked at before others may run, whether they are listed or not.
const SLICE_ENTRIES_MAX: usize = 256;
/// A reader that takes longer is cut off, because it holds a snapshot.
const SNAPSHOT_AGE_MS_MAX: u64 = 60_000;

/// The rest of a walk: each step writes one entry, or passes over one.
pub(crate) trait Walk: Send + 'static {
    /// Writes the next entry to `list`, if it is wanted; `false` at the end.
    fn step(&mut self, list: &mut List) -> bool;
}

/// What has been written of the current slice.
#[derive(Debug)]
pub(crate) struct List {
    slice: Vec<u8>,
    separator: &'static str,
    layout: Layout,
}

impl List {
    pub(crate) fn push(&mut self, entry: &impl Serialize) {
        self.slice.extend_from_slice(self.separator.as_bytes());
        self.separator = ",";
        match self.layout {
            Layout::Compact => serde_json::to_writer(&mut self.slice, entry),
            Layout::Pretty => serde_json::to_writer_pretty(&mut self.slice, entry),
        }
        .expect("wire types have string keys and no fallible parts");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the reader took longer than {SNAPSHOT_AGE_MS_MAX} ms")]
struct TooSlow;

struct Writer<W> {
    walk: W,
    list: List,
    begun: Instant,
    slice_bytes: usize,
    over: bool,
}

/// `{"<name>":[...]}` with the entries of the walk.
pub(crate) fn listing(name: &str, walk: impl Walk, layout: Layout) -> Response<Body> {
    let slice = format!("{{\"{name}\":[").into_bytes();
    let list = List { slice, separator: "", layout };
    let writer =
        Writer { walk, list, begun: Instant::now(), slice_bytes: FIRST_SLICE_BYTES, over: false };
    let slices = stream::unfold(writer, |mut writer| async move {
        let slice = writer.next().await?;
        Some((slice, writer))
    });
    // Whoever compresses it asks once more after the end.
    answer::with_body(StatusCode::OK, answer::JSON, Body::from_stream(slices.fuse()))
}

impl<W: Walk> Writer<W> {
    async fn next(&mut self) -> Option<Result<Bytes, TooSlow>> {
        if self.over {
            return None;
        }
        if self.begun.elapsed() > Duration::from_millis(SNAPSHOT_AGE_MS_MAX) {
            self.over = true;
            return Some(Err(TooSlow));
        }
        loop {
            self.over = !self.fill();
            if self.over {
                self.list.slice.extend_from_slice(b"]}");
            }
            // Nobody else on this thread waits for a long list, and who compresses it sends what it has.
            tokio::task::yield_now().await;
            if self.over || self.list.slice.len() >= self.slice_bytes {
                self.slice_bytes = SLICE_BYTES;
                return Some(Ok(std::mem::take(&mut self.list.slice).into()));
            }
        }
    }

    /// Walks a while; `false` at the end.
    fn fill(&mut self) -> bool {
        for _ in 0..SLICE_ENTRIES_MAX {
            if self.list.slice.len() >= self.slice_bytes {
                return true;
            }
            if !self.walk.step(&mut self.list) {
                return false;
            }
        }
        true
    }
}
