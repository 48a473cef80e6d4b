//! From bytes to wire types: malformed JSON with its position, and every field of the wrong type at once.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use services::Fault;

use super::app::{App, EnvValue, UnreachableEnabled, UnreachableStrategy};
use super::pod::Pod;

/// What is wrong with a body before anyone asks what it means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("Invalid JSON")]
    Malformed { cause: String },
    /// Fields of the wrong type.
    #[error("Invalid JSON")]
    Mistyped(Vec<Fault>),
}

/// An app definition or a partial update, and the faults of the fields that had to be left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    pub app: App,
    pub faults: Vec<Fault>,
}

/// A pod definition, and the faults of the fields that had to be left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadPod {
    pub pod: Pod,
    pub faults: Vec<Fault>,
}

/// What some editors begin a file with; no part of JSON, and taken by everybody.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Any JSON text.
pub fn json(body: &[u8]) -> Result<Value, Unreadable> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    serde_json::from_slice(body).map_err(|error| Unreadable::Malformed { cause: error.to_string() })
}

/// The body of `POST /v2/apps` and `PUT /v2/apps/{id}`.
pub fn app(body: &[u8]) -> Result<Read, Unreadable> {
    let fields = object(json(body)?, "/").map_err(|fault| Unreadable::Mistyped(vec![fault]))?;
    let (app, faults) = readable(fields);
    Ok(Read { app, faults })
}

/// The body of `POST /v2/pods` and `PUT /v2/pods/{id}`.
pub fn pod(body: &[u8]) -> Result<ReadPod, Unreadable> {
    let fields = object(json(body)?, "/").map_err(|fault| Unreadable::Mistyped(vec![fault]))?;
    let (pod, faults) = readable(fields);
    Ok(ReadPod { pod, faults })
}

/// The body of `PUT /v2/apps`: a list of apps. The paths of faults begin with the app's index.
pub fn apps(body: &[u8]) -> Result<Vec<Read>, Unreadable> {
    let body = json(body)?;
    let Value::Array(items) = body else {
        return Err(Unreadable::Mistyped(vec![not_a("an array", &body, "/")]));
    };
    let mut reads = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (n, item) in items.into_iter().enumerate() {
        match object(item, &format!("({n})")) {
            Ok(fields) => {
                let (app, faults) = readable(fields);
                reads.push(Read { app, faults });
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(reads) } else { Err(Unreadable::Mistyped(faults)) }
}

pub(super) fn object(value: Value, path: &str) -> Result<Map<String, Value>, Fault> {
    let Value::Object(fields) = value else { return Err(not_a("an object", &value, path)) };
    Ok(fields)
}

/// The body as a `T`; for types that are small enough to name one fault at a time.
pub fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    let value = json(body)?;
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = spell(error.path());
        Unreadable::Mistyped(vec![Fault { path, message: error.inner().to_string() }])
    })
}

/// Each field that cannot be read is noted and left out, until the rest can.
pub(super) fn readable<T: DeserializeOwned + Default>(
    mut fields: Map<String, Value>,
) -> (T, Vec<Fault>) {
    let mut faults = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&fields) {
            Ok(whole) => return (whole, faults),
            Err(error) => error,
        };
        let path = error.path();
        faults.push(Fault { path: spell(path), message: error.inner().to_string() });
        let removed = match path.iter().next() {
            Some(Segment::Map { key }) => fields.remove(key),
            Some(Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown) | None => None,
        };
        if removed.is_none() {
            return (T::default(), faults);
        }
    }
}

/// As Marathon spells paths: `/healthChecks(0)/path`.
fn spell(path: &Path) -> String {
    let mut spelled = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => spelled.push_str(&format!("({index})")),
            Segment::Map { key } => spelled.push_str(&format!("/{key}")),
            Segment::Enum { variant } => spelled.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    if spelled.is_empty() { "/".to_owned() } else { spelled }
}

fn not_a(expected: &str, found: &Value, path: &str) -> Fault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("invalid type: {found}, expected {expected}");
    Fault { path: path.to_owned(), message }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(EnvVisitor)
    }
}

struct EnvVisitor;

#[derive(Deserialize)]
struct SecretReference {
    secret: String,
}

impl<'de> Visitor<'de> for EnvVisitor {
    type Value = EnvValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a reference to a secret")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EnvValue, A::Error> {
        let SecretReference { secret } =
            SecretReference::deserialize(MapAccessDeserializer::new(map))?;
        Ok(EnvValue::Secret { secret })
    }
}

impl<'de> Deserialize<'de> for UnreachableStrategy {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(UnreachableVisitor)
    }
}

struct UnreachableVisitor;

impl<'de> Visitor<'de> for UnreachableVisitor {
    type Value = UnreachableStrategy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"disabled\" or an object")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UnreachableStrategy, E> {
        Ok(UnreachableStrategy::Word(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UnreachableStrategy, A::Error> {
        UnreachableEnabled::deserialize(MapAccessDeserializer::new(map))
            .map(UnreachableStrategy::Enabled)
    }
}
