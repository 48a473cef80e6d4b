//! A process in a container that is there. It ends when whoever began it goes away.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use containers::Exited;
use containers::session::{Attached, Session, Streams};
use containers::spec::Exec;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::id::ContainerId;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::lineage::within;
use super::{Guest, Guests, Input, Kind, Lineage, Refusal};

/// Pieces that wait for a slow client; then the process waits too.
const PIECES_MAX: usize = 16;
/// What is read from the process at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// What `wait` returns for a killed process.
const KILLED: i32 = 9;

/// What a process has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Output(Bytes),
    Errors(Bytes),
}

/// In order. Dropping it ends a session.
pub(crate) type Pieces = mpsc::Receiver<Piece>;

impl Guests {
    /// Returns when the program has been executed.
    pub(crate) async fn begin_session(
        &self,
        lineage: Lineage,
        exec: Exec,
    ) -> Result<Pieces, Refusal> {
        let parent = lineage.parent().ok_or_else(|| {
            Refusal::Bad("'container_id.parent' must be set: a session is in a container".into())
        })?;
        let host = self.host(&parent)?;
        let (signals, ordered) = mpsc::unbounded_channel();
        let container = within(&host, lineage.name());
        if self.find(&lineage).is_some() {
            return Err(Refusal::Exists(lineage));
        }
        let kind = Kind::Session { signals, input: Mutex::default() };
        let guest = Arc::new(Guest { lineage: lineage.clone(), container, kind });
        self.admit(guest.clone())?;
        self.0.exits.forget(&guest.container);
        let session = self.0.containers.exec(&host, exec).await.map_err(|cause| {
            self.let_go(&lineage);
            Refusal::Bad(format!("{cause:#}"))
        })?;
        tracing::info!(container = %guest.container, "a session begins");
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        let guests = self.clone();
        self.0.deeds.spawn(async move {
            let wait_status = carry(&guests, &guest, session, to, ordered).await;
            guests.0.exits.remember(&guest.container, Exited { wait_status, limitation: None });
            guests.let_go(&guest.lineage);
        });
        Ok(pieces)
    }

    /// Looks on what a container writes from now on; gives also where typing goes, if there is a terminal.
    pub(crate) async fn look_on(
        &self,
        container: &ContainerId,
    ) -> Result<(Pieces, Option<Input>), Refusal> {
        let attached = self.0.containers.attach(container).await;
        let attached = attached.map_err(|cause| Refusal::Bad(format!("{cause:#}")))?;
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        let ending = self.0.ending.clone();
        let typed = attached.terminal.clone().map(Input::Terminal);
        self.0.deeds.spawn(async move {
            let mut attached = attached;
            let Attached { stdout, stderr, .. } = &mut attached;
            let shown = async {
                tokio::join!(show(stdout, &to, Piece::Output), show(stderr, &to, Piece::Errors))
            };
            tokio::select! {
                _ = shown => (),
                () = to.closed() => (),
                () = ending.cancelled() => (),
            }
        });
        Ok((pieces, typed))
    }
}

/// Until the process has ended and all that it wrote is told, or nobody listens. Gives what `wait` returned.
async fn carry(
    guests: &Guests,
    guest: &Guest,
    session: Session,
    to: mpsc::Sender<Piece>,
    mut ordered: mpsc::UnboundedReceiver<i32>,
) -> i32 {
    let Session { streams, mut control } = session;
    let shown: BoxFuture<'_, ()> = match streams {
        Streams::Pipes { stdin, mut stdout, mut stderr } => {
            guest.give_back(Input::Pipe(stdin));
            let to = &to;
            async move {
                let output = show(&mut stdout, to, Piece::Output);
                tokio::join!(output, show(&mut stderr, to, Piece::Errors));
            }
            .boxed()
        }
        Streams::Terminal(mut terminal) => {
            guest.give_back(Input::Terminal(terminal.clone()));
            let to = &to;
            async move { show(&mut terminal, to, Piece::Output).await }.boxed()
        }
    };
    let ended = async {
        loop {
            tokio::select! {
                status = control.wait() => return status,
                Some(signal) = ordered.recv() => {
                    if let Err(cause) = control.signal(signal) {
                        tracing::debug!(cause = format!("{cause:#}"), "a signal is lost");
                    }
                }
            }
        }
    };
    let over = tokio::select! {
        (status, ()) = async { tokio::join!(ended, shown) } => status,
        // Without its control the process is killed.
        () = to.closed() => Ok(KILLED),
        () = guests.0.ending.cancelled() => Ok(KILLED),
    };
    drop(guest.take_input());
    over.unwrap_or(KILLED)
}

/// Shows what a process writes until it closes its end.
async fn show(
    output: &mut (impl AsyncRead + Unpin),
    to: &mpsc::Sender<Piece>,
    piece: impl Fn(Bytes) -> Piece,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    // A terminal ends with an error, as its last process does.
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        if to.send(piece(Bytes::copy_from_slice(&chunk[..count]))).await.is_err() {
            // Nobody listens, which the caller notices.
            return;
        }
    }
}
