//! Effects on a real machine: sandboxes, images, containers, probes.

mod books;
mod docker;
pub(crate) mod launch;
mod load;
mod login;
mod measure;
mod quota;
mod sharing;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use containers::{Containers, FoundState};
use model::id::{AgentId, ContainerId};
use model::limits::Limits;
use model::resources::Resources;
use model::task::{Address, ContainerStatus};
use node::{Effect, FromProvider, Group, Happened, Input, ToProvider};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::board::Board;
use crate::collect::Due;
use crate::docker::Engine;
use crate::environment::Place;
use crate::gauges::Gauges;
use crate::gpus::Gpus;
use crate::guests::Guests;
use crate::host_paths::HostPaths;
use crate::logger::LogPolicy;
use crate::probe::{Glance, Prober};
use crate::projects::Projects;
use crate::provider_streams::ProviderStreams;
use crate::runtime::Runtime;
use crate::sandbox::{Run, Sandboxes, Tenant};
use crate::seeds::Seeds;
use crate::streams::Streams;
use crate::volumes::{Deed, Errand, Volumes};
use books::Books;
use launch::Job;

/// Containers that are being started at a time; fetching and pulling do not count.
const LAUNCHES_MAX: usize = 32;
/// What deeds under way may take when the agent ends.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// What the deeds need. A clone uses the same.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) place: Place,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) volumes: Volumes,
    pub(crate) containers: Containers,
    pub(crate) images: images::Store,
    pub(crate) fetcher: images::Fetcher,
    pub(crate) logs: LogPolicy,
    pub(crate) host_paths: HostPaths,
    pub(crate) gpus: Gpus,
    pub(crate) prober: Arc<Prober>,
    pub(crate) board: Board,
    pub(crate) seeds: Arc<Seeds>,
    pub(crate) guests: Guests,
    pub(crate) streams: Streams,
    pub(crate) providers: ProviderStreams,
    /// From one measurement of what may be lent to the next.
    pub(crate) oversubscribe: Option<Duration>,
    /// From one look at what containers keep on the disk to the next.
    pub(crate) disk_quota: Option<Duration>,
    pub(crate) projects: Projects,
    /// To the collector.
    pub(crate) due: mpsc::UnboundedSender<Due>,
    pub(crate) gauges: Gauges,
    /// For tasks of type DOCKER, if the operator wants that.
    pub(crate) engine: Option<Engine>,
}

pub(crate) struct Real {
    hands: Hands,
    happened: mpsc::UnboundedReceiver<Input>,
    /// What operations want of volumes, in order.
    errands: mpsc::UnboundedSender<Errand>,
    /// What executors say.
    calls: mpsc::Receiver<Input>,
    ending: CancellationToken,
}

/// What each deed holds.
#[derive(Clone)]
struct Hands {
    tools: Tools,
    books: Arc<Books>,
    launches: Arc<Semaphore>,
    tell: mpsc::UnboundedSender<Input>,
    deeds: TaskTracker,
}

impl Real {
    /// Finds what an earlier life left, and tells of it first.
    pub(crate) async fn open(
        tools: Tools,
        mut events: mpsc::Receiver<containers::Event>,
        calls: mpsc::Receiver<Input>,
    ) -> anyhow::Result<Self> {
        let (tell, happened) = mpsc::unbounded_channel();
        let hands = Hands {
            books: Arc::default(),
            launches: Arc::new(Semaphore::new(LAUNCHES_MAX)),
            tell,
            deeds: TaskTracker::new(),
            tools,
        };
        let guests = hands.tools.guests.clone();
        guests.read()?;
        let found = hands.tools.containers.recover().await?;
        let known: Vec<_> = found.iter().map(|found| found.container.clone()).collect();
        hands.tools.gpus.settle(&known.iter().cloned().collect())?;
        for found in found.into_iter().filter(|found| !guests.recover(found)) {
            hands.books.know(&found.container);
            match found.state {
                FoundState::Alive { pid } => hands.started(found.container, pid),
                FoundState::Exited(exited) => hands.exited(found.container, exited),
            }
        }
        guests.settle(&known).await;
        hands.find_docker(&known).await;
        let ending = CancellationToken::new();
        let (listening, ended) = (hands.clone(), ending.clone());
        hands.deeds.spawn(async move {
            loop {
                tokio::select! {
                    () = ended.cancelled() => return,
                    event = events.recv() => match event {
                        Some(event) => listening.heard(event),
                        None => return,
                    },
                }
            }
        });
        hands.deeds.spawn(measure::measure(hands.clone(), ending.clone()));
        if let Some(interval) = hands.tools.oversubscribe {
            hands.deeds.spawn(load::weigh(hands.clone(), interval, ending.clone()));
        }
        if let Some(interval) = hands.tools.disk_quota {
            hands.deeds.spawn(quota::watch(hands.clone(), interval, ending.clone()));
        }
        let (errands, wanted) = mpsc::unbounded_channel();
        let (working, ended) = (hands.clone(), ending.clone());
        hands.deeds.spawn(async move {
            let (volumes, seeds) = (working.tools.volumes.clone(), working.tools.seeds.clone());
            let work = volumes.work(wanted, |input| working.tell(input), &seeds);
            tokio::select! {
                () = ended.cancelled() => (),
                () = work => (),
            }
        });
        Ok(Self { hands, happened, errands, calls, ending })
    }

    fn agent(&self) -> AgentId {
        let own = self.hands.tools.board.view().own;
        let agent = own.and_then(|own| own.agent.clone());
        agent.unwrap_or_else(|| AgentId::new("unknown"))
    }

    /// Whom it has just admitted it watches from then on: the brain is told when that stream ends.
    fn tell_provider(&self, stream: u64, said: ToProvider) {
        let providers = &self.hands.tools.providers;
        let over = match said {
            ToProvider::Subscribed { .. } => providers.over(stream),
            ToProvider::Apply(_)
            | ToProvider::Publish { .. }
            | ToProvider::Acknowledge { .. }
            | ToProvider::Reconcile { .. }
            | ToProvider::Teardown
            | ToProvider::HangUp => None,
        };
        if let Some(over) = over {
            let (hands, ending) = (self.hands.clone(), self.ending.clone());
            self.hands.deeds.spawn(async move {
                tokio::select! {
                    () = ending.cancelled() => return,
                    () = over.cancelled() => (),
                }
                hands.tools.providers.end(stream);
                let (said, seed) = (FromProvider::Lost, hands.tools.seeds.next());
                hands.tell(Input::Provider { stream, said, seed });
            });
        }
        providers.say(stream, said);
    }

    fn send(&self, errand: Errand) {
        if self.errands.send(errand).is_err() {
            tracing::debug!("the agent ends; the next start does it");
        }
    }

    /// Whether the brain still wants to know of it; otherwise nobody will ever say that it may go.
    fn is_held(&self, container: &ContainerId) -> bool {
        let view = self.hands.tools.board.view();
        view.held.contains_key(container) || view.executors.contains_key(container)
    }
}

impl Runtime for Real {
    fn carry_out(&mut self, effect: Effect) {
        let hands = self.hands.clone();
        match effect {
            Effect::Launch { container, framework, task, group } => {
                let stopped = hands.books.begin(&container);
                let job = Job { container, framework, task, group, executor: None, stopped };
                self.hands.deeds.spawn(async move { hands.launch(job).await });
            }
            Effect::LaunchExecutor { container, executor, resources, limits } => {
                let stopped = hands.books.begin(&container);
                let job = Job::of_executor(container, executor, (resources, limits), stopped);
                self.hands.deeds.spawn(async move { hands.launch(job).await });
            }
            Effect::Resize { container, resources, limits } => {
                hands.resize(&container, &resources, &limits);
            }
            Effect::Pool { pool, resources } => hands.pool(&pool, &resources),
            Effect::ToExecutor { container, said } => hands.tools.streams.say(&container, said),
            Effect::ToProvider { stream, said } => self.tell_provider(stream, said),
            Effect::Stop { container, grace } => {
                self.hands.deeds.spawn(async move { hands.stop(&container, grace).await });
            }
            Effect::Probe { container, check, probe, timeout } => {
                self.hands.deeds.spawn(async move {
                    let tools = &hands.tools;
                    let probed = tools.prober.probe(&tools.containers, &container, &probe, timeout);
                    let (answer, seed) = (probed.await, tools.seeds.next());
                    hands.tell(Input::Probed { container, check, answer, seed });
                });
            }
            Effect::Look { container, look, probe, timeout } => {
                self.hands.deeds.spawn(async move {
                    let tools = &hands.tools;
                    let of = container.clone();
                    let glance = Glance { container: of, look, probe, within: timeout };
                    let looked = tools.prober.look(&tools.containers, glance);
                    let (finding, seed) = (looked.await, tools.seeds.next());
                    hands.tell(Input::Looked { container, look, finding, seed });
                });
            }
            Effect::Collect { container, framework, task, group, after } => {
                let agent = self.agent();
                let (framework, task) = (&framework, &task);
                let (agent, container, group) = (&agent, &container, group.as_ref());
                hands.collect_task(Tenant { agent, framework, task, container, group }, after);
            }
            Effect::CollectExecutor { framework, group, after } => {
                hands.collect_executor(Run::of(&self.agent(), &framework, &group), &group, after);
            }
            Effect::MakeVolumes { operation, volumes } => {
                self.send(Errand { operation, deed: Deed::Make, volumes });
            }
            Effect::RemoveVolumes { operation, volumes } => {
                self.send(Errand { operation, deed: Deed::Remove, volumes });
            }
            Effect::ToMaster(_) => (),
        }
    }

    async fn next(&mut self) -> Input {
        let input = tokio::select! {
            biased;
            input = self.happened.recv() => input.expect("the runtime itself holds a sender"),
            Some(input) = self.calls.recv() => input,
        };
        if let Input::Container { container, happened: Happened::Exited { .. }, .. } = &input
            && !self.is_held(container)
        {
            let (hands, container) = (self.hands.clone(), container.clone());
            self.hands.deeds.spawn(async move { hands.remove(&container).await });
        }
        input
    }

    fn known(&self) -> Vec<ContainerId> {
        self.hands.books.known()
    }

    fn hang_up(&mut self) {
        self.hands.tools.streams.hang_up();
        self.hands.tools.providers.hang_up();
    }

    fn clear(&mut self) -> impl Future<Output = ()> + Send {
        let hands = self.hands.clone();
        async move {
            hands.tools.guests.clear().await;
            for container in hands.books.known() {
                hands.remove(&container).await;
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = ()> + Send {
        self.ending.cancel();
        // Whoever listens looks for the next agent, which may be of this process too.
        self.hang_up();
        self.hands.books.stop_all();
        self.hands.deeds.close();
        let (deeds, guests) = (self.hands.deeds.clone(), self.hands.tools.guests.clone());
        async move {
            let closed = async { tokio::join!(guests.close(), deeds.wait()) };
            if timeout(CLOSE_MAX, closed).await.is_err() {
                tracing::warn!(deeds = deeds.len(), "some deeds are broken off");
            }
        }
    }
}

impl Hands {
    fn tell(&self, input: Input) {
        if self.tell.send(input).is_err() {
            tracing::debug!("the brain has ended before it could hear all");
        }
    }

    fn say(&self, container: ContainerId, happened: Happened) {
        let seed = self.tools.seeds.next();
        self.tell(Input::Container { container, happened, seed });
    }

    fn started(&self, container: ContainerId, pid: u32) {
        let is_apart = self.tools.containers.is_apart(&container);
        let addresses = if is_apart { Vec::new() } else { vec![Address(self.tools.place.ip)] };
        let status =
            ContainerStatus { id: container.clone(), addresses, pid: Some(pid), parent: None };
        self.say(container, Happened::Started { status });
    }

    fn exited(&self, container: ContainerId, exited: containers::Exited) {
        let engine = self.tools.engine.as_ref().filter(|engine| engine.has(&container));
        let Some(engine) = engine.cloned() else { return self.tell_end(container, exited) };
        let hands = self.clone();
        self.deeds.spawn(async move {
            let exited = hands.end_docker(&engine, &container, exited).await;
            hands.tell_end(container, exited);
        });
    }

    fn tell_end(&self, container: ContainerId, exited: containers::Exited) {
        let containers::Exited { wait_status, limitation } = exited;
        let limitation = limitation.or_else(|| self.books.limited(&container));
        // Before anybody hears of it, and gives them to the next.
        self.tools.gpus.give_back(&container);
        tracing::info!(%container, wait_status, "container ended");
        let told = containers::Exited { wait_status, limitation: limitation.clone() };
        self.tools.guests.exits().remember(&container, told);
        self.say(container, Happened::Exited { wait_status, limitation });
    }

    fn heard(&self, event: containers::Event) {
        if self.tools.guests.heard(&event) {
            return;
        }
        let containers::Event { container, exited } = event;
        if let Some(exited) = self.books.hold_back(&container, exited) {
            self.exited(container, exited);
        }
    }

    async fn stop(&self, container: &ContainerId, grace: Duration) {
        if self.books.stop(container) {
            return;
        }
        if let Err(cause) = self.tools.containers.stop(container, grace).await {
            self.tools.gauges.not_destroyed();
            tracing::warn!(%container, cause = format!("{cause:#}"), "container cannot be stopped");
        }
    }

    /// Of a program, which also sees the volumes of its tasks.
    fn resize(&self, container: &ContainerId, resources: &Resources, limits: &Limits) {
        if let Err(cause) = self.link(container, resources) {
            tracing::warn!(%container, cause = format!("{cause:#}"), "it cannot see a volume");
        }
        if let Err(cause) = self.recount(container, resources) {
            tracing::warn!(%container, cause = format!("{cause:#}"), "its room on the disk stays as it is");
        }
        let resized = self.tools.containers.resize(container, &launch::limits(resources, limits));
        if let Err(cause) = resized {
            tracing::warn!(%container, cause = format!("{cause:#}"), "its limits stay as they are");
        }
    }

    fn pool(&self, pool: &ContainerId, resources: &Resources) {
        let limits = launch::limits(resources, &Limits::default());
        if let Err(cause) = self.tools.containers.pool(pool, &limits) {
            // Version 1 of control groups refuses to go below what the others have taken by now.
            tracing::info!(%pool, cause = format!("{cause:#}"), "limits that tasks share stay as they are");
        }
    }

    fn recount(&self, container: &ContainerId, resources: &Resources) -> anyhow::Result<()> {
        let view = self.tools.board.view();
        let Some(executor) = view.executors.get(container) else { return Ok(()) };
        let sandbox = self.tools.sandboxes.run(Run::of_program(container, executor))?;
        self.count(&sandbox, resources)
    }

    fn link(&self, container: &ContainerId, resources: &Resources) -> anyhow::Result<()> {
        let view = self.tools.board.view();
        let Some(executor) = view.executors.get(container) else { return Ok(()) };
        if executor.has_image() {
            return Ok(());
        }
        let sandbox = self.tools.sandboxes.run(Run::of_program(container, executor))?;
        self.tools.volumes.link(&resources.minus(&executor.info.resources), &sandbox)
    }

    fn collect_task(&self, tenant: Tenant<'_>, after: Duration) {
        // What is of a task in a program is of the program.
        if tenant.group.is_some_and(|group| group.executor.program.is_some()) {
            return;
        }
        let sandbox = self.tools.sandboxes.path(tenant).ok();
        let (hands, container) = (self.clone(), tenant.container.clone());
        self.deeds.spawn(async move {
            hands.remove(&container).await;
            hands.collect(sandbox, after);
        });
    }

    fn collect_executor(&self, run: Run<'_>, group: &Group, after: Duration) {
        let sandbox = self.tools.sandboxes.run(run).ok();
        if group.executor.program.is_none() {
            if let Some(pool) = group.pool()
                && let Err(cause) = self.tools.containers.forget_pool(pool)
            {
                tracing::warn!(%pool, cause = format!("{cause:#}"), "control groups stay");
            }
            return self.collect(sandbox, after);
        }
        let (hands, container) = (self.clone(), group.container.clone());
        self.tools.streams.end(&container);
        self.deeds.spawn(async move {
            hands.remove(&container).await;
            hands.collect(sandbox, after);
        });
    }

    fn collect(&self, sandbox: Option<PathBuf>, after: Duration) {
        let due = sandbox.map(|sandbox| Due { sandbox, after });
        if due.is_some_and(|due| self.tools.due.send(due).is_err()) {
            tracing::debug!("the collector has ended; the next start finds the sandbox");
        }
    }

    /// The writable layer and the image.
    async fn remove(&self, container: &ContainerId) {
        if let Err(cause) = self.tools.containers.remove(container).await {
            tracing::debug!(%container, cause = format!("{cause:#}"), "nothing of it to remove");
        }
        if let Some(engine) = self.tools.engine.as_ref().filter(|engine| engine.has(container)) {
            engine.remove(container).await;
        }
        self.tools.guests.host_gone(container).await;
        self.books.forget(container);
    }
}
