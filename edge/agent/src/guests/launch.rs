//! Containers of callers: how one starts, how it is found again, and how nothing of it stays.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, anyhow, bail};
use containers::spec::{Limits, Root, Spec, WITHIN, WindowSize};
use containers::{Found as Recovered, FoundState};
use model::container::{CommandInfo, ContainerInfo, Run, Volume};
use model::id::{ContainerId, ExecutorId};
use model::limits;
use model::resources::Resources;
use node::Held;
use tokio::task::spawn_blocking;

use super::ledger::Entry;
use super::lineage::within;
use super::{Found, Guest, Guests, Kind, Lineage, Refusal};
use crate::asked::Asked;
use crate::environment::of_guest;
use crate::extras::{self, Extras};
use crate::logger::Origin;
use crate::real::launch;
use crate::sandbox::{Owner, Tenant, owner, recipient};

/// Others may enter: an image's user may be another than the container's.
const SANDBOX_MODE: u32 = 0o755;

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) lineage: Lineage,
    pub(crate) command: Option<CommandInfo>,
    pub(crate) surroundings: Option<ContainerInfo>,
    pub(crate) terminal: Option<WindowSize>,
    /// Of a container on its own, or with control groups of its own. What lies in another uses what that has.
    pub(crate) resources: Resources,
    pub(crate) limits: limits::Limits,
}

/// What it lies in.
struct Host {
    container: ContainerId,
    task: Option<Arc<Held>>,
}

impl Guests {
    /// Returns when the program has been executed. Goes on even if nobody waits for it any more.
    pub(crate) async fn launch(&self, wanted: Wanted) -> Result<(), Refusal> {
        let guests = self.clone();
        let launching = self.0.deeds.spawn(async move { guests.start(wanted).await });
        let ended = |_| Err(Refusal::Mishap("The agent is ending".to_owned()));
        launching.await.unwrap_or_else(ended)
    }

    async fn start(&self, wanted: Wanted) -> Result<(), Refusal> {
        let host = match wanted.lineage.parent() {
            None => None,
            Some(parent) => Some(self.host_of(&parent)?),
        };
        let lineage = wanted.lineage.clone();
        if self.find(&lineage).is_some() {
            return Err(Refusal::Exists(lineage));
        }
        let container = match &host {
            Some(host) => within(&host.container, lineage.name()),
            None => ContainerId::new(lineage.name()),
        };
        let image = wanted.surroundings.as_ref().and_then(|around| around.image.as_ref());
        let entry = Entry {
            lineage: lineage.clone(),
            container: container.to_string(),
            resources: host.is_none().then(|| wanted.resources.to_string()),
            image: image.map(|image| image.name.clone()),
        };
        let kind = Kind::Container { entry: entry.clone(), keeps: Mutex::default() };
        let guest = Arc::new(Guest { lineage, container: container.clone(), kind });
        self.admit(guest.clone())?;
        self.0.exits.forget(&container);
        let launched = tokio::select! {
            launched = self.work(&wanted, host.as_ref(), &guest, entry) => launched,
            () = self.0.ending.cancelled() => Err(anyhow!("The agent is ending")),
        };
        if let Err(cause) = launched {
            self.discard(&guest).await;
            return Err(Refusal::Bad(format!("{cause:#}")));
        }
        tracing::info!(%container, "a caller's container runs");
        Ok(())
    }

    fn host_of(&self, parent: &Lineage) -> Result<Host, Refusal> {
        let container = self.host(parent)?;
        let task = match self.find(parent) {
            Some(Found::Task(_, held)) => Some(held),
            Some(Found::Program(..) | Found::Shared | Found::Guest(_)) | None => None,
        };
        Ok(Host { container, task })
    }

    async fn work(
        &self,
        wanted: &Wanted,
        host: Option<&Host>,
        guest: &Guest,
        entry: Entry,
    ) -> anyhow::Result<()> {
        let ledger = self.0.ledger.clone();
        spawn_blocking(move || ledger.write(&entry)).await??;
        let user = wanted.command.as_ref().and_then(|command| command.user.clone());
        let of_host = || host?.task.as_ref()?.info.command.user.clone();
        let user = user.or_else(of_host);
        let image = wanted.surroundings.as_ref().and_then(|around| around.image.as_ref());
        let owner = match user.as_deref().map(owner) {
            Some(Err(_)) if image.is_some() => None,
            owner => owner.transpose()?,
        };
        let sandbox = self.0.ledger.sandbox(&guest.container);
        let at = sandbox.clone();
        spawn_blocking(move || make(&at, owner)).await??;
        let uris = wanted.command.as_ref().map_or(&[][..], |command| &command.uris);
        let fetched = self.0.fetcher.fetch(uris, &sandbox, recipient(user.as_deref(), owner));
        let pulled = async {
            let Some(image) = image else { return Ok(None) };
            anyhow::Ok(Some(self.0.images.pull(extras::request(image)?).await?))
        };
        let extras =
            extras::gather(&self.0.images, &self.0.host_paths, wanted.surroundings.as_ref());
        let fetched = async { anyhow::Ok(fetched.await?) };
        let ((), image, mut extras) = tokio::try_join!(fetched, pulled, extras)?;
        if let Kind::Container { keeps, .. } = &guest.kind {
            let mut keeps = keeps.lock().expect("nobody panics while holding it");
            keeps.append(&mut extras.keeps);
            keeps.extend(image.as_ref().map(|image| image.keep.clone()));
        }
        let root = image.map_or(Root::Host, launch::root);
        let mut spec = self.spec((wanted, extras), host, guest, (sandbox, user, root))?;
        let (gpus, container, resources) =
            (self.0.gpus.clone(), guest.container.clone(), wanted.resources.clone());
        let has = match host {
            Some(_) => gpus.of(&container),
            None => spawn_blocking(move || gpus.take(&container, &resources)).await??,
        };
        has.apply(&mut spec);
        self.0.containers.launch(spec).await?;
        Ok(())
    }

    fn spec(
        &self,
        (wanted, extras): (&Wanted, Extras),
        host: Option<&Host>,
        guest: &Guest,
        (sandbox, user, root): (PathBuf, Option<String>, Root),
    ) -> anyhow::Result<Spec> {
        let around = wanted.surroundings.as_ref();
        let run = match (&wanted.command, &root) {
            (Some(command), _) => command.run.clone(),
            (None, Root::Image { .. }) => Run::Image(Vec::new()),
            (None, Root::Host) => bail!("'command' must be set where there is no image"),
        };
        let shared = around.into_iter().flat_map(|around| &around.shared);
        let shared = shared.map(|volume| {
            let host_path = self.shared_path(host, &volume.name)?.display().to_string();
            let (container_path, mode) = (volume.container_path.clone(), volume.mode);
            anyhow::Ok(Volume { container_path, host_path, mode })
        });
        let own = extras.volumes.into_iter();
        let asked = Asked::read(around)?;
        let limits = match host {
            Some(_) if wanted.resources.is_empty() => Limits::default(),
            Some(_) | None => asked.limits(launch::limits(&wanted.resources, &wanted.limits)),
        };
        let environment = wanted.command.as_ref().map_or(&[][..], |command| &command.environment);
        let view = self.0.board.view();
        let agent = view.own.as_ref().and_then(|own| own.agent.as_ref());
        let held = host.and_then(|host| host.task.as_deref());
        let executor = held.map(Held::executor);
        let origin = Origin {
            agent: agent.map_or("", |agent| agent.as_str()),
            framework: held.map(|held| held.framework.as_str()),
            executor: executor.as_ref().map(ExecutorId::as_str),
            container: guest.container.as_str(),
            labels: &[],
        };
        let logs = self.0.logs.changed_by(environment)?.logs(&origin);
        Ok(Spec {
            container: guest.container.clone(),
            run,
            environment: of_guest(guest.lineage.name(), &root, wanted.command.as_ref()),
            volumes: own.map(Ok).chain(shared).collect::<anyhow::Result<_>>()?,
            mounts: extras.mounts,
            devices: vec![],
            hooks: vec![],
            pool: None,
            shares: None,
            project: None,
            network: None,
            sandbox,
            user,
            root,
            limits,
            terminal: wanted.terminal,
            privileged: asked.privileged,
            logs: asked.logs(logs),
            hostname: asked.hostname,
            rlimits: asked.rlimits,
            confinement: asked.confinement,
        })
    }

    /// What the tasks of its host's group share.
    fn shared_path(&self, host: Option<&Host>, name: &str) -> anyhow::Result<PathBuf> {
        let held = host.and_then(|host| Some((host, host.task.as_ref()?)));
        let grouped = held.filter(|(_, held)| held.group.is_some());
        let (host, held) = grouped.context(
            "'container.volumes.source.sandbox_path' of type PARENT needs a parent that was launched in a group",
        )?;
        self.0.sandboxes.share(Tenant::of(&host.container, held).run(), name)
    }

    /// What an earlier life of the agent has left. True if it is of a caller.
    pub(crate) fn recover(&self, found: &Recovered) -> bool {
        let all = self.all();
        let known = all.values().find(|guest| guest.container == found.container);
        if known.is_some()
            && let FoundState::Exited(exited) = &found.state
        {
            self.0.gpus.give_back(&found.container);
            self.0.exits.remember(&found.container, exited.clone());
        }
        known.is_some()
    }

    /// Reads what was written down; before [`recover`](Self::recover).
    pub(crate) fn read(&self) -> anyhow::Result<()> {
        for entry in self.0.ledger.read()? {
            let container = ContainerId::new(entry.container.as_str());
            let lineage = entry.lineage.clone();
            let kind = Kind::Container { entry, keeps: Mutex::default() };
            let guest = Arc::new(Guest { lineage: lineage.clone(), container, kind });
            self.all().insert(lineage, guest);
        }
        Ok(())
    }

    /// Lets go of those that the runtime does not know, and of those whose host it does not.
    pub(crate) async fn settle(&self, known: &[ContainerId]) {
        let host = |guest: &Guest| {
            let (host, _) = guest.container.as_str().rsplit_once(WITHIN)?;
            Some(ContainerId::new(host))
        };
        let is_lost = |guest: &Guest| {
            !known.contains(&guest.container)
                || host(guest).is_some_and(|host| !known.contains(&host))
        };
        let lost: Vec<_> = self.all().values().filter(|guest| is_lost(guest)).cloned().collect();
        for guest in lost {
            self.discard(&guest).await;
        }
    }

    /// True if it is the end of a caller's container.
    pub(crate) fn heard(&self, event: &containers::Event) -> bool {
        let is_ours = self.all().values().any(|guest| guest.container == event.container);
        if is_ours {
            self.0.gpus.give_back(&event.container);
            self.0.exits.remember(&event.container, event.exited.clone());
        }
        is_ours
    }

    /// What lies in a container goes with it.
    pub(crate) async fn host_gone(&self, host: &ContainerId) {
        let below = format!("{host}{WITHIN}");
        let is_below = |guest: &&Arc<Guest>| guest.container.as_str().starts_with(&below);
        let all: Vec<_> = self.all().values().filter(is_below).cloned().collect();
        for guest in all {
            self.discard(&guest).await;
        }
    }

    /// All of them, when nothing is to stay.
    pub(crate) async fn clear(&self) {
        let all: Vec<_> = self.all().values().cloned().collect();
        for guest in all {
            self.discard(&guest).await;
        }
    }

    /// Of one that has ended. What lies in it goes with it.
    pub(crate) async fn remove(&self, lineage: &Lineage) -> Result<(), Refusal> {
        let guest = match self.find(lineage) {
            Some(Found::Guest(guest)) => guest,
            Some(Found::Task(..) | Found::Program(..) | Found::Shared) => {
                let cause = format!("Container {lineage} is removed by the agent itself");
                return Err(Refusal::Bad(cause));
            }
            // As Mesos has it: what is gone is removed.
            None => return Ok(()),
        };
        if self.0.exits.get(&guest.container).is_none() {
            return Err(Refusal::Conflict(format!("Container {lineage} has not terminated yet")));
        }
        Box::pin(self.host_gone(&guest.container)).await;
        self.discard(&guest).await;
        self.0.exits.forget(&guest.container);
        Ok(())
    }

    /// Kills it if it runs. What cannot be removed now is removed by the next start.
    async fn discard(&self, guest: &Arc<Guest>) {
        if let Kind::Container { .. } = guest.kind {
            let container = guest.container.clone();
            if let Err(cause) = self.0.containers.remove(&container).await {
                tracing::warn!(%container, cause = format!("{cause:#}"), "a container stays");
                return;
            }
            self.0.gpus.give_back(&container);
            let ledger = self.0.ledger.clone();
            let removed = spawn_blocking(move || ledger.remove(&container)).await;
            if let Err(cause) = removed.map_err(anyhow::Error::from).flatten() {
                tracing::warn!(cause = format!("{cause:#}"), "a sandbox stays");
            }
        }
        self.let_go(&guest.lineage);
    }
}

fn make(sandbox: &Path, owner: Option<Owner>) -> anyhow::Result<()> {
    let say = || format!("making the sandbox {}", sandbox.display());
    fs::create_dir_all(sandbox).with_context(say)?;
    fs::set_permissions(sandbox, fs::Permissions::from_mode(SANDBOX_MODE)).with_context(say)?;
    if let Some(Owner { uid, gid }) = owner {
        chown(sandbox, Some(uid), Some(gid)).with_context(say)?;
    }
    Ok(())
}
