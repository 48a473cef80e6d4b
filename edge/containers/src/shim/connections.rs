//! Who talks to a shim: daemons that want to know how it ends, and those who have started a process in the container.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::SocketFlags;

use super::{Shim, Signal};
use crate::packet::{self, Packet};
use crate::protocol::{
    Answer, Ask, MAIN, ProcessNumber, Request, Status, ToInit, VERSION, VERSION_MIN,
};

/// A daemon needs one for the container and one for each session.
const CONNECTIONS_MAX: usize = 256;

/// All sockets are non-blocking: who does not read its answers must not hold up the container.
pub(super) struct Connections {
    listener: OwnedFd,
    open: BTreeMap<u64, Connection>,
    next: u64,
    started: Option<u32>,
}

struct Connection {
    socket: OwnedFd,
    subscribed: bool,
    /// It has started a process, whose number is the connection's own.
    session: bool,
}

impl Connections {
    /// The first connection is the one of the daemon that launches.
    pub(super) fn new(listener: OwnedFd, launcher: OwnedFd) -> Connections {
        let first = Connection { socket: launcher, subscribed: true, session: false };
        // Numbers of sessions must differ from the main process's.
        let next = MAIN + 1;
        Connections {
            listener,
            open: BTreeMap::from([(next, first)]),
            next: next + 1,
            started: None,
        }
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.open.iter().map(|(key, connection)| (*key, connection.socket.as_fd()))
    }

    pub(super) fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else { return };
        if self.open.len() < CONNECTIONS_MAX {
            self.open.insert(self.next, Connection { socket, subscribed: false, session: false });
            self.next += 1;
        } else {
            // The daemon tries again.
            let cause = format!("{CONNECTIONS_MAX} connections to the container's shim are open");
            let _ = packet::send(&socket, &Answer::Refused(cause), &[]);
        }
    }

    pub(super) fn started(&mut self, pid: u32) {
        self.started = Some(pid);
        self.tell_subscribers(&Answer::Started { pid });
    }

    pub(super) fn tell_subscribers(&self, answer: &Answer) {
        for connection in self.open.values().filter(|connection| connection.subscribed) {
            // Who is gone reads it from the status file.
            let _ = packet::send(&connection.socket, answer, &[]);
        }
    }

    pub(super) fn executed(&self, process: ProcessNumber, fds: Vec<OwnedFd>) {
        if let Some(connection) = self.open.get(&process) {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            let _ = packet::send(&connection.socket, &Answer::Executed, &fds);
        }
    }

    pub(super) fn exited(&mut self, process: ProcessNumber, wait_status: i32) {
        self.end(process, &Answer::Exited(Status { wait_status, limitation: None }));
    }

    pub(super) fn end(&mut self, process: ProcessNumber, answer: &Answer) {
        if let Some(connection) = self.open.remove(&process) {
            let _ = packet::send(&connection.socket, answer, &[]);
        }
    }

    /// Sessions end with their container.
    pub(super) fn end_sessions(&mut self, wait_status: i32) {
        let sessions: Vec<u64> =
            self.open.iter().filter(|(_, c)| c.session).map(|(key, _)| *key).collect();
        for session in sessions {
            self.exited(session, wait_status);
        }
    }

    fn answer(&self, key: u64, answer: &Answer) {
        if let Some(connection) = self.open.get(&key) {
            let _ = packet::send(&connection.socket, answer, &[]);
        }
    }
}

impl Shim<'_> {
    pub(super) fn serve_connection(&mut self, key: u64) {
        let Some(connection) = self.connections.open.get(&key) else { return };
        match packet::receive::<Request>(&connection.socket) {
            Ok(Some(packet)) => self.serve_request(key, packet),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => self.hang_up(key),
        }
    }

    fn hang_up(&mut self, key: u64) {
        self.forget_watcher(key);
        if let Some(connection) = self.connections.open.remove(&key)
            && connection.session
        {
            self.tell_init(&ToInit::Signal { process: key, signal: Signal::KILL.as_raw() });
        }
    }

    fn serve_request(&mut self, key: u64, packet: Packet<Request>) {
        let Request { version, ask } = packet.message;
        if !(VERSION_MIN..=VERSION).contains(&version) {
            let cause =
                format!("version {version} is spoken; this shim speaks {VERSION_MIN} to {VERSION}");
            return self.connections.answer(key, &Answer::Refused(cause));
        }
        match ask {
            Ask::Subscribe => {
                if let Some(connection) = self.connections.open.get_mut(&key) {
                    connection.subscribed = true;
                }
                let pid = self.connections.started;
                self.connections
                    .answer(key, &pid.map_or(Answer::Preparing, |pid| Answer::Started { pid }));
            }
            Ask::Stop { grace_ms } => {
                self.stop(Duration::from_millis(grace_ms));
                self.connections.answer(key, &Answer::Done);
            }
            Ask::Signal(signal) => self.pass_on(key, MAIN, signal),
            Ask::SignalExec(signal) => self.pass_on(key, key, signal),
            Ask::Exec(exec) => match self.exec(key, exec, &packet.fds) {
                Ok(()) => {
                    if let Some(connection) = self.connections.open.get_mut(&key) {
                        connection.session = true;
                    }
                }
                Err(cause) => self.connections.answer(key, &Answer::Refused(cause)),
            },
            Ask::Attach => match self.attach(key, packet.fds) {
                Ok(terminal) => self.connections.executed(key, terminal.into_iter().collect()),
                Err(cause) => self.connections.answer(key, &Answer::Refused(cause)),
            },
        }
    }

    fn pass_on(&self, key: u64, process: ProcessNumber, signal: i32) {
        let told = self.tell_init(&ToInit::Signal { process, signal });
        let refused = || Answer::Refused("the container's init does not listen".into());
        self.connections.answer(key, &if told { Answer::Done } else { refused() });
    }
}
