//! Executors that are programs of their frameworks: how one starts and how it ends. What it says while it lives is in
//! [`hears`](crate::hears).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::agent::{FromAgent, RunIn};
use model::executor::{Given, HeldExecutor, Together};
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, ContainerId, ExecutorId, FrameworkId, Role};
use model::limits::{self, Limits};
use model::resources::Resources;
use model::task::{ContainerStatus, ExecutorInfo, Reason, Source, TaskInfo, TaskState};
use model::time::Time;

use crate::hears::ToExecutor;
use crate::queue::Queue;
use crate::start::Missing;
use crate::state::{Group, Held, Record};
use crate::tasks::Order;
use crate::updates::News;
use crate::volumes::Since;
use crate::wait;
use crate::{Effect, Happened, Node, Refusal, TICK_TIMERS_MAX, Turn};

/// An executor that is a program, from the first word of it until it has ended.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Executor {
    /// With its id.
    #[cbor(n(0), with = "model::shared")]
    pub framework: Arc<FrameworkInfo>,
    #[cbor(n(1), with = "model::shared")]
    pub info: Arc<ExecutorInfo>,
    #[n(2)]
    pub agent: AgentId,
    /// What it is charged to.
    #[n(3)]
    pub role: Role,
    #[n(4)]
    pub accepted_at: Time,
    /// Unset until its process has been seen to run.
    #[n(5)]
    pub running: Option<ContainerStatus>,
    /// It has subscribed, perhaps in an earlier life of the agent.
    #[n(6)]
    pub subscribed: bool,
    #[n(7)]
    pub ending: Option<Ending>,
}

/// Since when and why an executor is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Ending {
    #[n(0)]
    pub at: Time,
    /// From the word to SIGKILL.
    #[n(1)]
    pub grace: Duration,
    #[n(2)]
    pub by: EndedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum EndedBy {
    /// Its framework, the end of its framework, or the operator.
    #[n(0)]
    Order,
    /// It has not subscribed in time.
    #[n(1)]
    Silence,
    /// It has not subscribed again in time, after the agent was started anew.
    #[n(2)]
    Absence,
    /// It has never subscribed, and all that it was started for is killed.
    #[n(3)]
    Idleness,
}

impl Executor {
    pub fn framework(&self) -> &FrameworkId {
        self.framework.id.as_ref().expect("the kernel names it")
    }

    pub(crate) fn key(&self) -> (FrameworkId, ExecutorId) {
        (self.framework().clone(), self.info.id.clone())
    }

    pub(crate) fn told(&self) -> HeldExecutor {
        let (framework, info) = (self.framework().clone(), self.info.as_ref().clone());
        HeldExecutor { framework, info, role: self.role.clone() }
    }
}

impl Held {
    /// What it shares with the other tasks of a program.
    pub(crate) fn program(&self) -> Option<&Group> {
        self.group.as_ref().filter(|group| group.executor.program.is_some())
    }
}

/// What is not kept of programs.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// When each must have subscribed, or ended.
    pub(crate) due: Queue<ContainerId>,
    /// Tasks that were handed to those that listen.
    pub(crate) handed: BTreeSet<ContainerId>,
    /// Those whose start was asked for: asked again, one that has just failed would start once more, for nobody.
    launched: BTreeSet<ContainerId>,
}

impl Node {
    /// Accepts tasks of a program: written down before the program is started or told of them.
    pub(crate) fn run_in(&mut self, run: RunIn, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        run.tasks.iter().try_for_each(|task| self.is_ours(task))?;
        let RunIn { framework, executor, tasks, together, killing } = run;
        let id = framework.id.clone().expect("the kernel names it");
        let framework = Arc::new(framework);
        let order = Order { framework: id, killing, of: Some(framework.clone()) };
        let is_new =
            |task: &TaskInfo| self.state.container_of(&order.framework, &task.id).is_none();
        let tasks: Vec<TaskInfo> = tasks.into_iter().filter(is_new).collect();
        let Some(role) = tasks.first().map(|task| task.role.clone()) else { return Ok(()) };
        let key = (order.framework.clone(), executor.id.clone());
        let known = self.state.program(&key);
        let since = if known.is_some() { Since::Earlier } else { Since::Now };
        let (container, program) = match known {
            Some(known) => known,
            None => self.begin_program((framework, executor, role), turn),
        };
        let (executor, launch) = (program.info.clone(), turn.mint());
        let group = Group { executor, container: container.clone(), launch, together };
        for task in tasks {
            let launch = if together == Together::No { turn.mint() } else { launch };
            let group = Group { launch, ..group.clone() };
            let (key, held) = self.accept(&order, task, Some(group), turn);
            if program.ending.is_some() {
                self.report(&key, &held, dropped(&program), turn);
            } else if let Some(news) = self.unseen(&program, since, &held.info) {
                self.report(&key, &held, news, turn);
            } else if !self.is_ended_for_lack(&key, &held, turn) && !self.awaits(&held) {
                self.prepare(&key, &held, turn);
            }
        }
        if since == Since::Now && self.live_in(&container).is_empty() {
            let cause = "None of its tasks can run".to_owned();
            self.program_over(&container, Over { wait_status: None, why: None, cause }, turn);
        } else if since == Since::Now {
            self.launch_program(&container, turn);
        } else if program.ending.is_none() {
            self.resize(&container, turn);
            if program.subscribed {
                self.hand_over(&container, turn);
            }
        }
        Ok(())
    }

    /// Writes a new program down.
    fn begin_program(
        &mut self,
        (framework, info, role): (Arc<FrameworkInfo>, ExecutorInfo, Role),
        turn: &mut Turn<'_>,
    ) -> (ContainerId, Arc<Executor>) {
        let container = ContainerId::new(turn.mint().to_string());
        let agent = self.own().agent.clone().expect("tasks are for this agent");
        let executor = Executor {
            framework,
            info: Arc::new(info),
            agent,
            role,
            accepted_at: turn.now,
            running: None,
            subscribed: false,
            ending: None,
        };
        self.keep_program(&container, executor.clone(), turn);
        self.programs.due.set(container.clone(), turn.now + self.config.registration_timeout);
        (container, Arc::new(executor))
    }

    /// Unless a volume of its own is being made, or what it uses of providers.
    pub(crate) fn launch_program(&mut self, container: &ContainerId, turn: &mut Turn<'_>) {
        let executor = self.state.executor(container).expect("it is written down").clone();
        let own = &executor.info.resources;
        if self.is_being_made(own) || !self.is_ready(container, own, turn) {
            return;
        }
        if !self.programs.launched.insert(container.clone()) {
            return;
        }
        let (resources, limits) = self.needed(container, &executor);
        let container = container.clone();
        turn.out.effects.push(Effect::LaunchExecutor { container, executor, resources, limits });
    }

    pub(crate) fn keep_program(
        &mut self,
        container: &ContainerId,
        executor: Executor,
        turn: &mut Turn<'_>,
    ) {
        self.commit(Record::Executor(container.clone(), Some(Arc::new(executor))), turn);
    }

    /// The tasks of a program that have not ended.
    pub(crate) fn live_in(&self, container: &ContainerId) -> Vec<(ContainerId, Arc<Held>)> {
        let Some(executor) = self.state.executor(container) else { return Vec::new() };
        let all = self.state.of_executor(&executor.key());
        let is_here =
            |held: &Held| held.program().is_some_and(|group| group.container == *container);
        let live = all.filter(|(_, held)| !held.is_ended() && is_here(held));
        live.map(|(id, held)| (id.clone(), held.clone())).collect()
    }

    /// What all of it uses, and what it may use at most where that is more.
    fn needed(&self, container: &ContainerId, executor: &Executor) -> (Resources, Limits) {
        let mut sum = executor.info.resources.clone();
        let (own, none) = (&executor.info.resources, Limits::default());
        let live = self.live_in(container);
        let ready: Vec<_> = live.iter().filter(|(_, held)| !self.awaits(held)).collect();
        let parts = || {
            let of_tasks = ready.iter().map(|(_, held)| (&held.info.resources, held.info.limits));
            std::iter::once((own, none)).chain(of_tasks)
        };
        let cpus = limits::sum(parts().map(|(used, most)| (used.cpus(), most.cpus)));
        let mem = limits::sum(parts().map(|(used, most)| (used.mem(), most.mem)));
        ready.iter().for_each(|(_, held)| sum.add(&held.info.resources));
        (sum, Limits { cpus, mem })
    }

    /// What surrounds a program follows what its tasks may use.
    pub(crate) fn resize(&self, container: &ContainerId, turn: &mut Turn<'_>) {
        let Some(executor) = self.state.executor(container) else { return };
        if executor.running.is_some() {
            let (resources, limits) = self.needed(container, executor);
            let container = container.clone();
            turn.out.effects.push(Effect::Resize { container, resources, limits });
        }
    }

    pub(crate) fn shutdown_asked(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        turn: &mut Turn<'_>,
    ) {
        let key = (framework.clone(), executor.clone());
        if let Some((container, _)) = self.state.program(&key) {
            self.end_program(&container, EndedBy::Order, turn);
        }
    }

    /// For an executor of which nobody may be there to listen.
    pub(crate) fn message_asked(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        data: Given,
        turn: &mut Turn<'_>,
    ) {
        if let Some((container, _)) = self.state.program(&(framework.clone(), executor.clone())) {
            let said = ToExecutor::Message(data);
            turn.out.effects.push(Effect::ToExecutor { container, said });
        }
    }

    /// All programs of a framework, or all that there are.
    pub(crate) fn end_programs(&mut self, of: Option<&FrameworkId>, turn: &mut Turn<'_>) {
        let all = self.state.executors();
        let asked = all.iter().filter(|(_, one)| of.is_none_or(|id| one.framework() == id));
        asked.for_each(|(container, _)| self.end_program(container, EndedBy::Order, turn));
    }

    /// Who listens is told, and has some time; who has never listened, or does no more, has none.
    pub(crate) fn end_program(
        &mut self,
        container: &ContainerId,
        by: EndedBy,
        turn: &mut Turn<'_>,
    ) {
        let executor = self.state.executor(container).expect("it is held").clone();
        if executor.ending.is_some() {
            return;
        }
        let own = executor.info.program.as_ref().and_then(|program| program.shutdown_grace);
        let grace = match by {
            EndedBy::Order if executor.subscribed => own.unwrap_or(self.config.shutdown_grace),
            EndedBy::Order | EndedBy::Silence | EndedBy::Absence | EndedBy::Idleness => {
                Duration::ZERO
            }
        };
        let ending = Ending { at: turn.now, grace, by };
        let ended = Executor { ending: Some(ending), ..Executor::clone(&executor) };
        self.keep_program(container, ended, turn);
        self.carry_on_ending(container, ending, turn);
    }

    /// With what is left of its grace period.
    pub(crate) fn carry_on_ending(
        &mut self,
        container: &ContainerId,
        ending: Ending,
        turn: &mut Turn<'_>,
    ) {
        let executor = self.state.executor(container).expect("it is held");
        if executor.running.is_none() && self.is_being_made(&executor.info.resources) {
            let cause = "It was ended before its volumes were made".to_owned();
            let over = Over { wait_status: None, why: None, cause };
            return self.program_over(container, over, turn);
        }
        let until = ending.at + ending.grace;
        let container = container.clone();
        if turn.now < until {
            self.programs.due.set(container.clone(), until);
            let said = ToExecutor::Shutdown;
            turn.out.effects.push(Effect::ToExecutor { container, said });
        } else {
            self.programs.due.remove(&container);
            turn.out.effects.push(Effect::Stop { container, grace: Duration::ZERO });
        }
    }

    /// Ends those whose time is up.
    pub(crate) fn time_out(&mut self, turn: &mut Turn<'_>) {
        for container in self.programs.due.take_due(turn.now, TICK_TIMERS_MAX) {
            let Some(executor) = self.state.executor(&container) else { continue };
            match (executor.ending, executor.subscribed) {
                (Some(ending), _) => self.carry_on_ending(&container, ending, turn),
                (None, false) => self.end_program(&container, EndedBy::Silence, turn),
                (None, true) => self.end_program(&container, EndedBy::Absence, turn),
            }
        }
    }

    /// After a restart of the agent: whoever was subscribed must subscribe again.
    pub(crate) fn resume_program(&mut self, container: &ContainerId, turn: &mut Turn<'_>) {
        let executor = self.state.executor(container).expect("it is held").clone();
        let patience = match executor.subscribed {
            true => self.config.reregistration_timeout,
            false => self.config.registration_timeout,
        };
        match executor.ending {
            Some(ending) => self.carry_on_ending(container, ending, turn),
            None => self.programs.due.set(container.clone(), turn.now + patience),
        }
    }

    /// There is no sign of its container.
    pub(crate) fn miss_program(
        &mut self,
        container: &ContainerId,
        missing: Missing,
        turn: &mut Turn<'_>,
    ) {
        let executor = self.state.executor(container).expect("it is held").clone();
        if executor.running.is_none() && executor.ending.is_none() {
            self.resume_program(container, turn);
            return self.launch_program(container, turn);
        }
        let why = match missing {
            Missing::Rebooted => Some(Reason::AgentRestarted),
            Missing::Gone => None,
        };
        let over = Over { wait_status: None, why, cause: missing.cause() };
        self.program_over(container, over, turn);
    }

    pub(crate) fn program_happened(
        &mut self,
        container: &ContainerId,
        happened: Happened,
        turn: &mut Turn<'_>,
    ) {
        let executor = self.state.executor(container).expect("the caller has looked").clone();
        match happened {
            Happened::Preparing { .. } => (),
            Happened::Started { status } => {
                let runs = Executor { running: Some(status), ..Executor::clone(&executor) };
                self.keep_program(container, runs, turn);
                self.resize(container, turn);
                if let Some(ending) = executor.ending {
                    self.carry_on_ending(container, ending, turn);
                }
            }
            Happened::Failed { reason, cause } => {
                let over = Over { wait_status: None, why: Some(reason), cause };
                self.program_over(container, over, turn);
            }
            Happened::Exited { wait_status, limitation } => {
                let ended = wait::Ended::of(wait_status).message();
                let (why, cause) = limitation.map_or_else(
                    || (None, format!("Executor terminated: {ended}")),
                    |(reason, cause)| (Some(reason), cause),
                );
                let over = Over { wait_status: Some(wait_status), why, cause };
                self.program_over(container, over, turn);
            }
        }
    }

    /// It has ended, and with it what is left of its tasks.
    pub(crate) fn program_over(
        &mut self,
        container: &ContainerId,
        over: Over,
        turn: &mut Turn<'_>,
    ) {
        let executor = self.state.executor(container).expect("it is held").clone();
        for (id, held) in self.live_in(container) {
            self.report(&id, &held, self.orphaned(&executor, &over), turn);
        }
        self.programs.due.remove(container);
        self.providers.ready.remove(container);
        self.programs.launched.remove(container);
        self.commit(Record::Executor(container.clone(), None), turn);
        turn.out.effects.push(Effect::ToMaster(FromAgent::ExecutorEnded {
            framework: executor.framework().clone(),
            executor: executor.info.id.clone(),
            wait_status: over.wait_status,
        }));
        let group = Group {
            executor: executor.info.clone(),
            container: container.clone(),
            launch: turn.mint(),
            together: Together::No,
        };
        self.collect_left(executor.framework(), &group, turn);
        self.part_from(executor.framework(), turn);
    }

    /// What becomes of a task whose executor is no more.
    fn orphaned(&self, executor: &Executor, over: &Over) -> News {
        let (state, reason, said) = match executor.ending.map(|ending| ending.by) {
            Some(EndedBy::Silence) => (
                TaskState::Failed,
                Reason::ExecutorRegistrationTimeout,
                Some(format!(
                    "Executor did not register within {}s",
                    self.config.registration_timeout.as_secs()
                )),
            ),
            Some(EndedBy::Absence) => (
                gone_for(executor, TaskState::Gone),
                Reason::ExecutorReregistrationTimeout,
                Some(format!(
                    "Executor did not reregister within {}s",
                    self.config.reregistration_timeout.as_secs()
                )),
            ),
            Some(EndedBy::Order | EndedBy::Idleness) | None => match over.why {
                Some(Reason::AgentRestarted) => {
                    (gone_for(executor, TaskState::Gone), Reason::AgentRestarted, None)
                }
                Some(_) | None => (TaskState::Failed, Reason::ExecutorTerminated, None),
            },
        };
        News {
            source: Source::Agent,
            reason: Some(over.why.filter(|_| said.is_none()).unwrap_or(reason)),
            message: Some(said.unwrap_or_else(|| over.cause.clone())),
            wait_status: over.wait_status,
            ..News::of(state)
        }
    }
}

/// How a program has ended.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) wait_status: Option<i32>,
    /// What the runtime or the launch says.
    pub(crate) why: Option<Reason>,
    pub(crate) cause: String,
}

/// Those that are not partition-aware know only TASK_LOST.
fn gone_for(executor: &Executor, state: TaskState) -> TaskState {
    if executor.framework.can(Capability::PartitionAware) { state } else { TaskState::Lost }
}

/// It came for an executor that was to end already.
fn dropped(executor: &Executor) -> News {
    News {
        source: Source::Agent,
        reason: Some(Reason::ExecutorTerminated),
        message: Some("Executor terminating".to_owned()),
        ..News::of(gone_for(executor, TaskState::Dropped))
    }
}
