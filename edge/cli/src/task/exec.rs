//! `dcos task exec`: a command inside a container, with this terminal as its own.

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use http::header;
use reqwest::{StatusCode, Upgraded};
use tokio::io::{AsyncReadExt, Stdin, stdin};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use wire::exec::{Ended, Frame, PATH, Query, Size};

use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::task::find::Task;
use crate::task::terminal::{RawMode, size};

/// As much as is read of standard input at once.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Shells report a process that a signal ended as this plus the signal's number.
const SIGNALLED: i32 = 128;

#[derive(Debug)]
pub(super) struct Run {
    pub(super) command: Vec<String>,
    pub(super) interactive: bool,
    pub(super) tty: bool,
    pub(super) user: Option<String>,
}

type Socket = WebSocketStream<Upgraded>;

/// Returns the exit status of the command.
pub(super) async fn run(
    screen: &mut Screen<'_>,
    client: &Client,
    task: &Task,
    run: Run,
) -> Result<u8> {
    let container = task.container().ok_or_else(|| {
        Failure::Other(format!("{} has no container (yet); its state is {}", task.id, task.state))
    })?;
    let query = Query {
        container: container.to_owned(),
        tty: run.tty.into(),
        stdin: run.interactive.into(),
        cmd: serde_json::to_string(&run.command)?,
        user: run.user.clone(),
    };
    let mut socket = connect(client, &task.slave_id, &query).await?;
    // Both are undone when this returns, however it does.
    let raw = match run.tty && run.interactive {
        true => RawMode::enter()?,
        false => None,
    };
    if run.tty {
        resize(&mut socket).await?;
    }
    let ended = talk(screen, &mut socket, run.interactive, run.tty).await;
    drop(raw);
    status(ended?)
}

/// Upgrades a plain request, so that TLS and token are those of every other request.
async fn connect(client: &Client, agent: &str, query: &Query) -> Result<Socket> {
    let key = generate_key();
    let request = client
        .get(&format!("/agent/{}{PATH}", segment(agent)))
        .query(query)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key);
    let response = client.open(request).await?;
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    let expected = derive_accept_key(key.as_bytes());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS
        || accepted.is_none_or(|accepted| accepted.as_bytes() != expected.as_bytes())
    {
        let cause = format!("it answered a WebSocket request with {}", response.status());
        return Err(Failure::Garbled { url: client.base().to_owned(), cause }.into());
    }
    let upgraded = response.upgrade().await.map_err(|error| client.unreachable(&error))?;
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
}

async fn send(socket: &mut Socket, frame: Frame) -> Result<()> {
    socket.send(Message::Binary(frame.write().into())).await.context("sending to the task")
}

async fn resize(socket: &mut Socket) -> Result<()> {
    match size() {
        Some((rows, cols)) => send(socket, Frame::Resize(Size { rows, cols })).await,
        None => Ok(()),
    }
}

/// Carries input and output until the command has ended.
async fn talk(
    screen: &mut Screen<'_>,
    socket: &mut Socket,
    interactive: bool,
    tty: bool,
) -> Result<Ended> {
    let mut resized = signal(SignalKind::window_change()).context("watching the window's size")?;
    let mut input = interactive.then(stdin);
    let mut typed = vec![0; INPUT_BYTES_MAX];
    loop {
        tokio::select! {
            message = socket.next() => {
                let message = message.context("the connection to the task ended")?;
                if let Some(ended) = show(screen, message.context("reading from the task")?)? {
                    return Ok(ended);
                }
            }
            length = read(&mut input, &mut typed) => match length.context("reading standard input")? {
                0 => {
                    input = None;
                    send(socket, Frame::StdinClosed).await?;
                }
                length => send(socket, Frame::Stdin(typed[..length].to_vec())).await?,
            },
            () = window(&mut resized, tty) => resize(socket).await?,
        }
    }
}

/// Never returns once the input is closed.
async fn read(input: &mut Option<Stdin>, typed: &mut [u8]) -> std::io::Result<usize> {
    match input {
        Some(input) => input.read(typed).await,
        None => std::future::pending().await,
    }
}

async fn window(resized: &mut Signal, tty: bool) {
    if !tty || resized.recv().await.is_none() {
        std::future::pending().await
    }
}

/// `Some` if it was the last frame.
fn show(screen: &mut Screen<'_>, message: Message) -> Result<Option<Ended>> {
    let frame = match message {
        Message::Binary(bytes) => Frame::read(&bytes)?,
        Message::Close(_) => {
            let cause = "the connection was closed before the command ended".to_owned();
            return Ok(Some(Ended::Cause(cause)));
        }
        Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
            return Ok(None);
        }
    };
    match frame {
        Frame::Stdout(bytes) => screen.bytes(&bytes)?,
        Frame::Stderr(bytes) => screen.remark_bytes(&bytes)?,
        Frame::Ended(ended) => return Ok(Some(ended)),
        // These are ours to send.
        Frame::Stdin(_) | Frame::Resize(_) | Frame::StdinClosed => (),
    }
    Ok(None)
}

/// As a shell would report it.
fn status(ended: Ended) -> Result<u8> {
    match ended {
        Ended::Cause(cause) => Err(Failure::Other(cause).into()),
        Ended::Status(status) => {
            let (code, signal) = ((status >> 8) & 0xff, status & 0x7f);
            let shown = if signal == 0 { code } else { SIGNALLED + signal };
            Ok(u8::try_from(shown).unwrap_or(u8::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_what_a_shell_would_say() {
        let check = |wait_status, expected| {
            assert_eq!(status(Ended::Status(wait_status)).ok(), Some(expected), "{wait_status}");
        };
        check(0, 0);
        check(3 << 8, 3);
        check(255 << 8, 255);
        check(9, 137);
        assert!(status(Ended::Cause("no such program".into())).is_err());
    }
}
