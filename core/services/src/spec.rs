//! An app as it was accepted: complete, normalised, valid. The API's `App` becomes one of these or is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::container::{ContainerInfo, Family, Scheme, Uri};
use model::id::Role;
use model::resources::Scalar;
use placement::Constraint;

/// An absolute path such as `/prod/web`: segments of lower-case letters, digits, dashes and dots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an app id: segments of lower-case letters, digits, dashes and dots, such as /prod/web"
)]
pub struct BadAppId(pub String);

impl AppId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/prod/web` as Marathon spells it in task ids: `prod_web`.
    pub fn underscored(&self) -> String {
        self.0.trim_start_matches('/').replace('/', "_")
    }

    /// The topmost group, `prod` of `/prod/web`, if it lies in one.
    pub fn top_group(&self) -> Option<&str> {
        self.0.trim_start_matches('/').split_once('/').map(|(top, _)| top)
    }

    /// The groups that it lies in, the innermost first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = AppId> {
        let parent = |id: &AppId| match id.0.rsplit_once('/') {
            None | Some(("", _)) => None,
            Some((parent, _)) => Some(AppId(parent.into())),
        };
        std::iter::successors(parent(self), parent)
    }

    /// Whatever lies in the group of this name sorts between these two.
    pub(crate) fn inside(&self) -> (AppId, AppId) {
        // `0` follows `/`.
        (AppId(format!("{}/", self.0).into()), AppId(format!("{}0", self.0).into()))
    }
}

impl FromStr for AppId {
    type Err = BadAppId;

    /// Takes absolute and rootless paths, folds double and trailing slashes, and resolves `..`.
    fn from_str(text: &str) -> Result<Self, BadAppId> {
        let bad = || BadAppId(text.to_owned());
        let mut path: Vec<&str> = Vec::new();
        for segment in text.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
            match segment {
                ".." => drop(path.pop().ok_or_else(bad)?),
                name if is_segment(name) => path.push(name),
                _ => return Err(bad()),
            }
        }
        if path.is_empty() {
            return Err(bad());
        }
        Ok(Self(format!("/{}", path.join("/")).into()))
    }
}

/// Dot-separated names that neither begin nor end with a dash.
fn is_segment(text: &str) -> bool {
    text.split('.').all(|name| {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !name.is_empty()
            && name.bytes().all(legal)
            && !name.starts_with('-')
            && !name.ends_with('-')
    })
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for AppId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AppId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.str()?.into()))
    }
}

/// Every field that this release knows; the defaults are filled in. `id`, `version` and what depends on other apps
/// (service ports, role) are settled when it is deployed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct AppSpec {
    #[n(0)]
    pub id: AppId,
    #[n(1)]
    pub process: Process,
    #[n(2)]
    pub user: Option<String>,
    #[n(3)]
    pub env: BTreeMap<String, String>,
    #[n(4)]
    pub labels: BTreeMap<String, String>,
    #[n(5)]
    pub cpus: Scalar,
    /// MiB.
    #[n(6)]
    pub mem: Scalar,
    /// MiB.
    #[n(7)]
    pub disk: Scalar,
    #[n(8)]
    pub gpus: u32,
    #[n(9)]
    pub instances: u32,
    #[n(10)]
    pub container: Option<ContainerInfo>,
    #[n(11)]
    pub ports: Vec<PortDefinition>,
    #[n(12)]
    pub require_ports: bool,
    #[n(13)]
    pub constraints: Vec<Constraint>,
    #[n(14)]
    pub health_checks: Vec<AppHealthCheck>,
    #[n(15)]
    pub upgrade: UpgradeStrategy,
    #[n(16)]
    pub backoff: Backoff,
    #[n(17)]
    pub kill_selection: KillSelection,
    #[n(18)]
    pub unreachable: UnreachableStrategy,
    #[n(19)]
    pub kill_grace: Option<Duration>,
    #[n(20)]
    pub fetch: Vec<Uri>,
    #[n(21)]
    pub dependencies: Vec<AppId>,
    /// Resources of which roles it takes; unset: `*`, what nobody has reserved
    /// (`--accepted_resource_roles_default_behavior unreserved`).
    #[n(22)]
    pub accepted_roles: Option<Vec<Role>>,
    /// Unset on input: the default role, or the top group's name where groups enforce their role.
    #[n(23)]
    pub role: Option<Role>,
    /// As given: empty or `//cmd`.
    #[n(24)]
    pub executor: String,
    #[n(25)]
    pub tty: Option<bool>,
    #[n(26)]
    pub readiness: Option<ReadinessCheck>,
}

/// What an instance runs.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Process {
    /// `/bin/sh -c <cmd>`.
    #[n(0)]
    Cmd(#[n(0)] String),
    /// With an image: arguments of its entrypoint. Without: program and arguments.
    #[n(1)]
    Args(#[n(0)] Vec<String>),
    /// The image's own entrypoint and command.
    #[n(2)]
    Image,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PortDefinition {
    /// With `requirePorts` the host port, else the service port; 0: chosen by us.
    #[n(0)]
    pub port: u16,
    #[n(1)]
    pub name: Option<String>,
    /// `tcp`, `udp` or `udp,tcp`.
    #[n(2)]
    pub protocol: String,
    #[n(3)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AppHealthCheck {
    #[n(0)]
    pub kind: CheckKind,
    #[n(1)]
    pub grace: Duration,
    #[n(2)]
    pub interval: Duration,
    #[n(3)]
    pub timeout: Duration,
    #[n(4)]
    pub delay: Duration,
    #[n(5)]
    pub failures_max: u32,
    #[n(6)]
    pub ignore_http_1xx: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CheckKind {
    #[n(0)]
    Http {
        #[n(0)]
        scheme: Scheme,
        #[n(1)]
        path: Option<String>,
        #[n(2)]
        port: CheckPort,
        #[n(3)]
        family: Family,
        /// Spelled `MESOS_HTTP` instead of `HTTP`.
        #[n(4)]
        mesos: bool,
    },
    #[n(1)]
    Tcp {
        #[n(0)]
        port: CheckPort,
        #[n(1)]
        family: Family,
        #[n(2)]
        mesos: bool,
    },
    #[n(2)]
    Command(#[n(0)] String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum CheckPort {
    /// The nth of the app's ports.
    #[n(0)]
    Index(#[n(0)] u16),
    #[n(1)]
    Number(#[n(0)] u16),
}

/// As fractions of the instance count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct UpgradeStrategy {
    /// At least so many healthy ones at any time.
    #[n(0)]
    pub minimum_health_capacity: Scalar,
    /// At most so many more than wanted.
    #[n(1)]
    pub maximum_over_capacity: Scalar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Backoff {
    #[n(0)]
    pub initial: Duration,
    /// At least 1.
    #[n(1)]
    pub factor: Scalar,
    #[n(2)]
    pub max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KillSelection {
    #[n(0)]
    YoungestFirst,
    #[n(1)]
    OldestFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum UnreachableStrategy {
    /// Instances of lost agents are waited for as long as it takes.
    #[n(0)]
    Disabled,
    #[n(1)]
    Enabled {
        /// Then a replacement is launched.
        #[n(0)]
        inactive_after: Duration,
        /// Then the instance is given up, and killed if it comes back.
        #[n(1)]
        expunge_after: Duration,
    },
}

/// Gates a deployment: an instance counts once this endpoint has said yes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ReadinessCheck {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub scheme: Scheme,
    #[n(2)]
    pub path: String,
    #[n(3)]
    pub port_name: String,
    #[n(4)]
    pub interval: Duration,
    #[n(5)]
    pub timeout: Duration,
    #[n(6)]
    pub statuses: Vec<u16>,
    #[n(7)]
    pub preserve_last_response: bool,
}
