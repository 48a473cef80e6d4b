//! Tasks under a Docker Engine instead of our own runtime, where the operator wants that: `docker_engine: true`.
//!
//! The engine has the container; a process of ours ([`attend`]), which our runtime starts like any task and which outlives
//! the agent, is attached to it: what the container writes goes through it to the sandbox, it passes on the signal that is
//! to end it, and ends as it ends. So logs, terminals, kills and exit statuses are what they are for other tasks, and a
//! container without its attendant is nobody's and goes.

mod attend;
mod create;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerState, ContainerStateStatusEnum, ExecConfig};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, ListContainersOptions, RemoveContainerOptions,
};
use containers::spec::{Exec, Limits, Root, Spec};
use futures::StreamExt;
use images::Login;
use model::confinement::{Capabilities, Confinement};
use model::container::Run;
use model::id::ContainerId;
use tokio::time::sleep;

pub use attend::dispatch;

/// Where `dockerd` listens unless it is told otherwise.
pub const SOCKET: &str = "/run/docker.sock";

/// How containers are called, as Mesos calls them.
const NAME_PREFIX: &str = "mesos-";
/// Says whose a container is.
const LABEL: &str = "dcos.agent";
/// Any answer of the engine comes sooner.
const ANSWER_SECS_MAX: u64 = 120;
/// Between two looks at a container that is about to start.
const LOOK: Duration = Duration::from_millis(10);

/// The operator's wish.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// Where `dockerd` listens.
    pub socket: PathBuf,
    /// The program whose `main` calls [`dispatch`].
    pub attendant: PathBuf,
}

/// A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    docker: Docker,
    config: DockerConfig,
    /// Of our containers, and of no other agent's.
    label: String,
    ours: Arc<Mutex<BTreeSet<ContainerId>>>,
}

/// How a container ended, as the engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) out_of_memory: bool,
}

pub(super) fn name(container: &str) -> String {
    format!("{NAME_PREFIX}{container}")
}

async fn connect(socket: &str) -> Result<Docker, Error> {
    let docker =
        Docker::connect_with_socket(socket, ANSWER_SECS_MAX, bollard::API_DEFAULT_VERSION)?;
    docker.negotiate_version().await
}

impl Engine {
    /// Finds the containers that an earlier life has left. The name of our groups tells them from those of others.
    pub(crate) async fn open(
        config: &DockerConfig,
        own: &containers::Config,
    ) -> anyhow::Result<Self> {
        let socket = config.socket.display().to_string();
        let docker = connect(&socket).await.with_context(|| {
            format!(
                "'docker_engine' is on, but no dockerd answers at {socket}: start it, say where it \
                 listens with 'docker_socket', or take 'docker_engine' out of the configuration"
            )
        })?;
        let ours = Arc::default();
        let (config, label) = (config.clone(), own.cgroup_parent.clone());
        let engine = Self { docker, config, label, ours };
        let found = engine.listed().await?;
        engine.lock().extend(found);
        Ok(engine)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ContainerId>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, container: &ContainerId) -> bool {
        self.lock().contains(container)
    }

    async fn listed(&self) -> anyhow::Result<Vec<ContainerId>> {
        let label = format!("{LABEL}={}", self.label);
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options =
            ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = self.docker.list_containers(Some(options)).await;
        let listed = listed.context("asking the Docker Engine for our containers")?;
        let names = listed.into_iter().flat_map(|one| one.names.unwrap_or_default());
        let ours = names.filter_map(|name| {
            let name = name.trim_start_matches('/');
            name.strip_prefix(NAME_PREFIX).map(ContainerId::new)
        });
        Ok(ours.collect())
    }

    /// Removes those whose attendants are gone: with the machine's last boot, or by somebody's hand.
    pub(crate) async fn sweep(&self, known: &BTreeSet<ContainerId>) {
        let orphans: Vec<_> = self.lock().difference(known).cloned().collect();
        for orphan in orphans {
            tracing::info!(container = %orphan, "nobody attends to a container of the Docker Engine: it goes");
            self.remove(&orphan).await;
        }
    }

    pub(crate) async fn pull(
        &self,
        image: &str,
        force: bool,
        login: Option<Login>,
    ) -> anyhow::Result<()> {
        if !force && self.docker.inspect_image(image).await.is_ok() {
            return Ok(());
        }
        let credentials = login.map(|login| DockerCredentials {
            username: Some(login.user),
            password: Some(login.password),
            serveraddress: Some(login.registry),
            ..Default::default()
        });
        let options =
            CreateImageOptions { from_image: Some(image.to_owned()), ..Default::default() };
        let mut pulling = self.docker.create_image(Some(options), None, credentials);
        while let Some(step) = pulling.next().await {
            let step = step.map_err(|cause| said(&cause));
            let step = step.and_then(|step| match step.error_detail {
                Some(error) => Err(error.message.unwrap_or_default()),
                None => Ok(()),
            });
            if let Err(cause) = step {
                bail!(
                    "the Docker Engine cannot pull image {image}: {cause}; check the name, the \
                     registry and the login"
                );
            }
        }
        Ok(())
    }

    /// Makes a container that is not started yet, and says what attends to it. `rights`: its root's.
    pub(crate) async fn create(
        &self,
        spec: Spec,
        rights: Capabilities,
        image: &str,
        labels: &[(String, String)],
    ) -> anyhow::Result<Spec> {
        let mut all: BTreeMap<_, _> = labels.iter().cloned().collect();
        all.insert(LABEL.to_owned(), self.label.clone());
        let body = create::body(&spec, rights, image, all.into_iter().collect())?;
        let name = name(spec.container.as_str());
        // Known before it is there: nothing that is made is forgotten.
        self.lock().insert(spec.container.clone());
        // Of a launch that an earlier life did not come to the end of.
        self.discard(&name).await;
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        let created = self.docker.create_container(Some(options), body).await;
        created.map_err(|cause| {
            anyhow::anyhow!("the Docker Engine refuses the container: {}", said(&cause))
        })?;
        Ok(self.attendant(spec, name))
    }

    fn attendant(&self, spec: Spec, name: String) -> Spec {
        let program = self.config.attendant.display().to_string();
        let socket = self.config.socket.display().to_string();
        let mut argv = vec![program, attend::COMMAND.to_owned(), socket, name];
        if spec.terminal.is_some() {
            argv.push(attend::TERMINAL.to_owned());
        }
        Spec {
            run: Run::Exec(argv),
            environment: Vec::new(),
            // It speaks to the engine's socket.
            user: None,
            root: Root::Host,
            volumes: Vec::new(),
            mounts: Vec::new(),
            devices: Vec::new(),
            hooks: Vec::new(),
            pool: None,
            shares: None,
            project: None,
            network: None,
            // The engine keeps the task's. This one waits nearly all of its life.
            limits: Limits { cpu_millis: spec.limits.cpu_millis, ..Limits::default() },
            privileged: false,
            hostname: None,
            rlimits: Vec::new(),
            confinement: Confinement::default(),
            ..spec
        }
    }

    /// Waits until a container runs, or has run; `Err` says why it never did. `is_over`: its attendant has ended.
    pub(crate) async fn started(
        &self,
        container: &ContainerId,
        is_over: impl Fn() -> bool,
    ) -> Result<Option<u32>, String> {
        let name = name(container.as_str());
        loop {
            // Before the look: who has ended before it has started nothing after it.
            let is_last = is_over();
            let state = self.state(&name).await.map_err(|cause| said(&cause))?;
            let error = state.error.filter(|error| !error.is_empty());
            match (state.status, error) {
                (Some(ContainerStateStatusEnum::CREATED) | None, Some(error)) => return Err(error),
                (Some(ContainerStateStatusEnum::CREATED) | None, None) if is_last => {
                    return Err("it was never started; the sandbox's stderr says why".to_owned());
                }
                (Some(ContainerStateStatusEnum::CREATED) | None, None) => sleep(LOOK).await,
                (Some(_), _) => return Ok(self.pid(container).await),
            }
        }
    }

    /// Of the first process in a container that runs.
    pub(crate) async fn pid(&self, container: &ContainerId) -> Option<u32> {
        let state = self.state(&name(container.as_str())).await.ok()?;
        u32::try_from(state.pid?).ok().filter(|pid| *pid != 0)
    }

    async fn state(&self, name: &str) -> Result<ContainerState, Error> {
        let found = self.docker.inspect_container(name, None).await?;
        Ok(found.state.unwrap_or_default())
    }

    /// Its attendant is gone: makes sure that it has ended too, and says how.
    pub(crate) async fn end(&self, container: &ContainerId) -> Ended {
        let name = name(container.as_str());
        let state = self.state(&name).await.unwrap_or_default();
        self.discard(&name).await;
        Ended { out_of_memory: state.oom_killed == Some(true) }
    }

    pub(crate) async fn remove(&self, container: &ContainerId) {
        self.discard(&name(container.as_str())).await;
        self.lock().remove(container);
    }

    async fn discard(&self, name: &str) {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        match self.docker.remove_container(name, Some(options)).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => (),
            Err(cause) => {
                tracing::warn!(name, cause = said(&cause), "the Docker Engine keeps a container");
            }
        }
    }

    /// Runs a command in a container; gives how it ended, as `wait` tells it.
    pub(crate) async fn run(&self, container: &ContainerId, exec: Exec) -> Result<i32, String> {
        let argv = match exec.run {
            Run::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text],
            Run::Exec(argv) | Run::Image(argv) => argv,
        };
        let variable = |(name, value): &(String, String)| format!("{name}={value}");
        let config = ExecConfig {
            cmd: Some(argv),
            env: Some(exec.environment.iter().map(variable).collect()),
            user: exec.user,
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let ran = async {
            let made = self.docker.create_exec(&name(container.as_str()), config).await?;
            let started = self.docker.start_exec(&made.id, None::<StartExecOptions>).await?;
            if let StartExecResults::Attached { mut output, .. } = started {
                while let Some(piece) = output.next().await {
                    let (LogOutput::StdErr { .. }
                    | LogOutput::StdOut { .. }
                    | LogOutput::StdIn { .. }
                    | LogOutput::Console { .. }) = piece?;
                }
            }
            self.docker.inspect_exec(&made.id).await
        };
        let ended = ran.await.map_err(|cause: Error| said(&cause))?;
        let status = ended.exit_code.ok_or("the Docker Engine does not say how it ended")?;
        i32::try_from(status & 0xff).map(|status| status << 8).map_err(|cause| cause.to_string())
    }
}

/// The engine's own words, without what our client puts around them.
fn said(cause: &Error) -> String {
    if let Error::DockerResponseServerError { message, .. } = cause {
        return message.clone();
    }
    cause.to_string()
}
