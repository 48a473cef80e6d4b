//! What holds for every input of the decoders, whoever made it up.

use mesos_v1::codec::Encoding;
use mesos_v1::json::Message;
use mesos_v1::recordio::{Garbled, Reader};
use mesos_v1::{agent, executor, master, scheduler};
use serde_json::Value;

/// The messages that come or go as a whole.
pub(crate) const MESSAGES: [&str; 9] = [
    "mesos.v1.scheduler.Call",
    "mesos.v1.scheduler.Event",
    "mesos.v1.executor.Call",
    "mesos.v1.executor.Event",
    "mesos.v1.master.Call",
    "mesos.v1.master.Response",
    "mesos.v1.master.Event",
    "mesos.v1.agent.Call",
    "mesos.v1.agent.Response",
];

/// What bytes are taken for: a message by its place in [`MESSAGES`], or a stream of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Json(usize),
    Protobuf(usize),
    Records,
}

impl Subject {
    /// As the first byte of an input says.
    pub(crate) fn of(byte: u8) -> Self {
        match usize::from(byte) % (2 * MESSAGES.len() + 1) {
            kind if kind < MESSAGES.len() => Subject::Json(kind),
            kind if kind < 2 * MESSAGES.len() => Subject::Protobuf(kind - MESSAGES.len()),
            _ => Subject::Records,
        }
    }
}

/// Panics if a law is broken; otherwise tells what the decoder said.
pub(crate) fn judge(subject: Subject, bytes: &[u8]) -> String {
    match subject {
        Subject::Json(kind) => of_kind(kind, Encoding::Json, bytes),
        Subject::Protobuf(kind) => of_kind(kind, Encoding::Protobuf, bytes),
        Subject::Records => cut(bytes),
    }
}

fn of_kind(kind: usize, encoding: Encoding, bytes: &[u8]) -> String {
    match kind {
        0 => spelled_again::<scheduler::Call>(encoding, bytes),
        1 => spelled_again::<scheduler::Event>(encoding, bytes),
        2 => spelled_again::<executor::Call>(encoding, bytes),
        3 => spelled_again::<executor::Event>(encoding, bytes),
        4 => spelled_again::<master::Call>(encoding, bytes),
        5 => spelled_again::<master::Response>(encoding, bytes),
        6 => spelled_again::<master::Event>(encoding, bytes),
        7 => spelled_again::<agent::Call>(encoding, bytes),
        _ => spelled_again::<agent::Response>(encoding, bytes),
    }
}

/// Whatever is read can be written in either encoding, is read again, and is then spelled the same.
fn spelled_again<M: Message>(encoding: Encoding, bytes: &[u8]) -> String {
    let read: M = match encoding.decode(bytes) {
        Ok(read) => read,
        Err(error) => return error.to_string(),
    };
    for other in [Encoding::Json, Encoding::Protobuf] {
        let told = other.encode(&read);
        let again: M = other
            .decode(&told)
            .unwrap_or_else(|error| panic!("{other:?} is not read as it was written: {error}"));
        let (before, after) = (Encoding::Json.encode(&read), Encoding::Json.encode(&again));
        assert!(
            before == after || is_close(&parsed(&before), &parsed(&after)),
            "{other:?} loses something: {} became {}",
            before.escape_ascii(),
            after.escape_ascii()
        );
    }
    let told = Encoding::Json.encode(&read);
    String::from_utf8(told)
        .expect("JSON is UTF-8")
        .chars()
        .filter(char::is_ascii_lowercase)
        .take(60)
        .collect()
}

fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("just written")
}

/// The same but for the last digit of a fraction, which the parser of JSON may lose.
fn is_close(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.all(|(one, other)| one.0 == other.0 && is_close(one.1, other.1))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_close(one, other))
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) =
                (one.as_f64().expect("just asked"), other.as_f64().expect("just asked"));
            (one - other).abs() <= f64::EPSILON * 4.0 * one.abs()
        }
        (one, other) => one == other,
    }
}

/// Records do not depend on the pieces that they come in.
fn cut(bytes: &[u8]) -> String {
    let whole = records(bytes, bytes.len());
    for size in [1, 2, 7] {
        assert_eq!(records(bytes, size), whole, "in pieces of {size}");
    }
    format!("{whole:?}")
}

fn records(bytes: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let mut reader = Reader::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        reader.push(piece);
        loop {
            match reader.take() {
                Ok(Some(record)) => found.push(record.to_vec()),
                Ok(None) => break,
                Err(Garbled::NoLength(_) | Garbled::TooLarge(_)) => return (found, true),
            }
        }
    }
    (found, false)
}
