//! Operations: resources become others. What comes of them is written down at once, so that tasks that follow can use
//! it; an operation is over when its volumes are made or gone, and its status is repeated until acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::agent::{Books, FromAgent};
use model::id::{FrameworkId, Uuid};
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::resources::{Resource, Resources};
use model::time::Time;

use crate::queue::Queue;
use crate::state::Record;
use crate::{Effect, Node, TICK_TIMERS_MAX, Turn};

/// What is repeated of operations while somebody listens.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    due: Queue<Uuid>,
    /// How long the last wait was.
    waits: BTreeMap<Uuid, Duration>,
}

impl Repeats {
    pub(crate) fn clear(&mut self) {
        self.due.clear();
        self.waits.clear();
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.due.first()
    }

    fn settled(&mut self, operation: Uuid) {
        self.due.remove(&operation);
        self.waits.remove(&operation);
    }
}

/// An operation that cannot even be written down, because the disk is full or broken.
pub fn unwritten(mut operated: Operated, claims: Resources, cause: &str, seed: u64) -> FromAgent {
    let id = operated.latest.operation.take();
    operated.latest = OperationStatus {
        uuid: Some(Uuid::derive(seed, 0)),
        ..OperationStatus::new(id, OperationState::Failed, cause)
    };
    FromAgent::Operated { operated: Box::new(operated), claims, provided: None }
}

impl Node {
    /// All that the agent has, as it is by now.
    fn total(&self) -> Resources {
        self.own().info.resources.with_claims(self.state.claims())
    }

    pub(crate) fn books(&self) -> Books {
        let operations = self.state.operations().values();
        Books {
            claims: self.state.claims().clone(),
            operations: operations.map(|operated| Operated::clone(operated)).collect(),
            executors: self.state.executors().values().map(|one| one.told()).collect(),
            revocable: self.lending.resources(),
            providers: self.provided(),
        }
    }

    /// A conversion is asked for. Told twice, it is done once.
    pub(crate) fn convert(
        &mut self,
        operated: Operated,
        version: Option<Uuid>,
        turn: &mut Turn<'_>,
    ) {
        let operation = operated.uuid;
        if self.state.operations().contains_key(&operation) {
            return;
        }
        if let Some(provider) = operated.conversion.provider().cloned() {
            return self.convert_at(&provider, operated, version, turn);
        }
        let total = self.conversion_of(&operated.conversion);
        match total {
            Ok(total) => {
                self.commit(Record::Claims(total.claims()), turn);
                self.commit(Record::Operation(operation, Some(Arc::new(operated.clone()))), turn);
                self.carry_on(&operated, turn);
            }
            Err((state, cause)) => self.end_operation(operated, state, &cause, turn),
        }
    }

    /// What the agent has after it.
    fn conversion_of(
        &self,
        conversion: &Conversion,
    ) -> Result<Resources, (OperationState, String)> {
        let (consumed, total) = (conversion.consumed(), self.total());
        if let Some(used) = conversion.destroyed().iter().find(|volume| self.is_in_use(volume)) {
            let used = Resources::new([used.clone()]);
            return Err((OperationState::Failed, format!("A task uses the volume {used}")));
        }
        if let Conversion::Unreserve { .. } = conversion
            && !total.minus(&self.in_use()).contains(&consumed)
        {
            // The master does not know all that runs here: two tasks of one id are one to it.
            return Err((OperationState::Dropped, format!("A task uses some of {consumed}")));
        }
        // The master may go by what this agent was before a restart, or by another operation that failed.
        let after = total.converted(&consumed, &conversion.converted()).ok_or_else(|| {
            (OperationState::Dropped, format!("It needs {consumed}, and the agent has {total}"))
        })?;
        match after.volume_named_twice() {
            None => Ok(after),
            Some(volume) => {
                let volume = Resources::new([volume.clone()]);
                let cause = format!("The agent has the volume {volume}, and another of its id");
                Err((OperationState::Dropped, cause))
            }
        }
    }

    /// What tasks hold that have not ended.
    fn in_use(&self) -> Resources {
        let mut sum = Resources::default();
        let live = self.state.all();
        let live = live.values().filter(|held| !held.is_ended());
        live.for_each(|held| sum.add(&held.info.resources));
        sum
    }

    pub(crate) fn is_in_use(&self, volume: &Resource) -> bool {
        let volume = Resources::new([volume.clone()]);
        let live = self.state.all();
        live.values().any(|held| !held.is_ended() && held.info.resources.contains(&volume))
    }

    /// What is left to be done on the disk; it may be done twice.
    fn carry_on(&mut self, operated: &Operated, turn: &mut Turn<'_>) {
        let Operated { uuid: operation, conversion, .. } = operated;
        let operation = *operation;
        if !conversion.created().is_empty() {
            let volumes = conversion.created().to_vec();
            turn.out.effects.push(Effect::MakeVolumes { operation, volumes });
        } else if !conversion.destroyed().is_empty() {
            let volumes = conversion.destroyed().to_vec();
            turn.out.effects.push(Effect::RemoveVolumes { operation, volumes });
        } else {
            self.end_operation(operated.clone(), OperationState::Finished, "", turn);
        }
    }

    /// Whatever was begun before a restart. A provider says itself how far it is.
    pub(crate) fn carry_on_all(&mut self, turn: &mut Turn<'_>) {
        for operated in self.state.operations().clone().values() {
            if !operated.latest.state.is_terminal() && operated.conversion.provider().is_none() {
                self.carry_on(operated, turn);
            }
        }
    }

    /// The volumes of an operation are made or gone, or could not be.
    pub(crate) fn volumes_done(
        &mut self,
        operation: Uuid,
        done: Result<(), String>,
        turn: &mut Turn<'_>,
    ) {
        let known = self.state.operations().get(&operation).cloned();
        let Some(operated) = known.filter(|known| !known.latest.state.is_terminal()) else {
            return;
        };
        let operated = Operated::clone(&operated);
        let Err(cause) = done else {
            return self.end_operation(operated, OperationState::Finished, "", turn);
        };
        // Whatever another operation has made of it since stays.
        let (before, after) = (operated.conversion.consumed(), operated.conversion.converted());
        let total = self.total().converted(&after, &before);
        if let Some(total) = total.filter(|total| total.volume_named_twice().is_none()) {
            self.commit(Record::Claims(total.claims()), turn);
        }
        self.end_operation(operated, OperationState::Failed, &cause, turn);
    }

    pub(crate) fn end_operation(
        &mut self,
        mut operated: Operated,
        state: OperationState,
        cause: &str,
        turn: &mut Turn<'_>,
    ) {
        let status = OperationStatus::new(operated.latest.operation.take(), state, cause);
        let converted = match state == OperationState::Finished {
            true => operated.conversion.converted(),
            false => Resources::default(),
        };
        operated.latest = OperationStatus { converted, uuid: Some(turn.mint()), ..status };
        let operation = operated.uuid;
        let operated = Arc::new(operated);
        self.commit(Record::Operation(operation, Some(operated.clone())), turn);
        self.tell_operation(operation, self.config.retry_min, turn);
        self.release(&operated, turn);
    }

    /// Says how it went, if somebody listens, and again after `wait`.
    pub(crate) fn tell_operation(&mut self, operation: Uuid, wait: Duration, turn: &mut Turn<'_>) {
        let known = self.state.operations().get(&operation);
        let over = known.filter(|known| known.latest.state.is_terminal());
        let Some(operated) = over.filter(|_| self.updates.is_connected()).cloned() else { return };
        let claims = self.state.claims().clone();
        let operated = Box::new(Operated::clone(&operated));
        let provider = operated.conversion.provider();
        let provided = provider.and_then(|id| self.provided_by(id)).map(Box::new);
        let told = FromAgent::Operated { operated, claims, provided };
        turn.out.effects.push(Effect::ToMaster(told));
        // A wait of nothing would have ticks without end at one time.
        let wait = wait.max(Duration::from_millis(1));
        self.repeats.due.set(operation, turn.now + wait);
        self.repeats.waits.insert(operation, wait);
    }

    pub(crate) fn tell_operations(&mut self, turn: &mut Turn<'_>) {
        for operation in self.state.operations().clone().keys() {
            self.tell_operation(*operation, self.config.retry_min, turn);
        }
    }

    pub(crate) fn repeat_operations(&mut self, turn: &mut Turn<'_>) {
        for operation in self.repeats.due.take_due(turn.now, TICK_TIMERS_MAX) {
            let waited = self.repeats.waits.get(&operation).copied().unwrap_or_default();
            self.tell_operation(operation, (waited * 2).min(self.config.retry_max), turn);
        }
    }

    pub(crate) fn operation_acknowledged(
        &mut self,
        operation: Uuid,
        uuid: Uuid,
        turn: &mut Turn<'_>,
    ) {
        let known = self.state.operations().get(&operation).cloned();
        if let Some(known) = known.filter(|known| known.latest.uuid == Some(uuid)) {
            self.repeats.settled(operation);
            self.pass_acknowledgement(&known, turn);
            self.commit(Record::Operation(operation, None), turn);
        }
    }

    /// Their framework is gone: nobody but the master hears how they went, and it needs to: it counts with what comes of
    /// them, and waits for the end of those that have no name as well.
    pub(crate) fn abandon_operations(&mut self, framework: &FrameworkId, turn: &mut Turn<'_>) {
        for (operation, operated) in &self.state.operations().clone() {
            if operated.framework.as_ref() == Some(framework) {
                let nobodys = Operated { framework: None, ..Operated::clone(operated) };
                self.commit(Record::Operation(*operation, Some(Arc::new(nobodys))), turn);
            }
        }
    }
}
