//! Which offers a framework wants: suppressed roles and offer constraints.

use std::collections::BTreeMap;

use kernel::constraints;
use mesos_v1::scheduler::attribute_constraint::predicate::{
    Exists, NotExists, Predicate as SpelledPredicate, TextEquals, TextMatches, TextNotEquals,
    TextNotMatches,
};
use mesos_v1::scheduler::attribute_constraint::selector::{PseudoattributeType, Selector};
use mesos_v1::scheduler::attribute_constraint::{Predicate as PredicateOf, Selector as SelectorOf};
use mesos_v1::scheduler::offer_constraints::RoleConstraints;
use mesos_v1::scheduler::offer_constraints::role_constraints::Group as SpelledGroup;
use mesos_v1::scheduler::{
    AttributeConstraint as SpelledConstraint, OfferConstraints as SpelledConstraints,
};
use model::framework::FrameworkInfo;
use model::id::Role;
use model::wishes::{AttributeConstraint, Group, OfferConstraints, Predicate, Property, Wishes};
use serde_json::Value;

use super::{Fault, framework};

pub(super) fn read(
    info: &FrameworkInfo,
    suppressed: &[String],
    spelled: Option<&SpelledConstraints>,
) -> Result<Wishes, Fault> {
    let suppressed = framework::suppressed(info, suppressed)?;
    let constraints = match spelled {
        Some(spelled) => read_constraints(info, spelled)?,
        None => BTreeMap::new(),
    };
    Ok(Wishes { suppressed, constraints })
}

fn read_constraints(
    info: &FrameworkInfo,
    spelled: &SpelledConstraints,
) -> Result<OfferConstraints, Fault> {
    let mut all = BTreeMap::new();
    for (name, constraints) in &spelled.role_constraints {
        let role = Role::new(name.as_str());
        if !info.roles.contains(&role) {
            return Err(Fault::new(format!(
                "'offer_constraints.role_constraints' names role '{name}', which is not contained in the set of roles"
            )));
        }
        let groups = constraints.groups.iter().map(|group| read_group(name, group));
        all.insert(role, groups.collect::<Result<Vec<Group>, Fault>>()?);
    }
    constraints::judge(&all)
        .map_err(|cause| Fault::new(format!("'offer_constraints': {cause}")))?;
    Ok(all)
}

fn read_group(role: &str, spelled: &SpelledGroup) -> Result<Group, Fault> {
    let read = |one| {
        constraint(one).map_err(|cause| {
            Fault::new(format!("'offer_constraints' of role '{role}' are not valid: {cause}"))
        })
    };
    spelled.attribute_constraints.iter().map(read).collect()
}

fn constraint(spelled: &SpelledConstraint) -> Result<AttributeConstraint, &'static str> {
    let of = match &spelled.selector.selector {
        Some(Selector::AttributeName(name)) => Property::Attribute(name.clone()),
        Some(Selector::PseudoattributeType(kind)) => match PseudoattributeType::try_from(*kind) {
            Ok(PseudoattributeType::Hostname) => Property::Hostname,
            Ok(PseudoattributeType::Region) => Property::Region,
            Ok(PseudoattributeType::Zone) => Property::Zone,
            Ok(PseudoattributeType::Unknown) | Err(_) => {
                return Err("Unknown pseudoattribute type");
            }
        },
        None => {
            return Err(
                "one of 'selector.attribute_name' and 'selector.pseudoattribute_type' must be set",
            );
        }
    };
    let is = match &spelled.predicate.predicate {
        Some(SpelledPredicate::Exists(Exists {})) => Predicate::Exists,
        Some(SpelledPredicate::NotExists(NotExists {})) => Predicate::NotExists,
        Some(SpelledPredicate::TextEquals(one)) => Predicate::TextEquals(one.value.clone()),
        Some(SpelledPredicate::TextNotEquals(one)) => Predicate::TextNotEquals(one.value.clone()),
        Some(SpelledPredicate::TextMatches(one)) => Predicate::TextMatches(one.regex.clone()),
        Some(SpelledPredicate::TextNotMatches(one)) => Predicate::TextNotMatches(one.regex.clone()),
        None => return Err("Unknown predicate type"),
    };
    Ok(AttributeConstraint { of, is })
}

/// As the older endpoints tell them.
pub fn told(all: &OfferConstraints) -> Value {
    let spelled = mesos_v1::json::to_vec(&spell(all));
    serde_json::from_slice(&spelled).expect("what was spelled is JSON")
}

/// The same as they were said.
pub fn spell(all: &OfferConstraints) -> SpelledConstraints {
    let role = |(role, groups): (&Role, &Vec<Group>)| {
        let group = |group: &Group| SpelledGroup {
            attribute_constraints: group.iter().map(spell_one).collect(),
        };
        (role.to_string(), RoleConstraints { groups: groups.iter().map(group).collect() })
    };
    SpelledConstraints { role_constraints: all.iter().map(role).collect() }
}

fn spell_one(one: &AttributeConstraint) -> SpelledConstraint {
    let kind = |kind| Selector::PseudoattributeType(kind as i32);
    let selector = match &one.of {
        Property::Hostname => kind(PseudoattributeType::Hostname),
        Property::Region => kind(PseudoattributeType::Region),
        Property::Zone => kind(PseudoattributeType::Zone),
        Property::Attribute(name) => Selector::AttributeName(name.clone()),
    };
    let predicate = match one.is.clone() {
        Predicate::Exists => SpelledPredicate::Exists(Exists {}),
        Predicate::NotExists => SpelledPredicate::NotExists(NotExists {}),
        Predicate::TextEquals(value) => SpelledPredicate::TextEquals(TextEquals { value }),
        Predicate::TextNotEquals(value) => SpelledPredicate::TextNotEquals(TextNotEquals { value }),
        Predicate::TextMatches(regex) => SpelledPredicate::TextMatches(TextMatches { regex }),
        Predicate::TextNotMatches(regex) => {
            SpelledPredicate::TextNotMatches(TextNotMatches { regex })
        }
    };
    SpelledConstraint {
        selector: SelectorOf { selector: Some(selector) },
        predicate: PredicateOf { predicate: Some(predicate) },
    }
}
