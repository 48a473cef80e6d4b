//! What can be asked of the kernel: a snapshot whose clone costs nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use model::executor::HeldExecutor;
use model::id::{AgentId, FrameworkId, OfferId, Role, TaskId, Term, Uuid};
use model::operation::Operated;
use model::provider::Provided;
use model::resources::{Resources, Scalar};
use model::scheduler::{InverseOffer, Offer};
use model::task::Task;
use model::time::Time;
use model::wishes::OfferConstraints;

use crate::amounts::{Amounts, Counted};
use crate::history::History;
use crate::maintenance::Schedule;
use crate::quota::{Quantities, Quota};
use crate::state::{self, Agent, Framework, Standing};

/// Agents, frameworks and weights are durable; connectedness, tasks and offers may be newer than the last commit.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub cluster: String,
    pub term: Term,
    /// When this leader was elected.
    pub elected_at: Time,
    pub agents: OrdMap<AgentId, Arc<AgentView>>,
    /// Registered ones; those that were torn down are in `completed_frameworks`.
    pub frameworks: OrdMap<FrameworkId, Arc<FrameworkView>>,
    pub completed_frameworks: OrdMap<FrameworkId, Arc<FrameworkView>>,
    pub weights: OrdMap<Role, Scalar>,
    pub quotas: OrdMap<Role, Quota>,
    /// By framework, tasks that are not terminal or wait for an acknowledgement.
    pub tasks: OrdMap<FrameworkId, OrdMap<TaskId, Arc<Task>>>,
    /// Of tasks that one id was used for twice those that are not in `tasks`, by agent.
    pub doubles: OrdMap<(FrameworkId, TaskId), OrdMap<AgentId, Arc<Task>>>,
    /// The most recent ones of each framework, oldest first.
    pub completed: OrdMap<FrameworkId, imbl::Vector<Arc<Task>>>,
    pub offers: OrdMap<OfferId, Arc<Offer>>,
    pub inverse_offers: OrdMap<OfferId, Arc<InverseOffer>>,
    /// When which machines are to be down.
    pub schedule: Arc<Schedule>,
    /// By agent and the kernel's own name for them: those that are under way, and those whose last status nobody has
    /// acknowledged.
    pub operations: OrdMap<(AgentId, Uuid), Arc<Operated>>,
    pub history: History,
}

#[derive(Debug, Clone)]
pub struct AgentView {
    pub agent: Agent,
    pub connected: bool,
    /// An earlier leader admitted it, and it has yet to return to this one.
    pub recovered: bool,
    /// By role: what its tasks and executors hold.
    pub in_use: BTreeMap<Role, Resources>,
    /// What was reserved while the cluster ran, and volumes.
    pub claims: Resources,
    /// What providers bring to it.
    pub provided: Vec<Provided>,
    pub reregistered_at: Option<Time>,
    /// Executors that are programs, with tasks or without.
    pub executors: Vec<HeldExecutor>,
    /// What its tasks have and do not use, beside its total.
    pub revocable: Resources,
    /// What those said who were asked to let go of it before it goes down.
    pub answers: Vec<Answered>,
}

/// What a framework last said to an inverse offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub framework: FrameworkId,
    pub answer: Answer,
    pub at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Accept,
    Decline,
}

impl AgentView {
    /// All that it has, as it is by now.
    pub fn total(&self) -> Cow<'_, Resources> {
        let claims = Some(&self.claims).filter(|claims| !claims.is_empty());
        state::total(&self.agent.info.resources, claims, &self.provided)
    }
}

#[derive(Debug, Clone)]
pub struct FrameworkView {
    pub framework: Framework,
    pub connected: bool,
    /// It was subscribed to an earlier leader, and has yet to return to this one.
    pub recovered: bool,
    pub suppressed: bool,
    /// Those of its roles for which it wants no offers.
    pub suppressed_roles: Vec<Role>,
    /// Of which agents it wants offers.
    pub constraints: Arc<OfferConstraints>,
}

impl View {
    /// What is offered of each agent.
    pub fn offered(&self) -> BTreeMap<&AgentId, Resources> {
        let mut offered: BTreeMap<&AgentId, Resources> = BTreeMap::new();
        for offer in self.offers.values() {
            offered.entry(&offer.agent_id).or_default().add(&offer.resources);
        }
        offered
    }

    /// By role, what counts against its limits: what is reserved and, of the rest, what is in use, for it and for all
    /// below it. Of roles that use nothing there is no entry. It walks the whole cluster.
    pub fn consumption(&self) -> BTreeMap<Role, Quantities> {
        let mut used: BTreeMap<Role, Counted> = BTreeMap::new();
        let mut count = |role: &Role, amounts: &Amounts| {
            for at in role.up() {
                used.entry(at).or_default().add(&amounts.counted);
            }
        };
        let admitted = |one: &&Arc<AgentView>| one.agent.standing == Standing::Admitted;
        for agent in self.agents.values().filter(admitted) {
            for one in agent.total().iter() {
                if let Some(role) = one.role() {
                    count(role, &Amounts::reserved([one]));
                }
            }
            for (role, held) in &agent.in_use {
                count(role, &Amounts::of(held));
            }
        }
        used.into_iter().map(|(role, amounts)| (role, amounts.quantities())).collect()
    }

    pub fn task(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(framework)?.get(task)
    }
}
