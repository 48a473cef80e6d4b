//! Logins from a `config.json` as Docker writes it, and from the programs that it names.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use oci_client::secrets::RegistryAuth;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// What `docker login` calls Docker's own registry.
const DOCKER_HUB_NAMES: [&str; 2] = ["index.docker.io", "docker.io"];
/// What helpers know Docker's own registry by.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const HELPER_SECS_MAX: u64 = 30;
const HELPER_PREFIX: &str = "docker-credential-";
/// What a helper says of a registry for which it has nothing.
const HELPER_HAS_NONE: &str = "credentials not found";

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, Login>,
    /// By registry.
    cred_helpers: BTreeMap<String, String>,
    /// For all other registries.
    creds_store: Option<String>,
}

#[derive(serde::Deserialize)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    registrytoken: Option<String>,
    identitytoken: Option<String>,
}

/// What a helper answers.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// Where logins are looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// What the task itself brings: a `config.json` or `.dockercfg`. Programs that it names are not run: it is not
    /// the operator's.
    pub(crate) own: Option<&'a str>,
    /// The operator's.
    pub(crate) file: Option<&'a Path>,
}

/// The login for a repository of a registry; the entry that names most of it counts, the task's before the operator's.
pub(crate) async fn login(
    sources: Sources<'_>,
    host: &str,
    repository: &str,
) -> Result<RegistryAuth, String> {
    if let Some(own) = sources.own {
        const OWN: &str = "the docker config.json of the task";
        let config = parse(own.as_bytes(), OWN)?;
        if let Some(found) = config.login(host, repository, OWN)? {
            return Ok(found);
        }
    }
    let Some(file) = sources.file else { return Ok(RegistryAuth::Anonymous) };
    let text = std::fs::read(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let name = file.display().to_string();
    let config = parse(&text, &name)?;
    // As Docker does: a helper for this registry first, then what is written down, then the helper for all.
    if let Some(helper) = config.helper(host)
        && let Some(found) = ask(helper, host).await?
    {
        return Ok(found);
    }
    if let Some(found) = config.login(host, repository, &name)? {
        return Ok(found);
    }
    let stored = match &config.creds_store {
        Some(helper) => ask(helper, host).await?,
        None => None,
    };
    Ok(stored.unwrap_or(RegistryAuth::Anonymous))
}

/// The text may hold passwords: the error says where, not what.
fn parse(text: &[u8], name: &str) -> Result<ConfigFile, String> {
    let bad = |error: serde_json::Error| {
        format!("{name} is not a docker config.json (line {})", error.line())
    };
    let whole: serde_json::Value = serde_json::from_slice(text).map_err(bad)?;
    let is_new = ["auths", "credHelpers", "credsStore"].iter().any(|key| whole.get(key).is_some());
    if is_new {
        return serde_json::from_slice(text).map_err(bad);
    }
    // As a `.dockercfg` of old has it: the logins alone. Whatever else a file without logins holds is not ours.
    let auths = serde_json::from_slice(text).unwrap_or_default();
    Ok(ConfigFile { auths, ..ConfigFile::default() })
}

impl ConfigFile {
    fn login(
        &self,
        host: &str,
        repository: &str,
        name: &str,
    ) -> Result<Option<RegistryAuth>, String> {
        let wanted = format!("{host}/{repository}");
        let entry = self
            .auths
            .iter()
            // Beside a helper the entries are there to be listed, and empty.
            .filter(|(_, login)| !login.is_empty() || !self.has_helpers())
            .map(|(key, login)| (scope(key), login))
            .filter(|(scope, _)| {
                wanted
                    .strip_prefix(scope.as_str())
                    .is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
            })
            .max_by_key(|(scope, _)| scope.len());
        let Some((scope, login)) = entry else { return Ok(None) };
        let found = login.auth();
        let lacks = if login.identitytoken.is_some() {
            "has an identitytoken, which is not understood here; log in with a password or an access token"
        } else {
            "has neither auth nor username and password"
        };
        found.map(Some).ok_or_else(|| format!("the entry {scope} of {name} {lacks}"))
    }

    fn has_helpers(&self) -> bool {
        self.creds_store.is_some() || !self.cred_helpers.is_empty()
    }

    fn helper(&self, host: &str) -> Option<&str> {
        let found = self.cred_helpers.iter().find(|(key, _)| scope(key) == host);
        found.map(|(_, helper)| helper.as_str())
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
    fn is_empty(&self) -> bool {
        self.auth.as_ref().is_none_or(String::is_empty)
            && self.username.is_none()
            && self.registrytoken.is_none()
            && self.identitytoken.is_none()
    }

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
        let password = password.trim_end_matches('\0');
        // Beside an identity token Docker writes a user without a password.
        (!password.is_empty()).then(|| RegistryAuth::Basic(user.to_owned(), password.to_owned()))
    }
}

/// Asks `docker-credential-<helper>`, as Docker does.
async fn ask(helper: &str, host: &str) -> Result<Option<RegistryAuth>, String> {
    let program = format!("{HELPER_PREFIX}{helper}");
    let failed = |cause: String| format!("the credential helper {program} {cause}");
    if helper.contains('/') {
        return Err(failed("is named by a path; name it without".into()));
    }
    let asked = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let key = if host == DOCKER_HUB_HOST { DOCKER_HUB_KEY } else { host };
        let mut input = child.stdin.take().expect("it was asked for");
        // One that does not read has its reasons; its answer tells them.
        let _ = input.write_all(key.as_bytes()).await;
        drop(input);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(Duration::from_secs(HELPER_SECS_MAX), asked)
        .await
        .map_err(|_| failed(format!("does not answer within {HELPER_SECS_MAX} s")))?
        .map_err(|error| {
            failed(format!("cannot be run ({error}); install it in the agent's PATH"))
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains(HELPER_HAS_NONE) {
        return Ok(None);
    }
    if !output.status.success() {
        return Err(failed(format!("failed ({})", output.status)));
    }
    let helped: Helped = serde_json::from_str(&said)
        .map_err(|error| failed(format!("gave no login (line {})", error.line())))?;
    if helped.username == "<token>" {
        return Err(failed("gave an identity token, which is not understood here".into()));
    }
    Ok(Some(RegistryAuth::Basic(helped.username, helped.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "aHViOm90aGVy"},
        "docker.io": {"auth": "aHViOnNlY3JldA=="},
        "r:5000": {"username": "u", "password": "p"},
        "r:5000/team": {"registrytoken": "t"},
        "empty": {},
        "id": {"auth": "PHRva2VuPjo=", "identitytoken": "abc"}
    }}"#;

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.into(), password.into())
    }

    async fn check(
        own: Option<&str>,
        config: &str,
        of: (&str, &str),
        expected: Result<RegistryAuth, &str>,
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("config.json");
        std::fs::write(&file, config).expect("writing the file");
        let found = login(Sources { own, file: Some(&file) }, of.0, of.1).await;
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{of:?}"),
            (found, expected) => {
                let refusal = found.expect_err("a refusal");
                assert!(refusal.contains(expected.expect_err("expected")), "{refusal}");
            }
        }
    }

    #[tokio::test]
    async fn the_entry_that_names_most_of_a_repository_counts() {
        let hub = ("registry-1.docker.io", "library/nginx");
        check(None, CONFIG, hub, Ok(basic("hub", "other"))).await;
        check(None, CONFIG, ("r:5000", "app"), Ok(basic("u", "p"))).await;
        check(None, CONFIG, ("r:5000", "team/app"), Ok(RegistryAuth::Bearer("t".into()))).await;
        check(None, CONFIG, ("r:5000", "teams/app"), Ok(basic("u", "p"))).await;
        check(None, CONFIG, ("other", "app"), Ok(RegistryAuth::Anonymous)).await;
        check(None, CONFIG, ("empty", "app"), Err("the entry empty of")).await;
        check(None, CONFIG, ("id", "app"), Err("identitytoken")).await;
    }

    #[tokio::test]
    async fn what_a_task_brings_goes_before_what_the_operator_has() {
        let own = r#"{"auths": {"r:5000": {"username": "mine", "password": "x"}}}"#;
        let old = r#"{"r:5000": {"auth": "aHViOnNlY3JldA==", "email": "a@b"}}"#;
        let helper = r#"{"credHelpers": {"r:5000": "of-the-task"}}"#;
        check(Some(own), CONFIG, ("r:5000", "app"), Ok(basic("mine", "x"))).await;
        check(Some(old), CONFIG, ("r:5000", "app"), Ok(basic("hub", "secret"))).await;
        check(Some(own), CONFIG, ("other", "app"), Ok(RegistryAuth::Anonymous)).await;
        check(Some(helper), CONFIG, ("r:5000", "app"), Ok(basic("u", "p"))).await;
        check(Some("{\n"), CONFIG, ("r:5000", "app"), Err("of the task is not a docker")).await;
    }

    #[tokio::test]
    async fn a_helper_that_is_not_there_is_named() {
        let config = r#"{"auths": {"r:5000": {}}, "credHelpers": {"r:5000": "no-such-program"},
            "credsStore": "none/of/these"}"#;
        check(None, config, ("r:5000", "a"), Err("docker-credential-no-such-program")).await;
        check(None, config, ("other", "a"), Err("named by a path")).await;
    }
}
