//! Messages with file descriptors over sequenced-packet sockets: one packet, one message, never half of one.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minicbor::{Decode, Encode};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The kernel's default socket buffer takes a little more.
pub(crate) const PACKET_BYTES_MAX: usize = 128 * 1024;

/// A process needs its input, output and errors, and may need a file that says what it is and a namespace.
pub(crate) const PACKET_FDS_MAX: usize = 5;

/// A message that came in.
pub(crate) struct Packet<T> {
    pub(crate) message: T,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Two connected ends. Both are closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?)
}

pub(crate) fn send<T: Encode<()>>(
    socket: impl AsFd,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    assert!(fds.len() <= PACKET_FDS_MAX, "a packet with {} descriptors", fds.len());
    let bytes = minicbor::to_vec(message).map_err(io::Error::other)?;
    if bytes.len() > PACKET_BYTES_MAX {
        let text = format!("{} bytes in one message; at most {PACKET_BYTES_MAX}", bytes.len());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(fds));
        assert!(fits, "the buffer was made for as many descriptors");
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// `None` when the other side has closed. Waits if the socket is a blocking one.
pub(crate) fn receive<T>(socket: impl AsFd) -> io::Result<Option<Packet<T>>>
where
    T: for<'b> Decode<'b, ()>,
{
    let socket = socket.as_fd();
    let (_, length) =
        rustix::net::recv(socket, &mut [0u8; 0][..], RecvFlags::PEEK | RecvFlags::TRUNC)?;
    let mut bytes = vec![0; length.min(PACKET_BYTES_MAX)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(ErrorKind::InvalidData, "a message was cut short"));
    }
    let message = minicbor::decode(&bytes[..received.bytes]).map_err(io::Error::other)?;
    Ok(Some(Packet { message, fds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_with_its_descriptors_and_the_end_is_seen() {
        let (ours, theirs) = pair().expect("a socket pair");
        let (read, write) = std::io::pipe().expect("a pipe");
        send(&ours, &"hello".to_string(), &[read.as_fd(), write.as_fd()]).expect("sent");
        drop(ours);
        let packet = receive::<String>(&theirs).expect("received").expect("a packet");
        assert_eq!((packet.message.as_str(), packet.fds.len()), ("hello", 2));
        assert!(receive::<String>(&theirs).expect("received").is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_the_sender() {
        let (ours, _theirs) = pair().expect("a socket pair");
        let refused = send(&ours, &"x".repeat(PACKET_BYTES_MAX), &[]).expect_err("too long");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}
