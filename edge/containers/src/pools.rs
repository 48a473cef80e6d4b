//! Control groups that several containers share: who is in which, and what all in one may use.
//!
//! A pool is made before the first container in it, and goes with the last. A shim that finds that somebody has removed
//! it makes it again; which pool a container is in stands in its run directory, for the next daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use model::id::ContainerId;

use crate::daemon::{Daemon, SHIMS};
use crate::protocol::Pool;
use crate::spec::{Limits, WITHIN};
use crate::{Containers, run_dir};

#[derive(Debug, Default)]
pub(crate) struct Pools {
    limits: BTreeMap<ContainerId, Limits>,
    of: BTreeMap<ContainerId, ContainerId>,
}

impl Pools {
    fn is_empty(&self, pool: &ContainerId) -> bool {
        !self.of.values().any(|one| one == pool)
    }
}

impl Containers {
    /// What those may use together that name this pool, from now on.
    pub fn pool(&self, pool: &ContainerId, limits: &Limits) -> anyhow::Result<()> {
        let mut pools = self.0.pools();
        pools.limits.insert(pool.clone(), limits.clone());
        self.0.hierarchies.make_pool(&self.0.pool_cgroup(pool), limits)
    }

    /// Nobody will be launched in it any more.
    pub fn forget_pool(&self, pool: &ContainerId) -> anyhow::Result<()> {
        let mut pools = self.0.pools();
        pools.limits.remove(pool);
        match pools.is_empty(pool) {
            true => self.0.hierarchies.remove(&self.0.pool_cgroup(pool)),
            false => Ok(()),
        }
    }
}

impl Daemon {
    /// Who is about to be launched is in its pool from now on.
    pub(crate) fn enter_pool(&self, container: &ContainerId, pool: &ContainerId) -> Pool {
        let mut pools = self.pools();
        pools.of.insert(container.clone(), pool.clone());
        let limits = pools.limits.get(pool).cloned().unwrap_or_default();
        Pool { cgroup: self.pool_cgroup(pool), limits }
    }

    /// Of one that an earlier daemon launched.
    pub(crate) fn recover_pool(&self, container: &ContainerId) {
        if let Some(pool) = run_dir::pool(&self.run_dir(container)) {
            self.pools().of.insert(container.clone(), pool);
        }
    }

    /// It is gone; with the last of them the pool is.
    pub(crate) fn leave_pool(&self, container: &ContainerId) {
        let mut pools = self.pools();
        let Some(pool) = pools.of.remove(container) else { return };
        if pools.is_empty(&pool) {
            self.hierarchies.remove_hollow(&self.pool_cgroup(&pool));
        }
    }

    /// Removes what an earlier daemon had no time to remove: pools that nobody is in.
    pub(crate) fn sweep_pools(&self, known: &BTreeSet<ContainerId>) {
        for name in self.hierarchies.names_in(&self.config.cgroup_parent) {
            if name != SHIMS && !known.contains(&ContainerId::new(name.as_str())) {
                self.hierarchies.remove_hollow(&format!("{}/{name}", self.config.cgroup_parent));
            }
        }
    }

    /// Of the container that it lies in, if it lies in one.
    pub(crate) fn pool_of(&self, container: &ContainerId) -> Option<ContainerId> {
        let name = container.as_str();
        let outer = name.split_once(WITHIN).map_or(name, |(outer, _)| outer);
        self.pools().of.get(&ContainerId::new(outer)).cloned()
    }

    pub(crate) fn pool_cgroup(&self, pool: &ContainerId) -> String {
        format!("{}/{pool}", self.config.cgroup_parent)
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
