//! Answers of any length, sent while they are written: the first byte leaves at once, and nobody holds the whole.
//!
//! Who writes is on a thread where it may take its time, and waits for its reader. A reader that takes too long is cut
//! off, because a snapshot of the cluster is kept for it. Only so many are written at a time: slow readers must not take all
//! the threads that there are.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// A piece is sent when it has grown to this; the first one sooner, so that the reader sees at once that there is an answer.
const PIECE_BYTES: usize = 256 << 10;
const FIRST_PIECE_BYTES: usize = 16 << 10;
/// Pieces that are written and not yet sent.
const PIECES_WAITING_MAX: usize = 4;
/// From the first byte to the last.
const TIME_MS_MAX: u64 = 300_000;
/// Answers that are written at a time; the next ones wait for their turn.
const WRITERS_MAX: usize = 64;

static TURNS: Semaphore = Semaphore::const_new(WRITERS_MAX);

/// What is written by `write`. If it fails the body ends with an error, and the reader knows that it is not whole.
pub(crate) fn body(write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let (done, whole) = oneshot::channel();
    tokio::spawn(async move {
        let turn = TURNS.acquire().await.expect("nobody closes it");
        let written = tokio::task::spawn_blocking(move || tell(write, sender));
        if let Ok(Ok(())) = written.await {
            // Who has gone away does not mind.
            let _ = done.send(());
        }
        drop(turn);
    });
    let pieces = stream::unfold(Some((receiver, whole)), async |channels| {
        let (mut receiver, whole) = channels?;
        match receiver.recv().await {
            Some(piece) => Some((Ok(piece), Some((receiver, whole)))),
            None => {
                let cut = whole.await.err()?;
                Some((Err(cut), None))
            }
        }
    });
    // What compresses it asks once more after the end.
    Body::from_stream(pieces.fuse())
}

fn tell(
    write: impl FnOnce(&mut Pieces) -> io::Result<()>,
    sender: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let mut pieces = Pieces {
        piece: Vec::with_capacity(FIRST_PIECE_BYTES * 2),
        full_bytes: FIRST_PIECE_BYTES,
        until: Instant::now() + Duration::from_millis(TIME_MS_MAX),
        sender,
    };
    write(&mut pieces)?;
    pieces.flush()
}

/// Collects what is written into pieces.
#[derive(Debug)]
pub(crate) struct Pieces {
    piece: Vec<u8>,
    full_bytes: usize,
    until: Instant,
    sender: mpsc::Sender<Bytes>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    /// Most writes are of few bytes.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= self.full_bytes { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.full_bytes = PIECE_BYTES;
        let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        let piece = std::mem::replace(&mut self.piece, next);
        let sending = timeout_at(self.until, self.sender.send(piece.into()));
        let failed = |kind, cause| Err(io::Error::new(kind, cause));
        match Handle::current().block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => failed(io::ErrorKind::BrokenPipe, "the reader has gone away"),
            Err(_) => failed(io::ErrorKind::TimedOut, "the reader takes too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn readers_that_read_nothing_leave_threads_for_others() {
        let endless = |out: &mut Pieces| {
            loop {
                out.write_all(&[b'x'; PIECE_BYTES])?;
            }
        };
        let slow: Vec<Body> = (0..WRITERS_MAX).map(|_| body(endless)).collect();
        let waits = body(|out| out.write_all(b"at last"));
        let free = tokio::task::spawn_blocking(|| "free");
        assert_eq!(free.await.expect("it does not panic"), "free");
        drop(slow);
        let read = waits.collect().await.expect("it is whole").to_bytes();
        assert_eq!(&read[..], b"at last");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_whole_ends_with_an_error() {
        let check = async |write: fn(&mut Pieces) -> io::Result<()>, is_whole| {
            assert_eq!(body(write).collect().await.is_ok(), is_whole);
        };
        check(|out| out.write_all(b"all"), true).await;
        check(|_| Ok(()), true).await;
        check(|out| out.write_all(b"some").and(Err(io::ErrorKind::Other.into())), false).await;
        check(|_| panic!("as a fault of ours would"), false).await;
    }
}
