//! Accept: offers turn into tasks. What a scheduler sends is judged, task by task, and never trusted.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::agent::{PROTOCOL_READINESS, ToAgent};
use model::executor::Together;
use model::framework::FrameworkInfo;
use model::id::{Connection, ExecutorId, FrameworkId, OfferId, TaskId};
use model::operation::OperationState;
use model::resources::Resources;
use model::scheduler::{Event, Filters, Offer, Operation, RefusedTask};
use model::task::{ExecutorInfo, Reason, Task, TaskInfo, TaskState};
use model::time::Time;

use crate::amounts::{Amounts, Change};
use crate::history::Told;
use crate::judge;
use crate::offers::client_of;
use crate::tasks::Verdict;
use crate::{Effect, Kernel, Out, Record};

/// Characters of a task's or executor's id: it becomes a directory name.
const ID_CHARS_MAX: usize = 255;

/// What a framework answers to offers that it takes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) offers: Vec<OfferId>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) filters: Filters,
}

/// What was accepted in one call: offers of one agent to one role.
#[derive(Debug)]
pub(crate) struct Lot {
    /// One of them, for what they have in common.
    pub(crate) offer: Arc<Offer>,
    pub(crate) rest: Resources,
    pub(crate) launched: Resources,
    /// What was offered, if some of it has become something else.
    offered: Option<Resources>,
}

impl Lot {
    fn take(&mut self, resources: &Resources) {
        assert!(self.rest.contains(resources), "taking {resources} of {}", self.rest);
        self.rest.take_unshared(resources);
        self.launched.add(resources);
    }

    /// Some of the rest has become something else.
    pub(crate) fn convert(&mut self, rest: Resources) {
        let before = std::mem::replace(&mut self.rest, rest);
        self.offered.get_or_insert(before);
    }

    /// What its framework was offered and does not want.
    fn declined(&mut self) -> Resources {
        let rest = std::mem::take(&mut self.rest);
        match &self.offered {
            Some(offered) => rest.minus(&rest.minus(offered)),
            None => rest,
        }
    }
}

/// Tasks that are launched together in one executor.
#[derive(Debug)]
struct Group {
    executor: ExecutorInfo,
    tasks: Vec<TaskInfo>,
}

impl Kernel {
    pub(crate) fn accept(&mut self, now: Time, from: &FrameworkId, answer: Answer, out: &mut Out) {
        let Answer { offers, operations, filters } = answer;
        let mut lot = match self.lot(from, &offers) {
            Ok(lot) => lot,
            Err(cause) => {
                // What was good about them is free again, and refused like anything that is not used.
                self.decline(now, from, &offers, filters);
                let state = self.state_for(from, TaskState::Dropped);
                for operation in operations {
                    if let Some(id) = operation.feedback() {
                        self.tell_operation(from, Some(id), OperationState::Error, cause, out);
                        continue;
                    }
                    for (task, agent) in operation.into_names() {
                        let verdict = Verdict::new(state, Reason::InvalidOffers, cause);
                        let status = verdict.status(now, task, Some(agent));
                        self.tell(from, Event::Update(status), out);
                    }
                }
                return;
            }
        };
        for operation in operations {
            match operation {
                Operation::Launch(tasks) => {
                    tasks.into_iter().for_each(|task| self.launch(now, &mut lot, task, out));
                }
                Operation::LaunchIn { executor, tasks } => {
                    for task in tasks {
                        self.launch_in(now, &mut lot, &executor, task, out);
                    }
                }
                Operation::LaunchGroup { executor, tasks } => {
                    self.launch_group(now, &mut lot, Group { executor, tasks }, out);
                }
                Operation::Refuse(tasks) => self.tell_faults(now, &lot, tasks, out),
                Operation::NoConversion { id, cause } => {
                    self.tell_operation(from, id, OperationState::Error, &cause, out);
                }
                Operation::Convert { id, conversion } => {
                    self.convert(&mut lot, id, conversion, out);
                }
            }
        }
        self.charge(&lot, out);
        self.give_back(now, lot, filters);
    }

    /// Takes the offers if they belong together.
    fn lot(&mut self, from: &FrameworkId, ids: &[OfferId]) -> Result<Lot, &'static str> {
        let mut offers: Vec<&Arc<Offer>> = Vec::with_capacity(ids.len());
        for id in ids {
            let known = self.view.offers.get(id).filter(|offer| offer.framework == *from);
            let known = known.filter(|_| !self.leftovers.is_void(id));
            let offer = known.ok_or("an offer is not valid any more")?;
            if offers.iter().any(|other| other.id == *id) {
                return Err("an offer is named twice");
            }
            offers.push(offer);
        }
        let first = Arc::clone(offers.first().ok_or("no offer is named")?);
        if offers.iter().any(|one| one.agent_id != first.agent_id) {
            return Err("the offers are of several agents");
        }
        if offers.iter().any(|one| one.role != first.role) {
            return Err("the offers are to several roles");
        }
        let mut rest = Resources::default();
        for offer in ids.iter().filter_map(|id| self.take_offer(from, id)) {
            rest.add(&offer.resources);
        }
        Ok(Lot { offer: first, rest, launched: Resources::default(), offered: None })
    }

    /// The rest is free again. Who has launched something and asks for no filter may have it at once: it has shrunk, so
    /// this comes to an end.
    fn give_back(&mut self, now: Time, mut lot: Lot, filters: Filters) {
        let agent = lot.offer.agent_id.clone();
        self.count_free(&agent);
        let at_once = filters.refuse.is_zero() && !lot.launched.is_empty();
        let declined = lot.declined();
        if !declined.is_empty() && !at_once {
            self.refuse(now, &lot.offer, declined, filters.refuse);
        }
        self.offer_again(&agent);
    }

    /// Charges what was launched: one record, however many tasks.
    fn charge(&mut self, lot: &Lot, out: &mut Out) {
        if lot.launched.is_empty() {
            return;
        }
        let (agent, role) = (&lot.offer.agent_id, &lot.offer.role);
        let client = client_of(&lot.offer);
        self.shares.change_member(&client, &Change::plus(Amounts::of(&lot.launched)));
        let mut held = self.state.held(agent, role).cloned().unwrap_or_default();
        held.add(&lot.launched);
        self.commit(Record::InUse(agent.clone(), role.clone(), Some(held)), out);
    }

    fn launch(&mut self, now: Time, lot: &mut Lot, task: TaskInfo, out: &mut Out) {
        let framework = lot.offer.framework.clone();
        let task = self.with_user(&framework, task);
        if let Some(fault) = self.fault(lot, &task) {
            let verdict = Verdict::new(TaskState::Error, Reason::TaskInvalid, fault);
            return self.tell_fault(now, lot, task.id, verdict, out);
        }
        self.place(lot, &task, None);
        let killing = self.tell_killing(&framework);
        let connection = self.connection(lot);
        let of = self.introduced(&framework);
        let run = ToAgent::Run { framework, task, killing, of };
        out.effects.push(Effect::ToAgent(connection, run));
    }

    /// All or none: one fault is the fault of all.
    fn launch_group(&mut self, now: Time, lot: &mut Lot, group: Group, out: &mut Out) {
        if let Some(fault) = self.group_fault(lot, &group) {
            let verdict = Verdict::new(TaskState::Error, Reason::TaskGroupInvalid, fault);
            for task in group.tasks {
                self.tell_fault(now, lot, task.id, verdict.clone(), out);
            }
            return;
        }
        let Group { executor, mut tasks } = group;
        let framework = lot.offer.framework.clone();
        if executor.program.is_none() {
            tasks = tasks.into_iter().map(|task| self.with_user(&framework, task)).collect();
        }
        lot.take(&self.executor_need(&lot.offer.agent_id, &framework, &executor));
        tasks.iter().for_each(|task| self.place(lot, task, Some(&executor)));
        let connection = self.connection(lot);
        if executor.program.is_some() {
            self.expect_program(&lot.offer.agent_id, &client_of(&lot.offer), &executor);
            let run = self.run_in(&framework, executor, tasks, Together::Yes);
            out.effects.push(Effect::ToAgent(connection, run));
            return;
        }
        let killing = self.tell_killing(&framework);
        let of = self.introduced(&framework);
        let run = ToAgent::RunGroup { framework, executor, tasks, killing, of };
        out.effects.push(Effect::ToAgent(connection, run));
    }

    fn tell_faults(&self, now: Time, lot: &Lot, tasks: Vec<RefusedTask>, out: &mut Out) {
        for task in tasks {
            let verdict = Verdict::new(TaskState::Error, task.reason, task.cause);
            self.tell_fault(now, lot, task.id, verdict, out);
        }
    }

    /// In a program, judged on its own.
    fn launch_in(
        &mut self,
        now: Time,
        lot: &mut Lot,
        executor: &ExecutorInfo,
        task: TaskInfo,
        out: &mut Out,
    ) {
        if let Some(fault) = self.fault_in(lot, executor, &task) {
            let verdict = Verdict::new(TaskState::Error, Reason::TaskInvalid, fault);
            return self.tell_fault(now, lot, task.id, verdict, out);
        }
        let (framework, agent) = (lot.offer.framework.clone(), lot.offer.agent_id.clone());
        lot.take(&self.executor_need(&agent, &framework, executor));
        self.place(lot, &task, Some(executor));
        self.expect_program(&agent, &client_of(&lot.offer), executor);
        let connection = self.connection(lot);
        let run = self.run_in(&framework, executor.clone(), vec![task], Together::No);
        out.effects.push(Effect::ToAgent(connection, run));
    }

    fn fault_in(&self, lot: &Lot, executor: &ExecutorInfo, task: &TaskInfo) -> Option<String> {
        let (agent, client) = (&lot.offer.agent_id, client_of(&lot.offer));
        let of_executor = || {
            id_fault("executor", executor.id.as_str())
                .or_else(|| self.program_fault(agent, &client, executor))
                .or_else(|| self.executor_fault(agent, &client, executor))
        };
        let fault = of_executor().or_else(|| self.fault(lot, task));
        let fault = fault.or_else(|| fault_together([&task.resources, &executor.resources]));
        fault.or_else(|| {
            let mut rest = lot.rest.clone();
            rest.subtract(&task.resources);
            let need = self.executor_need(agent, &client.framework, executor);
            let fits = rest.contains(&need);
            (!fits).then(|| format!("its executor needs {need}, and {rest} are left"))
        })
    }

    fn tell_fault(&self, now: Time, lot: &Lot, task: TaskId, verdict: Verdict, out: &mut Out) {
        let status = verdict.status(now, task, Some(lot.offer.agent_id.clone()));
        self.tell(&lot.offer.framework, Event::Update(status), out);
    }

    /// Who does not say whom it runs as runs as its framework does, but for those with an image: that may say.
    fn with_user(&self, framework: &FrameworkId, mut task: TaskInfo) -> TaskInfo {
        let has_image = task.container.as_ref().is_some_and(|container| container.image.is_some());
        let user = self.state.frameworks.get(framework).map(|known| &known.info.user);
        if let Some(user) = user.filter(|user| !user.is_empty() && !has_image) {
            task.command.user.get_or_insert_with(|| user.clone());
        }
        task
    }

    /// As its agents are told of it.
    fn introduced(&self, framework: &FrameworkId) -> Option<Arc<FrameworkInfo>> {
        self.state.frameworks.get(framework).map(|known| known.info.clone())
    }

    fn connection(&self, lot: &Lot) -> Connection {
        let live = &self.agents[&lot.offer.agent_id];
        live.connection.expect("offers are of connected agents")
    }

    /// The task is known from now on, and what it needs is taken.
    fn place(&mut self, lot: &mut Lot, info: &TaskInfo, executor: Option<&ExecutorInfo>) {
        lot.take(&info.resources);
        let Offer { framework, agent_id, role, .. } = lot.offer.as_ref();
        // The task names the same agent and role, in copies of its own.
        let (agent, role) = (agent_id.clone(), role.clone());
        let staged = Task::staged(framework.clone(), info, executor);
        let more = self.alike.one(staged.more);
        let task = Arc::new(Task { agent, role, more, ..staged });
        let live = self.agents.get_mut(&lot.offer.agent_id).expect("offers are of live agents");
        live.add(&task);
        self.inverse.look_at(&lot.offer.agent_id);
        self.view.history.push(Told::TaskAdded(Arc::clone(&task)));
        self.view.tasks.entry(framework.clone()).or_default().insert(info.id.clone(), task);
    }

    /// What is wrong with the group, if anything.
    fn group_fault(&self, lot: &Lot, group: &Group) -> Option<String> {
        let Group { executor, tasks } = group;
        let agent = &lot.offer.agent_id;
        if tasks.is_empty() {
            return Some("the group has no tasks".to_owned());
        }
        if let Some(fault) = id_fault("executor", executor.id.as_str()) {
            return Some(fault);
        }
        if executor.program.is_some()
            && let Some(fault) = self.program_fault(agent, &client_of(&lot.offer), executor)
        {
            return Some(fault);
        }
        if let Some(fault) = self.executor_fault(agent, &client_of(&lot.offer), executor) {
            return Some(fault);
        }
        let mut ids = BTreeSet::new();
        if let Some(twice) = tasks.iter().find(|task| !ids.insert(&task.id)) {
            return Some(format!("the group has two tasks {}", twice.id));
        }
        let of_tasks = tasks.iter().map(|task| &task.resources);
        if let Some(fault) = fault_together(of_tasks.chain([&executor.resources])) {
            return Some(fault);
        }
        if let Some(fault) = tasks.iter().find_map(|task| self.fault(lot, task)) {
            return Some(fault);
        }
        // One after the other, for two that want the same port do not fit together.
        let mut rest = lot.rest.clone();
        let of_executor = self.executor_need(agent, &lot.offer.framework, executor);
        for need in tasks.iter().map(|task| &task.resources).chain([&of_executor]) {
            if !rest.contains(need) {
                return Some(format!(
                    "the group needs {need} beside the rest of it, and {rest} are left"
                ));
            }
            rest.take_unshared(need);
        }
        None
    }

    /// What is wrong with the task, if anything.
    fn fault(&self, lot: &Lot, task: &TaskInfo) -> Option<String> {
        if let Some(fault) = id_fault("task", task.id.as_str()) {
            return Some(fault);
        }
        let Offer { framework, agent_id, role, .. } = lot.offer.as_ref();
        if task.agent != *agent_id {
            return Some(format!(
                "the task names agent {}, the offer is of {agent_id}",
                task.agent
            ));
        }
        if task.role != *role {
            return Some(format!("the task names role {}, the offer is to {role}", task.role));
        }
        if task.resources.is_empty() {
            return Some("the task uses no resources".to_owned());
        }
        if let Err(fault) = judge::used(&task.resources) {
            return Some(fault);
        }
        if self.view.task(framework, &task.id).is_some() {
            return Some(format!("the framework has a task {} already", task.id));
        }
        let executor = (framework.clone(), ExecutorId::new(task.id.as_str()));
        if task.given.is_none() && self.agents[agent_id].executors.contains_key(&executor) {
            return Some(format!("the framework has an executor {} on the agent already", task.id));
        }
        // One of a release before would run it and never say that it is ready.
        if task.readiness.is_some() && self.agents[agent_id].protocol < PROTOCOL_READINESS {
            return Some(format!(
                "agent {agent_id} is of a release that knows no readiness checks"
            ));
        }
        let fits = lot.rest.contains(&task.resources);
        (!fits).then(|| format!("the task needs {} and {} are offered", task.resources, lot.rest))
    }
}

/// What is wrong with what tasks and their executor use together.
fn fault_together<'a>(all: impl IntoIterator<Item = &'a Resources>) -> Option<String> {
    let mut sum = Resources::default();
    all.into_iter().for_each(|one| sum.add(one));
    judge::used_together(&sum).err()
}

pub(crate) fn id_fault(of: &str, text: &str) -> Option<String> {
    let bad = |why: &str| Some(format!("{text:?} is no {of} id: it {why}"));
    match text {
        "" => bad("is empty"),
        "." | ".." => bad("names a directory"),
        _ if text.chars().count() > ID_CHARS_MAX => bad("is longer than 255 characters"),
        _ if text.contains(|c: char| c == '/' || c == '\\' || c.is_control()) => {
            bad("contains a slash or a control character")
        }
        _ => None,
    }
}
