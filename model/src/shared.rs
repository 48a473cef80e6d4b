//! CBOR for shared values: `#[cbor(with = "model::shared")]` on an `Arc<T>`, `model::shared::option` on an
//! `Option<Arc<T>>`.

use std::sync::Arc;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

pub fn encode<C, T: Encode<C>, W: Write>(
    value: &Arc<T>,
    e: &mut Encoder<W>,
    context: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    value.as_ref().encode(e, context)
}

pub fn decode<'b, C, T: Decode<'b, C>>(
    d: &mut Decoder<'b>,
    context: &mut C,
) -> Result<Arc<T>, DecodeError> {
    T::decode(d, context).map(Arc::new)
}

pub mod option {
    //! The same for a value that may be missing.

    use super::*;

    pub fn encode<C, T: Encode<C>, W: Write>(
        value: &Option<Arc<T>>,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        value.as_deref().encode(e, context)
    }

    pub fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<Option<Arc<T>>, DecodeError> {
        Ok(Option::<T>::decode(d, context)?.map(Arc::new))
    }

    pub fn nil<T>() -> Option<Option<Arc<T>>> {
        Some(None)
    }

    pub fn is_nil<T>(value: &Option<Arc<T>>) -> bool {
        value.is_none()
    }
}
