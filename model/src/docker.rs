//! What the words of `docker run` ask of our own runtime: those that mean something to it are obeyed, the others are
//! refused by name, with what to say instead.

use std::time::Duration;

use crate::confinement::{Capabilities, Confinement, Device, Rights, Seccomp, Sharing};
use crate::container::{Rlimit, Volume};

mod refused;
mod spelled;
mod words;

pub use spelled::signal;
pub use words::rest_of;

/// One word and what it is told. Without dashes, long or as a letter; a switch is told `true`, `false` or nothing.
pub type Word = (String, String);

/// All that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    pub user: Option<String>,
    pub environment: Vec<(String, String)>,
    pub hostname: Option<String>,
    pub privileged: bool,
    pub rlimits: Vec<Rlimit>,
    pub volumes: Vec<Volume>,
    pub limits: Limits,
    pub logs: Logs,
    /// From the word that it is to end to SIGKILL.
    pub stop_timeout: Option<Duration>,
    pub confinement: Confinement,
}

/// Where unset, what the task itself says counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    pub cpu_shares: Option<u64>,
    /// Of a processor.
    pub cpu_millis_max: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// Memory and swap together; `Unlimited` as Docker's -1.
    pub memory_swap: Option<Most>,
    /// What is left to it when the machine runs short.
    pub memory_reservation_bytes: Option<u64>,
    pub processes: Option<Most>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    Unlimited,
    Amount(u64),
}

/// How much output of each stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Logs {
    pub file_bytes_max: Option<u64>,
    /// The current one included.
    pub files_max: Option<u32>,
}

/// Why a word is refused, and which one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("docker parameter {word}={value}: {why}")]
pub struct Unfit {
    /// Its place in the list.
    pub at: usize,
    pub word: String,
    pub value: String,
    pub why: String,
}

/// All that is asked, or all that is wrong with it.
pub fn read(words: &[Word]) -> Result<Asked, Vec<Unfit>> {
    let (mut asked, mut unfit) = (Asked::default(), Vec::new());
    let mut quota = Quota::default();
    for (at, (word, value)) in words.iter().enumerate() {
        if let Err(why) = words::heed(word, value, &mut asked, &mut quota) {
            unfit.push(Unfit { at, word: word.clone(), value: value.clone(), why });
        }
    }
    if let Some(micros) = quota.micros {
        asked.limits.cpu_millis_max = Some(micros * 1000 / quota.period_micros.max(1));
    }
    if unfit.is_empty() { Ok(asked) } else { Err(unfit) }
}

/// `cpu-quota` is of `cpu-period`, whichever comes first.
#[derive(Debug)]
struct Quota {
    micros: Option<u64>,
    period_micros: u64,
}

impl Default for Quota {
    /// The kernel's own period.
    fn default() -> Self {
        Self { micros: None, period_micros: 100_000 }
    }
}

impl Asked {
    fn change(&mut self, change: impl FnOnce(&mut Capabilities, &mut Capabilities)) {
        let (mut add, mut drop) = match self.confinement.rights {
            Rights::Changed { add, drop } => (add, drop),
            Rights::Usual | Rights::Exactly { .. } => (Capabilities::NONE, Capabilities::NONE),
        };
        change(&mut add, &mut drop);
        self.confinement.rights = Rights::Changed { add, drop };
    }
}

/// `seccomp=NAME`, `no-new-privileges`, and those of other systems that say: nothing of the kind.
fn security(value: &str, confinement: &mut Confinement) -> Result<(), String> {
    let (name, rest) = value.split_once(['=', ':']).unwrap_or((value, ""));
    match (name, rest) {
        ("seccomp", "unconfined") => confinement.seccomp = Some(Seccomp::Unconfined),
        ("seccomp", "builtin") => confinement.seccomp = None,
        ("seccomp", profile) if !profile.is_empty() => {
            confinement.seccomp = Some(Seccomp::Profile(profile.to_owned()));
        }
        ("no-new-privileges", _) => confinement.no_new_privileges = Some(spelled::switch(rest)?),
        ("systempaths", "unconfined") => confinement.unmasked = true,
        // No task is confined by these.
        ("label", "disable") | ("apparmor", "unconfined") => {}
        ("label" | "apparmor", _) => {
            return Err("no task is confined by SELinux or AppArmor here; take it out".into());
        }
        (_, _) => {
            return Err("expected seccomp=PROFILE, seccomp=unconfined, no-new-privileges \
                        or systempaths=unconfined"
                .into());
        }
    }
    Ok(())
}

fn sharing(word: &str, value: &str) -> Result<Option<Sharing>, String> {
    match value {
        "host" => Ok(Some(Sharing::Parent)),
        "private" | "shareable" => Ok(Some(Sharing::Private)),
        "" => Ok(None),
        _ => Err(format!("{word} is host or private here; for more, make a pod")),
    }
}

/// `/dev/fuse`, `/dev/sda:/dev/xvda`, `/dev/sda:/dev/xvda:r`.
fn device(value: &str) -> Result<Device, String> {
    let parts: Vec<&str> = value.split(':').collect();
    let is_access = |text: &str| !text.is_empty() && text.chars().all(|c| "rwm".contains(c));
    let (host, inside, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if is_access(access) => (host, host, access),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, access] if is_access(access) => (host, inside, access),
        _ => return Err("expected HOST[:CONTAINER[:rwm]]".into()),
    };
    if ![host, inside].iter().all(|path| path.starts_with("/dev/") && !path.contains("..")) {
        return Err("both paths have to lie below /dev".into());
    }
    let (host_path, container_path) = (host.to_owned(), inside.to_owned());
    Ok(Device { host_path, container_path, access: access.to_owned() })
}

#[cfg(test)]
mod tests;
