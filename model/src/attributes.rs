//! What an agent says of itself: `rack:a;ssd:true;level:3.5;vlans:[10-20]`.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::resources::{Ranges, Scalar};

/// One named property of an agent, as in Mesos' `--attributes`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Attribute {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub value: AttributeValue,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum AttributeValue {
    #[n(0)]
    Text(#[n(0)] String),
    #[n(1)]
    Scalar(#[n(0)] Scalar),
    #[n(2)]
    Ranges(#[n(0)] Ranges),
}

impl fmt::Display for AttributeValue {
    /// The spelling that constraints are matched against: `a`, `3.5`, `[10-20]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Text(text) => f.write_str(text),
            AttributeValue::Scalar(scalar) => write!(f, "{scalar}"),
            AttributeValue::Ranges(ranges) => write!(f, "{ranges}"),
        }
    }
}

/// Where an agent stands: a region holds zones, a zone fails as one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FaultDomain {
    #[n(0)]
    pub region: String,
    #[n(1)]
    pub zone: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute {0:?} is not of the form name:value")]
pub struct BadAttribute(String);

/// Reads `name:value` pairs separated by semicolons.
pub fn parse(text: &str) -> Result<Vec<Attribute>, BadAttribute> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(parse_one).collect()
}

fn parse_one(text: &str) -> Result<Attribute, BadAttribute> {
    let bad = || BadAttribute(text.to_owned());
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err(bad());
    }
    let value = if value.starts_with('[') {
        AttributeValue::Ranges(value.parse().map_err(|_| bad())?)
    } else if let Ok(scalar) = value.parse() {
        AttributeValue::Scalar(scalar)
    } else {
        AttributeValue::Text(value.to_owned())
    };
    Ok(Attribute { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_text_numbers_or_ranges() {
        let all = parse("rack:a; ssd:true;level:3.5;vlans:[10-20, 30-30]").expect("well formed");
        let spelled: Vec<_> = all.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
        assert_eq!(spelled, ["rack=a", "ssd=true", "level=3.5", "vlans=[10-20, 30-30]"]);
        assert_eq!(parse("rack"), Err(BadAttribute("rack".to_owned())));
        assert!(parse("rack:").is_err());
        assert!(parse("v:[5-").is_err());
    }
}
