//! `dcos task exec`: one more process in a running container, over a WebSocket.
//!
//! The client asks `GET /dcos/v1/exec?container=<id>&tty=0|1&stdin=0|1&cmd=<JSON array of strings>` of the agent
//! (`user=<name>` if not the container's own) with an upgrade to WebSocket. Then each binary message is one frame: a
//! byte that says what it is, and its content.
//!
//! | byte | sent by | content |
//! |---|---|---|
//! | 0 | client | what is typed |
//! | 1 | agent | what was written to standard output, or shown on the terminal |
//! | 2 | agent | what was written to standard error; never with a terminal |
//! | 3 | agent | the end, and the last frame: JSON `{"status":N}` with what `wait` returned; or `{"cause":"..."}` if the process could not be started |
//! | 4 | client | the size of the terminal: JSON `{"rows":N,"cols":N}`; also the first frame, if there is a terminal |
//! | 5 | client | nothing more will be typed |
//!
//! A client that goes away takes input, output and terminal with it, as a closed window does.

use serde::{Deserialize, Serialize};

pub const PATH: &str = "/dcos/v1/exec";

/// The longest content that either side sends in one frame.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// What is asked with the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub container: String,
    /// 1: the process gets a terminal.
    #[serde(default)]
    pub tty: u8,
    /// 1: the client will send input.
    #[serde(default)]
    pub stdin: u8,
    /// A program and its arguments, as a JSON array.
    pub cmd: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// One message in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Stdin(Vec<u8>),
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Ended(Ended),
    Resize(Size),
    StdinClosed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// What `wait` returned.
    Status(i32),
    /// Why it never ran, or why nobody knows how it ended.
    Cause(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub cols: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("an empty message is no frame")]
    Empty,
    #[error("no frame begins with byte {0}")]
    Kind(u8),
    #[error("frame {kind} has content that cannot be read: {cause}")]
    Content { kind: u8, cause: String },
}

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ENDED: u8 = 3;
const RESIZE: u8 = 4;
const STDIN_CLOSED: u8 = 5;

impl Frame {
    pub fn write(&self) -> Vec<u8> {
        match self {
            Frame::Stdin(bytes) => framed(STDIN, bytes),
            Frame::Stdout(bytes) => framed(STDOUT, bytes),
            Frame::Stderr(bytes) => framed(STDERR, bytes),
            Frame::Ended(ended) => framed(ENDED, &json(ended)),
            Frame::Resize(size) => framed(RESIZE, &json(size)),
            Frame::StdinClosed => framed(STDIN_CLOSED, &[]),
        }
    }

    pub fn read(message: &[u8]) -> Result<Self, BadFrame> {
        let (kind, content) = message.split_first().ok_or(BadFrame::Empty)?;
        let bad =
            |cause: serde_json::Error| BadFrame::Content { kind: *kind, cause: cause.to_string() };
        match *kind {
            STDIN => Ok(Frame::Stdin(content.to_vec())),
            STDOUT => Ok(Frame::Stdout(content.to_vec())),
            STDERR => Ok(Frame::Stderr(content.to_vec())),
            ENDED => serde_json::from_slice(content).map(Frame::Ended).map_err(bad),
            RESIZE => serde_json::from_slice(content).map(Frame::Resize).map_err(bad),
            STDIN_CLOSED => Ok(Frame::StdinClosed),
            other => Err(BadFrame::Kind(other)),
        }
    }
}

fn framed(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], content].concat()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and text have a JSON spelling")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spelled_as_promised_and_read_back() {
        let check = |frame: Frame, bytes: &[u8]| {
            assert_eq!(frame.write(), bytes);
            assert_eq!(Frame::read(bytes), Ok(frame));
        };
        check(Frame::Stdin(b"a".to_vec()), b"\0a");
        check(Frame::Stdout(b"b".to_vec()), b"\x01b");
        check(Frame::Stderr(b"".to_vec()), b"\x02");
        check(Frame::Ended(Ended::Status(256)), b"\x03{\"status\":256}");
        check(Frame::Ended(Ended::Cause("no".to_owned())), b"\x03{\"cause\":\"no\"}");
        check(Frame::Resize(Size { rows: 24, cols: 80 }), b"\x04{\"rows\":24,\"cols\":80}");
        check(Frame::StdinClosed, b"\x05");
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(Frame::read(b""), Err(BadFrame::Empty));
        assert_eq!(Frame::read(b"\x09"), Err(BadFrame::Kind(9)));
        assert!(matches!(Frame::read(b"\x04{}"), Err(BadFrame::Content { kind: 4, .. })));
    }
}
