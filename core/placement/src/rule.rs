//! Constraints ready to be asked: parsed once per app version, answered from counts and not from instances.

use std::collections::BTreeMap;

use model::agent::AgentInfo;
use model::attributes::{Attribute, AttributeValue, FaultDomain};
use model::resources::{Ranges, Scalar};
use regex::{Regex, RegexBuilder};

use crate::{Constraint, Operator};

/// What a regular expression of a user may grow to when compiled.
const REGEX_SIZE_BYTES_MAX: usize = 1 << 20;

/// A constraint whose value has been understood.
#[derive(Debug, Clone)]
pub struct Rule {
    pub field: Field,
    pub test: Test,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Hostname,
    Region,
    Zone,
    Attribute(String),
}

/// What is asked of the field's value, given the app's instances.
#[derive(Debug, Clone)]
pub enum Test {
    Unique,
    /// All with the value of the first.
    Together,
    Is(String),
    /// Evenly over so many values; without a number over those that were seen.
    GroupBy(Option<u32>),
    Like(Regex),
    Unlike(Regex),
    MaxPer(u32),
}

/// Where an agent stands, as constraints see it.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    pub host: &'a str,
    pub domain: Option<&'a FaultDomain>,
    pub attributes: &'a [Attribute],
}

impl<'a> Spot<'a> {
    pub fn of(agent: &'a AgentInfo) -> Self {
        Self { host: &agent.hostname, domain: agent.domain.as_ref(), attributes: &agent.attributes }
    }
}

/// How many of an app's instances have each value of a field; `None` counts those without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally(BTreeMap<Option<String>, u32>);

impl Tally {
    pub fn add(&mut self, value: Option<String>) {
        *self.0.entry(value).or_default() += 1;
    }

    pub fn remove(&mut self, value: &Option<String>) {
        let count = self.0.get_mut(value).expect("what is removed was added");
        *count -= 1;
        if *count == 0 {
            self.0.remove(value);
        }
    }

    pub fn count(&self, value: &Option<String>) -> u32 {
        self.0.get(value).copied().unwrap_or(0)
    }

    /// How many values were seen.
    pub fn groups(&self) -> usize {
        self.0.len()
    }

    fn smallest(&self) -> u32 {
        self.0.values().copied().min().unwrap_or(0)
    }
}

impl Rule {
    /// Refuses what can never be met, or not be read.
    pub fn new(constraint: &Constraint) -> Result<Self, String> {
        if constraint.field.is_empty() {
            return Err("a constraint needs a field name".to_owned());
        }
        let value = constraint.value.as_deref().unwrap_or("");
        Ok(Self {
            field: Field::new(&constraint.field),
            test: Test::new(constraint.operator, value)?,
        })
    }

    pub fn value(&self, spot: Spot<'_>) -> Option<String> {
        match &self.field {
            Field::Hostname => Some(spot.host.to_owned()),
            Field::Region => spot.domain.map(|domain| domain.region.clone()),
            Field::Zone => spot.domain.map(|domain| domain.zone.clone()),
            Field::Attribute(name) => {
                let named = spot.attributes.iter().find(|one| one.name == *name);
                named.map(|attribute| spell(&attribute.value))
            }
        }
    }

    /// Whether one more instance may stand there. `tally` counts the instances of the app's current configuration,
    /// `instances` is how many are wanted. What lacks the field is fit only for `UNLIKE`, as in Marathon.
    pub fn allows(&self, spot: Spot<'_>, tally: &Tally, instances: u32) -> bool {
        let value = self.value(spot);
        let Some(text) = value.as_deref() else {
            return matches!(self.test, Test::Unlike(_));
        };
        match &self.test {
            Test::Unique => tally.count(&value) == 0,
            Test::Together => tally.groups() == 0 || tally.count(&value) > 0,
            Test::Is(wanted) => text == wanted,
            Test::GroupBy(groups) => spreads(*groups, tally, &value, instances),
            Test::Like(regex) => regex.is_match(text),
            Test::Unlike(regex) => !regex.is_match(text),
            Test::MaxPer(max) => tally.count(&value) < *max,
        }
    }
}

impl Field {
    fn new(name: &str) -> Self {
        match name {
            "hostname" | "@hostname" => Field::Hostname,
            "@region" => Field::Region,
            "@zone" => Field::Zone,
            other => Field::Attribute(other.to_owned()),
        }
    }
}

impl Test {
    /// Whether a text meets it that is nobody else's: what counts others is met.
    pub(crate) fn judges(&self, text: &str) -> bool {
        match self {
            Test::Unique | Test::Together | Test::GroupBy(_) | Test::MaxPer(_) => true,
            Test::Is(wanted) => text == wanted,
            Test::Like(regex) => regex.is_match(text),
            Test::Unlike(regex) => !regex.is_match(text),
        }
    }

    fn new(operator: Operator, value: &str) -> Result<Self, String> {
        match operator {
            Operator::Unique if value.is_empty() => Ok(Test::Unique),
            Operator::Unique => Err("Value specified but not used".to_owned()),
            Operator::Cluster if value.is_empty() => Ok(Test::Together),
            Operator::Cluster => Ok(Test::Is(value.to_owned())),
            Operator::GroupBy if value.is_empty() => Ok(Test::GroupBy(None)),
            Operator::GroupBy if value == "inf" => Ok(Test::GroupBy(Some(u32::MAX))),
            Operator::GroupBy => number(value).map(|groups| Test::GroupBy(Some(groups))),
            Operator::MaxPer if value.is_empty() => Err("Value was not specified".to_owned()),
            Operator::MaxPer => number(value).map(Test::MaxPer),
            Operator::Like => full_match(value).map(Test::Like),
            Operator::Unlike => full_match(value).map(Test::Unlike),
            Operator::Is => text_or_scalar(value).map(Test::Is),
        }
    }
}

fn number(value: &str) -> Result<u32, String> {
    let bad = || format!("Value was specified but is not a number: {value:?}");
    value.parse().ok().filter(|number| *number > 0).ok_or_else(bad)
}

fn full_match(value: &str) -> Result<Regex, String> {
    if value.is_empty() {
        return Err("A regular expression value must be provided".to_owned());
    }
    RegexBuilder::new(&format!("^(?:{value})$"))
        .size_limit(REGEX_SIZE_BYTES_MAX)
        .build()
        .map_err(|error| format!("{value:?} is not a valid regular expression: {error}"))
}

/// Numbers are compared to three decimals: `0.80` is `0.8`.
fn text_or_scalar(value: &str) -> Result<String, String> {
    let bracketed = |open, close| value.starts_with(open) && value.ends_with(close);
    if value.is_empty() {
        return Err("Value was not specified".to_owned());
    }
    if bracketed('[', ']') || bracketed('{', '}') {
        return Err("IS only supports Text and Scalar values".to_owned());
    }
    let numeric = value.starts_with(|c: char| c.is_ascii_digit())
        && value.ends_with(|c: char| c.is_ascii_digit())
        && value.chars().all(|c| c.is_ascii_digit() || c == '.');
    let scalar = numeric.then(|| value.parse::<Scalar>().ok()).flatten();
    Ok(scalar.map_or_else(|| value.to_owned(), |scalar| scalar.to_string()))
}

/// As in Marathon's `Constraints.checkGroupBy`: each of the `groups` values takes its share, and the remainder goes to
/// whoever comes first. Without a number, the values seen so far are kept level.
fn spreads(groups: Option<u32>, tally: &Tally, value: &Option<String>, instances: u32) -> bool {
    let count = tally.count(value);
    let Some(groups) = groups else {
        return count == 0 || count <= tally.smallest();
    };
    if count == 0 {
        return tally.groups() < usize::try_from(groups).unwrap_or(usize::MAX);
    }
    let (share, remainder) = (instances / groups, instances % groups);
    let used: u32 = tally.0.values().map(|count| count.saturating_sub(share)).sum();
    count < share || count == share && used < remainder
}

/// As Marathon spells attributes for comparison: `a`, `0.8`, `[1-2,5-6]`, `{hdd,ssd}`.
fn spell(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::Scalar(scalar) => scalar.to_string(),
        AttributeValue::Ranges(ranges) => spell_ranges(ranges),
        AttributeValue::Set(_) => value.to_string(),
    }
}

fn spell_ranges(ranges: &Ranges) -> String {
    let parts: Vec<String> =
        ranges.intervals().iter().map(|(begin, end)| format!("{begin}-{end}")).collect();
    format!("[{}]", parts.join(","))
}
