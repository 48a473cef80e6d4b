//! The daemon's end of a connection to a shim.
#![allow(unsafe_code)]

use std::io::ErrorKind;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::Context;
use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::packet::{self, Packet};
use crate::protocol::{Answer, Ask, Request, VERSION};

#[derive(Debug)]
pub(crate) struct Channel(AsyncFd<OwnedFd>);

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> anyhow::Result<Channel> {
        rustix::io::ioctl_fionbio(&socket, true).context("a shim's socket")?;
        // SAFETY: the descriptor is owned, so it stays open and the same until it is deregistered.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Channel(socket.context("watching a shim's socket")?))
    }

    /// The process at the other end.
    pub(crate) fn peer(&self) -> anyhow::Result<Pid> {
        let peer = rustix::net::sockopt::socket_peercred(self.0.get_ref());
        Ok(peer.context("asking who a shim is")?.pid)
    }

    /// Requests are few and small, so there is always room for one.
    /// A shim that is gone is told by [`receive`](Self::receive), not here: it may go between the two.
    pub(crate) fn ask(&self, ask: Ask, fds: &[BorrowedFd<'_>]) -> anyhow::Result<()> {
        match packet::send(self.0.get_ref(), &Request { version: VERSION, ask }, fds) {
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Ok(())
            }
            sent => sent.context("asking the container's shim"),
        }
    }

    /// `None` when the shim has closed or is gone.
    pub(crate) async fn receive(&self) -> anyhow::Result<Option<Packet<Answer>>> {
        let received = self.0.async_io(Interest::READABLE, |socket| packet::receive(socket)).await;
        match received {
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(None),
            received => received.context("hearing the container's shim"),
        }
    }
}
