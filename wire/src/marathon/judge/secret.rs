//! Secrets by their aliases, and the variables that are set to them.

use std::collections::BTreeMap;

use services::spec::environment::EnvValue;

use super::faults::Faults;
use crate::marathon::app::EnvValue as Written;
use crate::marathon::shared::SecretDef;

/// Where each secret lies, by its alias.
pub(super) fn judge(
    given: Option<&BTreeMap<String, SecretDef>>,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    let mut secrets = BTreeMap::new();
    for (alias, secret) in given.into_iter().flatten() {
        if alias.is_empty() {
            faults.add("/secrets", "a secret must have a name");
        }
        let source = secret.source.clone().unwrap_or_default();
        if source.is_empty() {
            faults.add(format!("/secrets/{alias}/source"), "must not be empty");
        }
        secrets.insert(alias.clone(), source);
    }
    secrets
}

/// Variables; a secret must be one of `secrets`.
pub(super) fn environment(
    at: &str,
    given: Option<&BTreeMap<String, Written>>,
    secrets: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> BTreeMap<String, EnvValue> {
    let mut env = BTreeMap::new();
    for (name, value) in given.into_iter().flatten() {
        if name.is_empty() {
            faults.add(at, "a variable must have a name");
        }
        if name.contains(['=', '\0']) {
            faults.add(format!("{at}/{name}"), "a name must not contain '=' or NUL");
        }
        let value = match value {
            Written::Text(text) => {
                if text.contains('\0') {
                    faults.add(format!("{at}/{name}"), "must not contain NUL");
                }
                EnvValue::Text(text.clone())
            }
            Written::Secret { secret } => {
                if !secrets.contains_key(secret) {
                    faults.add(format!("{at}/{name}/secret"), "references an undefined secret");
                }
                EnvValue::Secret(secret.clone())
            }
        };
        env.insert(name.clone(), value);
    }
    env
}
