//! A message that is mostly long lists, written while it is sent: nobody ever holds the whole of it.
//!
//! Protobuf says how often the same field may come: whoever reads it merges what it finds. So a long list is written in
//! batches, each within a message of its own that says where it belongs.

use std::io::{self, Write};

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::codec::Encoding;
use crate::direct;
use crate::json::{self, Message, Object};

/// A field of a message: its name and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field(pub &'static str, pub u32);

/// What is written at once.
const BATCH_BYTES: usize = 16 << 10;

/// The message while it is written.
#[derive(Debug)]
pub struct Lists<W> {
    out: W,
    encoding: Encoding,
    /// Where it is, and whether something has been written at each depth; the message itself is at depth 0.
    open: Vec<&'static str>,
    is_first: Vec<bool>,
    batch: Vec<u8>,
}

impl<W: Write> Lists<W> {
    pub fn new(out: W, encoding: Encoding) -> io::Result<Self> {
        let batch = Vec::with_capacity(BATCH_BYTES * 2);
        let mut lists = Self { out, encoding, open: Vec::new(), is_first: vec![true], batch };
        if encoding == Encoding::Json {
            lists.out.write_all(b"{")?;
        }
        Ok(lists)
    }

    /// The fields of the message that is found at `path`.
    pub fn fields(&mut self, path: &[Field], message: &impl Message) -> io::Result<()> {
        self.enter(path)?;
        match self.encoding {
            Encoding::Json => {
                let is_first = self.is_first.last_mut().expect("the message itself is open");
                let mut object = Object::new(&mut self.batch, *is_first);
                message.write(&mut object);
                *is_first = object.is_first();
                self.flush()
            }
            Encoding::Protobuf => {
                message.encode(&mut self.batch).expect("a vector takes all");
                self.wrap(path)
            }
        }
    }

    /// The list that is found at `path`. All but its last field are messages, and are there even if the list is empty.
    pub fn list<M: Message>(
        &mut self,
        path: &[Field],
        items: impl IntoIterator<Item = M>,
    ) -> io::Result<()> {
        let (field, around) = path.split_last().expect("a list is a field");
        self.enter(around)?;
        match self.encoding {
            Encoding::Json => self.json_list(field.0, items),
            Encoding::Protobuf => self.protobuf_list(*field, around, items),
        }
    }

    /// A list as [`list`](Self::list) writes it. `message` makes an entry's message, `direct` writes the fields of the
    /// very same in protobuf: in a list of hundreds of thousands, making messages is what takes time.
    pub fn long_list<T, M: Message>(
        &mut self,
        path: &[Field],
        items: impl IntoIterator<Item = T>,
        message: impl Fn(T) -> M,
        direct: impl Fn(T, &mut Vec<u8>),
    ) -> io::Result<()> {
        let (field, around) = path.split_last().expect("a list is a field");
        self.enter(around)?;
        if self.encoding == Encoding::Json {
            return self.json_list(field.0, items.into_iter().map(message));
        }
        for item in items {
            direct::within(field.1, &mut self.batch, |out| direct(item, out));
            if self.batch.len() >= BATCH_BYTES {
                self.wrap(around)?;
            }
        }
        if self.batch.is_empty() { Ok(()) } else { self.wrap(around) }
    }

    pub fn end(mut self) -> io::Result<W> {
        self.enter(&[])?;
        if self.encoding == Encoding::Json {
            self.out.write_all(b"}")?;
        }
        Ok(self.out)
    }

    fn json_list<M: Message>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = M>,
    ) -> io::Result<()> {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return Ok(()) };
        self.name(name);
        self.batch.push(b'[');
        json::append(&first, &mut self.batch);
        for item in items {
            self.batch.push(b',');
            json::append(&item, &mut self.batch);
            if self.batch.len() >= BATCH_BYTES {
                self.flush()?;
            }
        }
        self.batch.push(b']');
        self.flush()
    }

    fn protobuf_list<M: Message>(
        &mut self,
        field: Field,
        around: &[Field],
        items: impl IntoIterator<Item = M>,
    ) -> io::Result<()> {
        for item in items {
            encode_key(field.1, WireType::LengthDelimited, &mut self.batch);
            item.encode_length_delimited(&mut self.batch).expect("a vector takes all");
            if self.batch.len() >= BATCH_BYTES {
                self.wrap(around)?;
            }
        }
        if self.batch.is_empty() { Ok(()) } else { self.wrap(around) }
    }

    /// Closes what is open, down to what both have in common, and opens the rest.
    fn enter(&mut self, path: &[Field]) -> io::Result<()> {
        let common = self.open.iter().zip(path).take_while(|(open, field)| **open == field.0);
        let common = common.count();
        for _ in common..self.open.len() {
            self.open.pop();
            self.is_first.pop();
            self.batch.push(b'}');
        }
        for field in &path[common..] {
            self.name(field.0);
            self.batch.push(b'{');
            self.open.push(field.0);
            self.is_first.push(true);
        }
        match self.encoding {
            Encoding::Json => self.flush(),
            Encoding::Protobuf => {
                self.batch.clear();
                if common < path.len() { self.wrap(path) } else { Ok(()) }
            }
        }
    }

    fn name(&mut self, name: &str) {
        let is_first = self.is_first.last_mut().expect("the message itself is open");
        Object::new(&mut self.batch, *is_first).key(name);
        *is_first = false;
    }

    /// What waits, within messages that say where it belongs.
    fn wrap(&mut self, path: &[Field]) -> io::Result<()> {
        let mut length = self.batch.len();
        let mut lengths = Vec::with_capacity(path.len());
        for field in path.iter().rev() {
            lengths.push(length);
            length += key_len(field.1) + encoded_len_varint(length as u64);
        }
        let mut head = Vec::new();
        for (field, length) in path.iter().zip(lengths.iter().rev()) {
            encode_key(field.1, WireType::LengthDelimited, &mut head);
            encode_varint(*length as u64, &mut head);
        }
        self.out.write_all(&head)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.batch)?;
        self.batch.clear();
        Ok(())
    }
}
