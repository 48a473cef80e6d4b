//! What Mesos calls what is counted here.

use kernel::counts::{CallKind, EventKind, OperationKind};
use model::operation::OperationState;
use model::task::TaskState;

/// Of tasks that have not ended.
pub(super) const ACTIVE: [(&str, TaskState); 5] = [
    ("staging", TaskState::Staging),
    ("starting", TaskState::Starting),
    ("running", TaskState::Running),
    ("killing", TaskState::Killing),
    ("unreachable", TaskState::Unreachable),
];

/// Of these all are counted since the leader was elected.
pub(super) const ENDS: [(&str, TaskState); 8] = [
    ("finished", TaskState::Finished),
    ("failed", TaskState::Failed),
    ("killed", TaskState::Killed),
    ("error", TaskState::Error),
    ("lost", TaskState::Lost),
    ("dropped", TaskState::Dropped),
    ("gone", TaskState::Gone),
    ("gone_by_operator", TaskState::GoneByOperator),
];

/// Operations that go on: so many there are.
pub(super) const UNDER_WAY: [(&str, OperationState); 3] = [
    ("pending", OperationState::Pending),
    ("recovering", OperationState::Recovering),
    ("unreachable", OperationState::Unreachable),
];

/// Operations that are over: so many there have been.
pub(super) const OVER: [(&str, OperationState); 5] = [
    ("finished", OperationState::Finished),
    ("failed", OperationState::Failed),
    ("error", OperationState::Error),
    ("dropped", OperationState::Dropped),
    ("gone_by_operator", OperationState::GoneByOperator),
];

pub(super) fn call(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Subscribe => "subscribe",
        CallKind::Teardown => "teardown",
        CallKind::UpdateFramework => "update_framework",
        CallKind::Accept => "accept",
        CallKind::Decline => "decline",
        CallKind::AcceptInverse => "accept_inverse_offers",
        CallKind::DeclineInverse => "decline_inverse_offers",
        CallKind::Revive => "revive",
        CallKind::Suppress => "suppress",
        CallKind::Kill => "kill",
        CallKind::Acknowledge => "acknowledge",
        CallKind::Reconcile => "reconcile",
        CallKind::Shutdown => "shutdown",
        CallKind::Message => "message",
        CallKind::AcknowledgeOperation => "acknowledge_operation_status",
        CallKind::ReconcileOperations => "reconcile_operations",
    }
}

pub(super) fn event(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Subscribed => "subscribed",
        EventKind::Offers => "offers",
        EventKind::Rescind => "rescind",
        EventKind::InverseOffers => "inverse_offers",
        EventKind::RescindInverse => "rescind_inverse_offer",
        EventKind::Update => "update",
        EventKind::UpdateOperation => "update_operation_status",
        EventKind::Failure => "failure",
        EventKind::Message => "message",
        EventKind::Error => "error",
    }
}

pub(super) fn operation(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Launch => "launch",
        OperationKind::LaunchGroup => "launch_group",
        OperationKind::Reserve => "reserve",
        OperationKind::Unreserve => "unreserve",
        OperationKind::Create => "create",
        OperationKind::Destroy => "destroy",
        OperationKind::GrowVolume => "grow_volume",
        OperationKind::ShrinkVolume => "shrink_volume",
        OperationKind::CreateDisk => "create_disk",
        OperationKind::DestroyDisk => "destroy_disk",
    }
}
