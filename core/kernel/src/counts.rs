//! What has happened since this leader was elected, as numbers: each is counted where it happens, at the cost of what
//! happens.

use std::sync::Arc;

use imbl::OrdMap;
use model::agent::FromAgent;
use model::id::{AgentId, FrameworkId, Role};
use model::operation::{Conversion, OperationState};
use model::scheduler::{Call, Event, Operation};
use model::task::{Reason, Source, Task, TaskState, TaskStatus};

use crate::agents::LiveAgent;
use crate::{Effect, Input, Kernel};

/// Volatile: a new leader starts at zero.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub calls: Tally<CallKind, 16>,
    /// Subscriptions of frameworks without an id, and of those that have one.
    pub subscribed: [u64; 2],
    /// Operations that launch something.
    pub launches: u64,
    pub letters: Tally<LetterKind, 8>,
    /// What was said and made sense, and what did not.
    pub judged: Tally<Judged, 12>,
    /// From frameworks that are not there, and on streams that are no agent's.
    pub dropped: u64,
    pub agents: AgentCounts,
    /// Tasks that have ended, by how.
    pub ended: OrdMap<TaskState, u64>,
    /// The same, by who said so and why.
    pub causes: OrdMap<(TaskState, Source, Reason), u64>,
    /// Operations that are over, by what they were. Of those that could not be read no more is known than that.
    pub operations: OrdMap<(Option<OperationKind>, OperationState), u64>,
    /// How often what is free was offered to those who wait.
    pub allocations: u64,
    /// Filters that hold now.
    pub filters: OrdMap<Role, u64>,
    pub frameworks: OrdMap<FrameworkId, Arc<FrameworkCounts>>,
}

/// How often each kind has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<K, const N: usize>([u64; N], std::marker::PhantomData<K>);

impl<K, const N: usize> Default for Tally<K, N> {
    fn default() -> Self {
        Self([0; N], std::marker::PhantomData)
    }
}

impl<K: Kind<N>, const N: usize> Tally<K, N> {
    fn count(&mut self, kind: K) {
        self.0[kind.place()] += 1;
    }

    pub fn get(&self, kind: K) -> u64 {
        self.0[kind.place()]
    }

    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        K::ALL.into_iter().zip(self.0)
    }
}

/// One of a few.
pub trait Kind<const N: usize>: Copy {
    /// In the order of their places.
    const ALL: [Self; N];

    fn place(self) -> usize;
}

macro_rules! kinds {
    ($(#[$about:meta])* $name:ident, $count:literal: $($kind:ident),+ $(,)?) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($kind),+
        }

        impl Kind<$count> for $name {
            const ALL: [Self; $count] = [$($name::$kind),+];

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}

kinds!(
    /// What frameworks ask.
    CallKind, 16:
    Subscribe, Teardown, UpdateFramework, Accept, Decline, AcceptInverse, DeclineInverse, Revive, Suppress, Kill,
    Acknowledge, Reconcile, Shutdown, Message, AcknowledgeOperation, ReconcileOperations,
);

kinds!(
    /// What agents say, as far as anybody counts it.
    LetterKind, 8:
    Register, RegisterAgain, Update, Operated, ExecutorEnded, Message, Lends, Other,
);

kinds!(
    /// What may make no sense, because what it is about is not there, or not here.
    Judged, 12:
    GoodUpdate, BadUpdate, GoodAcknowledgement, BadAcknowledgement, GoodOperated, BadOperated,
    GoodOperationAcknowledgement, BadOperationAcknowledgement, GoodToExecutor, BadToExecutor, GoodFromExecutor,
    BadFromExecutor,
);

kinds!(
    /// What frameworks are told.
    EventKind, 10:
    Subscribed, Offers, Rescind, InverseOffers, RescindInverse, Update, UpdateOperation, Failure, Message, Error,
);

kinds!(
    /// What is done with offers.
    OperationKind, 10:
    Launch, LaunchGroup, Reserve, Unreserve, Create, Destroy, GrowVolume, ShrinkVolume, CreateDisk, DestroyDisk,
);

#[derive(Debug, Clone, Default)]
pub struct FrameworkCounts {
    pub calls: Tally<CallKind, 16>,
    pub events: Tally<EventKind, 10>,
    pub operations: Tally<OperationKind, 10>,
    pub offers: OfferCounts,
    pub ended: OrdMap<TaskState, u64>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct OfferCounts {
    pub sent: u64,
    pub accepted: u64,
    pub declined: u64,
    pub rescinded: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct AgentCounts {
    pub registrations: u64,
    pub reregistrations: u64,
    /// Nothing was heard of them.
    pub lost: u64,
    /// Those of them that an earlier leader has known and that did not come to this one.
    pub missed: u64,
    /// By operators.
    pub taken_out: u64,
    /// Silent for so long that it was to be their turn.
    pub silent: u64,
    /// Those that spoke before their turn came.
    pub spared: u64,
}

impl CallKind {
    fn of(call: &Call) -> Self {
        match call {
            Call::Subscribe { .. } => CallKind::Subscribe,
            Call::Teardown => CallKind::Teardown,
            Call::UpdateFramework { .. } => CallKind::UpdateFramework,
            Call::Accept { .. } => CallKind::Accept,
            Call::Decline { .. } => CallKind::Decline,
            Call::AcceptInverse { .. } => CallKind::AcceptInverse,
            Call::DeclineInverse { .. } => CallKind::DeclineInverse,
            Call::Revive { .. } => CallKind::Revive,
            Call::Suppress { .. } => CallKind::Suppress,
            Call::Kill { .. } => CallKind::Kill,
            Call::Acknowledge { .. } => CallKind::Acknowledge,
            Call::Reconcile { .. } => CallKind::Reconcile,
            Call::Shutdown { .. } => CallKind::Shutdown,
            Call::Message { .. } => CallKind::Message,
            Call::AcknowledgeOperation { .. } => CallKind::AcknowledgeOperation,
            Call::ReconcileOperations { .. } => CallKind::ReconcileOperations,
        }
    }
}

impl LetterKind {
    fn of(letter: &FromAgent) -> Self {
        match letter {
            FromAgent::Register { agent: None, .. } => LetterKind::Register,
            FromAgent::Register { agent: Some(_), .. } => LetterKind::RegisterAgain,
            FromAgent::Update { .. } => LetterKind::Update,
            FromAgent::Operated { .. } => LetterKind::Operated,
            FromAgent::ExecutorEnded { .. } => LetterKind::ExecutorEnded,
            FromAgent::Message { .. } => LetterKind::Message,
            FromAgent::Lends { .. } | FromAgent::Provides { .. } => LetterKind::Lends,
            FromAgent::Pong | FromAgent::Checked { .. } | FromAgent::Used { .. } => {
                LetterKind::Other
            }
        }
    }
}

impl EventKind {
    /// `None` for words of our own, which nobody outside hears.
    fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Subscribed { .. } => EventKind::Subscribed,
            Event::Offers(_) => EventKind::Offers,
            Event::Rescind(_) => EventKind::Rescind,
            Event::InverseOffers(_) => EventKind::InverseOffers,
            Event::RescindInverse(_) => EventKind::RescindInverse,
            Event::Update(_) => EventKind::Update,
            Event::UpdateOperation(_) => EventKind::UpdateOperation,
            Event::Failure { .. } | Event::Away(_) => EventKind::Failure,
            Event::Message { .. } => EventKind::Message,
            Event::Error(_) => EventKind::Error,
            Event::Checked { .. } | Event::Used(_) => return None,
        })
    }
}

impl OperationKind {
    pub fn of(conversion: &Conversion) -> Self {
        match conversion {
            Conversion::Reserve { .. } => OperationKind::Reserve,
            Conversion::Unreserve { .. } => OperationKind::Unreserve,
            Conversion::Create { .. } => OperationKind::Create,
            Conversion::Destroy { .. } => OperationKind::Destroy,
            Conversion::GrowVolume { .. } => OperationKind::GrowVolume,
            Conversion::ShrinkVolume { .. } => OperationKind::ShrinkVolume,
            Conversion::CreateDisk { .. } => OperationKind::CreateDisk,
            Conversion::DestroyDisk { .. } => OperationKind::DestroyDisk,
        }
    }

    /// `None` if its framework could not say what it is.
    fn of_operation(operation: &Operation) -> Option<Self> {
        match operation {
            Operation::Launch(_) | Operation::LaunchIn { .. } => Some(OperationKind::Launch),
            Operation::LaunchGroup { .. } => Some(OperationKind::LaunchGroup),
            Operation::Convert { conversion, .. } => Some(OperationKind::of(conversion)),
            Operation::Refuse(_) | Operation::NoConversion { .. } => None,
        }
    }
}

impl Counts {
    fn of_framework(&mut self, id: &FrameworkId) -> &mut FrameworkCounts {
        Arc::make_mut(self.frameworks.entry(id.clone()).or_default())
    }

    fn judge(&mut self, is_good: bool, (good, bad): (Judged, Judged)) {
        self.judged.count(if is_good { good } else { bad });
    }

    /// A task that was known has ended.
    pub(crate) fn task_ended(&mut self, task: &Task) {
        let status = task.status.as_ref().filter(|status| status.state == task.state);
        self.count_end(&task.framework, task.state, status);
    }

    fn count_end(
        &mut self,
        framework: &FrameworkId,
        state: TaskState,
        status: Option<&TaskStatus>,
    ) {
        *self.ended.entry(state).or_default() += 1;
        *self.of_framework(framework).ended.entry(state).or_default() += 1;
        if let Some((source, reason)) = status.and_then(|one| Some((one.source, one.reason?))) {
            *self.causes.entry((state, source, reason)).or_default() += 1;
        }
    }

    pub(crate) fn operation_ended(&mut self, kind: Option<OperationKind>, state: OperationState) {
        *self.operations.entry((kind, state)).or_default() += 1;
    }

    pub(crate) fn filters_added(&mut self, role: &Role) {
        match self.filters.get_mut(role) {
            Some(known) => *known += 1,
            None => drop(self.filters.insert(role.clone(), 1)),
        }
    }

    pub(crate) fn filters_ended(&mut self, role: &Role, number: usize) {
        let Some(known) = self.filters.get_mut(role) else { return };
        *known = known.saturating_sub(number as u64);
        if *known == 0 {
            self.filters.remove(role);
        }
    }

    fn accepted(&mut self, from: &FrameworkId, operations: &[Operation]) {
        let own = self.of_framework(from);
        for kind in operations.iter().filter_map(OperationKind::of_operation) {
            own.operations.count(kind);
        }
        let launches = operations.iter().filter(|operation| !operation.tasks().is_empty());
        self.launches += launches.count() as u64;
        let faulty = |one: &&Operation| matches!(one, Operation::NoConversion { .. });
        for _ in operations.iter().filter(faulty) {
            self.operation_ended(None, OperationState::Error);
        }
    }

    fn told(&mut self, framework: &FrameworkId, event: &Event) {
        let Some(kind) = EventKind::of(event) else { return };
        let counts = self.of_framework(framework);
        counts.events.count(kind);
        match event {
            Event::Subscribed { .. } => counts.calls.count(CallKind::Subscribe),
            Event::Offers(offers) => counts.offers.sent += offers.len() as u64,
            Event::Rescind(_) => counts.offers.rescinded += 1,
            Event::Update(status) if was_never_known(status) => {
                self.count_end(framework, status.state, Some(status));
            }
            Event::Update(_)
            | Event::InverseOffers(_)
            | Event::RescindInverse(_)
            | Event::UpdateOperation(_)
            | Event::Failure { .. }
            | Event::Away(_)
            | Event::Message { .. }
            | Event::Checked { .. }
            | Event::Used(_)
            | Event::Error(_) => (),
        }
    }
}

/// A task that was refused when it was to be launched.
fn was_never_known(status: &TaskStatus) -> bool {
    let refusals = [
        Reason::InvalidOffers,
        Reason::TaskInvalid,
        Reason::TaskGroupInvalid,
        Reason::TaskUnauthorized,
        Reason::TaskGroupUnauthorized,
    ];
    let is_refused = status.reason.is_some_and(|reason| refusals.contains(&reason));
    status.source == Source::Master && status.uuid.is_none() && is_refused
}

impl Kernel {
    /// Before it is carried out: whether it makes sense shows in what is known until then.
    pub(crate) fn count_input(&mut self, input: &Input) {
        match input {
            Input::Subscribe { info } => {
                self.view.history.counts.subscribed[usize::from(info.id.is_some())] += 1;
            }
            Input::Framework { from, call } if self.state.active(from).is_some() => {
                self.count_call(from, call);
            }
            Input::Agent { connection, message } => {
                let agent = self.connections.get(connection).cloned();
                self.view.history.counts.letters.count(LetterKind::of(message));
                match agent {
                    Some(agent) => self.judge_letter(&agent, message),
                    None if matches!(message, FromAgent::Register { .. }) => (),
                    None => self.view.history.counts.dropped += 1,
                }
            }
            Input::Framework { .. } => self.view.history.counts.dropped += 1,
            Input::Lead { .. }
            | Input::FrameworkLost { .. }
            | Input::AgentLost { .. }
            | Input::Operator { .. }
            | Input::Tick => (),
        }
    }

    fn count_call(&mut self, from: &FrameworkId, call: &Call) {
        let verdict = self.judge_call(from, call);
        let counts = &mut self.view.history.counts;
        if let Some((is_good, kinds)) = verdict {
            counts.judge(is_good, kinds);
        }
        let kind = CallKind::of(call);
        counts.calls.count(kind);
        if kind == CallKind::Subscribe {
            // Its own number goes up once it is.
            counts.subscribed[1] += 1;
            return;
        }
        let own = counts.of_framework(from);
        own.calls.count(kind);
        if let Call::Accept { offers, operations, .. } = call {
            own.offers.accepted += offers.len() as u64;
            counts.accepted(from, operations);
        } else if let Call::Decline { offers, .. } = call {
            own.offers.declined += offers.len() as u64;
        }
    }

    /// Of those that are about something that may not be there.
    fn judge_call(&self, from: &FrameworkId, call: &Call) -> Option<(bool, (Judged, Judged))> {
        let is_here = |agent: &AgentId| {
            self.agents.get(agent).is_some_and(|live: &LiveAgent| live.connection.is_some())
        };
        match call {
            Call::Acknowledge { agent, .. } => {
                let kinds = (Judged::GoodAcknowledgement, Judged::BadAcknowledgement);
                Some((is_here(agent), kinds))
            }
            Call::AcknowledgeOperation { operation, .. } => {
                let known = self.operations.by_id.get(&(from.clone(), operation.clone()));
                let (good, bad) =
                    (Judged::GoodOperationAcknowledgement, Judged::BadOperationAcknowledgement);
                Some((known.is_some_and(|(agent, _)| is_here(agent)), (good, bad)))
            }
            Call::Message { agent, .. } => {
                Some((is_here(agent), (Judged::GoodToExecutor, Judged::BadToExecutor)))
            }
            Call::Subscribe { .. }
            | Call::Teardown
            | Call::UpdateFramework { .. }
            | Call::Accept { .. }
            | Call::Decline { .. }
            | Call::AcceptInverse { .. }
            | Call::DeclineInverse { .. }
            | Call::Revive { .. }
            | Call::Suppress { .. }
            | Call::Kill { .. }
            | Call::Reconcile { .. }
            | Call::Shutdown { .. }
            | Call::ReconcileOperations { .. } => None,
        }
    }

    fn judge_letter(&mut self, agent: &AgentId, letter: &FromAgent) {
        let (is_good, kinds) = match letter {
            FromAgent::Update { framework, status, .. } => {
                let known = self.view.task(framework, &status.task);
                let is_its = known.is_some_and(|known| known.agent == *agent);
                (is_its, (Judged::GoodUpdate, Judged::BadUpdate))
            }
            FromAgent::Operated { operated, .. } => {
                let known = self.view.operations.contains_key(&(agent.clone(), operated.uuid));
                (known, (Judged::GoodOperated, Judged::BadOperated))
            }
            FromAgent::Message { framework, .. } => {
                let listens = self.frameworks.get(framework).is_some_and(|live| live.connected);
                (listens, (Judged::GoodFromExecutor, Judged::BadFromExecutor))
            }
            FromAgent::Register { .. }
            | FromAgent::Pong
            | FromAgent::Checked { .. }
            | FromAgent::Used { .. }
            | FromAgent::ExecutorEnded { .. }
            | FromAgent::Provides { .. }
            | FromAgent::Lends { .. } => return,
        };
        self.view.history.counts.judge(is_good, kinds);
    }

    /// After a step: what frameworks are told by it.
    pub(crate) fn count_effects(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Event(framework, event) = effect
                && self.state.frameworks.contains_key(framework)
            {
                self.view.history.counts.told(framework, event);
            }
        }
    }
}
