//! Operations: resources of an agent become others. The kernel counts with what comes of them at once, so that the
//! operations that follow can use it; the agent writes it down, says how it went and repeats that until acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::agent::{Books, PROTOCOL_CLAIMS, ToAgent};
use model::id::{AgentId, FrameworkId, OfferId, OperationId, Serial, Uuid};
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::provider::Provided;
use model::resources::{Resource, Resources};
use model::scheduler::Event;

use crate::accept::{Lot, id_fault};
use crate::agents::spread;
use crate::counts::OperationKind;
use crate::judge::{self, Applicant, Case};
use crate::reconcile::Fate;
use crate::{Effect, Kernel, Out, Refusal};

/// What the view does not hold of operations. Volatile: a new leader is told by the agents.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// By what their frameworks call them.
    pub(crate) by_id: BTreeMap<(FrameworkId, OperationId), (AgentId, Uuid)>,
    pub(crate) next: Serial,
}

/// Who wants a conversion. What an operator wants has no framework and no id.
#[derive(Debug)]
struct Order {
    framework: Option<FrameworkId>,
    id: Option<OperationId>,
    conversion: Conversion,
}

impl Kernel {
    /// With accepted resources.
    pub(crate) fn convert(
        &mut self,
        lot: &mut Lot,
        id: Option<OperationId>,
        conversion: Conversion,
        out: &mut Out,
    ) {
        let framework = lot.offer.framework.clone();
        let judged = self.conversion_fault(lot, id.as_ref(), &conversion);
        let rest = judged.and_then(|()| {
            let rest = conversion.applied(&lot.rest);
            rest.ok_or_else(|| {
                format!("it needs {} and {} are offered", conversion.consumed(), lot.rest)
            })
        });
        match rest {
            Ok(rest) => {
                lot.convert(rest);
                let order = Order { framework: Some(framework), id, conversion };
                self.send(&lot.offer.agent_id.clone(), order, out);
            }
            Err(fault) => {
                let kind = Some(OperationKind::of(&conversion));
                self.view.history.counts.operation_ended(kind, OperationState::Error);
                self.tell_operation(&framework, id, OperationState::Error, &fault, out);
            }
        }
    }

    fn conversion_fault(
        &self,
        lot: &Lot,
        id: Option<&OperationId>,
        conversion: &Conversion,
    ) -> Result<(), String> {
        let (agent, framework) = (&lot.offer.agent_id, &lot.offer.framework);
        if let Some(id) = id {
            if let Some(fault) = id_fault("operation", id.as_str()) {
                return Err(format!("id: {fault}"));
            }
            if self.operations.by_id.contains_key(&(framework.clone(), id.clone())) {
                return Err(format!("id: the framework has an operation {id} already"));
            }
        }
        let info = &self.state.active(framework).expect("it holds an offer").info;
        let applicant = Applicant::Framework { info, role: &lot.offer.role };
        self.judge_conversion(agent, applicant, &lot.launched, conversion)
    }

    fn judge_conversion(
        &self,
        agent: &AgentId,
        applicant: Applicant<'_>,
        launched: &Resources,
        conversion: &Conversion,
    ) -> Result<(), String> {
        if self.agents[agent].protocol < PROTOCOL_CLAIMS {
            return Err(format!("agent {agent} is of a release that knows no such operation"));
        }
        let mut in_use = launched.clone();
        let held = self.state.in_use.get(agent).into_iter().flat_map(BTreeMap::values);
        held.for_each(|held| in_use.add(held));
        let claims = match conversion.provider() {
            None => self.state.claims.get(agent).cloned().unwrap_or_default(),
            Some(provider) => {
                let known = self.state.provider(agent, provider);
                known.map(|known| known.total.only(Resource::is_made)).unwrap_or_default()
            }
        };
        judge::conversion(conversion, &Case { applicant, claims: &claims, in_use: &in_use })
    }

    /// It was judged, and what it uses up is there: from now on the agent has what comes of it.
    fn send(&mut self, agent: &AgentId, order: Order, out: &mut Out) {
        let Order { framework, id, conversion } = order;
        let version = self.foresee(agent, &conversion, out);
        let operation = Uuid::derive(spread(agent), self.operations.next.0);
        self.operations.next = self.operations.next.next();
        let mut latest = OperationStatus::new(id.clone(), OperationState::Pending, "");
        latest.agent = Some(agent.clone());
        let operated = Operated {
            uuid: operation,
            framework: framework.clone(),
            conversion: conversion.clone(),
            latest,
        };
        self.know(agent, operated);
        let live = self.agents.get_mut(agent).expect("offers are of live agents");
        if conversion.provider().is_none() {
            live.converting.insert(operation);
        }
        let connection = live.connection.expect("and of connected ones");
        let letter = ToAgent::Convert { operation, framework, id, conversion, version };
        out.effects.push(Effect::ToAgent(connection, letter));
    }

    /// From now on the agent has what comes of it, if that can be foreseen. Says in which state of its provider.
    fn foresee(&mut self, agent: &AgentId, conversion: &Conversion, out: &mut Out) -> Option<Uuid> {
        if let Some(provider) = conversion.provider() {
            return self.foresee_at(agent, provider, conversion, out);
        }
        let total = conversion.applied(&self.state.total(agent));
        let total = total.expect("what is free or offered is there");
        self.set_claims(agent, total.claims(), out);
        None
    }

    fn know(&mut self, agent: &AgentId, mut operated: Operated) {
        operated.latest.provider = operated.conversion.provider().cloned();
        let key = (agent.clone(), operated.uuid);
        if let (Some(framework), Some(id)) = (&operated.framework, &operated.latest.operation) {
            self.operations.by_id.insert((framework.clone(), id.clone()), key.clone());
        }
        self.view.operations.insert(key, Arc::new(operated));
    }

    fn forget_operation(&mut self, key: &(AgentId, Uuid)) -> Option<Arc<Operated>> {
        let operated = self.view.operations.remove(key)?;
        self.note_end(&key.0);
        if let (Some(framework), Some(id)) = (&operated.framework, &operated.latest.operation) {
            self.operations.by_id.remove(&(framework.clone(), id.clone()));
        }
        Some(operated)
    }

    /// An agent says how it went.
    pub(crate) fn operated(
        &mut self,
        agent: &AgentId,
        mut operated: Operated,
        (claims, provided): (Resources, Option<Provided>),
        out: &mut Out,
    ) {
        let live = self.agents.get_mut(agent).expect("it has just spoken");
        let connection = live.connection.expect("likewise");
        let (operation, is_over) = (operated.uuid, operated.latest.state.is_terminal());
        if is_over {
            live.converting.remove(&operation);
        }
        // While others are on their way the agent cannot know of them yet.
        if live.converting.is_empty() {
            self.adopt_claims(agent, claims, out);
        }
        operated.latest.agent = Some(agent.clone());
        operated.latest.provider = operated.conversion.provider().cloned();
        self.note_ended(agent, &operated);
        let was_at = operated.conversion.provider().is_some();
        let (latest, framework) = (operated.latest.clone(), self.listener(&operated));
        if framework.is_some() || !is_over {
            self.know(agent, operated);
        }
        match (framework, latest.uuid) {
            (Some(framework), _) => self.tell(&framework, Event::UpdateOperation(latest), out),
            (None, Some(uuid)) if is_over => {
                // Nobody else will ever acknowledge this.
                self.forget_operation(&(agent.clone(), operation));
                let letter = ToAgent::AcknowledgeOperation { operation, uuid };
                out.effects.push(Effect::ToAgent(connection, letter));
            }
            (None, _) => (),
        }
        if was_at {
            self.adopt_provider(agent, provided, out);
        }
    }

    /// Counts it if it went on until now.
    fn note_ended(&mut self, agent: &AgentId, operated: &Operated) {
        let known = self.view.operations.get(&(agent.clone(), operated.uuid));
        if operated.latest.state.is_terminal()
            && known.is_some_and(|known| !known.latest.state.is_terminal())
        {
            let kind = Some(OperationKind::of(&operated.conversion));
            self.view.history.counts.operation_ended(kind, operated.latest.state);
        }
    }

    /// Who is to hear of it.
    fn listener(&self, operated: &Operated) -> Option<FrameworkId> {
        let framework = operated.framework.as_ref()?;
        let wants = operated.latest.operation.is_some() && self.state.active(framework).is_some();
        wants.then(|| framework.clone())
    }

    /// The agent registers: what was on its way and did not arrive will not be done.
    pub(crate) fn settle_books(&mut self, agent: &AgentId, books: Books, out: &mut Out) {
        let Books { claims, operations, executors: _, revocable: _, providers } = books;
        operations.iter().for_each(|told| self.note_ended(agent, told));
        for key in self.operations_of(agent) {
            let Some(known) = self.forget_operation(&key) else { continue };
            if !operations.iter().any(|told| told.uuid == known.uuid) {
                let cause = "the agent registered again without this operation";
                self.end_operation(&known, OperationState::Dropped, cause, out);
            }
        }
        let pending = operations.iter().filter(|told| {
            !told.latest.state.is_terminal() && told.conversion.provider().is_none()
        });
        let pending = pending.map(|told| told.uuid).collect();
        self.agents.get_mut(agent).expect("it was attached").converting = pending;
        for mut operated in operations {
            operated.latest.agent = Some(agent.clone());
            if self.listener(&operated).is_some() || !operated.latest.state.is_terminal() {
                self.know(agent, operated);
            }
        }
        self.set_claims(agent, claims, out);
        self.set_provided(agent, providers, out);
    }

    pub(crate) fn operations_of(&self, agent: &AgentId) -> Vec<(AgentId, Uuid)> {
        let first = (agent.clone(), Uuid([0; 16]));
        let all = self.view.operations.range(first..).map(|(key, _)| key);
        all.take_while(|(of, _)| of == agent).cloned().collect()
    }

    /// The agent is out of reach, and so is what it was doing.
    pub(crate) fn lose_operations(&mut self, agent: &AgentId, cause: &str, out: &mut Out) {
        for key in self.operations_of(agent) {
            let known = self.view.operations.get_mut(&key).expect("it was just listed");
            if known.latest.state.is_terminal() {
                continue;
            }
            Arc::make_mut(known).latest.state = OperationState::Unreachable;
            let known = Arc::clone(known);
            if let Some(framework) = self.listener(&known) {
                let status = decreed(&known, OperationState::Unreachable, cause);
                self.tell(&framework, Event::UpdateOperation(status), out);
            }
        }
    }

    /// The agent is given up, and what it was doing is over.
    pub(crate) fn end_operations(&mut self, agent: &AgentId, cause: &str, out: &mut Out) {
        for key in self.operations_of(agent) {
            let known = self.forget_operation(&key).expect("it was just listed");
            self.end_operation(&known, OperationState::GoneByOperator, cause, out);
        }
    }

    /// The kernel itself decides what has become of it, unless that is known.
    fn end_operation(
        &mut self,
        known: &Operated,
        state: OperationState,
        cause: &str,
        out: &mut Out,
    ) {
        if known.latest.state.is_terminal() {
            return;
        }
        let kind = Some(OperationKind::of(&known.conversion));
        self.view.history.counts.operation_ended(kind, state);
        if let Some(framework) = self.listener(known) {
            self.tell(&framework, Event::UpdateOperation(decreed(known, state, cause)), out);
        }
    }

    pub(crate) fn has_operations(&self, agent: &AgentId) -> bool {
        !self.operations_of(agent).is_empty()
    }

    pub(crate) fn acknowledge_operation(
        &mut self,
        from: &FrameworkId,
        id: OperationId,
        uuid: Uuid,
        out: &mut Out,
    ) {
        let Some(key) = self.operations.by_id.get(&(from.clone(), id)).cloned() else { return };
        // While the agent is away nothing is over: it will repeat the status.
        let Some(connection) = self.agents.get(&key.0).and_then(|live| live.connection) else {
            return;
        };
        if self.view.operations.get(&key).is_some_and(|known| known.latest.uuid == Some(uuid)) {
            self.forget_operation(&key);
            let letter = ToAgent::AcknowledgeOperation { operation: key.1, uuid };
            out.effects.push(Effect::ToAgent(connection, letter));
        }
    }

    /// Its framework is gone. The agents hear of that and forget them too. What a provider is at goes on for nobody: until that
    /// is over, what it uses up is not to be had.
    pub(crate) fn forget_operations(&mut self, framework: &FrameworkId) {
        let first = (framework.clone(), OperationId::new(""));
        let all = self.operations.by_id.range(first..);
        let its = all.take_while(|((of, _), _)| of == framework);
        let its: Vec<_> = its.map(|(name, key)| (name.clone(), key.clone())).collect();
        for (name, key) in its {
            let known = self.view.operations.get_mut(&key).expect("it is indexed");
            if known.latest.state.is_terminal() || known.conversion.provider().is_none() {
                self.forget_operation(&key);
            } else {
                Arc::make_mut(known).framework = None;
                self.operations.by_id.remove(&name);
            }
        }
    }

    /// To its framework, if it wants to hear of it. What the kernel itself says wants no acknowledgement.
    pub(crate) fn tell_operation(
        &self,
        framework: &FrameworkId,
        id: Option<OperationId>,
        state: OperationState,
        message: &str,
        out: &mut Out,
    ) {
        if id.is_some() {
            let status = OperationStatus::new(id, state, message);
            self.tell(framework, Event::UpdateOperation(status), out);
        }
    }

    /// The named operations, or all that the kernel knows of.
    pub(crate) fn reconcile_operations(
        &self,
        from: &FrameworkId,
        mut asked: Vec<(OperationId, Option<AgentId>)>,
        out: &mut Out,
    ) {
        if asked.is_empty() {
            let first = (from.clone(), OperationId::new(""));
            let all = self.operations.by_id.range(first..).map(|(key, _)| key);
            let its = all.take_while(|(of, _)| of == from);
            asked = its.map(|(_, id)| (id.clone(), None)).collect();
        }
        for (id, agent) in asked {
            let status = self.status_of(from, id, agent.as_ref());
            self.tell(from, Event::UpdateOperation(status), out);
        }
    }

    fn status_of(
        &self,
        from: &FrameworkId,
        id: OperationId,
        agent: Option<&AgentId>,
    ) -> OperationStatus {
        let key = self.operations.by_id.get(&(from.clone(), id.clone()));
        if let Some(known) = key.and_then(|key| self.view.operations.get(key)) {
            let agent = key.map(|(agent, _)| agent).expect("it is known by its key");
            if self.waits_for_provider(agent, known) {
                let cause = "its resource provider has yet to return";
                return decreed(known, OperationState::Recovering, cause);
            }
            return OperationStatus { uuid: None, ..known.latest.clone() };
        }
        let (state, message) = match self.fate(agent) {
            Fate::Open => (OperationState::Recovering, "the agent has yet to return"),
            Fate::Unknown => {
                (OperationState::Unknown, "neither the operation nor its agent is known")
            }
            Fate::Missing => (OperationState::Unknown, "its agent does not know the operation"),
            Fate::Unreachable => (OperationState::Unreachable, "its agent is unreachable"),
            Fate::MarkedGone => (OperationState::GoneByOperator, "its agent was marked gone"),
        };
        let status = OperationStatus::new(Some(id), state, message);
        OperationStatus { agent: agent.cloned(), ..status }
    }

    /// Without an offer. Those that hold what it needs are taken back, if that is enough.
    pub(crate) fn convert_for_operator(
        &mut self,
        agent: &AgentId,
        conversion: Conversion,
        principal: Option<String>,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let connected = self.agents.get(agent).is_some_and(|live| live.connection.is_some());
        let stock = self.offers.stock(agent).filter(|_| connected);
        let stock = stock.ok_or_else(|| Refusal::UnknownAgent(agent.clone()))?;
        let (mut within_reach, offers) = (self.recount_idle(agent), stock.offers.clone());
        offers.iter().for_each(|(_, offer)| within_reach.add(&offer.resources));
        let applicant = Applicant::Operator { principal: principal.as_deref() };
        self.judge_conversion(agent, applicant, &Resources::default(), &conversion)
            .map_err(Refusal::InvalidOperation)?;
        let consumed = conversion.consumed();
        if !within_reach.contains(&consumed) {
            let missing = consumed.minus(&within_reach);
            return Err(Refusal::NotFree { agent: agent.clone(), missing });
        }
        self.judge_reserved(&conversion)?;
        for (_, offer) in offers {
            self.rescind_for(agent, &offer.id, &consumed, out);
        }
        self.send(agent, Order { framework: None, id: None, conversion }, out);
        self.count_free(agent);
        self.offer_again(agent);
        Ok(())
    }

    fn rescind_for(&mut self, agent: &AgentId, offer: &OfferId, needed: &Resources, out: &mut Out) {
        let stock = self.offers.stock(agent).expect("it has offers");
        let missing = needed.minus(&stock.free.resources);
        let held = &self.view.offers[offer].resources;
        if !missing.is_empty() && held.minus(&missing) != *held {
            self.rescind(offer, out);
        }
    }
}

/// What the kernel itself says of an operation. It wants no acknowledgement.
fn decreed(known: &Operated, state: OperationState, cause: &str) -> OperationStatus {
    let status = OperationStatus::new(known.latest.operation.clone(), state, cause);
    let (agent, provider) = (known.latest.agent.clone(), known.latest.provider.clone());
    OperationStatus { agent, provider, ..status }
}
