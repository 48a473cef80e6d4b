//! How executors that are programs reach their agent, and prove to it who they are.
//!
//! Each is given a token as Mesos' agents make them: a JWT whose claims name its framework, itself and its container.

use std::fmt;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::id::{ContainerId, ExecutorId, FrameworkId};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use uuid::Uuid;

/// Where a container with an image finds the directory of the socket.
pub(crate) const DIR_IN_IMAGE: &str = "/mnt/mesos/agent";
/// Executors are of any user.
const SOCKET_MODE: u32 = 0o666;
const SOCKET_DIR_MODE: u32 = 0o755;
const KEY_MODE: u32 = 0o600;

/// What is told to executors besides the agent's address.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// Where the agent's API listens besides; the directory is nobody else's, and executors with an image see all of it.
    pub socket: Option<PathBuf>,
    /// Unset, nobody is asked.
    pub key: Option<Key>,
}

/// Signs tokens.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "fid")]
    pub(crate) framework: String,
    #[serde(rename = "eid")]
    pub(crate) executor: String,
    #[serde(rename = "cid")]
    pub(crate) container: String,
}

impl Claims {
    pub(crate) fn of(
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
    ) -> Self {
        let (framework, executor) = (framework.to_string(), executor.to_string());
        Self { framework, executor, container: container.to_string() }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
}

impl Key {
    /// The bytes of a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let secret = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        if secret.is_empty() {
            bail!("{} is empty; write a secret of some length to it", path.display());
        }
        Ok(Self::of(&secret))
    }

    /// One of the agent's own. It stays, for executors outlive agents.
    pub fn own(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            let making = || format!("making the key of executors' tokens, {}", path.display());
            let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            let fresh = path.with_extension("new");
            // Half a key is none.
            let mut options = fs::OpenOptions::new();
            let opened =
                options.write(true).create(true).truncate(true).mode(KEY_MODE).open(&fresh);
            let mut file = opened.with_context(making)?;
            std::io::Write::write_all(&mut file, secret.as_bytes()).with_context(making)?;
            file.sync_all().with_context(making)?;
            fs::rename(&fresh, path).with_context(making)?;
        }
        Self::read(path)
    }

    fn of(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(crate) fn token(&self, claims: &Claims) -> String {
        let header = Header { alg: "HS256".to_owned(), typ: Some("JWT".to_owned()) };
        let said = format!("{}.{}", coded(&header), coded(claims));
        let signature = hmac::sign(&self.0, said.as_bytes());
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// `None` if it is not signed with this key.
    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        let (said, signature) = token.rsplit_once('.')?;
        let (header, claims) = said.split_once('.')?;
        if decoded::<Header>(header)?.alg != "HS256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, said.as_bytes(), &signature).ok()?;
        decoded(claims)
    }
}

fn coded(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("texts have a JSON spelling"))
}

fn decoded<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Takes the place of whatever an earlier life has left there.
pub(crate) fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    let failed = || {
        let at = socket.display();
        format!("the agent's API cannot listen on {at}; choose executors.domain_socket_location")
    };
    let dir = socket.parent().with_context(failed)?;
    fs::create_dir_all(dir).with_context(failed)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(SOCKET_DIR_MODE)).with_context(failed)?;
    remove(socket);
    let listener = UnixListener::bind(socket).with_context(failed)?;
    let open = fs::Permissions::from_mode(SOCKET_MODE);
    fs::set_permissions(socket, open).with_context(failed)?;
    Ok(listener)
}

pub(crate) fn remove(socket: &Path) {
    if let Err(cause) = fs::remove_file(socket)
        && cause.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(socket = %socket.display(), %cause, "the socket of executors stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims::of(&FrameworkId::new("f"), &ExecutorId::new("e"), &ContainerId::new("c"))
    }

    #[test]
    fn a_token_is_what_any_library_makes_of_the_same() {
        let said = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let token = Key::of(b"secret").token(&claims());
        assert!(token.starts_with(&format!("{said}.")), "{token}");
        let payload = token.split('.').nth(1).expect("three parts");
        let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64");
        assert_eq!(payload, br#"{"fid":"f","eid":"e","cid":"c"}"#);
        // Of a published example of HS256.
        let example =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmaWQiOiJmIiwiZWlkIjoiZSIsImNpZCI6ImMifQ";
        assert!(token.starts_with(example), "{token}");
    }

    #[test]
    fn only_what_is_signed_with_the_key_is_believed() {
        let key = Key::of(b"secret");
        let good = key.token(&claims());
        assert_eq!(key.claims(&good), Some(claims()));
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let payload = good.split('.').nth(1).expect("three parts");
        let other = Claims { container: "d".to_owned(), ..claims() };
        let changed = format!(
            "{}.{}.{}",
            good.split('.').next().expect("three parts"),
            coded(&other),
            good.rsplit('.').next().expect("three parts")
        );
        let check = |token: &str| assert_eq!(key.claims(token), None, "{token}");
        check("");
        check("a.b");
        check(&changed);
        check(&format!("{unsigned}.{payload}."));
        check(&Key::of(b"other").token(&claims()));
    }

    #[test]
    fn a_key_of_its_own_stays_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let token = Key::own(&path).expect("made").token(&claims());
        assert_eq!(Key::own(&path).expect("read").claims(&token), Some(claims()));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, KEY_MODE);
        fs::write(&path, "").expect("written");
        assert!(Key::own(&path).is_err());
    }
}
