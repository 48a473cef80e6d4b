//! Executors that are programs of their frameworks. They hold what they were given until their agents say that they have
//! ended, with tasks or without.

use model::agent::{PROTOCOL_PROGRAMS, RunIn, ToAgent};
use model::executor::{Given, HeldExecutor, Together};
use model::framework::FrameworkInfo;
use model::id::{AgentId, ExecutorId, FrameworkId, Role};
use model::resources::Resources;
use model::scheduler::{Ended, Event};
use model::task::{ExecutorInfo, Task, TaskInfo};

use crate::agents::LiveAgent;
use crate::amounts::{Amounts, Change};
use crate::demand::Client;
use crate::executors::{ExecutorKey, key_of};
use crate::{Effect, Kernel, Out, Record};

/// A program on one agent.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) held: HeldExecutor,
    /// It has ended, and not all of its tasks are known to have: what it holds is free with the last of them.
    pub(crate) ended: bool,
}

impl Program {
    pub(crate) fn new(held: HeldExecutor) -> Self {
        Self { held, ended: false }
    }

    pub(crate) fn client(&self) -> Client {
        Client { framework: self.held.framework.clone(), role: self.held.role.clone() }
    }
}

impl LiveAgent {
    pub(crate) fn executors(&self) -> impl Iterator<Item = HeldExecutor> {
        self.programs.values().map(|program| program.held.clone())
    }
}

impl Kernel {
    fn program(&self, agent: &AgentId, key: &ExecutorKey) -> Option<&Program> {
        self.agents.get(agent)?.programs.get(key)
    }

    /// Why the agent cannot run this program, or not so, if it cannot.
    pub(crate) fn program_fault(
        &self,
        agent: &AgentId,
        client: &Client,
        executor: &ExecutorInfo,
    ) -> Option<String> {
        let ExecutorInfo { id, program, .. } = executor;
        if program.is_none() {
            return Some(format!("executor {id} has no command"));
        }
        if self.agents[agent].protocol < PROTOCOL_PROGRAMS {
            return Some(format!(
                "agent {agent} is of a release that knows no executors but its own"
            ));
        }
        let key = (client.framework.clone(), id.clone());
        let known = self.program(agent, &key)?;
        let same = known.held.info == *executor && known.held.role == client.role;
        (!same).then(|| format!("executor {id} runs already, and is described in another way"))
    }

    /// Whether the agent runs it, or is about to: then it needs nothing more.
    pub(crate) fn runs_program(&self, agent: &AgentId, key: &ExecutorKey) -> bool {
        self.program(agent, key).is_some()
    }

    /// Tasks are sent to it: it runs from now on.
    pub(crate) fn expect_program(
        &mut self,
        agent: &AgentId,
        client: &Client,
        executor: &ExecutorInfo,
    ) {
        let Client { framework, role } = client.clone();
        let key = (framework.clone(), executor.id.clone());
        let live = self.agents.get_mut(agent).expect("offers are of live agents");
        let held = HeldExecutor { framework, info: executor.clone(), role };
        live.programs.entry(key).or_insert_with(|| Program::new(held)).ended = false;
        self.touched_agents.insert(agent.clone());
    }

    pub(crate) fn run_in(
        &self,
        framework: &FrameworkId,
        executor: ExecutorInfo,
        tasks: Vec<TaskInfo>,
        together: Together,
    ) -> ToAgent {
        let info = self.state.frameworks[framework].info.as_ref().clone();
        let info = FrameworkInfo { id: Some(framework.clone()), ..info };
        let killing = self.tell_killing(framework);
        ToAgent::RunIn(Box::new(RunIn { framework: info, executor, tasks, together, killing }))
    }

    /// Its agent says that it has ended.
    pub(crate) fn program_ended(
        &mut self,
        agent: &AgentId,
        key: &ExecutorKey,
        wait_status: Option<i32>,
        out: &mut Out,
    ) {
        if !self.runs_program(agent, key) {
            return;
        }
        let holders: Vec<bool> =
            self.holders(agent, key).map(|task| task.status.is_none()).collect();
        match holders.as_slice() {
            [] => self.free_program(agent, key, out),
            // A task is on its way and has it started anew.
            all if all.contains(&true) => (),
            _ => {
                let live = self.agents.get_mut(agent).expect("it runs a program");
                live.programs.get_mut(key).expect("it runs").ended = true;
            }
        }
        self.tell_ended(agent, key, wait_status, out);
    }

    pub(crate) fn tell_ended(
        &self,
        agent: &AgentId,
        (framework, executor): &ExecutorKey,
        wait_status: Option<i32>,
        out: &mut Out,
    ) {
        let ended = Ended { executor: executor.clone(), wait_status };
        let failure = Event::Failure { agent: agent.clone(), executor: Some(ended) };
        self.tell(framework, failure, out);
    }

    /// This task holds nothing any more: was it the last of a program that has ended?
    pub(crate) fn left_program(&mut self, task: &Task, out: &mut Out) {
        let Some(key) = key_of(task) else { return };
        let ended = self.program(&task.agent, &key).is_some_and(|program| program.ended);
        if ended && !self.holders(&task.agent, &key).any(|other| other.id != task.id) {
            self.free_program(&task.agent, &key, out);
        }
    }

    fn free_program(&mut self, agent: &AgentId, key: &ExecutorKey, out: &mut Out) {
        let live = self.agents.get_mut(agent).expect("it runs a program");
        let Some(program) = live.programs.remove(key) else { return };
        let freed = &program.held.info.resources;
        self.shares.change_member(&program.client(), &Change::minus(Amounts::of(freed)));
        let role: &Role = &program.held.role;
        let held = self.state.held(agent, role).map(|held| held.minus(freed));
        let held: Option<Resources> = held.filter(|held| !held.is_empty());
        self.commit(Record::InUse(agent.clone(), role.clone(), held), out);
        self.note_end(agent);
        self.count_free(agent);
        self.offer_again(agent);
    }

    /// What the agent says it runs is what it runs; tasks name it so, whatever they brought along.
    pub(crate) fn settle_programs(
        &mut self,
        agent: &AgentId,
        held: Vec<HeldExecutor>,
        out: &mut Out,
    ) {
        let of = |held: HeldExecutor| {
            ((held.framework.clone(), held.info.id.clone()), Program::new(held))
        };
        let live = self.agents.get_mut(agent).expect("it was attached");
        let before = std::mem::replace(&mut live.programs, held.into_iter().map(of).collect());
        self.touched_agents.insert(agent.clone());
        let gone = before.keys().filter(|key| !live.programs.contains_key(*key));
        let gone: Vec<ExecutorKey> = gone.cloned().collect();
        gone.iter().for_each(|key| self.tell_ended(agent, key, None, out));
    }

    /// A task as its agent tells of it, with the program that the agent tells once for all of its tasks.
    pub(crate) fn with_program(&self, agent: &AgentId, task: Task) -> Task {
        let program = key_of(&task).and_then(|key| self.program(agent, &key));
        match program {
            Some(program) => Task { executor: Some(Box::new(program.held.info.clone())), ..task },
            None => task,
        }
    }

    pub(crate) fn shut_down_executor(
        &self,
        from: &FrameworkId,
        agent: &AgentId,
        executor: ExecutorId,
        out: &mut Out,
    ) {
        let framework = from.clone();
        self.post(agent, ToAgent::ShutdownExecutor { framework, executor }, out);
    }

    /// A message for an executor. Lost if its agent is away.
    pub(crate) fn pass_down(
        &self,
        from: &FrameworkId,
        agent: &AgentId,
        (executor, data): (ExecutorId, Given),
        out: &mut Out,
    ) {
        let framework = from.clone();
        self.post(agent, ToAgent::Message { framework, executor, data }, out);
    }

    fn post(&self, agent: &AgentId, message: ToAgent, out: &mut Out) {
        let live = self.agents.get(agent).filter(|live| live.protocol >= PROTOCOL_PROGRAMS);
        if let Some(connection) = live.and_then(|live| live.connection) {
            out.effects.push(Effect::ToAgent(connection, message));
        }
    }
}
