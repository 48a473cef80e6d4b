//! Numbers as JSON has them: `3` and `3.0` are the same whole number, and a fraction is kept as written.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A whole number; `3.0` counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub struct Whole(pub i64);

/// A number with a fraction; written with one even if it is zero, as Marathon does for its doubles.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
pub struct Number(pub f64);

/// Beyond this a float has no fraction left to be checked.
const WHOLE_MAX: f64 = 9e15;

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(WholeVisitor)
    }
}

/// A list of whole numbers of which some may be spelled as texts.
pub(super) fn list_with_texts<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Vec<Whole>>, D::Error> {
    let all = Option::<Vec<WholeOrText>>::deserialize(input)?;
    Ok(all.map(|all| all.into_iter().map(|WholeOrText(whole)| whole).collect()))
}

struct WholeOrText(Whole);

impl<'de> Deserialize<'de> for WholeOrText {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(input)?;
        let Some(text) = value.as_str() else {
            return Whole::deserialize(value).map(Self).map_err(D::Error::custom);
        };
        let number = text.parse().map_err(|_| {
            D::Error::custom(format!("invalid value: {text:?}, expected a whole number"))
        })?;
        Ok(Self(Whole(number)))
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
        i64::try_from(value).map(Whole).map_err(|_| E::custom("is too large"))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
        if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
            Ok(Whole(value as i64))
        } else {
            Err(E::custom(format!("invalid value: {value}, expected a whole number")))
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    #[expect(clippy::cast_precision_loss, reason = "what is so large is refused by its range")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what is so large is refused by its range")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }
}
