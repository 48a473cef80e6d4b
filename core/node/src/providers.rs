//! Resource providers: what they bring, what is asked of them, and what they say came of it.
//!
//! What a provider brings is true there: an agent keeps only whom it has admitted. Operations are the agent's as well: it
//! writes each down before the provider hears of it, and repeats to the master how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minicbor::{Decode, Encode};
use model::agent::FromAgent;
use model::id::{ContainerId, FrameworkId, OperationId, ProviderId, Uuid};
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::provider::{Provided, ProviderInfo};
use model::resources::Resources;

use crate::state::Record;
use crate::{Effect, Node, Turn};

/// A provider that was given its id here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Admitted {
    #[n(0)]
    pub kind: String,
    #[n(1)]
    pub name: String,
    /// An operator has said that it does not come back.
    #[n(2)]
    pub gone: bool,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq)]
pub enum FromProvider {
    /// It listens on this stream from now on.
    Subscribe {
        /// That it was given before.
        id: Option<ProviderId>,
        info: ProviderInfo,
    },
    State(Brings),
    Operated {
        operation: Uuid,
        status: OperationStatus,
    },
    Published {
        publish: Uuid,
        done: Result<(), String>,
    },
    /// The stream has ended.
    Lost,
}

/// All that a provider has, and the operations that it knows of.
#[derive(Debug, Clone, PartialEq)]
pub struct Brings {
    pub total: Resources,
    pub version: Uuid,
    pub operations: Vec<(Uuid, OperationStatus)>,
}

/// What a provider is told.
#[derive(Debug, Clone, PartialEq)]
pub enum ToProvider {
    Subscribed {
        provider: ProviderId,
    },
    Apply(Box<Apply>),
    /// Makes all of this ready for use, which is all that is in use and will be.
    Publish {
        publish: Uuid,
        resources: Resources,
    },
    Acknowledge {
        operation: Uuid,
        status: Uuid,
    },
    /// Of which of them does it know nothing?
    Reconcile {
        operations: Vec<Uuid>,
    },
    /// It is not to come back. The stream ends.
    Teardown,
    /// The stream ends.
    HangUp,
}

/// An operation for a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Apply {
    pub operation: Uuid,
    pub framework: Option<FrameworkId>,
    pub id: Option<OperationId>,
    pub conversion: Conversion,
    pub version: Uuid,
}

/// A provider that listens, as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribed {
    pub id: ProviderId,
    pub stream: u64,
    pub info: ProviderInfo,
    /// Nothing before it has said what it brings.
    pub total: Resources,
}

/// Those that listen. Volatile: after a restart of the agent they come again.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    live: BTreeMap<ProviderId, Live>,
    /// What providers were asked to make ready, and for which container.
    pub(crate) publishing: BTreeMap<Uuid, (ContainerId, ProviderId)>,
    /// Programs whose own resources are ready.
    pub(crate) ready: BTreeSet<ContainerId>,
}

#[derive(Debug)]
struct Live {
    stream: u64,
    info: ProviderInfo,
    brought: Option<Brought>,
}

/// What a provider has said that it has, and what has become of it since.
#[derive(Debug)]
struct Brought {
    total: Resources,
    version: Uuid,
    /// Operations whose outcome is part of the total.
    applied: BTreeSet<Uuid>,
}

impl Providers {
    fn on(&self, stream: u64) -> Option<ProviderId> {
        let mut all = self.live.iter();
        all.find(|(_, live)| live.stream == stream).map(|(id, _)| id.clone())
    }

    pub(crate) fn stream(&self, provider: &ProviderId) -> Option<u64> {
        self.live.get(provider).map(|live| live.stream)
    }

    fn brought(&self, provider: &ProviderId) -> Option<&Brought> {
        self.live.get(provider)?.brought.as_ref()
    }

    fn brought_mut(&mut self, provider: &ProviderId) -> Option<&mut Brought> {
        self.live.get_mut(provider)?.brought.as_mut()
    }

    pub(crate) fn subscribed(&self) -> Vec<Subscribed> {
        let one = |(id, live): (&ProviderId, &Live)| Subscribed {
            id: id.clone(),
            stream: live.stream,
            info: live.info.clone(),
            total: live.brought.as_ref().map(|brought| brought.total.clone()).unwrap_or_default(),
        };
        self.live.iter().map(one).collect()
    }

    pub(crate) fn total(&self) -> Resources {
        let mut sum = Resources::default();
        let brought = self.live.values().filter_map(|live| live.brought.as_ref());
        brought.for_each(|brought| sum.add(&brought.total));
        sum
    }
}

impl Node {
    pub(crate) fn hear_provider(&mut self, stream: u64, said: FromProvider, turn: &mut Turn<'_>) {
        match (said, self.providers.on(stream)) {
            (FromProvider::Subscribe { id, info }, _) => {
                self.admit_provider(stream, id, info, turn);
            }
            (FromProvider::State(brings), Some(provider)) => {
                self.provider_brings(&provider, brings, turn);
            }
            (FromProvider::Operated { operation, status }, Some(provider)) => {
                self.provider_operated(&provider, operation, status, turn);
            }
            (FromProvider::Published { publish, done }, Some(_)) => {
                self.published(publish, done, turn);
            }
            (FromProvider::Lost, Some(provider)) => self.provider_lost(&provider, turn),
            // On a stream that another one has replaced.
            (
                FromProvider::State(_)
                | FromProvider::Operated { .. }
                | FromProvider::Published { .. }
                | FromProvider::Lost,
                None,
            ) => (),
        }
    }

    fn admit_provider(
        &mut self,
        stream: u64,
        id: Option<ProviderId>,
        info: ProviderInfo,
        turn: &mut Turn<'_>,
    ) {
        let given = id.as_ref().map(|id| self.state.providers().get(id).cloned());
        let refused = match &given {
            None => None,
            Some(Some(known)) if known.gone => Some(ToProvider::Teardown),
            Some(Some(known)) if known.kind == info.kind && known.name == info.name => None,
            Some(_) => Some(ToProvider::HangUp),
        };
        if let Some(said) = refused {
            return tell(stream, said, turn);
        }
        let id = id.unwrap_or_else(|| ProviderId::new(turn.mint().to_string()));
        if given.is_none() {
            let known = Admitted { kind: info.kind.clone(), name: info.name.clone(), gone: false };
            self.commit(Record::Provider(id.clone(), Some(Arc::new(known))), turn);
        }
        let before = self.providers.live.remove(&id);
        if let Some(before) = &before {
            tell(before.stream, ToProvider::HangUp, turn);
            self.unpublish(&id, turn);
        }
        // What it had is what it has, until it says otherwise.
        let brought = before.and_then(|before| before.brought);
        self.counts.providers_subscribed += 1;
        self.providers.live.insert(id.clone(), Live { stream, info, brought });
        tell(stream, ToProvider::Subscribed { provider: id }, turn);
    }

    /// It says what it has: whatever was thought before is forgotten.
    fn provider_brings(&mut self, provider: &ProviderId, brings: Brings, turn: &mut Turn<'_>) {
        let Brings { mut total, version, operations } = brings;
        let told: BTreeMap<Uuid, OperationStatus> = operations.into_iter().collect();
        let done = told.iter().filter(|(_, status)| status.state == OperationState::Finished);
        let mut applied: BTreeSet<Uuid> = done.map(|(operation, _)| *operation).collect();
        let is_over =
            |operation: &Uuid| told.get(operation).is_some_and(|status| status.state.is_terminal());
        let begun = self.begun_at(provider);
        let coming = begun.iter().filter(|one| !is_over(&one.uuid));
        let coming: Vec<_> = coming.map(|one| (one.uuid, &one.conversion)).collect();
        foresee(&mut total, &coming, |operation| applied.extend([operation]));
        let live = self.providers.live.get_mut(provider).expect("the caller has looked");
        live.brought = Some(Brought { total, version, applied });
        let stream = live.stream;
        let known = begun.iter().map(|one| one.uuid);
        let missing: Vec<Uuid> = known.filter(|operation| !told.contains_key(operation)).collect();
        if !missing.is_empty() {
            tell(stream, ToProvider::Reconcile { operations: missing }, turn);
        }
        for (operation, status) in told.into_iter().filter(|(_, told)| told.state.is_terminal()) {
            self.provider_operated(provider, operation, status, turn);
        }
        self.tell_providers(turn);
    }

    /// Operations on its resources that are not over.
    fn begun_at(&self, provider: &ProviderId) -> Vec<Arc<Operated>> {
        let all = self.state.operations().values().filter(|one| !one.latest.state.is_terminal());
        all.filter(|one| one.conversion.provider() == Some(provider)).cloned().collect()
    }

    /// What has become of an operation. It is acknowledged once the master has heard of it.
    fn provider_operated(
        &mut self,
        provider: &ProviderId,
        operation: Uuid,
        status: OperationStatus,
        turn: &mut Turn<'_>,
    ) {
        let known = self.state.operations().get(&operation).cloned();
        let known = known.filter(|one| one.conversion.provider() == Some(provider));
        let news = known.filter(|known| !known.latest.state.is_terminal());
        let Some(known) = news.filter(|_| status.state.is_terminal()) else {
            return self.acknowledge_to(provider, operation, &status, turn);
        };
        let converted = match known.conversion.is_foreseeable() {
            _ if status.state != OperationState::Finished => Resources::default(),
            true => known.conversion.converted(),
            false => status.converted.clone(),
        };
        let told = status.uuid.is_some().then(|| provider.clone());
        let latest = OperationStatus {
            operation: known.latest.operation.clone(),
            converted,
            uuid: Some(status.uuid.unwrap_or_else(|| turn.mint())),
            provider: told,
            ..status
        };
        self.settle(provider, &known, &latest);
        let operated = Arc::new(Operated { latest, ..Operated::clone(&known) });
        self.commit(Record::Operation(operation, Some(operated.clone())), turn);
        self.tell_operation(operation, self.config.retry_min, turn);
        self.release(&operated, turn);
    }

    /// Of an operation that nobody here waits for: the agent knows each before its provider does, so it has been heard of.
    /// What is still told to the master is acknowledged after that.
    fn acknowledge_to(
        &self,
        provider: &ProviderId,
        operation: Uuid,
        status: &OperationStatus,
        turn: &mut Turn<'_>,
    ) {
        let is_told = |known: &Arc<Operated>| known.latest.uuid == status.uuid;
        if self.state.operations().get(&operation).is_some_and(is_told) {
            return;
        }
        if let (Some(stream), Some(status)) = (self.providers.stream(provider), status.uuid) {
            tell(stream, ToProvider::Acknowledge { operation, status }, turn);
        }
    }

    /// The total has in it what has come of the operation, and nothing of what was only foreseen.
    fn settle(&mut self, provider: &ProviderId, operated: &Operated, latest: &OperationStatus) {
        let Some(brought) = self.providers.brought_mut(provider) else { return };
        let was_applied = brought.applied.remove(&operated.uuid);
        let consumed = operated.conversion.consumed();
        let (before, after) = match (latest.state == OperationState::Finished, was_applied) {
            (true, true) | (false, false) => return,
            (true, false) => (consumed, latest.converted.clone()),
            (false, true) => (operated.conversion.converted(), consumed),
        };
        // If that is not there the provider will say what is.
        if let Some(total) = brought.total.converted(&before, &after) {
            brought.total = total;
        }
    }

    /// Asked for by the master. What comes of it is known when the provider says so.
    pub(crate) fn convert_at(
        &mut self,
        provider: &ProviderId,
        operated: Operated,
        version: Option<Uuid>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(cause) = self.judge_at(provider, &operated.conversion, version) {
            return self.end_operation(operated, OperationState::Dropped, &cause, turn);
        }
        let (operation, conversion) = (operated.uuid, operated.conversion.clone());
        let (framework, id) = (operated.framework.clone(), operated.latest.operation.clone());
        self.commit(Record::Operation(operation, Some(Arc::new(operated))), turn);
        let live = self.providers.live.get_mut(provider).expect("it was judged");
        let brought = live.brought.as_mut().expect("likewise");
        let (stream, version) = (live.stream, brought.version);
        let Brought { total, applied, .. } = brought;
        foresee(total, &[(operation, &conversion)], |one| applied.extend([one]));
        let apply = Apply { operation, framework, id, conversion, version };
        tell(stream, ToProvider::Apply(Box::new(apply)), turn);
    }

    fn judge_at(
        &self,
        provider: &ProviderId,
        conversion: &Conversion,
        version: Option<Uuid>,
    ) -> Result<(), String> {
        let Some(brought) = self.providers.brought(provider) else {
            return Err(format!("Resource provider {provider} is not subscribed"));
        };
        if version != Some(brought.version) {
            return Err(format!("The resources of provider {provider} have changed since"));
        }
        let mut free = brought.total.minus(&self.used_of(provider));
        for begun in self.begun_at(provider).iter().filter(|one| !one.conversion.is_foreseeable()) {
            free.take(&begun.conversion.consumed());
        }
        let consumed = conversion.consumed();
        let is_shared = consumed.iter().any(|one| one.shared);
        let is_there =
            if is_shared { brought.total.contains(&consumed) } else { free.contains(&consumed) };
        match conversion.destroyed().iter().any(|volume| self.is_in_use(volume)) || !is_there {
            true => Err(format!("It needs {consumed}, and {free} are free at provider {provider}")),
            false => Ok(()),
        }
    }

    fn provider_lost(&mut self, provider: &ProviderId, turn: &mut Turn<'_>) {
        self.counts.providers_lost += 1;
        self.providers.live.remove(provider);
        self.unpublish(provider, turn);
        self.tell_providers(turn);
    }

    /// It does not come back. What it was doing is over.
    pub(crate) fn provider_gone(&mut self, provider: &ProviderId, turn: &mut Turn<'_>) {
        let Some(known) = self.state.providers().get(provider).cloned() else { return };
        let gone = Admitted { gone: true, ..Admitted::clone(&known) };
        self.commit(Record::Provider(provider.clone(), Some(Arc::new(gone))), turn);
        for begun in self.begun_at(provider) {
            let cause = format!("Resource provider {provider} was marked gone");
            let state = OperationState::GoneByOperator;
            self.end_operation(Operated::clone(&begun), state, &cause, turn);
        }
        if let Some(stream) = self.providers.stream(provider) {
            tell(stream, ToProvider::Teardown, turn);
            self.provider_lost(provider, turn);
        }
    }

    /// What its provider is to know, too, of the end of an operation that the master has heard of.
    pub(crate) fn pass_acknowledgement(&self, operated: &Operated, turn: &mut Turn<'_>) {
        let (Some(provider), Some(status)) = (&operated.latest.provider, operated.latest.uuid)
        else {
            return;
        };
        if let Some(stream) = self.providers.stream(provider) {
            let operation = operated.uuid;
            tell(stream, ToProvider::Acknowledge { operation, status }, turn);
        }
    }

    pub(crate) fn provided_by(&self, provider: &ProviderId) -> Option<Provided> {
        let live = self.providers.live.get(provider)?;
        let Brought { total, version, .. } = live.brought.as_ref()?;
        Some(Provided {
            id: provider.clone(),
            info: live.info.clone(),
            total: total.clone(),
            version: *version,
            pending: self.begun_at(provider).iter().map(|one| one.uuid).collect(),
        })
    }

    pub(crate) fn provided(&self) -> Vec<Provided> {
        self.providers.live.keys().filter_map(|provider| self.provided_by(provider)).collect()
    }

    fn tell_providers(&self, turn: &mut Turn<'_>) {
        if self.updates.is_connected() {
            let provides = FromAgent::Provides { providers: self.provided() };
            turn.out.effects.push(Effect::ToMaster(provides));
        }
    }
}

pub(crate) fn tell(stream: u64, said: ToProvider, turn: &mut Turn<'_>) {
    turn.out.effects.push(Effect::ToProvider { stream, said });
}

/// Does in a total what is under way and can be foreseen, in whatever order it can be done.
fn foresee(total: &mut Resources, coming: &[(Uuid, &Conversion)], mut done: impl FnMut(Uuid)) {
    let mut left: Vec<_> = coming.iter().filter(|(_, one)| one.is_foreseeable()).collect();
    loop {
        let before = left.len();
        left.retain(|(operation, conversion)| match conversion.applied(total) {
            Some(after) => {
                *total = after;
                done(*operation);
                false
            }
            None => true,
        });
        if left.len() == before {
            return;
        }
    }
}
