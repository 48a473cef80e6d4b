//! What a message must have. Protobuf's decoder fills in what is missing, so its bytes are looked through before.

use bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::json::{At, Fault};

/// The fields of one message.
#[derive(Debug)]
pub struct Schema {
    pub rules: &'static [Rule],
}

/// What is asked of one field.
#[derive(Debug)]
pub struct Rule {
    pub tag: u32,
    pub name: &'static str,
    pub required: bool,
    /// If it is a message.
    pub nested: Option<&'static Schema>,
    /// If it is an enum: what its values are called.
    pub named: Option<fn(i32) -> Option<&'static str>>,
}

/// Messages within messages; prost itself draws the line there.
const DEPTH_MAX: u32 = 100;

impl Schema {
    /// Whether protobuf's bytes hold all that is required, at every depth.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Fault> {
        self.check_at(bytes, &At::Root, DEPTH_MAX)
    }

    fn check_at(&self, mut bytes: &[u8], at: &At<'_>, depth: u32) -> Result<(), Fault> {
        let garbled = |error: prost::DecodeError| Fault::new(at, error.to_string());
        if depth == 0 {
            return Err(Fault::new(at, "messages lie too deep in each other"));
        }
        let mut found = vec![false; self.rules.len()];
        while bytes.has_remaining() {
            let (tag, kind) = decode_key(&mut bytes).map_err(garbled)?;
            let rule = self.rules.iter().position(|rule| rule.tag == tag);
            let nested = rule.and_then(|rule| self.rules[rule].nested.map(|nested| (rule, nested)));
            if let Some(rule) = rule {
                found[rule] = true;
            }
            let named = rule.map(|rule| &self.rules[rule]).filter(|rule| rule.required);
            let named = named.and_then(|rule| rule.named.map(|named| (rule.name, named)));
            match (nested, named) {
                (_, Some((name, named))) if kind == WireType::Varint => {
                    let number = decode_varint(&mut bytes).map_err(garbled)?;
                    known(number, named)
                        .map_err(|cause| Fault::new(&At::Field(at, name), cause))?;
                }
                (Some((rule, nested)), _) if kind == WireType::LengthDelimited => {
                    let inner = inner(&mut bytes).map_err(garbled)?;
                    nested.check_at(inner, &At::Field(at, self.rules[rule].name), depth - 1)?;
                }
                (Some(_) | None, Some(_) | None) => {
                    skip_field(kind, tag, &mut bytes, DecodeContext::default()).map_err(garbled)?;
                }
            }
        }
        let missing = self.rules.iter().zip(found).find(|(rule, found)| rule.required && !found);
        missing.map_or(Ok(()), |(rule, _)| Err(Fault::missing(&At::Field(at, rule.name))))
    }
}

/// What is required and has a value of a later release is as good as missing. An enum takes the lower half of the number.
fn known(number: u64, named: fn(i32) -> Option<&'static str>) -> Result<(), String> {
    #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts enums so")]
    let number = number as i32;
    named(number).map(|_| ()).ok_or_else(|| format!("does not know {number}"))
}

/// The bytes of a message within a message.
fn inner<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], prost::DecodeError> {
    let length = decode_varint(bytes)?;
    let (inner, rest) = usize::try_from(length)
        .ok()
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or_else(|| {
            #[expect(deprecated, reason = "prost has no other way to make one")]
            prost::DecodeError::new("buffer underflow")
        })?;
    *bytes = rest;
    Ok(inner)
}
