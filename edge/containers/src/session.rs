//! A process that was started in a running container, and the ends of its pipes or of its terminal.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

use crate::channel::Channel;
use crate::protocol::{Answer, Ask};
use crate::spec::WindowSize;

/// Dropping its control kills the process and all that share its session.
#[derive(Debug)]
pub struct Session {
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

/// What a container writes, for one who looks on. Dropping it ends that, and nothing else.
#[derive(Debug)]
pub struct Attached {
    /// Or what the terminal shows.
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
    /// Its inner end is the container's. What is written to it is typed.
    pub terminal: Option<Terminal>,
    pub(crate) _channel: Channel,
}

/// The outer end of a pseudo terminal. Clones are the same, so that one task can read and another write. Reads end
/// when the last process has closed the inner end.
#[derive(Debug, Clone)]
pub struct Terminal(Arc<AsyncFd<OwnedFd>>);

impl Terminal {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Terminal> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // SAFETY: the descriptor is owned, so it stays open and the same until it is deregistered.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Terminal(Arc::new(fd)))
    }

    pub fn resize(&self, size: WindowSize) -> io::Result<()> {
        Ok(rustix::termios::tcsetwinsize(self.0.as_fd(), size.into())?)
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let space = buffer.initialize_unfilled();
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), space)?)) {
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // Linux spells the end of a terminal so.
                Ok(Err(e)) if e.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(e)) => return Poll::Ready(Err(e)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Tells how the process ended, and reaches it meanwhile.
#[derive(Debug)]
pub struct Control(pub(crate) Channel);

impl Control {
    /// What `wait` returned for the process; that of a kill, if the container ended first.
    pub async fn wait(&mut self) -> anyhow::Result<i32> {
        loop {
            match self.0.receive().await?.map(|packet| packet.message) {
                Some(Answer::Exited(status)) => return Ok(status.wait_status),
                Some(
                    Answer::Done | Answer::Preparing | Answer::Started { .. } | Answer::Executed,
                ) => {}
                Some(Answer::Refused(cause) | Answer::Failed { cause, .. }) => anyhow::bail!(cause),
                None => anyhow::bail!("the container's shim is gone"),
            }
        }
    }

    /// To the process and those that share its session.
    pub fn signal(&self, signal: i32) -> anyhow::Result<()> {
        self.0.ask(Ask::SignalExec(signal), &[])
    }
}
