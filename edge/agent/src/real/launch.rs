//! A launch: sandbox, files, image, container.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use containers::spec::{ImageConfig, Limits, Root, Spec, WindowSize};
use images::{Keep, Prepared, PullError, PullRequest, Recipient};
use model::container::{ContainerInfo, Image, Run, Volume, VolumeMode, Window};
use model::id::{ContainerId, FrameworkId, TaskId};
use model::limits::{self, Limit};
use model::resources::{Resources, Scalar};
use model::task::{Reason, TaskInfo};
use node::{Executor, Group, Happened};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Hands, login, sharing};
use crate::asked::Asked;
use crate::door::DIR_IN_IMAGE;
use crate::environment::{Inhabitant, environment, of_executor};
use crate::extras::{self, Extras};
use crate::logger::Origin;
use crate::sandbox::{Owner, Tenant, owner, recipient};
use crate::volumes::Volumes;

/// A launch that takes longer is told as slow.
const SLOW_AFTER: Duration = Duration::from_millis(200);
/// From one word of how far it is to the next, which comes later each time.
const TOLD_AGAIN_MIN: Duration = Duration::from_secs(5);
const TOLD_AGAIN_MAX: Duration = Duration::from_secs(60);
const TERMINAL: WindowSize = WindowSize { rows: 24, columns: 80 };
/// Who has borrowed processors has them after all others: its weight is smaller by so much.
const BORROWER_DIVISOR: u64 = 100;
/// In a scalar's thousandths of MiB.
const BYTES_PER_MIB: u64 = 1 << 20;

pub(super) struct Job {
    pub(super) container: ContainerId,
    pub(super) framework: FrameworkId,
    pub(super) task: Arc<TaskInfo>,
    pub(super) group: Option<Group>,
    /// Set if it is no task but a program, which is launched like a task that is called as it is.
    pub(super) executor: Option<Arc<Executor>>,
    /// Breaks it off.
    pub(super) stopped: CancellationToken,
}

impl Job {
    pub(super) fn of_executor(
        container: ContainerId,
        executor: Arc<Executor>,
        (resources, limits): (Resources, limits::Limits),
        stopped: CancellationToken,
    ) -> Self {
        let program = executor.info.program.as_ref().expect("executors that are held are programs");
        let (id, framework) = (executor.info.id.as_str(), &executor.framework);
        let mut command = program.command.clone();
        command.user.get_or_insert_with(|| framework.user.clone());
        let task = TaskInfo {
            name: id.to_owned(),
            container: program.container.clone(),
            limits,
            ..TaskInfo::plain(
                TaskId::new(id),
                executor.agent.clone(),
                executor.role.clone(),
                resources,
                command,
            )
        };
        let (framework, task) = (executor.framework().clone(), Arc::new(task));
        Self { container, framework, task, group: None, executor: Some(executor), stopped }
    }
}

/// What came of it.
pub(super) enum Launched {
    Runs { pid: u32, images: Vec<Keep> },
    Not { reason: Reason, cause: String },
}

impl Launched {
    pub(super) fn not(cause: impl ToString) -> Self {
        Launched::Not { reason: Reason::ContainerLaunchFailed, cause: cause.to_string() }
    }
}

impl Hands {
    /// Launches and tells how it went, and how it goes if that takes long.
    pub(super) async fn launch(&self, job: Job) {
        let launched = self.work_and_say(&job).await;
        let Job { container, task, .. } = job;
        match launched {
            Launched::Runs { pid, images } => {
                tracing::info!(task = %task.id, %container, pid, "container runs");
                let tell = || self.started(container.clone(), pid);
                if let Some(exited) = self.books.launched(&container, images, tell) {
                    self.exited(container, exited);
                }
            }
            Launched::Not { reason, cause } => {
                tracing::warn!(task = %task.id, %container, cause, "container did not start");
                self.tools.gpus.give_back(&container);
                let tell = || self.say(container.clone(), Happened::Failed { reason, cause });
                self.books.launched(&container, Vec::new(), tell);
            }
        }
    }

    async fn work_and_say(&self, job: &Job) -> Launched {
        if job.group.is_some() {
            // Mesos' default executor says so of each task before it does anything.
            self.say(job.container.clone(), Happened::Preparing { told: None });
        }
        let work = async {
            match self.engine_for(job) {
                Some((engine, image)) => self.launch_docker(job, engine, image).await,
                None => self.work(job).await,
            }
        };
        tokio::pin!(work);
        let mut wait = SLOW_AFTER;
        loop {
            tokio::select! {
                launched = &mut work => return launched,
                () = sleep(wait) => {
                    let told = self.progress(job);
                    self.say(job.container.clone(), Happened::Preparing { told });
                    wait = (wait * 2).clamp(TOLD_AGAIN_MIN, TOLD_AGAIN_MAX);
                }
            }
        }
    }

    fn progress(&self, job: &Job) -> Option<String> {
        let name = &job.task.container.as_ref()?.image.as_ref()?.name;
        let progress = self.tools.images.progress(name)?;
        Some(format!("Pulling image {name}: {progress}"))
    }

    async fn work(&self, job: &Job) -> Launched {
        let prepared = tokio::select! {
            prepared = self.prepare(job) => prepared,
            () = job.stopped.cancelled() => return Launched::not("It was stopped before it started"),
        };
        let (spec, images) = match prepared {
            Ok(prepared) => prepared,
            Err(cause) => return Launched::not(format!("{cause:#}")),
        };
        let Ok(_turn) = self.launches.acquire().await else {
            return Launched::not("The agent has ended");
        };
        if job.stopped.is_cancelled() {
            return Launched::not("It was stopped before it started");
        }
        match self.tools.containers.launch(spec).await {
            Ok(started) => Launched::Runs { pid: started.pid, images },
            Err(failure) => Launched::Not { reason: failure.reason, cause: failure.cause },
        }
    }

    /// All that may take long and can be broken off.
    async fn prepare(&self, job: &Job) -> anyhow::Result<(Spec, Vec<Keep>)> {
        let image = job.task.container.as_ref().and_then(|container| container.image.as_ref());
        if image.is_none() && matches!(job.task.command.run, Run::Image(_)) {
            bail!("The task has neither a command nor an image that says what to run");
        }
        let owner = self.owner(job)?;
        let (sandbox, shared) = self.sandbox(job, owner).await?;
        let asked = job.task.container.as_ref();
        let extras = extras::gather(&self.tools.images, &self.tools.host_paths, asked);
        let brought = self.bring(job, &sandbox, owner, image);
        let (image, mut extras) = tokio::try_join!(brought, extras)?;
        let mut keeps = std::mem::take(&mut extras.keeps);
        keeps.extend(image.as_ref().map(|image| image.keep.clone()));
        extras.volumes.extend(shared);
        let mut spec = self.spec(job, sandbox, image, extras)?;
        let (gpus, container, task) =
            (self.tools.gpus.clone(), job.container.clone(), job.task.clone());
        let take = move || gpus.take(&container, &task.resources);
        spawn_blocking(take).await.context("taking GPUs")??.apply(&mut spec);
        Ok((spec, keeps))
    }

    /// Whose the sandbox is. A user that only the image knows leaves it ours.
    pub(super) fn owner(&self, job: &Job) -> anyhow::Result<Option<Owner>> {
        let Some(user) = &job.task.command.user else { return Ok(None) };
        let has_image =
            job.task.container.as_ref().is_some_and(|container| container.image.is_some());
        match owner(user) {
            Ok(owner) => Ok(Some(owner)),
            Err(_) if has_image => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// Makes the task's directory, and those that it shares with others of its group. Its persistent volumes are there.
    pub(super) async fn sandbox(
        &self,
        job: &Job,
        owner: Option<Owner>,
    ) -> anyhow::Result<(PathBuf, Vec<Volume>)> {
        let (sandboxes, volumes) = (self.tools.sandboxes.clone(), self.tools.volumes.clone());
        let (framework, container, task, group) =
            (job.framework.clone(), job.container.clone(), job.task.clone(), job.group.clone());
        let counting = self.clone();
        let linking = job.executor.clone().filter(|executor| !executor.has_image());
        let make = move || {
            let tenant = Tenant {
                agent: &task.agent,
                framework: &framework,
                task: &task.id,
                container: &container,
                group: group.as_ref(),
            };
            let sandbox = sandboxes.make(tenant, owner)?;
            counting.count(&sandbox, &task.resources)?;
            let persistent = match &linking {
                None => volumes.mounts(&task.resources, &sandbox, owner)?,
                Some(executor) => {
                    // Those of its tasks come and go.
                    let own = &executor.info.resources;
                    volumes.link(&task.resources.minus(own), &sandbox)?;
                    volumes.mounts(own, &sandbox, owner)?
                }
            };
            let shared = task.container.iter().flat_map(|info| &info.shared);
            let shared = shared.map(|volume| {
                let of_executor = group.as_ref().map(|group| &group.executor.resources);
                let found = of_executor.and_then(|all| Volumes::named(all, &volume.name));
                let host_path = match found {
                    Some(persistent) => volumes.mount(persistent, &sandbox, owner)?.host_path,
                    None => sandboxes.share(tenant.run(), &volume.name)?.display().to_string(),
                };
                let (container_path, mode) = (volume.container_path.clone(), volume.mode);
                anyhow::Ok(Volume { container_path, host_path, mode })
            });
            let mounted = persistent.into_iter().map(Ok).chain(shared);
            let mounted = mounted.collect::<anyhow::Result<_>>()?;
            Ok((sandbox, mounted))
        };
        spawn_blocking(make).await.context("making the sandbox")?
    }

    /// Files and image, side by side. Only if the image is not for everybody is a login awaited among the files.
    async fn bring(
        &self,
        job: &Job,
        sandbox: &Path,
        owner: Option<Owner>,
        image: Option<&Image>,
    ) -> anyhow::Result<Option<Prepared>> {
        let fetched = self.fetch(job, sandbox, owner);
        let Some(image) = image else { return fetched.await.map(|()| None) };
        let own = extras::request(image)?;
        let pull = async |fetched: Option<&str>| {
            let request = PullRequest { credentials: fetched.or(own.credentials), ..own };
            let begun = Instant::now();
            let pulled = self.tools.images.pull(request).await?;
            self.tools.gauges.pulled(begun);
            Ok::<_, PullError>(pulled)
        };
        let pulled = async {
            match pull(None).await {
                Err(refusal) if refusal.may_want_login() && !job.task.command.uris.is_empty() => {
                    Ok(Err(refusal))
                }
                pulled => pulled.map(Ok),
            }
        };
        let pulled = async { anyhow::Ok(pulled.await?) };
        let ((), pulled) = tokio::try_join!(fetched, pulled)?;
        let refusal = match pulled {
            Ok(prepared) => return Ok(Some(prepared)),
            Err(refusal) => refusal,
        };
        match login::of(sandbox) {
            Some(login) => Ok(Some(pull(Some(&login)).await?)),
            None => Err(refusal.into()),
        }
    }

    pub(super) async fn fetch(
        &self,
        job: &Job,
        sandbox: &Path,
        owner: Option<Owner>,
    ) -> anyhow::Result<()> {
        let command = &job.task.command;
        let recipient = Recipient {
            bytes_max: self.most(&job.task.resources),
            ..recipient(command.user.as_deref(), owner)
        };
        let fetched = self.tools.fetcher.fetch(&command.uris, sandbox, recipient);
        let fetched = fetched.await.map_err(anyhow::Error::from);
        if !job.task.command.uris.is_empty() {
            self.tools.gauges.fetched(&fetched);
        }
        fetched
    }

    /// The directory and not the socket: that is another one after the agent has started again.
    fn door(&self, job: &Job) -> Option<Volume> {
        let socket = self.tools.place.door.socket.as_ref()?;
        job.executor.as_ref().filter(|executor| executor.has_image())?;
        Some(Volume {
            container_path: DIR_IN_IMAGE.to_owned(),
            host_path: socket.parent()?.display().to_string(),
            mode: VolumeMode::ReadOnly,
        })
    }

    pub(super) fn spec(
        &self,
        job: &Job,
        sandbox: PathBuf,
        image: Option<Prepared>,
        extras: Extras,
    ) -> anyhow::Result<Spec> {
        let Job { container, framework, task, group, .. } = job;
        let surroundings = task.container.as_ref();
        let executor = group.as_ref().map_or(task.id.as_str(), |one| one.executor.id.as_str());
        let inhabitant = Inhabitant { framework, container, task, executor, sandbox: &sandbox };
        let asked = Asked::read(surroundings)?;
        let origin = Origin {
            agent: task.agent.as_str(),
            framework: Some(framework.as_str()),
            executor: Some(executor),
            container: container.as_str(),
            labels: &task.labels,
        };
        let logs = self.tools.logs.changed_by(&task.command.environment)?.logs(&origin);
        let pool = group.as_ref().and_then(Group::pool);
        let (confinement, shares) = sharing::of_group(group.as_ref(), asked.confinement.clone());
        Ok(Spec {
            container: container.clone(),
            run: task.command.run.clone(),
            environment: match &job.executor {
                None => environment(&self.tools.place, &inhabitant),
                Some(executor) => of_executor(&self.tools.place, &inhabitant, executor),
            },
            volumes: extras.volumes.into_iter().chain(self.door(job)).collect(),
            mounts: extras.mounts,
            devices: vec![],
            hooks: vec![],
            pool: pool.cloned(),
            shares,
            project: self.project(container, &sandbox),
            network: None,
            sandbox,
            user: task.command.user.clone(),
            root: image.map_or(Root::Host, root),
            limits: match pool {
                None => asked.limits(limits(&task.resources, &task.limits)),
                Some(_) => in_pool(limits(&task.resources, &task.limits)),
            },
            terminal: surroundings.filter(|info| info.tty).map(terminal),
            privileged: asked.privileged,
            logs: asked.logs(logs),
            hostname: asked.hostname,
            rlimits: asked.rlimits,
            confinement,
        })
    }
}

fn terminal(info: &ContainerInfo) -> WindowSize {
    let asked = info.bounds.as_ref().and_then(|bounds| bounds.window);
    asked.map_or(TERMINAL, |Window { rows, columns }| WindowSize { rows, columns })
}

pub(crate) fn root(image: Prepared) -> Root {
    let images::ImageConfig { entrypoint, cmd, env, working_dir, user, stop_signal } = image.config;
    let config = ImageConfig {
        entrypoint,
        command: cmd,
        environment: env,
        working_dir,
        user,
        // One that the kernel does not have is as good as none.
        stop_signal: stop_signal.and_then(|signal| model::docker::signal(&signal)),
    };
    Root::Image { layers: image.layers, config }
}

/// As DC/OS ships it: CPU time is limited, not only shared; memory always. The weight among containers is what is set
/// aside, whatever the limit.
pub(crate) fn limits(resources: &Resources, limits: &limits::Limits) -> Limits {
    let Scalar(cpu_millis) = match resources.iter().any(|one| one.revocable) {
        true => Scalar(resources.cpus().0 / BORROWER_DIVISOR),
        false => resources.cpus(),
    };
    let most = |limit: Option<Limit>, set_aside: Scalar| match limit {
        None => (!set_aside.is_zero()).then_some(set_aside.0),
        Some(Limit::Unlimited) => None,
        Some(Limit::Amount(Scalar(amount))) => Some(amount),
    };
    let memory_max = most(limits.mem, resources.mem());
    Limits {
        cpu_millis,
        cpu_millis_max: most(limits.cpus, resources.cpus()),
        memory_bytes_max: memory_max.map(|most| bytes(Scalar(most))),
        memory_bytes_kept: (!resources.mem().is_zero()).then_some(bytes(resources.mem())),
        ..Limits::default()
    }
}

/// What limits all in it is the pool's; what is a task's own is how it is weighed against the others.
fn in_pool(own: Limits) -> Limits {
    Limits { cpu_millis_max: None, memory_bytes_max: None, ..own }
}

fn bytes(Scalar(thousandths): Scalar) -> u64 {
    thousandths.saturating_mul(BYTES_PER_MIB) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_the_limit_unless_there_is_another() {
        let resources: Resources = "cpus:0.5;mem:64;disk:10".parse().expect("well formed");
        let check = |cpus: Option<Limit>, mem: Option<Limit>, millis, bytes| {
            let limits = limits(&resources, &limits::Limits { cpus, mem });
            assert_eq!(limits.cpu_millis, 500, "the weight");
            assert_eq!(limits.cpu_millis_max, millis);
            assert_eq!(limits.memory_bytes_max, bytes);
        };
        let amount = |whole| Some(Limit::Amount(Scalar::whole(whole)));
        check(None, None, Some(500), Some(64 << 20));
        check(amount(2), amount(128), Some(2000), Some(128 << 20));
        check(Some(Limit::Unlimited), None, None, Some(64 << 20));
        check(None, Some(Limit::Unlimited), Some(500), None);
    }
}
