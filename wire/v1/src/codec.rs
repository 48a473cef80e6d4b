//! The two encodings behind one door.

use crate::json::{self, Fault, Message};

/// How a message is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

pub const JSON: &str = "application/json";
pub const PROTOBUF: &str = "application/x-protobuf";
pub const RECORDIO: &str = "application/recordio";

/// Why bytes are no message of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not even the encoding is right.
    #[error("{0}")]
    Garbled(String),
    /// A field is missing, or of the wrong kind.
    #[error("{0}")]
    Faulty(#[from] Fault),
}

impl Encoding {
    /// What a `Content-Type` or `Accept` names; parameters do not matter, nor does the case.
    pub fn of(media_type: &str) -> Option<Self> {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case(JSON) {
            Some(Encoding::Json)
        } else if name.eq_ignore_ascii_case(PROTOBUF) {
            Some(Encoding::Protobuf)
        } else {
            None
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => JSON,
            Encoding::Protobuf => PROTOBUF,
        }
    }

    pub fn encode(self, message: &impl Message) -> Vec<u8> {
        match self {
            Encoding::Json => json::to_vec(message),
            Encoding::Protobuf => message.encode_to_vec(),
        }
    }

    pub fn decode<M: Message>(self, bytes: &[u8]) -> Result<M, Unreadable> {
        match self {
            Encoding::Json => json::from_slice(bytes),
            Encoding::Protobuf => {
                let message = M::decode(bytes);
                let message = message.map_err(|error| Unreadable::Garbled(error.to_string()))?;
                M::schema().check(bytes)?;
                Ok(message)
            }
        }
    }
}
