//! What environment variables are set to.

use minicbor::data::Type;
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    Text(String),
    /// What the secret of this name holds.
    Secret(String),
}

/// A text is kept as it is, as all values were before there were secrets; a secret is the only element of an array.
impl<C> Encode<C> for EnvValue {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            EnvValue::Text(text) => e.str(text)?.ok(),
            EnvValue::Secret(name) => e.array(1)?.str(name)?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for EnvValue {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? != Type::Array {
            return Ok(EnvValue::Text(d.str()?.to_owned()));
        }
        match d.array()? {
            Some(1) => Ok(EnvValue::Secret(d.str()?.to_owned())),
            Some(_) | None => Err(minicbor::decode::Error::message("not one secret's name")),
        }
    }
}
