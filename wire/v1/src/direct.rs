//! Protobuf written field by field, without a message in between: for lists that are so long that making messages of
//! their entries would take more time than sending them.
//!
//! Who writes so keeps the order of the fields' numbers, as the messages do.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

pub fn text(field: u32, value: &str, out: &mut Vec<u8>) {
    bytes(field, value.as_bytes(), out);
}

pub fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

pub fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

pub fn double(field: u32, value: f64, out: &mut Vec<u8>) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A message within, whose fields `write` writes.
pub fn within(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, WireType::LengthDelimited, out);
    sized(out, write);
}

/// Its length, then what `write` writes. Most messages are short: one byte is kept free for the length, and what follows
/// moves if that is not enough.
fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = (out.len() - at - 1) as u64;
    let more = encoded_len_varint(length) - 1;
    if more > 0 {
        let end = out.len();
        out.resize(end + more, 0);
        out.copy_within(at + 1..end, at + 1 + more);
    }
    encode_varint(length, &mut &mut out[at..=at + more]);
}

/// A message of which there may be few.
pub fn message(field: u32, message: &impl prost::Message, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    message.encode_length_delimited(out).expect("a vector takes all");
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::{Label, Labels};

    #[test]
    fn a_message_within_has_the_length_that_it_has() {
        let check = |length: usize| {
            let label = Label { key: "k".repeat(length), value: Some("v".to_owned()) };
            let labels = Labels { labels: vec![label.clone(), label.clone()] };
            let mut found = Vec::new();
            for _ in 0..2 {
                within(1, &mut found, |out| {
                    text(1, &label.key, out);
                    text(2, "v", out);
                });
            }
            assert_eq!(found, labels.encode_to_vec(), "{length}");
        };
        let lengths = [0, 1, 121, 122, 123, 124, 16_370, 16_376, 16_377, 16_378, 16_380, 3 << 20];
        lengths.into_iter().for_each(check);
    }
}
