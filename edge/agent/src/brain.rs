//! The loop of an agent: what came in is decided, checkpointed, and then acted upon.
//!
//! A disk that is full does not end the agent. Tasks that come meanwhile are refused with the cause, everything else
//! waits, and once there is room the brain is read again from its checkpoints.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::FutureExt;
use model::agent::{AgentInfo, FromAgent, Letter, RunIn, ToAgent};
use model::id::Term;
use model::operation::{Operated, OperationState, OperationStatus};
use model::resources::Resources;
use model::turn::{Released, TurnLoop};
use node::{Effect, Held, Input, Node, Unwritten, View};
use store::StoreError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::board::{Completed, Publisher};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::line::{Heard, Line};
use crate::runtime::Runtime;
use crate::seeds::Seeds;

/// Things heard that are gathered into one batch before it is decided.
const GATHER_MAX: usize = 256;
/// From one look for space to the next, while there is none.
const SPACE_PROBE: Duration = Duration::from_secs(1);
/// Beyond the longest grace period: what a stop of all tasks may take.
const STOP_LATE_MAX: Duration = Duration::from_secs(10);

/// What the brain is told at the start.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) info: AgentInfo,
    /// Which start of the machine this is.
    pub(crate) boot: String,
    pub(crate) node: node::Config,
    pub(crate) stop_tasks: bool,
    /// Of the lost inputs of a failed commit, those that nobody repeats are kept. Not needed where commits cannot fail.
    pub(crate) keeps_inputs: bool,
}

/// What a brain is made of.
pub(crate) struct Parts<R> {
    pub(crate) setup: Setup,
    pub(crate) disk: Disk,
    pub(crate) line: Line,
    pub(crate) runtime: R,
    pub(crate) seeds: Arc<Seeds>,
    pub(crate) publisher: Publisher,
}

pub(crate) struct Brain<R> {
    setup: Setup,
    turn: TurnLoop<Node, Option<Box<Input>>, View>,
    disk: Disk,
    line: Line,
    runtime: R,
    seeds: Arc<Seeds>,
    publisher: Publisher,
    clock: Clock,
}

/// How the gathering of inputs ended.
enum Gathered {
    Inputs,
    Shutdown,
}

impl<R: Runtime> Brain<R> {
    pub(crate) fn new(parts: Parts<R>) -> anyhow::Result<Self> {
        let Parts { setup, mut disk, line, runtime, seeds, publisher } = parts;
        let node = disk.load(setup.node.clone()).context("reading the agent's checkpoints")?;
        publisher.publish(node.view());
        let mut brain = Self {
            setup,
            turn: TurnLoop::new(node),
            disk,
            line,
            runtime,
            seeds,
            publisher,
            clock: Clock::new(),
        };
        brain.start();
        Ok(brain)
    }

    /// Lives until it is told to end.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        while let Gathered::Inputs = self.gather(&shutdown).await {
            self.decide(&shutdown).await?;
        }
        self.line.close();
        if self.setup.stop_tasks {
            self.stop_tasks().await?;
        }
        self.runtime.close().await;
        Ok(())
    }

    /// Tells the brain that it has just been started.
    fn start(&mut self) {
        let (info, alive) = (self.setup.info.clone(), self.runtime.known());
        let (boot, seed) = (self.setup.boot.clone(), self.seeds.next());
        self.push(Input::Started { info, boot, alive, seed });
    }

    fn push(&mut self, input: Input) {
        let kept = self.setup.keeps_inputs.then(|| Box::new(input.clone()));
        self.turn.push(kept, input);
    }

    /// Waits for something to decide, and takes what else is there.
    async fn gather(&mut self, shutdown: &CancellationToken) -> Gathered {
        if self.turn.waiting() == 0 {
            let now = self.clock.now();
            let tick_in = self.turn.wake_at().map(|at| at.since(now));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Gathered::Shutdown,
                input = self.runtime.next() => self.push(input),
                heard = self.line.next() => self.hear(heard),
                () = sleep(tick_in.unwrap_or_default()), if tick_in.is_some() => self.push(Input::Tick),
            }
        }
        for _ in 0..GATHER_MAX {
            if let Some(input) = self.runtime.next().now_or_never() {
                self.push(input);
            } else if let Some(heard) = self.line.next().now_or_never() {
                self.hear(heard);
            } else {
                break;
            }
        }
        match shutdown.is_cancelled() {
            true => Gathered::Shutdown,
            false => Gathered::Inputs,
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Opened(term) => self.push(Input::Connected { term }),
            Heard::Lost => self.push(Input::Disconnected),
            Heard::Letter(Letter { term, messages }) => {
                for message in messages {
                    if let ToAgent::Refused { cause } = &message {
                        tracing::error!(cause, "the master does not admit this agent");
                    }
                    let seed = self.seeds.next();
                    self.push(Input::Master { term, message, seed });
                }
            }
        }
    }

    /// One turn: nothing of it leaves before it is on the disk.
    async fn decide(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        if !self.turn.is_ready() {
            return Ok(());
        }
        let writes = self.turn.decide(self.clock.now(), |_| (), Node::view);
        match self.disk.commit(writes).await {
            Ok(()) => {
                let released = self.turn.committed();
                self.release(released);
                Ok(())
            }
            Err(StoreError::NoSpace) => self.outlast_full_disk(shutdown).await,
            Err(cause) => Err(cause).context("writing a checkpoint"),
        }
    }

    fn release(&mut self, released: Released<Node, Option<Box<Input>>, View>) {
        let before = self.publisher.publish(released.view);
        for refusal in released.answers.into_iter().filter_map(|(_, answer)| answer.err()) {
            tracing::info!(%refusal, "the master's word is not followed");
        }
        let mut messages = Vec::new();
        for effect in released.effects {
            match effect {
                Effect::ToMaster(message) => messages.push(message),
                Effect::Collect { ref container, .. } => {
                    if let Some(held) = before.held.get(container) {
                        self.publisher.complete(Completed {
                            container: container.clone(),
                            held: held.clone(),
                            framework: before.frameworks.get(&held.framework).cloned(),
                        });
                    }
                    self.runtime.carry_out(effect);
                }
                Effect::Launch { .. }
                | Effect::LaunchExecutor { .. }
                | Effect::Resize { .. }
                | Effect::Pool { .. }
                | Effect::ToExecutor { .. }
                | Effect::ToProvider { .. }
                | Effect::Stop { .. }
                | Effect::Probe { .. }
                | Effect::Look { .. }
                | Effect::MakeVolumes { .. }
                | Effect::RemoveVolumes { .. }
                | Effect::CollectExecutor { .. } => self.runtime.carry_out(effect),
            }
        }
        if !self.line.send(messages) {
            self.push(Input::Disconnected);
        }
    }

    /// Ends all tasks and waits for their ends to be on the disk; the next start tells them, and needs nothing but the
    /// checkpoints for it.
    async fn stop_tasks(&mut self) -> anyhow::Result<()> {
        self.push(Input::Disconnected);
        self.push(Input::StopTasks);
        let never = CancellationToken::new();
        self.decide(&never).await?;
        let view = self.turn.machine().view();
        let executors = view.executors.values();
        let of_executors = executors.filter_map(|executor| Some(executor.ending?.grace));
        let of_tasks = self.live().filter_map(|held| Some(held.killed?.grace));
        let grace = of_tasks.chain(of_executors).max();
        let late = sleep(grace.unwrap_or_default() + STOP_LATE_MAX);
        tokio::pin!(late);
        while self.live().next().is_some() || self.has_executors() {
            tokio::select! {
                _ = self.gather(&never) => (),
                () = &mut late => {
                    tracing::error!(tasks = self.live().count(), "some tasks do not end");
                    return Ok(());
                }
            }
            self.decide(&never).await?;
        }
        self.runtime.clear().await;
        Ok(())
    }

    fn has_executors(&self) -> bool {
        !self.turn.machine().view().executors.is_empty()
    }

    fn live(&self) -> impl Iterator<Item = Arc<Held>> {
        let held = self.turn.machine().view().held;
        held.into_iter().map(|(_, held)| held).filter(|held| !held.is_ended())
    }

    /// Nothing can be written down, so nothing is begun. Ends when there is room, with a fresh brain.
    async fn outlast_full_disk(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        tracing::error!("no space left for checkpoints: tasks are refused until some is free");
        let blank = TurnLoop::new(Node::new(self.setup.node.clone()));
        let lost = std::mem::replace(&mut self.turn, blank).failed();
        let mut waiting = Waiting::default();
        for input in lost.into_iter().flatten() {
            self.wait_or_refuse(*input, &mut waiting);
        }
        while let Err(cause) = self.disk.probe() {
            let StoreError::NoSpace = cause else { return Err(cause).context("looking for space") };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = sleep(SPACE_PROBE) => (),
                input = self.runtime.next() => self.wait_or_refuse(input, &mut waiting),
                heard = self.line.next() => self.hear_without_space(heard, &mut waiting),
            }
        }
        tracing::info!("there is space for checkpoints again");
        self.turn = TurnLoop::new(self.disk.load(self.setup.node.clone())?);
        self.line.hang_up();
        self.runtime.hang_up();
        self.start();
        for input in waiting.kept.into_iter().chain(waiting.kills) {
            self.push(input);
        }
        Ok(())
    }

    fn hear_without_space(&mut self, heard: Heard, waiting: &mut Waiting) {
        let Heard::Letter(Letter { term, messages }) = heard else { return };
        for message in messages {
            let seed = self.seeds.next();
            self.wait_or_refuse(Input::Master { term, message, seed }, waiting);
        }
    }

    fn refuse_task(&mut self, term: Term, unwritten: Unwritten, waiting: &mut Waiting) {
        let cause = "The agent has no space left to write the task down";
        let seed = self.seeds.next();
        self.line.send(vec![unwritten.refused(self.clock.now(), cause, seed)]);
        let Unwritten { framework, task, .. } = unwritten;
        // Nobody knows whether the failed commit is on the disk after all.
        let message = ToAgent::Kill { framework, task: task.id, grace: None, grace_max: None };
        waiting.kills.push(Input::Master { term, message, seed });
    }

    /// What the failed commit may have left of it is told when the agent registers again.
    fn refuse_operation(&mut self, operated: Operated) {
        let cause = "The agent has no space left to write the operation down";
        let claims = Resources::clone(&self.publisher.view().claims);
        self.line.send(vec![node::unwritten(operated, claims, cause, self.seeds.next())]);
    }

    /// The runtime says a thing once, so that is kept; the master repeats itself.
    fn wait_or_refuse(&mut self, input: Input, waiting: &mut Waiting) {
        match input {
            Input::Container { .. } | Input::Volumes { .. } => waiting.kept.push(input),
            Input::Master { term, message: ToAgent::RunIn(run), .. } => {
                let RunIn { framework, executor, tasks, .. } = *run;
                let framework = framework.id.expect("the kernel names it");
                for task in tasks {
                    let (framework, executor) = (framework.clone(), Some(executor.id.clone()));
                    self.refuse_task(term, Unwritten { framework, task, executor }, waiting);
                }
            }
            Input::Master { term, message: ToAgent::Run { framework, task, .. }, .. } => {
                let unwritten = Unwritten { framework, task, executor: None };
                self.refuse_task(term, unwritten, waiting);
            }
            Input::Master {
                term,
                message: ToAgent::RunGroup { framework, executor, tasks, .. },
                ..
            } => {
                for task in tasks {
                    let (framework, executor) = (framework.clone(), Some(executor.id.clone()));
                    self.refuse_task(term, Unwritten { framework, task, executor }, waiting);
                }
            }
            Input::Master {
                message: ToAgent::Convert { operation, framework, id, conversion, .. },
                ..
            } => {
                let latest = OperationStatus::new(id, OperationState::Pending, "");
                self.refuse_operation(Operated { uuid: operation, framework, conversion, latest });
            }
            Input::Master { message: ToAgent::Ping, .. } => {
                self.line.send(vec![FromAgent::Pong]);
            }
            Input::Master { .. }
            | Input::Started { .. }
            | Input::Connected { .. }
            | Input::Disconnected
            | Input::Executor { .. }
            | Input::Provider { .. }
            | Input::ProviderGone { .. }
            | Input::Probed { .. }
            | Input::Looked { .. }
            | Input::Measured { .. }
            | Input::Loaded { .. }
            | Input::StopTasks
            | Input::Tick => (),
        }
    }
}

/// What a fresh brain is told once there is space.
#[derive(Default)]
struct Waiting {
    kept: Vec<Input>,
    kills: Vec<Input>,
}
