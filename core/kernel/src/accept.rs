//! Accept: offers turn into tasks. What a scheduler sends is judged, task by task, and never trusted.

use std::sync::Arc;

use model::agent::ToAgent;
use model::id::{FrameworkId, OfferId, TaskId};
use model::resources::Resources;
use model::scheduler::{Event, Filters, Offer, Operation};
use model::task::{Reason, Task, TaskInfo, TaskState};
use model::time::Time;

use crate::offers::client_of;
use crate::shares::{Amounts, Change};
use crate::tasks::Verdict;
use crate::{Effect, Kernel, Out, Record};

/// Characters of a task's id: it becomes a directory name.
const TASK_ID_CHARS_MAX: usize = 255;

/// What a framework answers to offers that it takes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) offers: Vec<OfferId>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) filters: Filters,
}

/// What was accepted in one call: offers of one agent to one role.
#[derive(Debug)]
struct Lot {
    /// One of them, for what they have in common.
    offer: Arc<Offer>,
    rest: Resources,
    launched: Resources,
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
                for task in operations.into_iter().flat_map(Operation::into_tasks) {
                    let verdict = Verdict::new(state, Reason::InvalidOffers, cause);
                    let status = verdict.status(now, task.id, Some(task.agent));
                    self.tell(from, Event::Update(status), out);
                }
                return;
            }
        };
        for task in operations.into_iter().flat_map(Operation::into_tasks) {
            match self.fault(from, &lot, &task) {
                None => self.launch(from, &mut lot, task, out),
                Some(fault) => {
                    let verdict = Verdict::new(TaskState::Error, Reason::TaskInvalid, fault);
                    let agent = lot.offer.agent_id.clone();
                    let status = verdict.status(now, task.id, Some(agent));
                    self.tell(from, Event::Update(status), out);
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
        Ok(Lot { offer: first, rest, launched: Resources::default() })
    }

    /// The rest is free again. Who has launched something and asks for no filter may have it at once: it has shrunk, so
    /// this comes to an end.
    fn give_back(&mut self, now: Time, lot: Lot, filters: Filters) {
        let agent = lot.offer.agent_id.clone();
        self.count_free(&agent);
        let at_once = filters.refuse.is_zero() && !lot.launched.is_empty();
        if !lot.rest.is_empty() && !at_once {
            self.refuse(now, &lot.offer, lot.rest, filters.refuse);
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
        self.shares.change_member(&client, Change::plus(Amounts::of(&lot.launched)));
        let mut held = self.state.held(agent, role).cloned().unwrap_or_default();
        held.add(&lot.launched);
        self.commit(Record::InUse(agent.clone(), role.clone(), Some(held)), out);
    }

    fn launch(&mut self, from: &FrameworkId, lot: &mut Lot, info: TaskInfo, out: &mut Out) {
        lot.rest.subtract(&info.resources);
        lot.launched.add(&info.resources);
        let live = self.agents.get_mut(&lot.offer.agent_id).expect("offers are of live agents");
        let connection = live.connection.expect("offers are of connected agents");
        live.tasks.insert((from.clone(), info.id.clone()));
        let task = Arc::new(Task::staged(from.clone(), &info, None));
        self.view.tasks.entry(from.clone()).or_default().insert(info.id.clone(), task);
        let killing = self.tell_killing(from);
        let run = ToAgent::Run { framework: from.clone(), task: info, killing };
        out.effects.push(Effect::ToAgent(connection, run));
    }

    /// What is wrong with the task, if anything.
    fn fault(&self, from: &FrameworkId, lot: &Lot, task: &TaskInfo) -> Option<String> {
        if let Some(fault) = id_fault(&task.id) {
            return Some(fault);
        }
        let Offer { agent_id, role, .. } = lot.offer.as_ref();
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
