//! Offer constraints: a framework says of which agents it wants offers, and is spared to decline the others'.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::agent::AgentInfo;
use model::attributes::AttributeValue;
use model::id::Role;
use model::wishes::{AttributeConstraint, OfferConstraints, Predicate, Property};
use regex::Regex;

use crate::pattern;

/// Of one framework, over all its roles: each is asked of every agent that is looked at.
const CONSTRAINTS_MAX: usize = 1_000;

/// What a framework has said, and the same ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    pub(crate) said: Arc<OfferConstraints>,
    tests: BTreeMap<Role, Arc<Tests>>,
}

/// One of these groups is to be met whole.
#[derive(Debug)]
pub(crate) struct Tests(Vec<Vec<Test>>);

#[derive(Debug)]
struct Test {
    of: Property,
    is: Check,
}

#[derive(Debug)]
enum Check {
    Exists,
    NotExists,
    Equals(String),
    NotEquals(String),
    Matches(Regex),
    NotMatches(Regex),
}

/// What an agent says of a property.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// Constraints on texts say nothing of it.
    NoText,
}

/// What is wrong with them, whoever says them.
pub fn judge(said: &OfferConstraints) -> Result<(), String> {
    Constraints::read(said.clone()).map(|_| ())
}

impl Constraints {
    pub(crate) fn read(said: OfferConstraints) -> Result<Self, String> {
        let count: usize = said.values().flatten().map(Vec::len).sum();
        if count > CONSTRAINTS_MAX {
            return Err(format!("{count} offer constraints are more than {CONSTRAINTS_MAX}"));
        }
        let mut tests = BTreeMap::new();
        for (role, groups) in &said {
            if groups.is_empty() || groups.iter().any(Vec::is_empty) {
                return Err(format!("the offer constraints of role {role} have an empty group"));
            }
            let read = |group: &Vec<AttributeConstraint>| group.iter().map(Test::read).collect();
            let groups: Result<_, String> = groups.iter().map(read).collect();
            let groups = groups.map_err(|fault| {
                format!("role {role} has an offer constraint that is not valid: {fault}")
            })?;
            tests.insert(role.clone(), Arc::new(Tests(groups)));
        }
        Ok(Self { said: Arc::new(said), tests })
    }

    pub(crate) fn of(&self, role: &Role) -> Option<Arc<Tests>> {
        self.tests.get(role).cloned()
    }
}

impl Tests {
    pub(crate) fn are_met_by(&self, agent: &AgentInfo) -> bool {
        self.0.iter().any(|group| group.iter().all(|test| test.is_met_by(agent)))
    }
}

impl Test {
    fn read(said: &AttributeConstraint) -> Result<Self, String> {
        let is = match &said.is {
            Predicate::Exists => Check::Exists,
            Predicate::NotExists => Check::NotExists,
            Predicate::TextEquals(text) => Check::Equals(text.clone()),
            Predicate::TextNotEquals(text) => Check::NotEquals(text.clone()),
            Predicate::TextMatches(regex) => Check::Matches(pattern::compile(regex)?),
            Predicate::TextNotMatches(regex) => Check::NotMatches(pattern::compile(regex)?),
        };
        Ok(Self { of: said.of.clone(), is })
    }

    fn is_met_by(&self, agent: &AgentInfo) -> bool {
        let found = find(&self.of, agent);
        match &self.is {
            Check::Exists => !matches!(found, Found::Nothing),
            Check::NotExists => matches!(found, Found::Nothing),
            Check::Equals(wanted) => found.is(|text| text == wanted),
            Check::NotEquals(unwanted) => found.is_not(|text| text == unwanted),
            Check::Matches(wanted) => found.is(|text| wanted.is_match(text)),
            Check::NotMatches(unwanted) => found.is_not(|text| unwanted.is_match(text)),
        }
    }
}

impl Found<'_> {
    fn is(&self, like: impl Fn(&str) -> bool) -> bool {
        match self {
            Found::Nothing => false,
            Found::Text(text) => like(text),
            Found::NoText => true,
        }
    }

    fn is_not(&self, like: impl Fn(&str) -> bool) -> bool {
        match self {
            Found::Nothing | Found::NoText => true,
            Found::Text(text) => !like(text),
        }
    }
}

fn find<'a>(property: &Property, agent: &'a AgentInfo) -> Found<'a> {
    let told = |text: Option<&'a String>| text.map_or(Found::Nothing, |text| Found::Text(text));
    match property {
        Property::Hostname => Found::Text(&agent.hostname),
        Property::Region => told(agent.domain.as_ref().map(|domain| &domain.region)),
        Property::Zone => told(agent.domain.as_ref().map(|domain| &domain.zone)),
        Property::Attribute(name) => {
            match agent.attributes.iter().find(|one| one.name == *name).map(|one| &one.value) {
                None => Found::Nothing,
                Some(AttributeValue::Text(text)) => Found::Text(text),
                Some(
                    AttributeValue::Scalar(_) | AttributeValue::Ranges(_) | AttributeValue::Set(_),
                ) => Found::NoText,
            }
        }
    }
}
