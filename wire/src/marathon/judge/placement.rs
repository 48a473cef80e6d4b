//! Where an app may run: its role, the reservations it accepts, its constraints.

use model::id::Role;
use placement::{Constraint, Operator};
use regex::Regex;
use services::spec::AppId;

use super::Rules;
use super::faults::Faults;
use super::strategy::Stay;
use crate::marathon::app::App;

#[derive(Debug)]
pub(super) struct Place {
    pub(super) role: Option<Role>,
    pub(super) accepted_roles: Option<Vec<Role>>,
    pub(super) constraints: Vec<Constraint>,
}

pub(super) fn judge(
    app: &App,
    id: Option<&AppId>,
    (rules, stay): (&Rules, Stay),
    faults: &mut Faults,
) -> Place {
    let only_star = |roles: &Vec<String>| roles.iter().all(|role| role == "*");
    if stay.resident && !app.accepted_resource_roles.as_ref().is_none_or(only_star) {
        let message = "A resident app must have `acceptedResourceRoles = [\"*\"]`.";
        faults.add("/acceptedResourceRoles", message);
    }
    Place {
        role: role(app, id, rules, faults),
        accepted_roles: accepted_roles(app, id, rules, faults),
        constraints: constraints(app, faults),
    }
}

/// The app's role as given. Unset, it is settled when the app is deployed.
pub(super) fn role(
    app: &App,
    id: Option<&AppId>,
    rules: &Rules,
    faults: &mut Faults,
) -> Option<Role> {
    let given = Role::new(app.role.as_deref()?);
    let (Some(id), false) = (id, given.as_str().is_empty()) else {
        if given.as_str().is_empty() {
            faults.add("/role", "must not be empty");
        }
        return Some(given);
    };
    // Whether its group enforces the role is known where groups are.
    let allowed: Vec<Role> = [Some(rules.default_role.clone()), id.top_group().map(Role::new)]
        .into_iter()
        .flatten()
        .collect();
    if !allowed.contains(&given) {
        let names: Vec<&str> = allowed.iter().map(Role::as_str).collect();
        faults.add("/role", format!("got {given}, expected one of: {}", names.join(", ")));
    }
    Some(given)
}

/// `*` and the app's own role can be accepted.
pub(super) fn accepted_roles(
    app: &App,
    id: Option<&AppId>,
    rules: &Rules,
    faults: &mut Faults,
) -> Option<Vec<Role>> {
    const PATH: &str = "/acceptedResourceRoles";
    let given = app.accepted_resource_roles.as_ref()?;
    if given.is_empty() {
        faults.add(PATH, "must not be empty");
    }
    let own = match (&app.role, id.and_then(AppId::top_group)) {
        (Some(role), _) => role.as_str(),
        (None, Some(group)) if rules.enforce_group_role => group,
        (None, _) => rules.default_role.as_str(),
    };
    let may_be = |role: &str| app.role.is_none() && role == rules.default_role.as_str();
    if given.iter().any(|role| role != "*" && role != own && !may_be(role)) {
        faults.add(PATH, format!("acceptedResourceRoles can only contain * and {own}"));
    }
    let mut roles: Vec<Role> = given.iter().map(|role| Role::new(role.as_str())).collect();
    roles.sort();
    roles.dedup();
    Some(roles)
}

fn constraints(app: &App, faults: &mut Faults) -> Vec<Constraint> {
    let mut all = Vec::new();
    for (n, words) in app.constraints.iter().flatten().enumerate() {
        match constraint(words) {
            Ok(constraint) if all.contains(&constraint) => {}
            Ok(constraint) => all.push(constraint),
            Err(message) => faults.add(format!("/constraints({n})"), message),
        }
    }
    all
}

pub(super) fn constraint(words: &[String]) -> Result<Constraint, &'static str> {
    let (field, operator, value) = match words {
        [field, operator] => (field, operator, None),
        [field, operator, value] => (field, operator, Some(value.as_str())),
        _ => return Err("Each constraint must have either 2 or 3 fields"),
    };
    if field.is_empty() {
        return Err("missing field for constraint declaration");
    }
    let operator = operator_of(operator)?;
    judge_value(operator, value)?;
    Ok(Constraint { field: field.clone(), operator, value: value.map(str::to_owned) })
}

fn operator_of(word: &str) -> Result<Operator, &'static str> {
    Ok(match word.to_ascii_uppercase().as_str() {
        "UNIQUE" => Operator::Unique,
        "CLUSTER" => Operator::Cluster,
        "GROUP_BY" => Operator::GroupBy,
        "LIKE" => Operator::Like,
        "UNLIKE" => Operator::Unlike,
        "MAX_PER" => Operator::MaxPer,
        "IS" => Operator::Is,
        _ => {
            return Err(
                "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS",
            );
        }
    })
}

fn judge_value(operator: Operator, value: Option<&str>) -> Result<(), &'static str> {
    let is_count = |text: &str| text.parse::<u32>().is_ok();
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"_/.-".contains(&c);
    match (operator, value) {
        (Operator::Unique, Some(_)) => Err("UNIQUE does not accept a value"),
        (Operator::GroupBy, Some(text)) if !is_count(text) => {
            Err("GROUP BY must define an integer value or else no value at all")
        }
        (Operator::MaxPer, value) if !value.is_some_and(is_count) => {
            Err("MAX_PER requires an integer value")
        }
        (Operator::Like | Operator::Unlike, None) => {
            Err("LIKE and UNLIKE require a non-empty, regular expression value")
        }
        (Operator::Like | Operator::Unlike, Some(text)) if Regex::new(text).is_err() => {
            Err("is not a valid regular expression")
        }
        (Operator::Is, Some(text)) if !text.bytes().all(is_plain) => {
            Err("IS only supports Mesos text and float values")
        }
        (
            Operator::Unique
            | Operator::Cluster
            | Operator::GroupBy
            | Operator::Like
            | Operator::Unlike
            | Operator::MaxPer
            | Operator::Is,
            _,
        ) => Ok(()),
    }
}
