//! Lines of output for the machine's journal, in the protocol of its socket: a datagram for each entry, which names fields.

use std::os::fd::OwnedFd;

use anyhow::Context;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::Stream;
use crate::spec;

/// Longer lines come in pieces: as long as the journal itself takes them from programs.
const LINE_BYTES_MAX: usize = 48 * 1024;

/// As `syslog` numbers them.
const ERROR: &str = "3";
const INFORMATIONAL: &str = "6";

pub(crate) struct Journal {
    socket: OwnedFd,
    /// By its name each time, so that a journal that was restarted is found.
    address: SocketAddrUnix,
    /// Every entry begins with it.
    preamble: Vec<u8>,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Lines that were not taken, and that nobody has been told of.
    lost: u64,
}

impl Journal {
    pub(crate) fn new(journal: &spec::Journal, stream: Stream) -> anyhow::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None);
        let address = SocketAddrUnix::new(&journal.socket)
            .with_context(|| format!("the journal's socket {}", journal.socket.display()))?;
        let (name, priority) = match stream {
            Stream::Output | Stream::Terminal => ("STDOUT", INFORMATIONAL),
            Stream::Errors => ("STDERR", ERROR),
        };
        let mut preamble = Vec::new();
        let own = [("STREAM", name), ("PRIORITY", priority)];
        let said = journal.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in said.chain(own) {
            field(&mut preamble, name, value.as_bytes());
        }
        let socket = socket.context("a socket for the journal")?;
        Ok(Self { socket, address, preamble, line: Vec::new(), lost: 0 })
    }

    /// What the journal does not take at once is lost: output must never hold up its program.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = &bytes[..bytes.len().min(LINE_BYTES_MAX - self.line.len())];
            let end = room.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&room[..end.unwrap_or(room.len())]);
            bytes = &bytes[end.map_or(room.len(), |end| end + 1)..];
            if end.is_some() || self.line.len() == LINE_BYTES_MAX {
                self.flush();
            }
        }
    }

    /// Says what has come of a line. Empty lines are not worth an entry.
    pub(crate) fn flush(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        // Of a terminal.
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            return;
        }
        if self.lost > 0 && self.send(format!("{} lines were lost", self.lost).as_bytes()) {
            self.lost = 0;
        }
        if !self.send(&line) {
            self.lost += 1;
        }
        self.line = line;
        self.line.clear();
    }

    fn send(&self, message: &[u8]) -> bool {
        let mut entry = self.preamble.clone();
        field(&mut entry, "MESSAGE", message);
        rustix::net::sendto(&self.socket, &entry, SendFlags::NOSIGNAL, &self.address).is_ok()
    }
}

/// With its length, so that it may have any bytes.
fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    let length = u64::try_from(value.len()).expect("lengths fit in 64 bits");
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&length.to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// As the journal reads an entry.
    fn read(mut entry: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| *byte == b'\n').expect("a name ends");
            let name = String::from_utf8(entry[..end].to_vec()).expect("text");
            let length = entry[end + 1..end + 9].try_into().map(u64::from_le_bytes);
            let length = usize::try_from(length.expect("eight bytes")).expect("short");
            fields.insert(name, entry[end + 9..end + 9 + length].to_vec());
            assert_eq!(entry[end + 9 + length], b'\n');
            entry = &entry[end + 10 + length..];
        }
        fields
    }

    fn heard(from: &UnixDatagram) -> Option<BTreeMap<String, Vec<u8>>> {
        let mut buffer = vec![0; 1 << 20];
        from.set_nonblocking(true).expect("set");
        from.recv(&mut buffer).ok().map(|length| read(&buffer[..length]))
    }

    #[test]
    fn each_line_is_an_entry_with_all_that_is_known_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listening = UnixDatagram::bind(&path).expect("bound");
        let fields = vec![("AGENT_ID".to_owned(), "S0".to_owned())];
        let told = spec::Journal { socket: path.clone(), fields };
        let mut journal = Journal::new(&told, Stream::Errors).expect("opened");
        let line = || {
            let entry = heard(&listening)?;
            let text = |name: &str| String::from_utf8_lossy(&entry[name]).into_owned();
            let fixed = (text("AGENT_ID"), text("STREAM"), text("PRIORITY"));
            assert_eq!(fixed, ("S0".to_owned(), "STDERR".to_owned(), "3".to_owned()));
            Some(entry["MESSAGE"].clone())
        };
        journal.write(b"one\ntwo\n\nth");
        assert_eq!((line(), line(), line()), (Some(b"one".into()), Some(b"two".into()), None));
        journal.write(b"ree\xff\nrest");
        assert_eq!((line(), line()), (Some(b"three\xff".into()), None));
        journal.flush();
        assert_eq!(line(), Some(b"rest".into()));
        journal.write(&vec![b'x'; LINE_BYTES_MAX + 1]);
        journal.write(b"\n");
        assert_eq!(line().map(|line| line.len()), Some(LINE_BYTES_MAX));
        assert_eq!(line(), Some(b"x".into()));
        // A journal that is away is found again, and told what it has missed.
        drop((listening, std::fs::remove_file(&path)));
        journal.write(b"a\nb\n");
        let listening = UnixDatagram::bind(&path).expect("bound");
        journal.write(b"c\n");
        let message = || heard(&listening).map(|mut entry| entry.remove("MESSAGE").expect("one"));
        assert_eq!(message(), Some(b"2 lines were lost".into()));
        assert_eq!((message(), message()), (Some(b"c".into()), None));
        // Nor does one that does not listen hold anybody up.
        for _ in 0..10_000 {
            journal.write(b"a line\n");
        }
        assert!(journal.lost > 0);
    }
}
