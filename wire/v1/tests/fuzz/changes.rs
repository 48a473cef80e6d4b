//! Changes to an input that keep enough of its structure for a decoder to get past its beginning.

#![allow(
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "arbitrary numbers may be cut, and the kinds of values are another crate's"
)]

use prost_reflect::{DynamicMessage, Kind, ReflectMessage, SerializeOptions, Value};
use serde_json::Value as Json;

use crate::arbitrary::{Dice, POOL, arbitrary};
use crate::laws::{MESSAGES, Subject};

/// What tends to be treated wrongly, in JSON.
const ODD_JSON: [&str; 16] = [
    "null",
    "{}",
    "[]",
    "[[]]",
    "\"\"",
    "\"Infinity\"",
    "\"=\"",
    "\"////\"",
    "true",
    "-1",
    "1e400",
    "-0.0",
    "18446744073709551616",
    "9007199254740993",
    "0.5",
    "{\"value\":null}",
];

/// The bytes that numbers, lengths and tags of protobuf are made of at their edges.
const ODD_BYTES: [&[u8]; 8] = [
    &[0xff; 10],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x00],
    &[0x0b],
    &[0x0c],
    &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    &[0x0a, 0x00],
    &[0xc3, 0x28],
];

/// A whole message of the subject's kind.
pub(crate) fn fresh(subject: Subject, dice: &mut Dice) -> Vec<u8> {
    match subject {
        Subject::Records => {
            let lengths = (0..dice.roll(5)).map(|_| dice.below(20)).collect::<Vec<_>>();
            lengths.into_iter().flat_map(record).collect()
        }
        Subject::Protobuf(kind) => prost::Message::encode_to_vec(&some_message(kind, dice)),
        Subject::Json(kind) => json(&some_message(kind, dice)).to_string().into_bytes(),
    }
}

/// The same with one thing changed, mostly so that it is still of the same encoding.
pub(crate) fn changed(subject: Subject, bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    if dice.roll(2) == 0 {
        let inside = match subject {
            Subject::Records => None,
            Subject::Protobuf(kind) => changed_message(kind, bytes, dice),
            Subject::Json(_) => changed_json(bytes, dice),
        };
        return inside.unwrap_or_else(|| fresh(subject, dice));
    }
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.roll(3) {
        change_bytes(&mut bytes, dice);
    }
    bytes
}

fn record(length: usize) -> Vec<u8> {
    [length.to_string().into_bytes(), b"\n".to_vec(), vec![b'7'; length]].concat()
}

fn some_message(kind: usize, dice: &mut Dice) -> DynamicMessage {
    let of = POOL.get_message_by_name(MESSAGES[kind]).expect("a message of ours");
    let mut message = arbitrary(&of, dice, 0);
    for _ in 0..dice.roll(4) {
        change_message(&mut message, dice);
    }
    message
}

fn json(message: &DynamicMessage) -> Json {
    let options =
        SerializeOptions::new().stringify_64_bit_integers(false).use_proto_field_name(true);
    let told = message.serialize_with_options(serde_json::value::Serializer, &options);
    told.unwrap_or_else(|_| Json::Object(Default::default()))
}

fn changed_message(kind: usize, bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let of = POOL.get_message_by_name(MESSAGES[kind]).expect("a message of ours");
    let mut message = DynamicMessage::decode(of, bytes).ok()?;
    change_message(&mut message, dice);
    Some(prost::Message::encode_to_vec(&message))
}

/// Goes down to some message within, and sets, clears or bends one of its fields.
fn change_message(message: &mut DynamicMessage, dice: &mut Dice) {
    let set: Vec<_> = message.fields().map(|(field, _)| field).collect();
    if !set.is_empty() && dice.roll(4) > 0 {
        let field = &set[dice.below(set.len())];
        match message.get_field_mut(field) {
            Value::Message(inner) => return change_message(inner, dice),
            Value::List(values) if !values.is_empty() => {
                let at = dice.below(values.len());
                match &mut values[at] {
                    Value::Message(inner) => return change_message(inner, dice),
                    plain => *plain = odd(&field.kind(), dice).unwrap_or_else(|| plain.clone()),
                }
                return;
            }
            plain => {
                if let Some(odd) =
                    odd(&field.kind(), dice).filter(|_| !field.is_list() && !field.is_map())
                {
                    *plain = odd;
                    return;
                }
            }
        }
        message.clear_field(field);
        return;
    }
    let all: Vec<_> = message.descriptor().fields().collect();
    if all.is_empty() {
        return;
    }
    let field = &all[dice.below(all.len())];
    let mut one = arbitrary(&message.descriptor(), dice, 0);
    match one.has_field(field) {
        true => message.set_field(field, one.get_field_mut(field).clone()),
        false => message.clear_field(field),
    }
}

fn odd(kind: &Kind, dice: &mut Dice) -> Option<Value> {
    let floats = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE];
    Some(match kind {
        Kind::Double => Value::F64(floats[dice.below(floats.len())]),
        Kind::Enum(_) => Value::EnumNumber([-1, 0, 999][dice.below(3)]),
        Kind::Int32 => Value::I32([i32::MIN, 0, i32::MAX][dice.below(3)]),
        Kind::Int64 => Value::I64([i64::MIN, 0, i64::MAX][dice.below(3)]),
        Kind::Uint32 => Value::U32([0, u32::MAX][dice.below(2)]),
        Kind::Uint64 => Value::U64([0, 1 << 53, u64::MAX][dice.below(3)]),
        Kind::String => Value::String(["", "\0", "\u{10ffff}", "/"][dice.below(4)].to_owned()),
        Kind::Bytes => Value::Bytes(vec![0xff; dice.below(5)].into()),
        Kind::Bool | Kind::Message(_) | Kind::Float => return None,
        Kind::Sint32 | Kind::Sint64 | Kind::Fixed32 | Kind::Fixed64 => return None,
        Kind::Sfixed32 | Kind::Sfixed64 => return None,
    })
}

fn changed_json(bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let mut value: Json = serde_json::from_slice(bytes).ok()?;
    change_json(&mut value, dice);
    Some(value.to_string().into_bytes())
}

fn change_json(value: &mut Json, dice: &mut Dice) {
    let stays = dice.roll(5) == 0;
    match value {
        Json::Object(members) if !stays && !members.is_empty() => {
            let at = dice.below(members.len());
            let key = members.keys().nth(at).expect("within").clone();
            match dice.roll(10) {
                0 => drop(members.remove(&key)),
                _ => change_json(&mut members[&key], dice),
            }
        }
        Json::Array(values) if !stays && !values.is_empty() => {
            let at = dice.below(values.len());
            change_json(&mut values[at], dice);
        }
        Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::String(_)
        | Json::Array(_)
        | Json::Object(_) => {
            let odd = ODD_JSON[dice.below(ODD_JSON.len())];
            *value = match dice.roll(6) {
                0 => Json::Array(vec![value.clone(), Json::Null]),
                1 => Json::String(value.to_string()),
                _ => serde_json::from_str(odd).unwrap_or(Json::Null),
            };
        }
    }
}

/// One byte, a few bytes more or less, or a piece of itself once more.
fn change_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let to = (at + dice.below(12)).min(bytes.len());
    match dice.roll(5) {
        0 => drop(bytes.drain(at..to)),
        1 => drop(bytes.splice(at..at, ODD_BYTES[dice.below(ODD_BYTES.len())].to_vec())),
        2 => {
            let odd = ODD_JSON[dice.below(ODD_JSON.len())].as_bytes();
            drop(bytes.splice(at..to, odd.to_vec()));
        }
        3 => {
            let piece = bytes[at..to].to_vec();
            drop(bytes.splice(at..at, piece));
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.below(256) as u8;
            }
        }
    }
}
