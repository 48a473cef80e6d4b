//! The door for agents: one gRPC stream each.

use std::pin::Pin;
use std::task::{Context, Poll};

use model::agent::{Letter, ToAgent};
use model::id::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;
use wire::agent::{Incoming, Master, Server};

use crate::{Handle, Message};

/// Letters that wait for one agent. One that lets more pile up is disconnected, and settles the difference when it
/// registers again.
const LETTERS_QUEUED_MAX: usize = 128;

/// The service to mount at [`wire::agent::METHOD`], under axum with `route_service`.
pub fn service(handle: Handle) -> Server<Door> {
    Server(Door { handle })
}

#[derive(Debug, Clone)]
pub struct Door {
    handle: Handle,
}

impl Master for Door {
    type Letters = Letters;

    fn open(&self, incoming: Incoming) -> Result<Letters, Status> {
        let connection = self.handle.next_connection();
        let (queue, letters) = mpsc::channel(LETTERS_QUEUED_MAX);
        let (open, closed) = oneshot::channel();
        let stream = AgentStream { handle: self.handle.clone(), connection, incoming };
        // Owned by the stream: it ends when the agent hangs up, or when `Letters` is dropped.
        tokio::spawn(stream.serve(queue, closed));
        Ok(Letters { letters, _open: open })
    }
}

/// What an agent says.
struct AgentStream {
    handle: Handle,
    connection: Connection,
    incoming: Incoming,
}

impl AgentStream {
    async fn serve(mut self, queue: mpsc::Sender<Letter<ToAgent>>, closed: oneshot::Receiver<()>) {
        let connection = self.connection;
        let opened = self.handle.inbox.send(Message::AgentConnected { connection, queue }).await;
        if opened.is_err() {
            return;
        }
        tokio::select! {
            () = self.listen() => (),
            _ = closed => (),
        }
        // An engine that is over has forgotten all streams.
        let _ = self.handle.inbox.send(Message::AgentLost(connection)).await;
    }

    async fn listen(&mut self) {
        let connection = self.connection;
        loop {
            let letter = match self.incoming.message().await {
                Ok(Some(letter)) => letter,
                Ok(None) => return,
                Err(cause) => {
                    tracing::info!(connection = connection.0, %cause, "an agent's stream broke");
                    return;
                }
            };
            let sent = self.handle.inbox.send(Message::Agent { connection, letter }).await;
            if sent.is_err() {
                return;
            }
        }
    }
}

/// What an agent is told. Ends when the loop closes the stream.
#[derive(Debug)]
pub struct Letters {
    letters: mpsc::Receiver<Letter<ToAgent>>,
    /// Dropped with the stream, which ends the task that listens.
    _open: oneshot::Sender<()>,
}

impl Stream for Letters {
    type Item = Result<Letter<ToAgent>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.letters.poll_recv(context).map(|letter| letter.map(Ok))
    }
}
