//! Logins from a `config.json` as Docker writes it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use oci_client::secrets::RegistryAuth;

const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// What `docker login` calls Docker's own registry.
const DOCKER_HUB_NAMES: [&str; 2] = ["index.docker.io", "docker.io"];

#[derive(serde::Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(serde::Deserialize)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    registrytoken: Option<String>,
}

/// The login for a repository of a registry; the entry that names most of it counts.
pub(crate) fn login(
    file: Option<&Path>,
    host: &str,
    repository: &str,
) -> Result<RegistryAuth, String> {
    let Some(file) = file else { return Ok(RegistryAuth::Anonymous) };
    let text = std::fs::read(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    // The text may hold passwords: the error says where, not what.
    let config: ConfigFile = serde_json::from_slice(&text).map_err(|error| {
        format!("{} is not a docker config.json (line {})", file.display(), error.line())
    })?;
    let wanted = format!("{host}/{repository}");
    let entry = config
        .auths
        .iter()
        .map(|(key, login)| (scope(key), login))
        .filter(|(scope, _)| {
            wanted
                .strip_prefix(scope.as_str())
                .is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
        })
        .max_by_key(|(scope, _)| scope.len());
    match entry {
        Some((scope, login)) => login.auth().ok_or_else(|| {
            format!(
                "the entry {scope} of {} has neither auth nor username and password",
                file.display()
            )
        }),
        None => Ok(RegistryAuth::Anonymous),
    }
}

/// `https://index.docker.io/v1/` and `registry:5000` alike become `host[:port][/path]`.
fn scope(key: &str) -> String {
    let bare =
        key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    let (host, path) = bare.split_once('/').map_or((bare, ""), |(host, path)| (host, path));
    let host = if DOCKER_HUB_NAMES.contains(&host) { DOCKER_HUB_HOST } else { host };
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

impl Login {
    fn auth(&self) -> Option<RegistryAuth> {
        if let Some(token) = &self.registrytoken {
            return Some(RegistryAuth::Bearer(token.clone()));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(RegistryAuth::Basic(user.clone(), password.clone()));
        }
        let decoded =
            base64::engine::general_purpose::STANDARD.decode(self.auth.as_ref()?.trim()).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "aHVi OnNlY3JldA=="},
        "docker.io": {"auth": "aHViOnNlY3JldA=="},
        "r:5000": {"username": "u", "password": "p"},
        "r:5000/team": {"registrytoken": "t"},
        "empty": {}
    }, "credsStore": "ignored"}"#;

    fn check(host: &str, repository: &str, expected: Result<RegistryAuth, &str>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("config.json");
        std::fs::write(&file, CONFIG.replace("aHVi On", "aHViOn")).expect("writing the file");
        match (login(Some(&file), host, repository), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{host}/{repository}"),
            (found, expected) => {
                let refusal = found.expect_err("a refusal");
                assert!(refusal.contains(expected.expect_err("expected")), "{refusal}");
            }
        }
    }

    #[test]
    fn the_entry_that_names_most_of_a_repository_counts() {
        let basic =
            |user: &str, password: &str| Ok(RegistryAuth::Basic(user.into(), password.into()));
        check("registry-1.docker.io", "library/nginx", basic("hub", "secret"));
        check("r:5000", "app", basic("u", "p"));
        check("r:5000", "team/app", Ok(RegistryAuth::Bearer("t".into())));
        check("r:5000", "teams/app", basic("u", "p"));
        check("other", "app", Ok(RegistryAuth::Anonymous));
        check("empty", "app", Err("the entry empty of"));
    }
}
