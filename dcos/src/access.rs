//! Who may speak to the Mesos master: credentials in a file of their own, as Mesos has them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use api::mesos::access::{Access, Wanted};
use mesos_v1::authorization::{Credentials, Secret};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MesosAuthentication {
    /// `{"credentials": [{"principal": "spark", "secret": "..."}]}`. Without it nobody is asked who it is.
    credentials: Option<PathBuf>,
    frameworks: bool,
    operators: bool,
    /// Of agents: whoever looks at something.
    agents_readonly: bool,
    /// Of agents: whoever changes something, and all v1 calls.
    agents_readwrite: bool,
}

impl Default for MesosAuthentication {
    fn default() -> Self {
        Self {
            credentials: None,
            frameworks: true,
            operators: false,
            agents_readonly: false,
            agents_readwrite: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    credentials: Vec<Credential>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    principal: String,
    secret: String,
}

impl MesosAuthentication {
    /// `None`: everybody may.
    pub(crate) fn access(&self) -> Result<Option<Access>> {
        let Some(credentials) = self.read()? else { return Ok(None) };
        let wanted = match (self.frameworks, self.operators) {
            (true, true) => Wanted::OfBoth,
            (true, false) => Wanted::OfFrameworks,
            (false, true) => Wanted::OfOperators,
            (false, false) => return Ok(None),
        };
        Ok(Some(Access { credentials, wanted }))
    }

    /// Without credentials nobody is asked.
    pub(crate) fn of_agents(&self) -> Result<agent::Access> {
        let Some(credentials) = self.read()? else { return Ok(agent::Access::default()) };
        let Self { agents_readonly: readonly, agents_readwrite: readwrite, .. } = *self;
        Ok(agent::Access { credentials, readonly, readwrite })
    }

    fn read(&self) -> Result<Option<Credentials>> {
        let Some(path) = &self.credentials else { return Ok(None) };
        let what = || format!("mesos_authentication: credentials: reading {}", path.display());
        let text = fs::read_to_string(path).with_context(what)?;
        let file: File = serde_json::from_str(&text).with_context(what)?;
        if file.credentials.is_empty() {
            bail!("{}: it lists nobody", what());
        }
        let known = file.credentials.into_iter().map(|one| (one.principal, Secret(one.secret)));
        Ok(Some(Credentials(known.collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_their_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("credentials");
        let access = |settings: &str| {
            let text = format!("{{credentials: '{}'{settings}}}", path.display());
            serde_saphyr::from_str::<MesosAuthentication>(&text).expect(&text).access()
        };
        let refused = format!("{:#}", access("").expect_err("there is no file"));
        assert!(refused.contains("mesos_authentication: credentials"), "{refused}");
        fs::write(&path, r#"{"credentials": []}"#).expect("written");
        assert!(access("").is_err());
        let one = r#"{"credentials": [{"principal": "spark", "secret": "s"}]}"#;
        fs::write(&path, one).expect("written");
        let check = |settings: &str, wanted: Option<Wanted>| {
            let access = access(settings).expect("it can be read");
            assert_eq!(access.as_ref().map(|access| access.wanted), wanted, "{settings}");
            if let Some(access) = access {
                assert_eq!(access.credentials.0["spark"], Secret("s".to_owned()));
            }
        };
        check("", Some(Wanted::OfFrameworks));
        check(", operators: true", Some(Wanted::OfBoth));
        check(", operators: true, frameworks: false", Some(Wanted::OfOperators));
        check(", frameworks: false", None);
        assert_eq!(MesosAuthentication::default().access().expect("nothing to read"), None);
    }
}
