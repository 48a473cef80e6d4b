//! The daemon's side: asks the zygote for shims, and shims for what they can do.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use model::confinement::Capabilities;
use model::id::ContainerId;
use model::task::Reason;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cgroup::Hierarchies;
use crate::channel::Channel;
use crate::filters::Filters;
use crate::keepers::Keepers;
use crate::policy::{self, Granted, Ground};
use crate::pools::Pools;
use crate::protocol::{Answer, Ask, Launch};
use crate::session::{Attached, Control, Session, Streams, Terminal};
use crate::spec::{Exec, Limits, Spec, Usage, WITHIN};
use crate::watch::{self, Watched};
use crate::zygote::Zygote;
use crate::{Config, Containers, Event, Exited, Found, LaunchError, Started, packet, skeleton};

/// Ends that wait for the agent; beyond that the watching waits.
const EVENTS_WAITING_MAX: usize = 1024;

/// The most that a pipe takes, unless root says otherwise.
const WATCHING_BYTES: usize = 1 << 20;

/// An id names directories and cgroups.
const CONTAINER_ID_BYTES_MAX: usize = 128;

/// The name of the groups that are no container's.
pub(crate) const SHIMS: &str = "shims";

#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) config: Config,
    pub(crate) hierarchies: Arc<Hierarchies>,
    zygote: Mutex<Zygote>,
    filters: Filters,
    watched: mpsc::UnboundedSender<Watched>,
    /// Processes that do the work of containers, by container.
    delegates: Mutex<BTreeMap<ContainerId, u32>>,
    pub(crate) pools: Mutex<Pools>,
    pub(crate) keepers: tokio::sync::Mutex<Keepers>,
}

/// A zygote that dies under a request is replaced, once.
enum Failed {
    ZygoteGone { pid: u32 },
    Launch(LaunchError),
}

impl Containers {
    /// Starts the zygote. Needs root.
    pub async fn open(config: Config) -> anyhow::Result<(Containers, mpsc::Receiver<Event>)> {
        anyhow::ensure!(rustix::process::geteuid().is_root(), "containers need root; run as root");
        let hierarchies = Arc::new(Hierarchies::detect()?);
        for dir in [&config.run_dir, &config.layer_dir] {
            make_private(dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        skeleton::make(&config.layer_dir)
            .with_context(|| format!("preparing {}", config.layer_dir.display()))?;
        let zygote = Zygote::start(&config, &home(&config))?;
        let (watched, new) = mpsc::unbounded_channel();
        let (events, ends) = mpsc::channel(EVENTS_WAITING_MAX);
        tokio::spawn(watch::watch_all(new, events, Arc::clone(&hierarchies)));
        let (zygote, filters) = (Mutex::new(zygote), Filters::default());
        let delegates = Mutex::default();
        let daemon = Daemon {
            config,
            hierarchies,
            zygote,
            filters,
            watched,
            delegates,
            pools: Mutex::default(),
            keepers: tokio::sync::Mutex::default(),
        };
        Ok((Containers(Arc::new(daemon)), ends))
    }

    /// Finds what an earlier daemon left in the run directory. Call it once, before the first launch.
    pub async fn recover(&self) -> anyhow::Result<Vec<Found>> {
        let run_dir = &self.0.config.run_dir;
        let entries =
            std::fs::read_dir(run_dir).with_context(|| format!("reading {}", run_dir.display()))?;
        // All at once: one whose shim hangs does not hold up the others.
        let mut looking = JoinSet::new();
        for entry in entries {
            let entry = entry?;
            if let (true, Ok(name)) = (entry.file_type()?.is_dir(), entry.file_name().into_string())
            {
                let (daemon, container) = (Arc::clone(&self.0), ContainerId::new(name));
                daemon.recover_pool(&container);
                looking.spawn(async move {
                    let state = daemon.look_at(&container).await?;
                    anyhow::Ok(Found { container, state })
                });
            }
        }
        let mut found = looking.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        found.sort_by(|a, b| a.container.cmp(&b.container));
        let known = found.iter().map(|one| one.container.clone()).collect();
        let found = self.0.recover_keepers(found).await?;
        self.0.sweep_pools(&known);
        Ok(found)
    }

    /// Returns when the program has been executed. From then on an event will tell how it ends.
    pub async fn launch(&self, spec: Spec) -> Result<Started, LaunchError> {
        let container = spec.container.clone();
        let launched = self.0.launch(spec).await;
        if launched.is_err()
            && let Err(cause) = self.0.leave_keeper(&container).await
        {
            tracing::warn!(%container, cause = format!("{cause:#}"), "a keeper stays");
        }
        launched
    }

    /// SIGTERM to every process, and SIGKILL after `grace`, even if the daemon is gone by then. Returns at once; a
    /// container that has ended already is no error. A second call can only shorten the grace. A shim that does not
    /// answer is killed, and its container with it.
    pub async fn stop(&self, container: &ContainerId, grace: Duration) -> anyhow::Result<()> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.0.insist(container, Ask::Stop { grace_ms }).await
    }

    /// Sends a signal to the main process and those that share its session.
    pub async fn signal(&self, container: &ContainerId, signal: i32) -> anyhow::Result<()> {
        let channel = self.0.connect(container).await?.context("the container has ended")?;
        self.0.order(&channel, Ask::Signal(signal)).await
    }

    /// Starts one more process in the container's namespaces, cgroup and confinement.
    pub async fn exec(&self, container: &ContainerId, exec: Exec) -> anyhow::Result<Session> {
        let channel = self.0.connect(container).await?.context("the container has ended")?;
        if exec.terminal.is_some() {
            channel.ask(Ask::Exec(exec), &[])?;
            let terminal = self.0.soon(executed(&channel)).await?.into_iter().next();
            let terminal = Terminal::new(terminal.context("no terminal came from the container")?)?;
            return Ok(Session { streams: Streams::Terminal(terminal), control: Control(channel) });
        }
        let (stdin, ours_in) = std::io::pipe()?;
        let (ours_out, stdout) = std::io::pipe()?;
        let (ours_err, stderr) = std::io::pipe()?;
        channel.ask(Ask::Exec(exec), &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?;
        drop((stdin, stdout, stderr));
        self.0.soon(executed(&channel)).await?;
        let streams = Streams::Pipes {
            stdin: pipe::Sender::from_owned_fd(ours_in.into())?,
            stdout: pipe::Receiver::from_owned_fd(ours_out.into())?,
            stderr: pipe::Receiver::from_owned_fd(ours_err.into())?,
        };
        Ok(Session { streams, control: Control(channel) })
    }

    /// Looks on what a container writes from now on. Who is slower than it misses some.
    pub async fn attach(&self, container: &ContainerId) -> anyhow::Result<Attached> {
        let channel = self.0.connect(container).await?.context("the container has ended")?;
        let (ours_out, stdout) = watching_pipe()?;
        let (ours_err, stderr) = watching_pipe()?;
        channel.ask(Ask::Attach, &[stdout.as_fd(), stderr.as_fd()])?;
        drop((stdout, stderr));
        let terminal = executed(&channel).await?.into_iter().next();
        Ok(Attached {
            stdout: pipe::Receiver::from_owned_fd(ours_out.into())?,
            stderr: pipe::Receiver::from_owned_fd(ours_err.into())?,
            terminal: terminal.map(Terminal::new).transpose()?,
            _channel: channel,
        })
    }

    /// What a container has written over its image; there only if it has one.
    pub fn layer_dir(&self, container: &ContainerId) -> PathBuf {
        self.0.layer_dir(container)
    }

    pub fn usage(&self, container: &ContainerId) -> anyhow::Result<Usage> {
        match self.delegate_of(container) {
            Some(pid) => self.0.hierarchies.usage_around(pid),
            None => self.0.usage(container),
        }
    }

    /// Whether the operator lets a container be what it asks for, if it is somebody else who runs it: the capabilities of its
    /// root, or, in words for its user, why not.
    pub fn may_have(&self, spec: &Spec) -> Result<Capabilities, String> {
        self.0.grant(spec).map(|granted| granted.effective)
    }

    /// A container's work is done by this process, which is in groups that are not ours: what they use is what it uses.
    pub fn delegate(&self, container: &ContainerId, pid: u32) {
        self.0.delegates().insert(container.clone(), pid);
    }

    pub(crate) fn delegate_of(&self, container: &ContainerId) -> Option<u32> {
        self.0.delegates().get(container).copied()
    }

    /// Changes what a container may use. Its memory is not limited below what it has by now.
    pub fn resize(&self, container: &ContainerId, limits: &Limits) -> anyhow::Result<()> {
        self.0.hierarchies.limit(&self.0.cgroup(container), limits)
    }

    /// Forgets a container: its writable layer, its status. The sandbox stays. An alive one is killed first.
    pub async fn remove(&self, container: &ContainerId) -> anyhow::Result<()> {
        self.0.delegates().remove(container);
        self.0.end(container).await?;
        let daemon = Arc::clone(&self.0);
        let (container, left) = (container.clone(), container.clone());
        let clear = move || daemon.clear(&container);
        tokio::task::spawn_blocking(clear).await.expect("removing files does not panic")?;
        self.0.leave_keeper(&left).await
    }
}

impl Daemon {
    fn delegates(&self) -> MutexGuard<'_, BTreeMap<ContainerId, u32>> {
        self.delegates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grant(&self, spec: &Spec) -> Result<Granted, String> {
        let ground = Ground {
            devices_are_controlled: self.hierarchies.control_devices(),
            allow_privileged: self.config.allow_privileged,
        };
        policy::grant(spec, &self.config.policy, ground, &self.filters)
    }

    fn describe(&self, spec: Spec) -> Result<Launch, LaunchError> {
        let name = spec.container.as_str();
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let parts = name.split(WITHIN).all(|part| !part.is_empty());
        if !named || !parts || name.len() > CONTAINER_ID_BYTES_MAX {
            return Err(launch_failed(format!("{name:?} cannot name a container")));
        }
        self.describe_any(spec)
    }

    /// Also of one that nobody else can name.
    pub(crate) fn describe_any(&self, spec: Spec) -> Result<Launch, LaunchError> {
        Ok(Launch {
            granted: self.grant(&spec).map_err(launch_failed)?,
            run_dir: self.run_dir(&spec.container),
            layer_dir: self.layer_dir(&spec.container),
            pool: spec.pool.as_ref().map(|pool| self.enter_pool(&spec.container, pool)),
            cgroup: self.cgroup(&spec.container),
            keeper: None,
            keeps: false,
            spec,
        })
    }

    async fn launch(&self, spec: Spec) -> Result<Started, LaunchError> {
        let launch = self.describe(spec)?;
        let keeper = self.find_keeper(&launch.spec).await?;
        self.start(&Launch { keeper, ..launch }).await
    }

    /// Returns when the program has been executed.
    pub(crate) async fn start(&self, launch: &Launch) -> Result<Started, LaunchError> {
        for last in [false, true] {
            match self.try_launch(launch).await {
                Ok(started) => return Ok(started),
                Err(Failed::Launch(e)) => {
                    self.leave_pool(&launch.spec.container);
                    return Err(e);
                }
                Err(Failed::ZygoteGone { pid }) if !last => self.replace_zygote(pid)?,
                Err(Failed::ZygoteGone { .. }) => {}
            }
        }
        Err(launch_failed(
            "the zygote ends as soon as it is started; its complaint is in the daemon's log".into(),
        ))
    }

    async fn try_launch(&self, launch: &Launch) -> Result<Started, Failed> {
        let mishap = |e: anyhow::Error| Failed::Launch(launch_failed(format!("{e:#}")));
        let (ours, theirs) = packet::pair().map_err(|e| mishap(e.into()))?;
        let pid = {
            let zygote = self.zygote();
            match zygote.fork(launch, &theirs) {
                Ok(()) => zygote.pid(),
                Err(e)
                    if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
                {
                    return Err(Failed::ZygoteGone { pid: zygote.pid() });
                }
                Err(e) => return Err(mishap(anyhow::Error::from(e).context("asking the zygote"))),
            }
        };
        drop(theirs);
        let channel = Channel::new(ours).map_err(mishap)?;
        let mut greeted = false;
        loop {
            match channel.receive().await.map_err(mishap)?.map(|packet| packet.message) {
                Some(Answer::Started { pid }) => {
                    self.watch(&launch.spec.container, channel);
                    return Ok(Started { pid });
                }
                Some(Answer::Failed { reason, cause }) => {
                    return Err(Failed::Launch(LaunchError { reason, cause }));
                }
                Some(_) => greeted = true,
                None if !greeted => return Err(Failed::ZygoteGone { pid }),
                None => return Err(Failed::Launch(self.launch_lost(&launch.spec.container).await)),
            }
        }
    }

    /// The shim is gone before the program ran.
    async fn launch_lost(&self, container: &ContainerId) -> LaunchError {
        let exited = self.without_shim(container).await;
        let cause = exited.limitation.map_or("the shim has ended".into(), |(_, cause)| cause);
        match self.clear(container) {
            Ok(()) => launch_failed(cause),
            Err(e) => launch_failed(format!("{cause}; {e:#}")),
        }
    }

    /// Of several that see the same zygote dead, the first starts a new one.
    fn replace_zygote(&self, pid: u32) -> Result<(), LaunchError> {
        let mut zygote = self.zygote();
        if zygote.pid() == pid {
            tracing::warn!(pid, "the zygote is gone; starting another");
            *zygote = Zygote::start(&self.config, &home(&self.config))
                .map_err(|e| launch_failed(format!("{e:#}")))?;
        }
        Ok(())
    }

    fn zygote(&self) -> MutexGuard<'_, Zygote> {
        self.zygote.lock().expect("nobody panics while holding it")
    }

    pub(crate) async fn without_shim(&self, container: &ContainerId) -> Exited {
        let (run_dir, cgroup) = (self.run_dir(container), self.cgroup(container));
        watch::without_shim(run_dir, cgroup, Arc::clone(&self.hierarchies)).await
    }

    pub(crate) fn watch(&self, container: &ContainerId, channel: Channel) {
        let watched = Watched {
            container: container.clone(),
            run_dir: self.run_dir(container),
            cgroup: self.cgroup(container),
            channel,
        };
        // The watching ends only when nobody listens to events any more.
        let _ = self.watched.send(watched);
    }

    /// What limits it may be said of its pool.
    fn usage(&self, container: &ContainerId) -> anyhow::Result<Usage> {
        let own = self.hierarchies.usage(&self.cgroup(container))?;
        let Some(pool) = self.pool_of(container) else { return Ok(own) };
        let (cpu, memory) = self.hierarchies.most(&self.pool_cgroup(&pool))?;
        Ok(Usage {
            cpu_millis_max: own.cpu_millis_max.or(cpu),
            memory_bytes_max: own.memory_bytes_max.or(memory),
            ..own
        })
    }

    pub(crate) fn clear(&self, container: &ContainerId) -> anyhow::Result<()> {
        self.hierarchies.remove(&self.cgroup(container))?;
        for dir in [self.layer_dir(container), self.run_dir(container)] {
            match std::fs::remove_dir_all(&dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                removed => removed.with_context(|| format!("removing {}", dir.display()))?,
            }
        }
        self.leave_pool(container);
        Ok(())
    }

    pub(crate) fn run_dir(&self, container: &ContainerId) -> PathBuf {
        self.config.run_dir.join(container.as_str())
    }

    fn layer_dir(&self, container: &ContainerId) -> PathBuf {
        self.config.layer_dir.join(container.as_str())
    }

    /// That of a container in another lies in the other's, and ends with it.
    pub(crate) fn cgroup(&self, container: &ContainerId) -> String {
        let below = container.as_str().replace(WITHIN, "/");
        let around = self.pool_of(container);
        let around = around.map_or(self.config.cgroup_parent.clone(), |one| self.pool_cgroup(&one));
        format!("{around}/{below}")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.zygote().end();
        self.hierarchies.remove_if_empty(&home(&self.config));
    }
}

/// Where the zygote and the shims live.
fn home(config: &Config) -> String {
    format!("{}/{SHIMS}", config.cgroup_parent)
}

pub(crate) fn launch_failed(cause: String) -> LaunchError {
    LaunchError { reason: Reason::ContainerLaunchFailed, cause }
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// With room for what is written while its reader is busy.
fn watching_pipe() -> anyhow::Result<(std::io::PipeReader, std::io::PipeWriter)> {
    let (read, write) = std::io::pipe()?;
    // Less is enough where the machine does not allow it.
    let _ = rustix::pipe::fcntl_setpipe_size(&write, WATCHING_BYTES);
    Ok((read, write))
}

/// The descriptors that come back from a process that runs.
async fn executed(channel: &Channel) -> anyhow::Result<Vec<std::os::fd::OwnedFd>> {
    let packet = channel.receive().await?.context("the container has ended")?;
    match packet.message {
        Answer::Executed => Ok(packet.fds),
        Answer::Refused(cause) => anyhow::bail!(cause),
        Answer::Failed { cause, .. } => anyhow::bail!(cause),
        Answer::Exited(_) => anyhow::bail!("the container has ended"),
        other @ (Answer::Preparing | Answer::Started { .. } | Answer::Done) => {
            anyhow::bail!("an unexpected answer: {other:?}")
        }
    }
}
