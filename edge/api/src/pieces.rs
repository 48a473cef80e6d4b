//! Answers of any length, sent while they are written: the first byte leaves at once, and nobody holds the whole.
//!
//! Who writes is on a thread where it may take its time, and waits for its reader. A reader that takes too long is cut
//! off, because a snapshot of the cluster is kept for it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures::stream;
use tokio::sync::mpsc;

/// A piece is sent when it has grown to this; the first one sooner, so that the reader sees at once that there is an answer.
const PIECE_BYTES: usize = 256 << 10;
const FIRST_PIECE_BYTES: usize = 16 << 10;
/// Pieces that are written and not yet sent.
const PIECES_WAITING_MAX: usize = 4;
/// From the first byte to the last.
const TIME_MS_MAX: u64 = 300_000;

/// What is written by `write`. If it fails the body ends without its end, and the reader knows.
pub(crate) fn body(write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            piece: Vec::with_capacity(FIRST_PIECE_BYTES * 2),
            full_bytes: FIRST_PIECE_BYTES,
            until: Instant::now() + Duration::from_millis(TIME_MS_MAX),
            sender,
        };
        if let Err(cause) = write(&mut pieces).and_then(|()| pieces.flush()) {
            // Who has gone away does not mind.
            drop(pieces.sender.blocking_send(Err(cause)));
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Collects what is written into pieces.
#[derive(Debug)]
pub(crate) struct Pieces {
    piece: Vec<u8>,
    full_bytes: usize,
    until: Instant,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= self.full_bytes {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes too long"));
        }
        self.full_bytes = PIECE_BYTES;
        let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        let piece = std::mem::replace(&mut self.piece, next);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader has gone away");
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
