//! What an operator lets containers ask for, as the configuration spells it.

use std::path::PathBuf;
use std::time::Duration;

use agent::{Beyond, Gpu, GpuSearch, Projects};
use anyhow::Context;
use containers::policy::{IdMap, Policy};
use model::confinement::Capabilities;
use serde::Deserialize;

/// As Mesos has it.
const DISK_WATCH_SECONDS: u64 = 15;
const BYTES_PER_MIB: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Isolation {
    effective_capabilities: Option<Vec<String>>,
    bounding_capabilities: Option<Vec<String>>,
    seccomp_profiles: Option<PathBuf>,
    seccomp_default: Option<String>,
    devices: Vec<PathBuf>,
    gpus: Option<Vec<String>>,
    cdi_dirs: Option<Vec<PathBuf>>,
    user_namespaces: Option<UserNamespaces>,
    shm_size_mib: Option<u64>,
    share_pid: bool,
    share_ipc: bool,
    enforce_disk_quota: bool,
    disk_watch_seconds: Option<u64>,
    project_quota: ProjectQuota,
    project_ids: ProjectIds,
}

/// What comes of it where a file system counts by project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProjectQuota {
    /// Whoever is beyond its disk is told that there is no space.
    #[default]
    Refuse,
    /// It is ended.
    Kill,
    /// As if it did not.
    Off,
}

/// Nobody else's on the machine's disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectIds {
    first: u32,
    count: u32,
}

impl Default for ProjectIds {
    /// From where Mesos begins, to below where Kubernetes does.
    fn default() -> Self {
        Self { first: 5_000, count: 500_000 }
    }
}

/// Users of containers, as the machine knows them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserNamespaces {
    first_id: u32,
    #[serde(default = "ids_usual")]
    ids: u32,
    /// Of all containers with an image that do not say otherwise.
    #[serde(default)]
    default: bool,
}

/// As most distributions hand them out.
fn ids_usual() -> u32 {
    65_536
}

impl UserNamespaces {
    fn ids(&self) -> anyhow::Result<IdMap> {
        let (first, count) = (self.first_id, self.ids);
        anyhow::ensure!(
            0 < first && 0 < count && first.checked_add(count).is_some_and(|end| end < u32::MAX),
            "isolation.user_namespaces: {count} ids from {first} on are not {count} users other than root"
        );
        Ok(IdMap { first, count })
    }
}

impl Isolation {
    /// How often containers are looked at, if they are.
    pub(crate) fn disk_quota(&self) -> Option<Duration> {
        let seconds = self.disk_watch_seconds.unwrap_or(DISK_WATCH_SECONDS).max(1);
        self.enforce_disk_quota.then(|| Duration::from_secs(seconds))
    }

    /// For all agents of the machine.
    pub(crate) fn projects(&self) -> anyhow::Result<Projects> {
        let ProjectIds { first, count } = self.project_ids;
        anyhow::ensure!(
            0 < first && 0 < count && first.checked_add(count).is_some(),
            "isolation.project_ids: {count} ids from {first} on are not {count} projects; 0 is none"
        );
        let end = first + count;
        Ok(match self.project_quota {
            ProjectQuota::Refuse => Projects::new(first..end, Beyond::Refused),
            ProjectQuota::Kill => Projects::new(first..end, Beyond::Ended),
            ProjectQuota::Off => Projects::none(),
        })
    }

    /// Devices that tasks are given whole.
    pub(crate) fn gpus(&self) -> anyhow::Result<Vec<Gpu>> {
        let usual = GpuSearch::default();
        let search = GpuSearch {
            names: self.gpus.clone(),
            cdi_dirs: self.cdi_dirs.clone().unwrap_or(usual.cdi_dirs),
            ..usual
        };
        search.find()
    }

    pub(crate) fn policy(&self, handed_out: Vec<PathBuf>) -> anyhow::Result<Policy> {
        let effective_capabilities =
            capabilities("effective_capabilities", self.effective_capabilities.as_deref())?;
        let bounding_capabilities =
            capabilities("bounding_capabilities", self.bounding_capabilities.as_deref())?;
        if let (Some(effective), Some(bounding)) = (effective_capabilities, bounding_capabilities) {
            anyhow::ensure!(
                bounding.contains(effective),
                "isolation.effective_capabilities has {}, which isolation.bounding_capabilities lacks",
                effective.without(bounding)
            );
        }
        anyhow::ensure!(
            self.seccomp_default.is_none() || self.seccomp_profiles.is_some(),
            "isolation.seccomp_default names a profile; say where it lies: isolation.seccomp_profiles"
        );
        Ok(Policy {
            effective_capabilities,
            bounding_capabilities,
            seccomp_profiles: self.seccomp_profiles.clone(),
            seccomp_default: self.seccomp_default.clone(),
            devices: self.devices.clone(),
            handed_out,
            user_ids: self.user_namespaces.as_ref().map(UserNamespaces::ids).transpose()?,
            map_users: self.user_namespaces.as_ref().is_some_and(|all| all.default),
            shm_bytes: self.shm_size_mib.map(|mib| mib.saturating_mul(BYTES_PER_MIB)),
            share_pid: self.share_pid,
            share_ipc: self.share_ipc,
        })
    }
}

fn capabilities(key: &str, names: Option<&[String]>) -> anyhow::Result<Option<Capabilities>> {
    let Some(names) = names else { return Ok(None) };
    let all = names.iter().try_fold(Capabilities::NONE, |all, name| {
        let one: Capabilities = name.parse().with_context(|| format!("in isolation.{key}"))?;
        anyhow::Ok(all.with(one))
    });
    all.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_says_makes_sense_or_is_refused() {
        let names = |all: &[&str]| Some(all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let good = Isolation {
            effective_capabilities: names(&["CHOWN"]),
            bounding_capabilities: names(&["CHOWN", "NET_ADMIN"]),
            shm_size_mib: Some(1),
            ..Isolation::default()
        };
        let policy = good.policy(Vec::new()).expect("it makes sense");
        assert_eq!(policy.bounding_capabilities, Some(Capabilities(1 | 1 << 12)));
        assert_eq!(policy.shm_bytes, Some(1 << 20));
        let refused = |bad: Isolation, why: &str| {
            let cause = format!("{:#}", bad.policy(Vec::new()).expect_err(why));
            assert!(cause.contains(why), "{cause}");
        };
        refused(Isolation { bounding_capabilities: names(&["FLY"]), ..good.clone() }, "FLY");
        refused(Isolation { effective_capabilities: names(&["KILL"]), ..good.clone() }, "KILL");
        let root = UserNamespaces { first_id: 0, ids: 10, default: true };
        refused(Isolation { user_namespaces: Some(root), ..good.clone() }, "other than root");
        let nobody = ProjectIds { first: 0, count: 10 };
        let cause = Isolation { project_ids: nobody, ..good.clone() }.projects();
        assert!(cause.expect_err("0 is none").to_string().contains("isolation.project_ids"));
        let named = Some("strict".to_owned());
        refused(Isolation { seccomp_default: named, ..good }, "seccomp_profiles");
    }
}
