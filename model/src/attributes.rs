//! What an agent says of itself: `rack:a;ssd:true;level:3.5;vlans:[10-20];disks:{ssd,hdd}`.

use std::collections::BTreeSet;
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
    #[n(3)]
    Set(#[n(0)] BTreeSet<String>),
}

impl fmt::Display for AttributeValue {
    /// The spelling that constraints are matched against: `a`, `3.5`, `[10-20]`, `{a,b}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Text(text) => f.write_str(text),
            AttributeValue::Scalar(scalar) => write!(f, "{scalar}"),
            AttributeValue::Ranges(ranges) => write!(f, "{ranges}"),
            AttributeValue::Set(items) => {
                let items: Vec<&str> = items.iter().map(String::as_str).collect();
                write!(f, "{{{}}}", items.join(","))
            }
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
    } else if let Some(items) = value.strip_prefix('{') {
        let items = items.strip_suffix('}').ok_or_else(bad)?.split(',').map(str::trim);
        AttributeValue::Set(items.filter(|item| !item.is_empty()).map(str::to_owned).collect())
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
    fn attributes_are_text_numbers_ranges_or_sets() {
        let all = parse("rack:a; ssd:true;level:3.5;vlans:[10-20, 30-30];disks:{ssd, hdd}");
        let all = all.expect("well formed");
        let spelled: Vec<_> = all.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
        let expected =
            ["rack=a", "ssd=true", "level=3.5", "vlans=[10-20, 30-30]", "disks={hdd,ssd}"];
        assert_eq!(spelled, expected);
        assert_eq!(parse("rack"), Err(BadAttribute("rack".to_owned())));
        assert!(parse("rack:").is_err());
        assert!(parse("v:[5-").is_err());
        assert!(parse("v:{a,b").is_err());
    }
}
