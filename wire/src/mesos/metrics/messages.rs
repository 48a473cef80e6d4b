//! What frameworks and agents have said since the leader was elected, and what became of agents and operations.

use std::collections::BTreeMap;

use kernel::counts::{CallKind, Counts, Judged, Kind, LetterKind, OperationKind};
use kernel::view::View;
use mesos_v1::task_status::Reason as SpelledReason;
use model::operation::OperationState;
use model::task::Source;

use super::names::{self, OVER, UNDER_WAY};
use super::whole;
use crate::mesos::v1::status;

pub(super) fn figures(view: &View, put: &mut impl FnMut(&str, f64)) {
    let counts = &view.history.counts;
    messages(counts, put);
    judged(counts, put);
    agents(counts, put);
    causes(counts, put);
    operations(view, put);
}

fn messages(counts: &Counts, put: &mut impl FnMut(&str, f64)) {
    let [new, again] = counts.subscribed;
    put("messages_register_framework", whole(new));
    put("messages_reregister_framework", whole(again));
    for (name, kind) in [
        ("unregister_framework", CallKind::Teardown),
        ("kill_task", CallKind::Kill),
        ("status_update_acknowledgement", CallKind::Acknowledge),
        ("operation_status_update_acknowledgement", CallKind::AcknowledgeOperation),
        ("decline_offers", CallKind::Decline),
        ("revive_offers", CallKind::Revive),
        ("suppress_offers", CallKind::Suppress),
        ("reconcile_tasks", CallKind::Reconcile),
        ("reconcile_operations", CallKind::ReconcileOperations),
        ("framework_to_executor", CallKind::Message),
    ] {
        put(&format!("messages_{name}"), whole(counts.calls.get(kind)));
    }
    for (name, kind) in [
        ("register_slave", LetterKind::Register),
        ("reregister_slave", LetterKind::RegisterAgain),
        ("status_update", LetterKind::Update),
        ("operation_status_update", LetterKind::Operated),
        ("exited_executor", LetterKind::ExecutorEnded),
        ("executor_to_framework", LetterKind::Message),
        ("update_slave", LetterKind::Lends),
    ] {
        put(&format!("messages_{name}"), whole(counts.letters.get(kind)));
    }
    put("messages_launch_tasks", whole(counts.launches));
    put("dropped_messages", whole(counts.dropped));
}

fn judged(counts: &Counts, put: &mut impl FnMut(&str, f64)) {
    for kind in Judged::ALL {
        let name = match kind {
            Judged::GoodUpdate => "valid_status_updates",
            Judged::BadUpdate => "invalid_status_updates",
            Judged::GoodAcknowledgement => "valid_status_update_acknowledgements",
            Judged::BadAcknowledgement => "invalid_status_update_acknowledgements",
            Judged::GoodOperated => "valid_operation_status_updates",
            Judged::BadOperated => "invalid_operation_status_updates",
            Judged::GoodOperationAcknowledgement => {
                "valid_operation_status_update_acknowledgements"
            }
            Judged::BadOperationAcknowledgement => {
                "invalid_operation_status_update_acknowledgements"
            }
            Judged::GoodToExecutor => "valid_framework_to_executor_messages",
            Judged::BadToExecutor => "invalid_framework_to_executor_messages",
            Judged::GoodFromExecutor => "valid_executor_to_framework_messages",
            Judged::BadFromExecutor => "invalid_executor_to_framework_messages",
        };
        put(name, whole(counts.judged.get(kind)));
    }
}

fn agents(counts: &Counts, put: &mut impl FnMut(&str, f64)) {
    let agents = counts.agents;
    put("slave_registrations", whole(agents.registrations));
    put("slave_reregistrations", whole(agents.reregistrations));
    put("slave_removals", whole(agents.lost + agents.taken_out));
    put("slave_removals/reason_unhealthy", whole(agents.lost));
    put("recovery_slave_removals", whole(agents.missed));
    // The older words for the same: an agent that is out of reach is not shut down any more.
    for kind in ["slave_unreachable", "slave_shutdowns"] {
        put(&format!("{kind}_scheduled"), whole(agents.silent));
        put(&format!("{kind}_completed"), whole(agents.lost));
        put(&format!("{kind}_canceled"), whole(agents.spared));
    }
}

/// Only of what has happened: there are as many names as combinations.
fn causes(counts: &Counts, put: &mut impl FnMut(&str, f64)) {
    for ((state, source, reason), number) in &counts.causes {
        let state = status::state(*state).as_str_name().to_lowercase();
        let source = match source {
            Source::Master => "source_master",
            Source::Agent => "source_slave",
            Source::Executor => "source_executor",
        };
        let reason: SpelledReason = status::reason(*reason);
        // What v1 calls agents, the names of figures still call slaves.
        let reason = reason.as_str_name().to_lowercase().replace("agent", "slave");
        put(&format!("{state}/{source}/{reason}"), whole(*number));
    }
}

type ByKind = BTreeMap<(OperationKind, OperationState), u64>;

fn operations(view: &View, put: &mut impl FnMut(&str, f64)) {
    let mut numbers = ByKind::new();
    for operated in view.operations.values() {
        let state = operated.latest.state;
        if UNDER_WAY.iter().any(|(_, known)| *known == state) {
            *numbers.entry((OperationKind::of(&operated.conversion), state)).or_default() += 1;
        }
    }
    let mut unread = BTreeMap::<OperationState, u64>::new();
    for ((kind, state), number) in &view.history.counts.operations {
        match kind {
            Some(kind) => *numbers.entry((*kind, *state)).or_default() += number,
            None => *unread.entry(*state).or_default() += number,
        }
    }
    let states = || UNDER_WAY.into_iter().chain(OVER);
    let mut all = 0;
    for (name, state) in states() {
        let of_kinds = numbers.iter().filter(|((_, of), _)| *of == state).map(|(_, number)| number);
        let number = of_kinds.sum::<u64>() + unread.get(&state).copied().unwrap_or(0);
        put(&format!("operations/{name}"), whole(number));
        all += number;
    }
    put("operations/total", whole(all));
    let is_launch =
        |kind: &OperationKind| matches!(kind, OperationKind::Launch | OperationKind::LaunchGroup);
    for kind in OperationKind::ALL.into_iter().filter(|kind| !is_launch(kind)) {
        let prefix = format!("operations/{}", names::operation(kind));
        let of = |state| numbers.get(&(kind, state)).copied().unwrap_or(0);
        for (name, state) in states() {
            put(&format!("{prefix}/{name}"), whole(of(state)));
        }
        put(&format!("{prefix}/total"), whole(states().map(|(_, state)| of(state)).sum()));
    }
}
