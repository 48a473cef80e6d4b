//! RecordIO: a record is its length in decimal, a line feed, and so many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// A record of a client. Answers have no limit.
pub const RECORD_BYTES_MAX: usize = 64 << 20;
/// `18446744073709551615` has so many.
const LENGTH_DIGITS_MAX: usize = 20;

/// A record around these bytes.
pub fn record(bytes: &[u8]) -> Bytes {
    let mut whole = Vec::with_capacity(bytes.len() + LENGTH_DIGITS_MAX);
    whole.extend_from_slice(bytes.len().to_string().as_bytes());
    whole.push(b'\n');
    whole.extend_from_slice(bytes);
    whole.into()
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Garbled {
    #[error("a record begins with its length in decimal and a line feed, not with {0:?}")]
    NoLength(String),
    #[error("a record of {0} bytes is more than the {RECORD_BYTES_MAX} that are taken")]
    TooLarge(u64),
}

/// Puts records together from whatever pieces they arrive in.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    /// Of the record that has begun.
    length: Option<usize>,
}

impl Reader {
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole record, if it is there.
    pub fn take(&mut self) -> Result<Option<Bytes>, Garbled> {
        let length = match self.length {
            Some(length) => length,
            None => match self.read_length()? {
                Some(length) => *self.length.insert(length),
                None => return Ok(None),
            },
        };
        if self.buffer.len() < length {
            return Ok(None);
        }
        self.length = None;
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether the stream may end here.
    pub fn is_between_records(&self) -> bool {
        self.length.is_none() && self.buffer.is_empty()
    }

    fn read_length(&mut self) -> Result<Option<usize>, Garbled> {
        let head = &self.buffer[..self.buffer.len().min(LENGTH_DIGITS_MAX + 1)];
        let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
            let hopeful = head.len() <= LENGTH_DIGITS_MAX && head.iter().all(u8::is_ascii_digit);
            return if hopeful { Ok(None) } else { Err(no_length(head)) };
        };
        let digits = &head[..end];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(no_length(digits));
        }
        let text = std::str::from_utf8(digits).expect("digits are ASCII");
        let length: u64 = text.parse().map_err(|_| no_length(digits))?;
        let small = usize::try_from(length).ok().filter(|length| *length <= RECORD_BYTES_MAX);
        let length = small.ok_or(Garbled::TooLarge(length))?;
        self.buffer.advance(end + 1);
        Ok(Some(length))
    }
}

fn no_length(head: &[u8]) -> Garbled {
    Garbled::NoLength(String::from_utf8_lossy(head).into_owned())
}
