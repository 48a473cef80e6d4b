//! `dcos task exec`: carries frames between a WebSocket and a process in a container. See [`wire::exec`].

use std::future::pending;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use containers::Containers;
use containers::session::{Control, Session, Streams, Terminal};
use containers::spec::{Exec, WindowSize};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use model::container::Run;
use model::id::ContainerId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use wire::exec::{Ended, FRAME_BYTES_MAX, Frame, Query as Asked, Size};

use super::Api;
use super::answer::refuse;

/// What a terminal measures until the client says.
const SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };
/// Of a message, its first byte included; anything longer ends the connection.
const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX + 1;
/// Frames that wait for a slow client; then the process waits too.
const FRAMES_MAX: usize = 16;
/// What is read from the process at a time.
const CHUNK_BYTES: usize = 16 * 1024;

pub(super) async fn upgrade(api: &Api, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let asked = match Query::<Asked>::try_from_uri(&parts.uri) {
        Ok(Query(asked)) => asked,
        Err(cause) => return refuse(StatusCode::BAD_REQUEST, &format!("{cause}.\n")),
    };
    let Ok(argv) = serde_json::from_str::<Vec<String>>(&asked.cmd) else {
        return refuse(StatusCode::BAD_REQUEST, "'cmd' must be a JSON array of strings.\n");
    };
    if argv.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "'cmd' must name a program.\n");
    }
    let container = ContainerId::new(asked.container.as_str());
    let view = api.0.board.view();
    if view.held.get(&container).is_none_or(|held| !held.is_running()) {
        return refuse(StatusCode::NOT_FOUND, &format!("No task runs in container {container}.\n"));
    }
    let socket = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(socket) => socket,
        Err(rejection) => return rejection.into_response(),
    };
    let exec = Exec {
        run: Run::Exec(argv),
        environment: Vec::new(),
        user: asked.user,
        working_dir: None,
        terminal: (asked.tty == 1).then_some(SIZE),
    };
    let order =
        Order { containers: api.0.containers.clone(), container, exec, stdin: asked.stdin == 1 };
    socket.max_message_size(MESSAGE_BYTES_MAX).on_upgrade(|socket| order.serve(socket))
}

struct Order {
    containers: Containers,
    container: ContainerId,
    exec: Exec,
    stdin: bool,
}

impl Order {
    async fn serve(mut self, socket: WebSocket) {
        let (to_client, mut from_client) = socket.split();
        if self.exec.terminal.is_some() {
            self.exec.terminal = Some(first_size(&mut from_client).await);
        }
        tracing::info!(container = %self.container, "a process is started in a container");
        let (frames, waiting) = mpsc::channel(FRAMES_MAX);
        let sent = send(to_client, waiting);
        let worked = async {
            let ended = match self.containers.exec(&self.container, self.exec).await {
                Ok(session) => carry(session, self.stdin, from_client, &frames).await,
                Err(cause) => Some(Ended::Cause(format!("{cause:#}"))),
            };
            if let Some(ended) = ended {
                say(&frames, Frame::Ended(ended)).await;
            }
            drop(frames);
        };
        tokio::join!(sent, worked);
    }
}

/// A client with a terminal says its size first.
async fn first_size(from: &mut SplitStream<WebSocket>) -> WindowSize {
    match next(from).await {
        Some(Frame::Resize(Size { rows, cols })) => WindowSize { rows, columns: cols },
        Some(_) | None => SIZE,
    }
}

/// `None` if the client went away: then there is nobody to tell, and the process loses its terminal or pipes.
async fn carry(
    session: Session,
    stdin: bool,
    from: SplitStream<WebSocket>,
    frames: &mpsc::Sender<Frame>,
) -> Option<Ended> {
    let Session { streams, mut control } = session;
    match streams {
        Streams::Pipes { stdin: input, stdout, stderr } => {
            let typed = listen(from, stdin.then_some(input), None);
            let shown = async {
                tokio::join!(
                    show(stdout, frames, Frame::Stdout),
                    show(stderr, frames, Frame::Stderr)
                )
            };
            ended(&mut control, typed, shown).await
        }
        Streams::Terminal(terminal) => {
            let typed = listen(from, stdin.then(|| terminal.clone()), Some(terminal.clone()));
            ended(&mut control, typed, show(terminal, frames, Frame::Stdout)).await
        }
    }
}

/// Waits for the process; what it wrote before its end is shown first.
async fn ended<T>(
    control: &mut Control,
    typed: impl Future<Output = ()>,
    shown: impl Future<Output = T>,
) -> Option<Ended> {
    let status = async {
        let status = control.wait().await;
        Some(status.map_or_else(|cause| Ended::Cause(format!("{cause:#}")), Ended::Status))
    };
    tokio::select! {
        (ended, _) = async { tokio::join!(status, shown) } => ended,
        () = typed => None,
    }
}

/// Reads the client's frames until it goes away.
async fn listen(
    mut from: SplitStream<WebSocket>,
    mut input: Option<impl AsyncWrite + Unpin>,
    terminal: Option<Terminal>,
) {
    while let Some(frame) = next(&mut from).await {
        match frame {
            Frame::Stdin(bytes) => {
                let Some(open) = &mut input else { continue };
                if open.write_all(&bytes).await.is_err() {
                    input = None;
                }
            }
            Frame::StdinClosed => input = None,
            Frame::Resize(Size { rows, cols }) => {
                let resized = terminal
                    .as_ref()
                    .map(|terminal| terminal.resize(WindowSize { rows, columns: cols }));
                if let Some(Err(cause)) = resized {
                    tracing::debug!(%cause, "the terminal keeps its size");
                }
            }
            // Only an agent says these.
            Frame::Stdout(_) | Frame::Stderr(_) | Frame::Ended(_) => return,
        }
    }
}

/// The next frame; `None` if the client is gone or does not speak in frames.
async fn next(from: &mut SplitStream<WebSocket>) -> Option<Frame> {
    loop {
        match from.next().await?.ok()? {
            Message::Binary(bytes) => return Frame::read(&bytes).ok(),
            Message::Ping(_) | Message::Pong(_) => (),
            Message::Text(_) | Message::Close(_) => return None,
        }
    }
}

/// Shows what a process writes until it closes its end.
async fn show(
    mut output: impl AsyncRead + Unpin,
    frames: &mpsc::Sender<Frame>,
    frame: impl Fn(Vec<u8>) -> Frame,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    // A terminal ends with an error, as its last process does.
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        say(frames, frame(chunk[..count].to_vec())).await;
    }
}

async fn say(frames: &mpsc::Sender<Frame>, frame: Frame) {
    if frames.send(frame).await.is_err() {
        // The client is gone, which whoever reads from it notices.
        pending::<()>().await;
    }
}

async fn send(mut to: SplitSink<WebSocket, Message>, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if to.send(Message::Binary(Bytes::from(frame.write()))).await.is_err() {
            return;
        }
    }
    if let Err(cause) = to.close().await {
        tracing::debug!(%cause, "the client had gone already");
    }
}
