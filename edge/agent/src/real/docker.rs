//! Tasks that run under the Docker Engine: how their launch differs, and their end.

use anyhow::{anyhow, bail};
use containers::Exited;
use containers::spec::{ImageConfig, Root, Spec};
use model::container::{ContainerInfo, ContainerKind, Image};
use model::id::ContainerId;
use model::task::Reason;

use super::launch::{Job, Launched};
use super::{Hands, login};
use crate::docker::{Ended, Engine};
use crate::extras;

impl Hands {
    /// The engine, if the operator has one and the task is for it. Members of groups and executors share what only our own
    /// runtime has.
    pub(super) fn engine_for<'a>(&'a self, job: &'a Job) -> Option<(&'a Engine, &'a Image)> {
        let engine = self.tools.engine.as_ref()?;
        let ContainerInfo { kind: ContainerKind::Docker, image: Some(image), .. } =
            job.task.container.as_ref()?
        else {
            return None;
        };
        (job.group.is_none() && job.executor.is_none()).then_some((engine, image))
    }

    pub(super) async fn launch_docker(
        &self,
        job: &Job,
        engine: &Engine,
        image: &Image,
    ) -> Launched {
        let stopped = || Launched::not("It was stopped before it started");
        let attendant = tokio::select! {
            made = self.make_docker(job, engine, image) => made,
            () = job.stopped.cancelled() => return stopped(),
        };
        let attendant = match attendant {
            Ok(attendant) => attendant,
            Err(cause) => return Launched::not(format!("{cause:#}")),
        };
        let Ok(_turn) = self.launches.acquire().await else {
            return Launched::not("The agent has ended");
        };
        if job.stopped.is_cancelled() {
            return stopped();
        }
        let attends = match self.tools.containers.launch(attendant).await {
            Ok(started) => started.pid,
            Err(failure) => return Launched::Not { reason: failure.reason, cause: failure.cause },
        };
        let is_over = || self.books.has_ended(&job.container);
        match engine.started(&job.container, is_over).await {
            Ok(pid) => {
                pid.into_iter().for_each(|pid| self.tools.containers.delegate(&job.container, pid));
                Launched::Runs { pid: pid.unwrap_or(attends), images: Vec::new() }
            }
            Err(cause) => Launched::not(format!("The Docker Engine could not start it: {cause}")),
        }
    }

    /// After a start: what nobody attends to goes, and of the others it is known where their work is done.
    pub(super) async fn find_docker(&self, known: &[ContainerId]) {
        let Some(engine) = &self.tools.engine else { return };
        engine.sweep(&known.iter().cloned().collect()).await;
        for container in known.iter().filter(|container| engine.has(container)) {
            let pid = engine.pid(container).await;
            pid.into_iter().for_each(|pid| self.tools.containers.delegate(container, pid));
        }
    }

    /// All that may take long and can be broken off.
    async fn make_docker(&self, job: &Job, engine: &Engine, image: &Image) -> anyhow::Result<Spec> {
        if !job.task.resources.gpus().is_zero() {
            bail!(
                "GPUs cannot be given to a container of the Docker Engine: use type MESOS for it"
            );
        }
        let owner = self.owner(job)?;
        let (sandbox, shared) = self.sandbox(job, owner).await?;
        let asked = job.task.container.as_ref();
        let extras = extras::gather(&self.tools.images, &self.tools.host_paths, asked);
        let fetched = self.fetch(job, &sandbox, owner);
        let (mut extras, ()) = tokio::try_join!(extras, fetched)?;
        let (said, fetched) = (extras::request(image)?.credentials, login::of(&sandbox));
        let (full, login) =
            self.tools.images.login(&image.name, said.or(fetched.as_deref())).await?;
        engine.pull(&full, image.force_pull, login).await?;
        extras.volumes.extend(shared);
        let root = Root::Image { layers: Vec::new(), config: ImageConfig::default() };
        let spec = Spec { root, ..self.spec(job, sandbox, None, extras)? };
        let rights = self.tools.containers.may_have(&spec).map_err(|cause| anyhow!(cause))?;
        engine.create(spec, rights, &full, &job.task.labels).await
    }

    /// Its attendant has ended: its container has to end as well before anybody is told.
    pub(super) async fn end_docker(
        &self,
        engine: &Engine,
        container: &ContainerId,
        exited: Exited,
    ) -> Exited {
        let Ended { out_of_memory } = engine.end(container).await;
        let limit = "Memory limit exceeded, as the Docker Engine says".to_owned();
        let memory = out_of_memory.then_some((Reason::ContainerLimitationMemory, limit));
        Exited { limitation: exited.limitation.or(memory), ..exited }
    }
}
