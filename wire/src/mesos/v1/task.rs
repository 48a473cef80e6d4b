//! Tasks and groups as frameworks describe them. The order of the checks is Mesos', and so is what they say.

use mesos_v1::executor_info::Type as ExecutorType;
use mesos_v1::value::Scalar as SpelledScalar;
use mesos_v1::{
    ContainerInfo as SpelledContainer, DiscoveryInfo as SpelledDiscovery,
    ExecutorInfo as SpelledExecutor, TaskInfo as Spelled, container_info, discovery_info,
    health_check,
};
use model::container::{DiscoveryInfo, DiscoveryMore, DiscoveryPort, Visibility};
use model::executor::Given;
use model::id::{AgentId, ExecutorId, FrameworkId, Role, TaskId};
use model::limits::{Limit, Limits};
use model::resources::{Resource, Resources, Scalar};
use model::task::{Cgroups, ExecutorInfo, TaskInfo};

use super::{
    Fault, check, command, container, group, linux, nanoseconds, pairs, program, resource, unset,
};

/// In what a task is launched.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    pub framework: &'a FrameworkId,
    /// Of the offer: what the resources are for that do not say so themselves.
    pub role: &'a Role,
}

/// A task that runs by itself.
pub fn read(spelled: &Spelled, launch: Launch<'_>) -> Result<TaskInfo, Fault> {
    let task = common(spelled, launch)?;
    judge_alone(spelled)?;
    Ok(task)
}

/// Of a task that is in no group.
pub(super) fn judge_alone(spelled: &Spelled) -> Result<(), Fault> {
    if spelled.executor.is_some() == spelled.command.is_some() {
        return Err(Fault::new(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ));
    }
    let alone = spelled.container.as_ref().and_then(|container| container.linux_info.as_ref());
    if alone.is_some_and(|linux| !linux.share_cgroups()) {
        return Err(Fault::new(
            "Only tasks in a task group may have 'share_cgroups' set to 'false'",
        ));
    }
    Ok(())
}

/// A task of a group.
pub fn read_member(spelled: &Spelled, launch: Launch<'_>) -> Result<TaskInfo, Fault> {
    let of =
        |cause: &str| Fault::new(format!("Task '{}' is invalid: {cause}", spelled.task_id.value));
    let task = common(spelled, launch).map_err(|fault| of(&fault.0))?;
    if spelled.command.is_none() {
        return Err(of("'TaskInfo.command' must be set"));
    }
    if asks_from_outside(spelled) {
        return Err(of(
            "HTTP and TCP health checks are not supported for nested containers not joining parent's network",
        ));
    }
    if is_docker(spelled.container.as_ref()) {
        return Err(of("Docker ContainerInfo is not supported on the task"));
    }
    Ok(task)
}

/// Whether a health check is made over a network that is perhaps not that of its executor.
fn asks_from_outside(spelled: &Spelled) -> bool {
    let has_networks =
        spelled.container.as_ref().is_some_and(|container| !container.network_infos.is_empty());
    let kind = spelled.health_check.as_ref().map(|check| check.r#type());
    has_networks && matches!(kind, Some(health_check::Type::Http | health_check::Type::Tcp))
}

fn is_docker(container: Option<&SpelledContainer>) -> bool {
    container.is_some_and(|container| container.r#type() == container_info::Type::Docker)
}

pub(super) fn common(spelled: &Spelled, launch: Launch<'_>) -> Result<TaskInfo, Fault> {
    let policy = spelled.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    let kill_grace = policy
        .map(|grace| nanoseconds("kill_policy.grace_period", grace.nanoseconds))
        .transpose()?;
    let most = spelled.max_completion_time.as_ref();
    let completes_within =
        most.map(|most| nanoseconds("max_completion_time", most.nanoseconds)).transpose()?;
    let around = container::around(spelled.container.as_ref());
    let shown = spelled.check.as_ref().map(|one| check::read_shown(one, around));
    let invalid = |fault: Fault| Fault::new(format!("Task uses invalid check: {}", fault.0));
    let shown = shown.transpose().map_err(invalid)?;
    let health = spelled.health_check.as_ref().map(|one| check::read(one, around));
    let invalid = |fault: Fault| Fault::new(format!("Task uses invalid health check: {}", fault.0));
    let health = health.transpose().map_err(invalid)?;
    let (resources, role) = resources(spelled, launch)?;
    let invalid =
        |fault: Fault| Fault::new(format!("Task's `CommandInfo` is invalid: {}", fault.0));
    let nothing = mesos_v1::CommandInfo {
        shell: Some(true),
        value: Some(String::new()),
        ..Default::default()
    };
    let command = spelled.command.as_ref().unwrap_or(&nothing);
    let command = command::read(command, around).map_err(invalid)?;
    let invalid =
        |fault: Fault| Fault::new(format!("Task's `ContainerInfo` is invalid: {}", fault.0));
    let container = spelled.container.as_ref().map(container::read).transpose();
    Ok(TaskInfo {
        id: TaskId::new(spelled.task_id.value.as_str()),
        name: spelled.name.clone(),
        agent: AgentId::new(spelled.agent_id.value.as_str()),
        role,
        command,
        container: container.map_err(invalid)?,
        health_checks: health.into_iter().collect(),
        kill_grace,
        labels: pairs(spelled.labels.as_ref()),
        discovery: spelled.discovery.as_ref().map(discovery).transpose()?,
        limits: limits(&spelled.limits, &resources)?,
        resources,
        check: shown,
        readiness: None,
        measured: false,
        given: None,
        completes_within,
    })
}

/// What may be used at most, by the name of the resource.
pub fn limits<'a>(
    spelled: impl IntoIterator<Item = (&'a String, &'a SpelledScalar)>,
    resources: &Resources,
) -> Result<Limits, Fault> {
    let mut limits = Limits::default();
    for (name, limit) in spelled {
        let (slot, asked, what, article) = match name.as_str() {
            "cpus" => (&mut limits.cpus, resources.cpus(), "cpu", "a CPU"),
            "mem" => (&mut limits.mem, resources.mem(), "memory", "a memory"),
            _ => {
                return Err(Fault::new(
                    "Only cpus and mem may be included in a task's resource limits",
                ));
            }
        };
        if asked.is_zero() {
            return Err(Fault::new(format!(
                "When {article} limit is specified, {article} request must also be specified"
            )));
        }
        let amount = Scalar::from_f64(limit.value).filter(|amount| *amount >= asked);
        *slot = Some(match amount {
            _ if limit.value == f64::INFINITY => Limit::Unlimited,
            Some(amount) => Limit::Amount(amount),
            None => {
                return Err(Fault::new(format!(
                    "The {what} limit must be greater than or equal to the {what} request"
                )));
            }
        });
    }
    Ok(limits)
}

fn resources(spelled: &Spelled, launch: Launch<'_>) -> Result<(Resources, Role), Fault> {
    if spelled.resources.is_empty() {
        return Err(Fault::new("Task uses no resources"));
    }
    let invalid = |fault: Fault| Fault::new(format!("Task uses invalid resources: {}", fault.0));
    let read = resource::read(&spelled.resources).map_err(invalid)?;
    judge_together(&read.all)?;
    let role = read.role.unwrap_or_else(|| launch.role.clone());
    Ok((Resources::new(read.all), role))
}

fn judge_together(all: &[Resource]) -> Result<(), Fault> {
    let mut ids = std::collections::BTreeSet::new();
    for one in all {
        // What is shared may be seen at several places.
        let volume = one.persistence().filter(|_| !one.shared);
        let volume = volume.map(|volume| (one.role(), volume.id.as_str()));
        if let Some((_, id)) = volume.filter(|volume| !ids.insert(*volume)) {
            return Err(Fault::new(format!(
                "Task uses duplicate persistence ID: Persistence ID '{id}' is not unique"
            )));
        }
        let is_other =
            |other: &&Resource| other.name == one.name && other.revocable != one.revocable;
        if all.iter().any(|other| is_other(&other)) {
            return Err(Fault::new(format!(
                "Task mixes revocable and non-revocable resources: Cannot use both revocable and \
                 non-revocable '{}'",
                one.name
            )));
        }
    }
    Ok(())
}

/// What the tasks of a group share.
pub fn read_executor(spelled: &SpelledExecutor, launch: Launch<'_>) -> Result<ExecutorInfo, Fault> {
    match spelled.r#type() {
        ExecutorType::Default => (),
        ExecutorType::Custom => return program::read_executor(spelled, launch),
        ExecutorType::Unknown => return Err(Fault::new("'ExecutorInfo.type' must be set")),
    }
    if spelled.command.is_some() {
        return Err(Fault::new("'ExecutorInfo.command' must not be set for 'DEFAULT' executor"));
    }
    if let Some(container) = &spelled.container {
        surrounding(container)?;
    }
    let around = spelled.container.as_ref().and_then(|container| container.linux_info.as_ref());
    let namespaces = linux::namespaces(around)?;
    Ok(ExecutorInfo { given: beside(spelled)?, namespaces, ..read_shared(spelled, launch)? })
}

/// What nothing here follows from; all the rest of it is read and told field by field.
fn beside(spelled: &SpelledExecutor) -> Result<Option<Given>, Fault> {
    let named = SpelledExecutor { executor_id: spelled.executor_id.clone(), ..Default::default() };
    let more = SpelledExecutor {
        executor_id: spelled.executor_id.clone(),
        r#type: None,
        framework_id: None,
        resources: Vec::new(),
        labels: None,
        ..spelled.clone()
    };
    (more != named).then(|| program::given("ExecutorInfo", &more)).transpose()
}

/// What executors of every kind have.
pub(super) fn read_shared(
    spelled: &SpelledExecutor,
    launch: Launch<'_>,
) -> Result<ExecutorInfo, Fault> {
    let told = spelled.framework_id.as_ref();
    if let Some(other) = told.filter(|id| id.value != launch.framework.as_str()) {
        return Err(Fault::new(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {})",
            other.value, launch.framework
        )));
    }
    let grace = spelled.shutdown_grace_period.as_ref();
    if grace.is_some_and(|grace| grace.nanoseconds < 0) {
        return Err(Fault::new("ExecutorInfo's 'shutdown_grace_period' must be non-negative"));
    }
    let invalid =
        |fault: Fault| Fault::new(format!("Executor uses invalid resources: {}", fault.0));
    let read = resource::read(&spelled.resources).map_err(invalid)?;
    if let Some(role) = read.role.filter(|role| role != launch.role) {
        return Err(Fault::new(format!(
            "the executor's resources are allocated to role {role}, the offer is to {}",
            launch.role
        )));
    }
    Ok(ExecutorInfo {
        id: ExecutorId::new(spelled.executor_id.value.as_str()),
        resources: Resources::new(read.all),
        labels: pairs(spelled.labels.as_ref()),
        program: None,
        given: None,
        cgroups: Cgroups::Own,
        namespaces: Default::default(),
    })
}

/// The container around those of a group.
fn surrounding(container: &SpelledContainer) -> Result<(), Fault> {
    if is_docker(Some(container)) {
        return Err(Fault::new("Docker ContainerInfo is not supported on the executor"));
    }
    if container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()) {
        return Err(Fault::new(
            "'ContainerInfo.mesos.image' must not be set for 'DEFAULT' executor",
        ));
    }
    group::judge_around(container.linux_info.as_ref())?;
    super::empty("executor.container.volumes", &container.volumes)?;
    unset("executor.container.hostname", container.hostname.as_ref())?;
    unset("executor.container.rlimit_info", container.rlimit_info.as_ref())?;
    container::networks("executor.container", &container.network_infos)?;
    container::linux("executor.container", container.linux_info.as_ref())
}

fn discovery(spelled: &SpelledDiscovery) -> Result<DiscoveryInfo, Fault> {
    let port = |one: &mesos_v1::Port| {
        Ok(DiscoveryPort {
            number: check::port(one.number)?,
            name: one.name.clone(),
            protocol: one.protocol.clone().unwrap_or_else(|| "tcp".to_owned()),
            labels: pairs(one.labels.as_ref()),
            visibility: one.visibility.map(|_| visibility(one.visibility())),
        })
    };
    let ports = spelled.ports.iter().flat_map(|ports| &ports.ports);
    let more = DiscoveryMore {
        visibility: visibility(spelled.visibility()),
        environment: spelled.environment.clone(),
        location: spelled.location.clone(),
        version: spelled.version.clone(),
        labels: pairs(spelled.labels.as_ref()),
    };
    Ok(DiscoveryInfo {
        name: spelled.name().to_owned(),
        ports: ports.map(port).collect::<Result<_, Fault>>()?,
        more: (more != DiscoveryMore::default()).then(|| Box::new(more)),
    })
}

fn visibility(spelled: discovery_info::Visibility) -> Visibility {
    match spelled {
        discovery_info::Visibility::Framework => Visibility::Framework,
        discovery_info::Visibility::Cluster => Visibility::Cluster,
        discovery_info::Visibility::External => Visibility::External,
    }
}
