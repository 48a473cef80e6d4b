//! What a scheduler outside says.

use mesos_v1::offer::Operation as SpelledOperation;
use mesos_v1::offer::operation::Type as OperationType;
use mesos_v1::scheduler::Call as Spelled;
use mesos_v1::scheduler::call::{Type, UpdateFramework, reconcile, reconcile_operations};
use mesos_v1::{Filters as SpelledFilters, OfferId as SpelledOfferId};
use model::framework::FrameworkInfo;
use model::id::{AgentId, ExecutorId, FrameworkId, OfferId, OperationId, Role, TaskId, Uuid};
use model::scheduler::{Call, Filters, Operation, RefusedTask};
use model::task::{Cgroups, ExecutorInfo, Reason};
use model::wishes::Wishes;
use std::time::Duration;

use super::program;
use super::task::{self, Launch};
use super::{Fault, framework, group, nanoseconds, operation, wishes};

/// A call that makes sense by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    UpdateFramework {
        info: FrameworkInfo,
        wishes: Wishes,
    },
    /// What the kernel understands.
    Call(Call),
    /// All tasks of an executor are to end.
    Shutdown {
        executor: ExecutorId,
        agent: AgentId,
    },
    /// Nothing follows from it: a hint, or an answer to what nobody asked.
    Heard,
}

/// Who says it, and what its offers are for.
pub struct Speaker<'a> {
    pub framework: FrameworkId,
    /// The role that an offer was made to, if it is still good.
    pub role: &'a dyn Fn(&OfferId) -> Option<Role>,
}

impl std::fmt::Debug for Speaker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker").field("framework", &self.framework).finish_non_exhaustive()
    }
}

/// The framework that the call says it is of.
pub fn speaker(call: &Spelled) -> Option<FrameworkId> {
    call.framework_id.as_ref().map(|id| FrameworkId::new(id.value.as_str()))
}

/// What is wrong with the form of a call, whoever says it; the words are Mesos'.
pub fn judge(call: &Spelled) -> Result<(), Fault> {
    let kind = call.r#type();
    if call.r#type.is_none() {
        return Err(Fault::new("Expecting 'type' to be present"));
    }
    let given = match kind {
        Type::Unknown | Type::Teardown | Type::Revive | Type::Suppress => true,
        Type::Subscribe => call.subscribe.is_some(),
        Type::Accept => call.accept.is_some(),
        Type::Decline => call.decline.is_some(),
        Type::AcceptInverseOffers => call.accept_inverse_offers.is_some(),
        Type::DeclineInverseOffers => call.decline_inverse_offers.is_some(),
        Type::Kill => call.kill.is_some(),
        Type::Shutdown => call.shutdown.is_some(),
        Type::Acknowledge => call.acknowledge.is_some(),
        Type::AcknowledgeOperationStatus => call.acknowledge_operation_status.is_some(),
        Type::Reconcile => call.reconcile.is_some(),
        Type::ReconcileOperations => call.reconcile_operations.is_some(),
        Type::Message => call.message.is_some(),
        Type::Request => call.request.is_some(),
        Type::UpdateFramework => call.update_framework.is_some(),
    };
    if kind != Type::Subscribe && call.framework_id.is_none() {
        return Err(Fault::new("Expecting 'framework_id' to be present"));
    }
    if !given {
        let name = kind.as_str_name().to_lowercase();
        return Err(Fault::new(format!("Expecting '{name}' to be present")));
    }
    let own = call.framework_id.as_ref();
    let told = |info: &mesos_v1::FrameworkInfo| info.id.as_ref() == own;
    match (&call.subscribe, &call.update_framework) {
        (Some(one), _) if kind == Type::Subscribe && !told(&one.framework_info) => {
            Err(Fault::new("'framework_id' differs from 'subscribe.framework_info.id'"))
        }
        (_, Some(one)) if kind == Type::UpdateFramework && !told(&one.framework_info) => {
            Err(Fault::new("'framework_id' differs from 'update_framework.framework_info.id'"))
        }
        _ => Ok(()),
    }
}

/// A call whose form was judged, other than SUBSCRIBE.
pub fn read(call: &Spelled, speaker: &Speaker<'_>) -> Result<Said, Fault> {
    let absent = || Fault::new("the form of the call was not judged");
    Ok(Said::Call(match call.r#type() {
        Type::Subscribe => return Err(Fault::new("SUBSCRIBE is answered by a stream")),
        Type::UpdateFramework => {
            return update(call.update_framework.as_ref().ok_or_else(absent)?);
        }
        Type::Shutdown => {
            let shutdown = call.shutdown.as_ref().ok_or_else(absent)?;
            return Ok(Said::Shutdown {
                executor: ExecutorId::new(shutdown.executor_id.value.as_str()),
                agent: AgentId::new(shutdown.agent_id.value.as_str()),
            });
        }
        Type::Message => message(call.message.as_ref().ok_or_else(absent)?)?,
        Type::AcceptInverseOffers => accept_inverse(call).ok_or_else(absent)?,
        Type::DeclineInverseOffers => decline_inverse(call).ok_or_else(absent)?,
        // The allocator takes no hints, as Mesos' own does not.
        Type::Request | Type::Unknown => return Ok(Said::Heard),
        Type::Teardown => Call::Teardown,
        Type::Revive => Call::Revive { roles: roles(call.revive.as_ref().map(|one| &one.roles)) },
        Type::Suppress => {
            Call::Suppress { roles: roles(call.suppress.as_ref().map(|one| &one.roles)) }
        }
        Type::Accept => accept(call, speaker).ok_or_else(absent)?,
        Type::Decline => {
            let decline = call.decline.as_ref().ok_or_else(absent)?;
            let offers = offers(&decline.offer_ids);
            Call::Decline { offers, filters: filters(decline.filters.as_ref()) }
        }
        Type::Kill => kill(call.kill.as_ref().ok_or_else(absent)?)?,
        Type::Acknowledge => {
            let seen = call.acknowledge.as_ref().ok_or_else(absent)?;
            Call::Acknowledge {
                agent: AgentId::new(seen.agent_id.value.as_str()),
                task: TaskId::new(seen.task_id.value.as_str()),
                uuid: uuid(&seen.uuid)?,
            }
        }
        Type::AcknowledgeOperationStatus => {
            let seen = call.acknowledge_operation_status.as_ref().ok_or_else(absent)?;
            let agent = seen.agent_id.as_ref();
            let agent = agent.ok_or_else(|| Fault::new("Expecting 'agent_id' to be present"))?;
            Call::AcknowledgeOperation {
                agent: Some(AgentId::new(agent.value.as_str())),
                operation: OperationId::new(seen.operation_id.value.as_str()),
                uuid: uuid(&seen.uuid)?,
            }
        }
        Type::Reconcile => Call::Reconcile { tasks: asked_tasks(call) },
        Type::ReconcileOperations => {
            Call::ReconcileOperations { operations: asked_operations(call) }
        }
    }))
}

fn accept_inverse(call: &Spelled) -> Option<Call> {
    let accept = call.accept_inverse_offers.as_ref()?;
    let offers = offers(&accept.inverse_offer_ids);
    Some(Call::AcceptInverse { offers, filters: filters(accept.filters.as_ref()) })
}

fn decline_inverse(call: &Spelled) -> Option<Call> {
    let decline = call.decline_inverse_offers.as_ref()?;
    let offers = offers(&decline.inverse_offer_ids);
    Some(Call::DeclineInverse { offers, filters: filters(decline.filters.as_ref()) })
}

fn asked_tasks(call: &Spelled) -> Vec<(TaskId, Option<AgentId>)> {
    let tasks = call.reconcile.iter().flat_map(|one| &one.tasks);
    let task = |one: &reconcile::Task| {
        (TaskId::new(one.task_id.value.as_str()), one.agent_id.as_ref().map(agent))
    };
    tasks.map(task).collect()
}

fn asked_operations(call: &Spelled) -> Vec<(OperationId, Option<AgentId>)> {
    let all = call.reconcile_operations.iter().flat_map(|one| &one.operations);
    let operation = |one: &reconcile_operations::Operation| {
        let id = OperationId::new(one.operation_id.value.as_str());
        (id, one.agent_id.as_ref().map(agent))
    };
    all.map(operation).collect()
}

fn message(message: &mesos_v1::scheduler::call::Message) -> Result<Call, Fault> {
    Ok(Call::Message {
        agent: agent(&message.agent_id),
        executor: ExecutorId::new(message.executor_id.value.as_str()),
        data: program::message(&message.data)?,
    })
}

fn agent(id: &mesos_v1::AgentId) -> AgentId {
    AgentId::new(id.value.as_str())
}

fn roles(names: Option<&Vec<String>>) -> Vec<Role> {
    names.into_iter().flatten().map(|name| Role::new(name.as_str())).collect()
}

fn offers(ids: &[SpelledOfferId]) -> Vec<OfferId> {
    ids.iter().map(|id| OfferId::new(id.value.as_str())).collect()
}

/// What is not sensible is as good as unset, as in Mesos.
fn filters(spelled: Option<&SpelledFilters>) -> Filters {
    let told = spelled.map(SpelledFilters::refuse_seconds);
    let refuse = told.and_then(|told| super::seconds("refuse_seconds", told).ok());
    refuse.map_or_else(Filters::default, |refuse| Filters { refuse })
}

fn uuid(bytes: &[u8]) -> Result<Uuid, Fault> {
    let bytes = <[u8; 16]>::try_from(bytes);
    bytes.map(Uuid).map_err(|_| Fault::new("Not a valid UUID: it has 16 bytes"))
}

/// What a SUBSCRIBE says: who, and which offers it wants.
pub fn subscription(call: &Spelled) -> Result<(FrameworkInfo, Wishes), Fault> {
    let absent = || Fault::new("Expecting 'subscribe' to be present");
    let subscribe = call.subscribe.as_ref().ok_or_else(absent)?;
    let info = framework::read(&subscribe.framework_info)?;
    let constraints = subscribe.offer_constraints.as_ref();
    let wishes = wishes::read(&info, &subscribe.suppressed_roles, constraints)?;
    Ok((info, wishes))
}

fn update(update: &UpdateFramework) -> Result<Said, Fault> {
    let info = framework::read(&update.framework_info)?;
    let constraints = update.offer_constraints.as_ref();
    let wishes = wishes::read(&info, &update.suppressed_roles, constraints)?;
    Ok(Said::UpdateFramework { info, wishes })
}

fn kill(kill: &mesos_v1::scheduler::call::Kill) -> Result<Call, Fault> {
    let grace = kill.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    let grace: Option<Duration> = grace
        .map(|grace| nanoseconds("kill_policy.grace_period", grace.nanoseconds))
        .transpose()?;
    Ok(Call::Kill {
        task: TaskId::new(kill.task_id.value.as_str()),
        agent: kill.agent_id.as_ref().map(agent),
        grace,
    })
}

fn accept(call: &Spelled, speaker: &Speaker<'_>) -> Option<Call> {
    let accept = call.accept.as_ref()?;
    let offers = offers(&accept.offer_ids);
    // Of offers that are gone the kernel says so, whatever the role.
    let role = offers.iter().find_map(|id| (speaker.role)(id)).unwrap_or_else(Role::star);
    let launch = Launch { framework: &speaker.framework, role: &role };
    let operations = accept.operations.iter().flat_map(|one| operations(one, launch)).collect();
    Some(Call::Accept { offers, operations, filters: filters(accept.filters.as_ref()) })
}

/// Tasks that cannot be read are refused in their place, so that all is answered in the order in which it was asked.
fn operations(spelled: &SpelledOperation, launch: Launch<'_>) -> Vec<Operation> {
    if let Some(refused) = with_feedback(spelled) {
        return vec![refused];
    }
    match spelled.r#type() {
        OperationType::Launch => {
            let tasks = spelled.launch.iter().flat_map(|launch| &launch.task_infos);
            tasks.map(|one| launch_one(one, launch)).collect()
        }
        OperationType::LaunchGroup => {
            spelled.launch_group.iter().map(|group| launch_group(group, launch)).collect()
        }
        OperationType::Reserve
        | OperationType::Unreserve
        | OperationType::Create
        | OperationType::Destroy
        | OperationType::GrowVolume
        | OperationType::ShrinkVolume
        | OperationType::CreateDisk
        | OperationType::DestroyDisk
        | OperationType::Unknown => {
            let id = spelled.id.as_ref().map(|id| OperationId::new(id.value.as_str()));
            vec![match operation::conversion(spelled, Some(launch.role)) {
                Ok(conversion) => Operation::Convert { id, conversion },
                Err(Fault(cause)) => Operation::NoConversion { id, cause },
            }]
        }
    }
}

/// What becomes of a launch is told of its tasks: an id is for operations of which nothing else would be told.
fn with_feedback(spelled: &SpelledOperation) -> Option<Operation> {
    spelled.id.as_ref()?;
    let (tasks, reason, of): (Vec<_>, _, _) = match spelled.r#type() {
        OperationType::Launch => {
            let tasks = spelled.launch.iter().flat_map(|launch| &launch.task_infos);
            (tasks.collect(), Reason::TaskInvalid, "LAUNCH")
        }
        OperationType::LaunchGroup => {
            let groups = spelled.launch_group.iter();
            let tasks = groups.flat_map(|group| &group.task_group.tasks);
            (tasks.collect(), Reason::TaskGroupInvalid, "LAUNCH_GROUP")
        }
        OperationType::Reserve
        | OperationType::Unreserve
        | OperationType::Create
        | OperationType::Destroy
        | OperationType::GrowVolume
        | OperationType::ShrinkVolume
        | OperationType::CreateDisk
        | OperationType::DestroyDisk
        | OperationType::Unknown => return None,
    };
    let cause = format!("The `id` field cannot be set on {of} operations");
    let refuse = |one| refused(one, reason, cause.clone());
    Some(Operation::Refuse(tasks.into_iter().map(refuse).collect()))
}

fn launch_one(spelled: &mesos_v1::TaskInfo, launch: Launch<'_>) -> Operation {
    let read = || {
        task::judge_alone(spelled)?;
        Ok(match &spelled.executor {
            None => Operation::Launch(vec![task::read(spelled, launch)?]),
            Some(executor) => {
                let (executor, task) = program::read(spelled, executor, launch)?;
                Operation::LaunchIn { executor, tasks: vec![task] }
            }
        })
    };
    match read() {
        Ok(operation) => operation,
        Err(Fault(cause)) => Operation::Refuse(vec![refused(spelled, Reason::TaskInvalid, cause)]),
    }
}

fn refused(spelled: &mesos_v1::TaskInfo, reason: Reason, cause: String) -> RefusedTask {
    let id = TaskId::new(spelled.task_id.value.as_str());
    RefusedTask { id, agent: agent(&spelled.agent_id), reason, cause }
}

/// One fault is the fault of all.
fn launch_group(group: &mesos_v1::offer::operation::LaunchGroup, launch: Launch<'_>) -> Operation {
    let members = &group.task_group.tasks;
    let read = || {
        let executor = task::read_executor(&group.executor, launch)?;
        group::judge(group)?;
        let tasks = members.iter().map(|one| match executor.program {
            None => task::read_member(one, launch),
            Some(_) => program::read_member(one, launch),
        });
        let tasks = tasks.collect::<Result<Vec<_>, Fault>>()?;
        let cgroups = match executor.program {
            None => group::cgroups(group),
            Some(_) => Cgroups::Own,
        };
        Ok((ExecutorInfo { cgroups, ..executor }, tasks))
    };
    match read() {
        Ok((executor, tasks)) => Operation::LaunchGroup { executor, tasks },
        Err(Fault(cause)) => {
            let refuse = |one| refused(one, Reason::TaskGroupInvalid, cause.clone());
            Operation::Refuse(members.iter().map(refuse).collect())
        }
    }
}
