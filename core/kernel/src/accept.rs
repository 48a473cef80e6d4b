//! Accept: offers turn into tasks. What a scheduler sends is judged, task by task, and never trusted.

use std::sync::Arc;

use model::agent::ToAgent;
use model::id::{AgentId, FrameworkId, OfferId, Role, TaskId};
use model::resources::Resources;
use model::scheduler::{Event, Filters, Offer, Operation};
use model::task::{Reason, Task, TaskInfo, TaskState};
use model::time::Time;

use crate::demand::Client;
use crate::shares::{Amounts, Change};
use crate::tasks::Verdict;
use crate::{Effect, Kernel, Out, Record};

/// Characters of a task's id: it becomes a directory name.
const TASK_ID_CHARS_MAX: usize = 255;

/// What was accepted in one call: offers of one agent to one role.
#[derive(Debug)]
struct Lot {
    agent: AgentId,
    role: Role,
    /// What is left of it.
    rest: Resources,
    launched: Resources,
}

impl Kernel {
    pub(crate) fn accept(
        &mut self,
        now: Time,
        from: &FrameworkId,
        offers: &[OfferId],
        operations: Vec<Operation>,
        filters: Filters,
        out: &mut Out,
    ) {
        let tasks = operations.into_iter().flat_map(|Operation::Launch(tasks)| tasks);
        match self.lot(from, offers) {
            Ok((lot, taken)) => {
                self.launch_lot(now, from, lot, tasks.collect(), out, &taken, filters)
            }
            Err(cause) => {
                // What was good about them is free again, and refused like anything that is not used.
                self.decline(now, from, offers, filters);
                let state = self.state_for(from, TaskState::Dropped);
                for task in tasks {
                    let verdict = Verdict::new(state, Reason::InvalidOffers, cause);
                    let status = verdict.status(now, task.id, Some(task.agent));
                    self.tell(from, Event::Update(status), out);
                }
            }
        }
    }

    /// Takes the offers if they belong together.
    fn lot(
        &mut self,
        from: &FrameworkId,
        ids: &[OfferId],
    ) -> Result<(Lot, Vec<Arc<Offer>>), &'static str> {
        let mut offers: Vec<&Arc<Offer>> = Vec::with_capacity(ids.len());
        for id in ids {
            let known = self.view.offers.get(id).filter(|offer| offer.framework == *from);
            let offer = known.ok_or("an offer is not valid any more")?;
            if offers.iter().any(|other| other.id == *id) {
                return Err("an offer is named twice");
            }
            offers.push(offer);
        }
        let first = *offers.first().ok_or("no offer is named")?;
        if offers.iter().any(|one| one.agent_id != first.agent_id) {
            return Err("the offers are of several agents");
        }
        if offers.iter().any(|one| one.role != first.role) {
            return Err("the offers are to several roles");
        }
        let (agent, role) = (first.agent_id.clone(), first.role.clone());
        let mut rest = Resources::default();
        let taken: Vec<_> = ids.iter().filter_map(|id| self.take_offer(from, id)).collect();
        taken.iter().for_each(|offer| rest.add(&offer.resources));
        Ok((Lot { agent, role, rest, launched: Resources::default() }, taken))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call")]
    fn launch_lot(
        &mut self,
        now: Time,
        from: &FrameworkId,
        mut lot: Lot,
        tasks: Vec<TaskInfo>,
        out: &mut Out,
        taken: &[Arc<Offer>],
        filters: Filters,
    ) {
        let asked = tasks.len();
        for task in tasks {
            match self.fault(from, &lot, &task) {
                None => self.launch(from, &mut lot, task, out),
                Some(fault) => {
                    let verdict = Verdict::new(TaskState::Error, Reason::TaskInvalid, fault);
                    let status = verdict.status(now, task.id, Some(lot.agent.clone()));
                    self.tell(from, Event::Update(status), out);
                }
            }
        }
        let launched = !lot.launched.is_empty();
        self.charge(from, &lot, out);
        self.count_free(&lot.agent);
        let offer = taken.first().expect("a lot has offers");
        debug_assert!(asked > 0 || !launched);
        if !lot.rest.is_empty() && !(launched && filters.refuse.is_zero()) {
            self.refuse(now, offer, lot.rest, filters.refuse);
        }
        self.offer_again(&lot.agent);
    }

    /// Charges what was launched: one record, however many tasks.
    fn charge(&mut self, from: &FrameworkId, lot: &Lot, out: &mut Out) {
        if lot.launched.is_empty() {
            return;
        }
        let client = Client { framework: from.clone(), role: lot.role.clone() };
        self.shares.change_member(&client, Change::plus(Amounts::of(&lot.launched)));
        let mut held = self.state.held(&lot.agent, &lot.role).cloned().unwrap_or_default();
        held.add(&lot.launched);
        self.commit(Record::InUse(lot.agent.clone(), lot.role.clone(), Some(held)), out);
    }

    fn launch(&mut self, from: &FrameworkId, lot: &mut Lot, info: TaskInfo, out: &mut Out) {
        lot.rest.subtract(&info.resources);
        lot.launched.add(&info.resources);
        let live = self.agents.get_mut(&lot.agent).expect("offers are of live agents");
        let connection = live.connection.expect("offers are of connected agents");
        live.tasks.insert((from.clone(), info.id.clone()));
        let task = Arc::new(Task::staged(from.clone(), &info));
        self.view.tasks.entry(from.clone()).or_default().insert(info.id.clone(), task);
        let run = ToAgent::Run { framework: from.clone(), task: info };
        out.effects.push(Effect::ToAgent(connection, run));
    }

    /// What is wrong with the task, if anything.
    fn fault(&self, from: &FrameworkId, lot: &Lot, task: &TaskInfo) -> Option<String> {
        if let Some(fault) = id_fault(&task.id) {
            return Some(fault);
        }
        if task.agent != lot.agent {
            return Some(format!(
                "the task names agent {}, the offer is of {}",
                task.agent, lot.agent
            ));
        }
        if task.role != lot.role {
            return Some(format!(
                "the task names role {}, the offer is to {}",
                task.role, lot.role
            ));
        }
        if task.resources.is_empty() {
            return Some("the task uses no resources".to_owned());
        }
        if self.view.task(from, &task.id).is_some() {
            return Some(format!("the framework has a task {} already", task.id));
        }
        let fits = lot.rest.contains(&task.resources);
        (!fits).then(|| format!("the task needs {} and {} are offered", task.resources, lot.rest))
    }
}

fn id_fault(id: &TaskId) -> Option<String> {
    let text = id.as_str();
    let bad = |why: &str| Some(format!("{text:?} is no task id: it {why}"));
    match text {
        "" => bad("is empty"),
        "." | ".." => bad("names a directory"),
        _ if text.chars().count() > TASK_ID_CHARS_MAX => bad("is longer than 255 characters"),
        _ if text.contains(|c: char| c == '/' || c == '\\' || c.is_control()) => {
            bad("contains a slash or a control character")
        }
        _ => None,
    }
}
