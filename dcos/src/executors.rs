//! How executors that are their frameworks' own reach their agents, and how long they are waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::Key;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The longest path that a socket can have, as the kernel has it.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// What is added to the path for agents after the first.
const NUMBER_BYTES_MAX: usize = 4;
/// Of the key that an agent makes for itself, in its directory.
const KEY: &str = "executor_key";
/// As DC/OS has it.
const RECOVERY_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;
/// As Mesos calls it.
const SOCKET: &str = "agent.sock";

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Executors {
    /// From the launch of one to its subscription.
    registration_timeout_seconds: u64,
    /// From a restart of the agent to a new subscription.
    reregistration_timeout_seconds: u64,
    /// From the word that one is to end to SIGKILL, where it does not say itself.
    shutdown_grace_period_seconds: u64,
    /// How long one is to wait for an agent that is away.
    recovery_timeout_seconds: u64,
    /// Agents listen at a Unix socket, too.
    http_executor_domain_sockets: bool,
    /// In a directory of its own.
    domain_socket_location: Option<PathBuf>,
    /// Executors have to show the token that they were given.
    authenticate_http_executors: bool,
    /// What signs them; without it each agent makes its own.
    jwt_secret_key: Option<PathBuf>,
}

impl Default for Executors {
    fn default() -> Self {
        let node = node::Config::default();
        Self {
            registration_timeout_seconds: node.registration_timeout.as_secs(),
            reregistration_timeout_seconds: node.reregistration_timeout.as_secs(),
            shutdown_grace_period_seconds: node.shutdown_grace.as_secs(),
            recovery_timeout_seconds: RECOVERY_TIMEOUT_SECONDS,
            http_executor_domain_sockets: false,
            domain_socket_location: None,
            authenticate_http_executors: false,
            jwt_secret_key: None,
        }
    }
}

impl Executors {
    pub(crate) fn check(&self) -> Result<()> {
        if self.registration_timeout_seconds == 0 || self.reregistration_timeout_seconds == 0 {
            bail!(
                "executors: registration_timeout_seconds and reregistration_timeout_seconds are at least 1"
            );
        }
        if let Some(socket) = &self.domain_socket_location {
            let bytes = socket.as_os_str().len();
            if SOCKET_PATH_BYTES_MAX - NUMBER_BYTES_MAX < bytes || !socket.is_absolute() {
                bail!(
                    "executors: domain_socket_location: {} is to be an absolute path of at most {} bytes",
                    socket.display(),
                    SOCKET_PATH_BYTES_MAX - NUMBER_BYTES_MAX
                );
            }
            if socket.file_name().is_none() || socket.parent() == Some(Path::new("/")) {
                bail!(
                    "executors: domain_socket_location: {} is to be in a directory of its own",
                    socket.display()
                );
            }
        }
        if let Some(path) =
            self.jwt_secret_key.as_ref().filter(|_| self.authenticate_http_executors)
        {
            Key::read(path).context("executors: jwt_secret_key")?;
        }
        Ok(())
    }

    /// Of agent `number`; in `dir` unless the settings say where.
    pub(crate) fn socket(&self, number: u16, dir: &Path) -> Option<PathBuf> {
        if !self.http_executor_domain_sockets {
            return None;
        }
        let Some(chosen) = &self.domain_socket_location else { return Some(dir.join(SOCKET)) };
        Some(match number {
            0 => chosen.clone(),
            _ => PathBuf::from(format!("{}.{number}", chosen.display())),
        })
    }

    pub(crate) fn key(&self, agent_dir: &Path) -> Result<Option<Key>> {
        if !self.authenticate_http_executors {
            return Ok(None);
        }
        let key = match &self.jwt_secret_key {
            Some(path) => Key::read(path).context("executors: jwt_secret_key"),
            None => Key::own(&agent_dir.join(KEY)),
        };
        key.map(Some)
    }

    pub(crate) fn recovery_timeout(&self) -> Duration {
        Duration::from_secs(self.recovery_timeout_seconds)
    }

    pub(crate) fn config(&self) -> node::Config {
        node::Config {
            registration_timeout: Duration::from_secs(self.registration_timeout_seconds),
            reregistration_timeout: Duration::from_secs(self.reregistration_timeout_seconds),
            shutdown_grace: Duration::from_secs(self.shutdown_grace_period_seconds),
            ..node::Config::default()
        }
    }
}
