//! Downloads into files that are named by their digest: whoever wants one next goes on with what has come.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::task::spawn_blocking;

use crate::layer::Hash;
use crate::manifest::Blob;

/// Each write is a matter for another thread, so it should be worth it.
const WRITE_BYTES: usize = 1 << 20;

/// Why a download ended too early; what came before it stays.
#[derive(Debug)]
pub(crate) enum Interrupted<E> {
    Source(E),
    TooMuch,
    TooLittle {
        got: u64,
    },
    /// All has come, and it is something else.
    Wrong {
        actual: String,
    },
    Disk(io::Error),
}

/// How much of a blob is there; nothing if it is more than the blob has.
pub(crate) async fn have(blob: &Blob, at: &Path) -> u64 {
    let found = tokio::fs::metadata(at).await.map_or(0, |found| found.len());
    if found > blob.size { 0 } else { found }
}

/// Writes what comes behind the first `offset` bytes. What comes from the beginning is looked at on the way.
pub(crate) async fn receive<E>(
    mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    blob: &Blob,
    to: &Path,
    offset: u64,
) -> Result<(), Interrupted<E>> {
    let mut hash = (offset == 0).then(|| Hash::like(&blob.digest));
    let mut landing = Landing::open(to, offset).await.map_err(Interrupted::Disk)?;
    let mut got = offset;
    let received = async {
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(Interrupted::Source)?;
            got += bytes.len() as u64;
            if got > blob.size {
                return Err(Interrupted::TooMuch);
            }
            if let Some(hash) = &mut hash {
                hash.update(&bytes);
            }
            landing.add(bytes).await.map_err(Interrupted::Disk)?;
        }
        if got < blob.size { Err(Interrupted::TooLittle { got }) } else { Ok(()) }
    };
    let received = received.await;
    landing.write().await.map_err(Interrupted::Disk)?;
    received?;
    match hash.map(Hash::digest) {
        Some(actual) if actual != blob.digest => Err(Interrupted::Wrong { actual }),
        Some(_) | None => Ok(()),
    }
}

/// Gathers pieces until it is worth to write them, without putting them together.
struct Landing {
    file: Arc<File>,
    /// Where the next piece goes.
    offset: u64,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Landing {
    async fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let path = path.to_owned();
        let open = move || {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            file.set_len(offset)?;
            io::Result::Ok(file)
        };
        let file = spawn_blocking(open).await.map_err(io::Error::other)??;
        Ok(Self { file: Arc::new(file), offset, pieces: Vec::new(), bytes: 0 })
    }

    async fn add(&mut self, piece: Bytes) -> io::Result<()> {
        self.bytes += piece.len();
        self.pieces.push(piece);
        if self.bytes < WRITE_BYTES { Ok(()) } else { self.write().await }
    }

    async fn write(&mut self) -> io::Result<()> {
        let (file, mut offset) = (Arc::clone(&self.file), self.offset);
        self.offset += std::mem::take(&mut self.bytes) as u64;
        let pieces = std::mem::take(&mut self.pieces);
        let write = move || {
            pieces.iter().try_for_each(|piece| {
                let at = offset;
                offset += piece.len() as u64;
                file.write_all_at(piece, at)
            })
        };
        spawn_blocking(write).await.map_err(io::Error::other)?
    }
}
