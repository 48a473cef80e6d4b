//! A process that was started in a running container, and the ends of its pipes or of its terminal.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

use crate::spec::WindowSize;

/// Dropping it does not end the process, but its input, output and terminal: it gets SIGHUP or SIGPIPE as in any shell.
#[derive(Debug)]
pub struct Session {
    /// As the host numbers it.
    pub pid: u32,
    pub streams: Streams,
    pub control: Control,
}

#[derive(Debug)]
pub enum Streams {
    Pipes {
        stdin: pipe::Sender,
        stdout: pipe::Receiver,
        stderr: pipe::Receiver,
    },
    /// What is written to it is typed; what is read from it is shown.
    Terminal(Terminal),
}

/// The outer end of a pseudo terminal. Reads end when the last process has closed the inner one.
#[derive(Debug)]
pub struct Terminal {}

impl Terminal {
    pub fn resize(&self, size: WindowSize) -> std::io::Result<()> {
        let _ = size;
        unimplemented!()
    }

    /// Another handle to the same terminal, so that one task can read and another write.
    pub fn try_clone(&self) -> std::io::Result<Terminal> {
        unimplemented!()
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        unimplemented!()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }
}

/// Tells how the process ended, and reaches it meanwhile.
#[derive(Debug)]
pub struct Control {}

impl Control {
    /// What `wait` returned for the process.
    pub async fn wait(&mut self) -> anyhow::Result<i32> {
        unimplemented!()
    }

    pub async fn signal(&mut self, signal: i32) -> anyhow::Result<()> {
        let _ = signal;
        unimplemented!()
    }
}
