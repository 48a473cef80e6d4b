//! Mesos' JSON of protobuf messages: numbers are numbers, also those of 64 bits; an enum is the name of its value; bytes
//! are base64; `null` is as good as absent; unknown fields, and unknown names of an enum where it may be absent, are
//! passed over.
//!
//! The build script writes an `impl Message` for every message, field by field, in terms of what is defined here.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
pub use serde_json::Value;

use crate::codec::Unreadable;
use crate::schema::Schema;

/// Clients differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message that can be spelled.
pub trait Message: prost::Message + Default {
    fn schema() -> &'static Schema;
    /// Takes one member of a JSON object.
    fn set(&mut self, key: &str, value: Value, at: &At<'_>) -> Result<(), Fault>;
    /// Adds what is set to a JSON object.
    fn write(&self, out: &mut Object<'_>);
}

/// An enum whose values have names.
pub trait Named {
    fn name(number: i32) -> Option<&'static str>;
    fn number(name: &str) -> Option<i32>;
}

/// Where in a message.
#[derive(Debug)]
pub enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Element(&'a At<'a>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Field(At::Root, name) => f.write_str(name),
            At::Field(outer, name) => write!(f, "{outer}.{name}"),
            At::Element(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

/// What is wrong with a message, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{cause}", if path.is_empty() { String::new() } else { format!("'{path}' ") })]
pub struct Fault {
    pub path: String,
    pub cause: String,
}

impl Fault {
    pub fn new(at: &At<'_>, cause: impl Into<String>) -> Self {
        Self { path: at.to_string(), cause: cause.into() }
    }

    pub fn missing(at: &At<'_>) -> Self {
        Self::new(at, "is required and missing")
    }
}

pub fn from_slice<M: Message>(bytes: &[u8]) -> Result<M, Unreadable> {
    let value = serde_json::from_slice(bytes);
    let value = value.map_err(|error| Unreadable::Garbled(error.to_string()))?;
    Ok(from_value(value)?)
}

pub fn from_value<M: Message>(value: Value) -> Result<M, Fault> {
    read_message(value, &At::Root)
}

pub fn to_vec(message: &impl Message) -> Vec<u8> {
    let mut out = Vec::new();
    append(message, &mut out);
    out
}

fn read_message<M: Message>(value: Value, at: &At<'_>) -> Result<M, Fault> {
    let Value::Object(members) = value else {
        return Err(Fault::new(at, "is not an object"));
    };
    for rule in M::schema().rules.iter().filter(|rule| rule.required) {
        if members.get(rule.name).is_none_or(Value::is_null) {
            return Err(Fault::missing(&At::Field(at, rule.name)));
        }
    }
    let mut message = M::default();
    for (key, value) in members {
        if !value.is_null() {
            message.set(&key, value, &At::Field(at, &key))?;
        }
    }
    Ok(message)
}

/// Adds a message to what is written already.
pub(crate) fn append(message: &impl Message, out: &mut Vec<u8>) {
    out.push(b'{');
    message.write(&mut Object { out, is_first: true });
    out.push(b'}');
}

/// How values of one kind are spelled.
pub trait Codec<T> {
    /// `None` for what may be passed over where it is not required.
    fn read(value: Value, at: &At<'_>) -> Result<Option<T>, Fault>;
    /// Whether there is a way to write it.
    fn can_write(_value: &T) -> bool {
        true
    }
    fn write(value: &T, out: &mut Vec<u8>);
}

/// Numbers, booleans, text and bytes.
#[derive(Debug)]
pub struct Plain;

/// An enum, kept by prost as its number.
#[derive(Debug)]
pub struct Enum<E>(PhantomData<E>);

/// A message within a message.
#[derive(Debug)]
pub struct Nested;

impl<M: Message> Codec<M> for Nested {
    fn read(value: Value, at: &At<'_>) -> Result<Option<M>, Fault> {
        read_message(value, at).map(Some)
    }
    fn write(value: &M, out: &mut Vec<u8>) {
        append(value, out);
    }
}

/// A message that can lie within itself.
impl<M: Message> Message for Box<M> {
    fn schema() -> &'static Schema {
        M::schema()
    }
    fn set(&mut self, key: &str, value: Value, at: &At<'_>) -> Result<(), Fault> {
        self.as_mut().set(key, value, at)
    }
    fn write(&self, out: &mut Object<'_>) {
        self.as_ref().write(out);
    }
}

impl<E: Named> Codec<i32> for Enum<E> {
    fn read(value: Value, at: &At<'_>) -> Result<Option<i32>, Fault> {
        let Value::String(name) = value else {
            return Err(Fault::new(at, format!("is to be the name of a value, not {value}")));
        };
        Ok(E::number(&name))
    }
    fn can_write(value: &i32) -> bool {
        E::name(*value).is_some()
    }
    fn write(value: &i32, out: &mut Vec<u8>) {
        let name = E::name(*value).unwrap_or_default();
        text(name, out);
    }
}

impl Codec<String> for Plain {
    fn read(value: Value, at: &At<'_>) -> Result<Option<String>, Fault> {
        let Value::String(text) = value else {
            return Err(Fault::new(at, format!("is to be a string, not {}", kind(&value))));
        };
        Ok(Some(text))
    }
    fn write(value: &String, out: &mut Vec<u8>) {
        text(value, out);
    }
}

impl Codec<Vec<u8>> for Plain {
    fn read(value: Value, at: &At<'_>) -> Result<Option<Vec<u8>>, Fault> {
        let Value::String(text) = value else {
            return Err(Fault::new(at, format!("is to be base64, not {}", kind(&value))));
        };
        let bytes = BASE64.decode(text);
        bytes.map(Some).map_err(|error| Fault::new(at, format!("is not base64: {error}")))
    }
    fn write(value: &Vec<u8>, out: &mut Vec<u8>) {
        text(&BASE64.encode(value), out);
    }
}

impl Codec<bool> for Plain {
    fn read(value: Value, at: &At<'_>) -> Result<Option<bool>, Fault> {
        let told = value.as_bool().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        told.map(Some).ok_or_else(|| Fault::new(at, format!("is to be true or false, not {value}")))
    }
    fn write(value: &bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if *value { b"true" } else { b"false" });
    }
}

impl Codec<f64> for Plain {
    fn read(value: Value, at: &At<'_>) -> Result<Option<f64>, Fault> {
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text == "NaN" => Some(f64::NAN),
            Value::String(text) if text == "Infinity" => Some(f64::INFINITY),
            Value::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
            Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        number.map(Some).ok_or_else(|| Fault::new(at, format!("is to be a number, not {value}")))
    }
    fn write(value: &f64, out: &mut Vec<u8>) {
        if value.is_finite() {
            // Protobuf's maps do not tell a negative zero from none.
            serde_json::to_writer(out, &(value + 0.0)).expect("a vector takes all");
        } else if value.is_nan() {
            text("NaN", out);
        } else {
            text(if *value < 0.0 { "-Infinity" } else { "Infinity" }, out);
        }
    }
}

macro_rules! integer {
    ($($kind:ty)*) => {$(
        impl Codec<$kind> for Plain {
            fn read(value: Value, at: &At<'_>) -> Result<Option<$kind>, Fault> {
                let number = whole(&value).and_then(|number| <$kind>::try_from(number).ok());
                number.map(Some).ok_or_else(|| {
                    let range = (<$kind>::MIN, <$kind>::MAX);
                    Fault::new(at, format!("is to be a whole number from {} to {}, not {value}", range.0, range.1))
                })
            }
            fn write(value: &$kind, out: &mut Vec<u8>) {
                out.extend_from_slice(value.to_string().as_bytes());
            }
        }
    )*};
}

integer!(i32 u32 i64 u64);

/// A whole number, also one that is written with a fraction of zero, or as a string.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => {
            let float = || number.as_f64().and_then(of_float);
            number.as_i128().or_else(float)
        }
        Value::String(text) => text.parse().ok().or_else(|| text.parse().ok().and_then(of_float)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Beyond this a float no longer holds every whole number.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn of_float(float: f64) -> Option<i128> {
    (float.fract() == 0.0 && float.abs() <= FLOAT_WHOLE_MAX).then_some(float as i128)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a vector takes all");
}

pub(crate) fn required<C: Codec<T>, T>(
    slot: &mut T,
    value: Value,
    at: &At<'_>,
) -> Result<(), Fault> {
    let told = value.to_string();
    let unknown = || Fault::new(at, format!("does not know {told}"));
    *slot = C::read(value, at)?.ok_or_else(unknown)?;
    Ok(())
}

pub(crate) fn optional<C: Codec<T>, T>(
    slot: &mut Option<T>,
    value: Value,
    at: &At<'_>,
) -> Result<(), Fault> {
    *slot = C::read(value, at)?;
    Ok(())
}

pub(crate) fn repeated<C: Codec<T>, T>(
    slot: &mut Vec<T>,
    value: Value,
    at: &At<'_>,
) -> Result<(), Fault> {
    let Value::Array(values) = value else {
        // One alone may come without its array, as in Mesos.
        slot.extend(C::read(value, at)?);
        return Ok(());
    };
    for (index, value) in values.into_iter().enumerate().filter(|(_, value)| !value.is_null()) {
        slot.extend(C::read(value, &At::Element(at, index))?);
    }
    Ok(())
}

pub(crate) fn map<C: Codec<T>, T>(
    slot: &mut BTreeMap<String, T>,
    value: Value,
    at: &At<'_>,
) -> Result<(), Fault> {
    let Value::Object(members) = value else {
        return Err(Fault::new(at, format!("is to be an object, not {}", kind(&value))));
    };
    for (key, value) in members {
        let read = C::read(value, &At::Field(at, &key))?;
        slot.extend(read.map(|value| (key, value)));
    }
    Ok(())
}

/// A JSON object that is being written.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, is_first: bool) -> Self {
        Self { out, is_first }
    }

    /// Nothing has been written yet.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }

    /// The names of fields need no escaping.
    pub(crate) fn key(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(crate) fn required<C: Codec<T>, T>(&mut self, name: &str, value: &T) {
        if C::can_write(value) {
            self.key(name);
            C::write(value, self.out);
        }
    }

    pub(crate) fn optional<C: Codec<T>, T>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.required::<C, T>(name, value);
        }
    }

    pub(crate) fn repeated<C: Codec<T>, T>(&mut self, name: &str, values: &[T]) {
        let mut values = values.iter().filter(|value| C::can_write(value));
        let Some(first) = values.next() else { return };
        self.key(name);
        self.out.push(b'[');
        C::write(first, self.out);
        for value in values {
            self.out.push(b',');
            C::write(value, self.out);
        }
        self.out.push(b']');
    }

    pub(crate) fn map<C: Codec<T>, T>(&mut self, name: &str, values: &BTreeMap<String, T>) {
        if values.is_empty() {
            return;
        }
        self.key(name);
        self.out.push(b'{');
        for (n, (key, value)) in values.iter().enumerate() {
            if n > 0 {
                self.out.push(b',');
            }
            text(key, self.out);
            self.out.push(b':');
            C::write(value, self.out);
        }
        self.out.push(b'}');
    }
}
