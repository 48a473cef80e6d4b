//! Keepers: containers without a program, files or rights, which keep namespaces for others that have them in common.
//!
//! A keeper is made before the first of a group that wants its namespaces, and goes with the last. It outlives the
//! daemon as all containers do. Whose namespaces a container has stands in its run directory, for the next daemon.
//! A container that lies in another shares those of that one, which is its keeper then: its network in any case.

use std::collections::BTreeMap;

use anyhow::Context;
use model::confinement::{Capabilities, Confinement, Rights, Sharing};
use model::container::Run;
use model::id::ContainerId;

use crate::daemon::{Daemon, launch_failed};
use crate::protocol::{Ask, Keeper, Launch};
use crate::spec::{ImageConfig, Limits, Logs, Root, Shares, Spec, WITHIN};
use crate::{Found, FoundState, LaunchError, run_dir, skeleton};

/// Ends the name of a keeper. No other container can have such a name.
const KEEPER: &str = "~keeper";

#[derive(Debug, Default)]
pub(crate) struct Keepers {
    /// By group: the first process.
    pids: BTreeMap<ContainerId, u32>,
    of: BTreeMap<ContainerId, ContainerId>,
}

pub(crate) fn is_keeper(container: &ContainerId) -> bool {
    container.as_str().ends_with(KEEPER)
}

fn keeper_of(group: &ContainerId) -> ContainerId {
    ContainerId::new(format!("{group}{KEEPER}"))
}

impl Daemon {
    /// Whose namespaces a container is to have, if they are neither its own nor the machine's.
    pub(crate) async fn find_keeper(&self, spec: &Spec) -> Result<Option<Keeper>, LaunchError> {
        let asked = |sharing| sharing == Some(Sharing::Parent);
        let (pid, ipc) = (asked(spec.confinement.pid), asked(spec.confinement.ipc));
        let net = spec.confinement.net != Some(Sharing::Private) && spec.network.is_none();
        // Who lies in one that is in the machine's network is in that anyway.
        let outer = spec.container.as_str().rsplit_once(WITHIN);
        let net = net && outer.is_some_and(|(outer, _)| self.is_apart(&ContainerId::new(outer)));
        let found = match (&spec.shares, outer) {
            (Some(shares), _) => {
                let keeper = self.keeper(spec, shares).await?;
                let cgroup = self.cgroup(&keeper_of(&shares.group));
                let Shares { pid, ipc, net, .. } = *shares;
                Some(Keeper { process: keeper, cgroup, pid, ipc, net })
            }
            (None, Some((outer, _))) if pid || ipc || net => {
                let outer = ContainerId::new(outer);
                let process = self.first_process(&outer).await;
                let process = process
                    .map_err(|e| launch_failed(format!("the container it lies in: {e:#}")))?;
                Some(Keeper { process, cgroup: self.cgroup(&outer), pid, ipc, net })
            }
            (None, _) => None,
        };
        Ok(found)
    }

    pub(crate) async fn first_process(&self, container: &ContainerId) -> anyhow::Result<u32> {
        let channel = self.connect(container).await?.context("the container has ended")?;
        channel.ask(Ask::Subscribe, &[])?;
        match self.soon(self.state_told(&channel)).await? {
            Some(pid) => Ok(pid),
            None => anyhow::bail!("the container has ended"),
        }
    }

    /// Makes it if there is none, or none any more.
    async fn keeper(&self, spec: &Spec, shares: &Shares) -> Result<u32, LaunchError> {
        let mishap = |e: anyhow::Error| launch_failed(format!("{e:#}"));
        let group = &shares.group;
        let mut keepers = self.keepers.lock().await;
        keepers.of.insert(spec.container.clone(), group.clone());
        let own = keeper_of(group);
        if let Some(pid) = keepers.pids.get(group).copied() {
            if self.connect(&own).await.map_err(mishap)?.is_some() {
                return Ok(pid);
            }
            self.clear(&own).map_err(mishap)?;
        }
        let launch = self.describe_keeper(own, spec, shares)?;
        let started = self.start(&launch).await?;
        keepers.pids.insert(group.clone(), started.pid);
        Ok(started.pid)
    }

    fn describe_keeper(
        &self,
        container: ContainerId,
        of: &Spec,
        shares: &Shares,
    ) -> Result<Launch, LaunchError> {
        let nothing = Some(Capabilities::default());
        // Those whose processes see it may have rights that reach into it: there is nothing.
        let confinement = Confinement {
            rights: Rights::Exactly { effective: nothing, bounding: nothing },
            users: Some(Sharing::Parent),
            shm_bytes: shares.shm_bytes,
            net: shares.net.then_some(Sharing::Private),
            ..Confinement::default()
        };
        let [root, sandbox] = skeleton::empty(&self.config.layer_dir);
        let spec = Spec {
            container,
            sandbox,
            run: Run::Exec(vec![KEEPER.to_owned()]),
            environment: Vec::new(),
            user: None,
            root: Root::Image { layers: vec![root], config: ImageConfig::default() },
            volumes: Vec::new(),
            limits: Limits::default(),
            terminal: None,
            privileged: false,
            logs: Logs { stdout: None, stderr: None, journal: None },
            hostname: None,
            rlimits: Vec::new(),
            confinement,
            mounts: Vec::new(),
            devices: Vec::new(),
            hooks: Vec::new(),
            pool: of.pool.clone(),
            shares: None,
            project: None,
            network: None,
        };
        Ok(Launch { keeps: true, ..self.describe_any(spec)? })
    }

    /// A container is gone; with the last of its group the keeper is.
    pub(crate) async fn leave_keeper(&self, container: &ContainerId) -> anyhow::Result<()> {
        let mut keepers = self.keepers.lock().await;
        let Some(group) = keepers.of.remove(container) else { return Ok(()) };
        if keepers.of.values().any(|other| *other == group) {
            return Ok(());
        }
        keepers.pids.remove(&group);
        self.dismiss(&keeper_of(&group)).await
    }

    async fn dismiss(&self, keeper: &ContainerId) -> anyhow::Result<()> {
        self.end(keeper).await?;
        self.clear(keeper)
    }

    /// Of what an earlier daemon has left: knows who has which keeper, and ends those that nobody has.
    pub(crate) async fn recover_keepers(&self, found: Vec<Found>) -> anyhow::Result<Vec<Found>> {
        let (own, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|one| is_keeper(&one.container));
        let mut keepers = self.keepers.lock().await;
        for one in &others {
            if let Some(group) = run_dir::keeper(&self.run_dir(&one.container)) {
                keepers.of.insert(one.container.clone(), group);
            }
        }
        for Found { container, state } in own {
            let group = container.as_str().strip_suffix(KEEPER).unwrap_or_default();
            let group = ContainerId::new(group);
            match state {
                FoundState::Alive { pid } if keepers.of.values().any(|of| *of == group) => {
                    keepers.pids.insert(group, pid);
                }
                FoundState::Alive { .. } | FoundState::Exited(_) => {
                    self.dismiss(&container).await?
                }
            }
        }
        Ok(others)
    }
}
