//! What has happened to a task, as its framework is told.

use mesos_v1::check_info::Type as CheckType;
use mesos_v1::codec::Encoding;
use mesos_v1::network_info::{IpAddress, Protocol};
use mesos_v1::task_status::{Reason as SpelledReason, Source as SpelledSource};
use mesos_v1::{
    CheckStatusInfo, ContainerId, ContainerStatus as SpelledContainer, ExecutorId, NetworkInfo,
    TaskId, TaskResourceLimitation, TaskState as SpelledState, TaskStatus as Spelled,
    check_status_info,
};
use model::check::CheckStatus;
use model::task::{Address, ContainerStatus, Reason, Source, TaskState, TaskStatus};

use super::resource::shown;
use super::{agent_id, time};
use crate::mesos::{master, operator};

pub fn status(status: &TaskStatus) -> Spelled {
    // A task that has no executor of its own is run by one that is called as it is.
    let executor = status.executor.as_ref().map(model::id::ExecutorId::as_str);
    let own = (status.source != Source::Master).then(|| status.task.as_str());
    let given = status.given.as_ref().and_then(|given| Encoding::Protobuf.decode(&given.0).ok());
    let given = given.unwrap_or_default();
    let Spelled { data, labels, reason: given_reason, check_status, limitation, .. } = given;
    let more = status.more.as_deref();
    let exceeded = more.map(|more| &more.limitation).filter(|all| !all.is_empty());
    let exceeded = exceeded.map(|all| TaskResourceLimitation { resources: shown(all, None) });
    Spelled {
        data,
        labels: labels.or_else(|| operator::labels(&more?.labels)),
        task_id: TaskId { value: status.task.as_str().to_owned() },
        state: state(status.state) as i32,
        message: status.message.clone(),
        source: Some(source(status.source) as i32),
        reason: status.reason.map(|one| reason(one) as i32).or(given_reason),
        agent_id: status.agent.as_ref().map(agent_id),
        executor_id: executor.or(own).map(|id| ExecutorId { value: id.to_owned() }),
        timestamp: Some(master::seconds(status.at)),
        uuid: status.uuid.map(|uuid| uuid.0.to_vec()),
        healthy: status.healthy,
        container_status: container_status(status.container.as_ref(), given.container_status),
        check_status: status.check.map(check).or(check_status),
        unreachable_time: more.and_then(|more| more.unreachable_at).map(time),
        limitation: exceeded.or(limitation),
    }
}

/// Of its networks its executor knows more than its agent, if it says anything.
fn container_status(
    known: Option<&ContainerStatus>,
    given: Option<SpelledContainer>,
) -> Option<SpelledContainer> {
    let Some(known) = known.map(container) else { return given };
    let given = given.unwrap_or_default();
    let has_own = !given.network_infos.is_empty();
    let network_infos = if has_own { given.network_infos } else { known.network_infos };
    Some(SpelledContainer { network_infos, cgroup_info: given.cgroup_info, ..known })
}

pub(crate) fn source(source: Source) -> SpelledSource {
    match source {
        Source::Master => SpelledSource::Master,
        Source::Agent => SpelledSource::Agent,
        Source::Executor => SpelledSource::Executor,
    }
}

pub(crate) fn check(status: CheckStatus) -> CheckStatusInfo {
    let spelled = CheckStatusInfo::default();
    let of = |kind: CheckType| Some(kind as i32);
    match status {
        CheckStatus::Http(code) => {
            let http = check_status_info::Http { status_code: code.map(u32::from) };
            CheckStatusInfo { r#type: of(CheckType::Http), http: Some(http), ..spelled }
        }
        CheckStatus::Tcp(succeeded) => {
            let tcp = check_status_info::Tcp { succeeded };
            CheckStatusInfo { r#type: of(CheckType::Tcp), tcp: Some(tcp), ..spelled }
        }
        CheckStatus::Command(exit_code) => {
            let command = check_status_info::Command { exit_code };
            CheckStatusInfo { r#type: of(CheckType::Command), command: Some(command), ..spelled }
        }
    }
}

fn container(status: &ContainerStatus) -> SpelledContainer {
    let id = |id: &model::id::ContainerId| id.as_str().to_owned();
    let parent = status.parent.as_ref();
    let parent = parent.map(|one| Box::new(ContainerId { value: id(one), parent: None }));
    let addresses: Vec<IpAddress> = status.addresses.iter().map(address).collect();
    let networks = NetworkInfo { ip_addresses: addresses, ..NetworkInfo::default() };
    SpelledContainer {
        container_id: Some(ContainerId { value: id(&status.id), parent }),
        network_infos: if status.addresses.is_empty() { Vec::new() } else { vec![networks] },
        executor_pid: status.pid,
        ..SpelledContainer::default()
    }
}

fn address(Address(ip): &Address) -> IpAddress {
    let protocol = if ip.is_ipv4() { Protocol::IPv4 } else { Protocol::IPv6 };
    IpAddress { protocol: Some(protocol as i32), ip_address: Some(ip.to_string()) }
}

pub fn state(state: TaskState) -> SpelledState {
    match state {
        TaskState::Staging => SpelledState::TaskStaging,
        TaskState::Starting => SpelledState::TaskStarting,
        TaskState::Running => SpelledState::TaskRunning,
        TaskState::Killing => SpelledState::TaskKilling,
        TaskState::Finished => SpelledState::TaskFinished,
        TaskState::Failed => SpelledState::TaskFailed,
        TaskState::Killed => SpelledState::TaskKilled,
        TaskState::Error => SpelledState::TaskError,
        TaskState::Lost => SpelledState::TaskLost,
        TaskState::Dropped => SpelledState::TaskDropped,
        TaskState::Unreachable => SpelledState::TaskUnreachable,
        TaskState::Gone => SpelledState::TaskGone,
        TaskState::GoneByOperator => SpelledState::TaskGoneByOperator,
        TaskState::Unknown => SpelledState::TaskUnknown,
    }
}

pub fn reason(reason: Reason) -> SpelledReason {
    use SpelledReason as S;
    match reason {
        Reason::CommandExecutorFailed => S::CommandExecutorFailed,
        Reason::ContainerLaunchFailed => S::ContainerLaunchFailed,
        Reason::ContainerLimitation => S::ContainerLimitation,
        Reason::ContainerLimitationDisk => S::ContainerLimitationDisk,
        Reason::ContainerLimitationMemory => S::ContainerLimitationMemory,
        Reason::ContainerPreempted => S::ContainerPreempted,
        Reason::ContainerUpdateFailed => S::ContainerUpdateFailed,
        Reason::MaxCompletionTimeReached => S::MaxCompletionTimeReached,
        Reason::ExecutorRegistrationTimeout => S::ExecutorRegistrationTimeout,
        Reason::ExecutorReregistrationTimeout => S::ExecutorReregistrationTimeout,
        Reason::ExecutorTerminated => S::ExecutorTerminated,
        Reason::ExecutorUnregistered => S::ExecutorUnregistered,
        Reason::FrameworkRemoved => S::FrameworkRemoved,
        Reason::GcError => S::GcError,
        Reason::InvalidFrameworkid => S::InvalidFrameworkid,
        Reason::InvalidOffers => S::InvalidOffers,
        Reason::IoSwitchboardExited => S::IoSwitchboardExited,
        Reason::MasterDisconnected => S::MasterDisconnected,
        Reason::Reconciliation => S::Reconciliation,
        Reason::ResourcesUnknown => S::ResourcesUnknown,
        Reason::AgentDisconnected => S::AgentDisconnected,
        Reason::AgentDraining => S::AgentDraining,
        Reason::AgentRemoved => S::AgentRemoved,
        Reason::AgentRemovedByOperator => S::AgentRemovedByOperator,
        Reason::AgentReregistered => S::AgentReregistered,
        Reason::AgentRestarted => S::AgentRestarted,
        Reason::AgentUnknown => S::AgentUnknown,
        Reason::TaskCheckStatusUpdated => S::TaskCheckStatusUpdated,
        Reason::TaskGroupInvalid => S::TaskGroupInvalid,
        Reason::TaskGroupUnauthorized => S::TaskGroupUnauthorized,
        Reason::TaskHealthCheckStatusUpdated => S::TaskHealthCheckStatusUpdated,
        Reason::TaskInvalid => S::TaskInvalid,
        Reason::TaskKilledDuringLaunch => S::TaskKilledDuringLaunch,
        Reason::TaskUnauthorized => S::TaskUnauthorized,
        Reason::TaskUnknown => S::TaskUnknown,
    }
}

/// All that there are.
const REASONS: [Reason; 35] = [
    Reason::CommandExecutorFailed,
    Reason::ContainerLaunchFailed,
    Reason::ContainerLimitation,
    Reason::ContainerLimitationDisk,
    Reason::ContainerLimitationMemory,
    Reason::ContainerPreempted,
    Reason::ContainerUpdateFailed,
    Reason::MaxCompletionTimeReached,
    Reason::ExecutorRegistrationTimeout,
    Reason::ExecutorReregistrationTimeout,
    Reason::ExecutorTerminated,
    Reason::ExecutorUnregistered,
    Reason::FrameworkRemoved,
    Reason::GcError,
    Reason::InvalidFrameworkid,
    Reason::InvalidOffers,
    Reason::IoSwitchboardExited,
    Reason::MasterDisconnected,
    Reason::Reconciliation,
    Reason::ResourcesUnknown,
    Reason::AgentDisconnected,
    Reason::AgentDraining,
    Reason::AgentRemoved,
    Reason::AgentRemovedByOperator,
    Reason::AgentReregistered,
    Reason::AgentRestarted,
    Reason::AgentUnknown,
    Reason::TaskCheckStatusUpdated,
    Reason::TaskGroupInvalid,
    Reason::TaskGroupUnauthorized,
    Reason::TaskHealthCheckStatusUpdated,
    Reason::TaskInvalid,
    Reason::TaskKilledDuringLaunch,
    Reason::TaskUnauthorized,
    Reason::TaskUnknown,
];

/// `None` for those that are not of this release.
pub fn read_reason(spelled: SpelledReason) -> Option<Reason> {
    REASONS.into_iter().find(|one| reason(*one) == spelled)
}

/// What an executor says that a check has found.
pub fn read_check(spelled: &CheckStatusInfo) -> Option<CheckStatus> {
    match spelled.r#type() {
        CheckType::Unknown => None,
        CheckType::Http => {
            let code = spelled.http.as_ref().and_then(|http| http.status_code);
            Some(CheckStatus::Http(code.and_then(|code| u16::try_from(code).ok())))
        }
        CheckType::Tcp => {
            Some(CheckStatus::Tcp(spelled.tcp.as_ref().and_then(|tcp| tcp.succeeded)))
        }
        CheckType::Command => {
            Some(CheckStatus::Command(spelled.command.as_ref().and_then(|one| one.exit_code)))
        }
    }
}

/// Where its executor says that a task is reached.
pub fn read_addresses(spelled: &SpelledContainer) -> Vec<Address> {
    let all = spelled.network_infos.iter().flat_map(|network| &network.ip_addresses);
    let texts = all.filter_map(|address| address.ip_address.as_deref());
    texts.filter_map(|text| text.parse().ok().map(Address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelled_is_read_as_it_was() {
        for one in REASONS {
            assert_eq!(read_reason(reason(one)), Some(one));
        }
        for found in [
            CheckStatus::Http(None),
            CheckStatus::Http(Some(503)),
            CheckStatus::Tcp(None),
            CheckStatus::Tcp(Some(true)),
            CheckStatus::Command(None),
            CheckStatus::Command(Some(-1)),
        ] {
            assert_eq!(read_check(&check(found)), Some(found));
        }
    }
}
