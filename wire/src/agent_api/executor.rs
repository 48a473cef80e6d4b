//! The API of executors that are programs of their frameworks: what they say, what they are told. As Mesos v1 has it.

use mesos_v1::codec::{Encoding, Unreadable};
use mesos_v1::executor::call::{Subscribe, Type, Update};
use mesos_v1::executor::event::{
    Acknowledged, Kill, Launch, LaunchGroup, Message, Subscribed, Type as EventType,
};
use mesos_v1::executor::{Call, Event};
use mesos_v1::task_status::Source;
use mesos_v1::{DurationInfo, ExecutorInfo, KillPolicy, TaskGroupInfo, TaskInfo, TaskStatus};
use model::executor::Given;
use model::id::{ContainerId, ExecutorId, FrameworkId, TaskId, Uuid};
use model::task::TaskState;
use node::{Executor, FromExecutor, Own, ToExecutor, Told};

use super::spelled;
use crate::mesos::v1::pairs;
use crate::mesos::v1::status::{read_addresses, read_check, read_reason};

/// What an executor says, and who it is.
#[derive(Debug)]
pub struct Heard {
    pub framework: FrameworkId,
    pub executor: ExecutorId,
    pub said: Said,
}

#[derive(Debug)]
pub enum Said {
    /// It wants to be told what happens, on the stream that answers.
    Subscribe {
        tasks: Vec<TaskId>,
        updates: Vec<Told>,
    },
    Say(FromExecutor),
    Heartbeat,
}

/// Why a call is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Failed to validate executor::Call: {0}")]
pub struct Fault(String);

impl From<Unreadable> for Fault {
    fn from(cause: Unreadable) -> Self {
        Self(cause.to_string())
    }
}

pub fn read(encoding: Encoding, body: &[u8]) -> Result<Heard, Fault> {
    let call: Call = encoding.decode(body)?;
    let absent = |field: &str| Fault(format!("Expecting '{field}' to be present"));
    if call.r#type.is_none() {
        return Err(absent("type"));
    }
    let said = match call.r#type() {
        Type::Unknown => return Err(Fault("Unknown call type".to_owned())),
        Type::Heartbeat => Said::Heartbeat,
        Type::Subscribe => {
            let Subscribe { unacknowledged_tasks, unacknowledged_updates } =
                call.subscribe.as_ref().ok_or_else(|| absent("subscribe"))?;
            let tasks = unacknowledged_tasks.iter();
            let updates = unacknowledged_updates.iter().map(|one| told(&call, one));
            Said::Subscribe {
                tasks: tasks.map(|task| TaskId::new(task.task_id.value.as_str())).collect(),
                updates: updates.collect::<Result<_, Fault>>()?,
            }
        }
        Type::Update => {
            let update = call.update.as_ref().ok_or_else(|| absent("update"))?;
            Said::Say(FromExecutor::Update(told(&call, update)?))
        }
        Type::Message => {
            let message = call.message.as_ref().ok_or_else(|| absent("message"))?;
            Said::Say(FromExecutor::Message(Given(message.data.as_slice().into())))
        }
    };
    Ok(Heard {
        framework: FrameworkId::new(call.framework_id.value.as_str()),
        executor: ExecutorId::new(call.executor_id.value.as_str()),
        said,
    })
}

fn told(call: &Call, update: &Update) -> Result<Told, Fault> {
    let status = &update.status;
    let uuid = status.uuid.as_deref();
    let uuid = uuid.ok_or_else(|| Fault("Expecting 'uuid' to be present".to_owned()))?;
    let uuid =
        uuid.try_into().map_err(|_| Fault("Not a valid UUID: it has 16 bytes".to_owned()))?;
    let stranger = status.executor_id.as_ref().filter(|id| **id != call.executor_id);
    if let Some(stranger) = stranger {
        return Err(Fault(format!(
            "ExecutorID in Call: {} does not match ExecutorID in TaskStatus: {}",
            call.executor_id.value, stranger.value
        )));
    }
    if status.source() != Source::Executor {
        return Err(Fault(format!(
            "Received Call from executor {} with invalid source, expecting 'SOURCE_EXECUTOR'",
            call.executor_id.value
        )));
    }
    Ok(Told {
        task: TaskId::new(status.task_id.value.as_str()),
        state: state(status)?,
        uuid: Uuid(uuid),
        reason: status.reason.is_some().then(|| status.reason()).and_then(read_reason),
        message: status.message.clone(),
        healthy: status.healthy,
        check: status.check_status.as_ref().and_then(read_check),
        labels: pairs(status.labels.as_ref()),
        addresses: status.container_status.as_ref().map(read_addresses).unwrap_or_default(),
        given: Given(Encoding::Protobuf.encode(status).into()),
    })
}

/// Those that an executor can know of.
fn state(status: &TaskStatus) -> Result<TaskState, Fault> {
    use mesos_v1::TaskState as Spelled;
    Ok(match status.state() {
        Spelled::TaskStarting => TaskState::Starting,
        Spelled::TaskRunning => TaskState::Running,
        Spelled::TaskKilling => TaskState::Killing,
        Spelled::TaskFinished => TaskState::Finished,
        Spelled::TaskFailed => TaskState::Failed,
        Spelled::TaskKilled => TaskState::Killed,
        Spelled::TaskError => TaskState::Error,
        Spelled::TaskLost => TaskState::Lost,
        Spelled::TaskDropped => TaskState::Dropped,
        Spelled::TaskGone => TaskState::Gone,
        other @ (Spelled::TaskStaging
        | Spelled::TaskUnreachable
        | Spelled::TaskGoneByOperator
        | Spelled::TaskUnknown) => {
            return Err(Fault(format!(
                "Received {} from executor which is not allowed",
                other.as_str_name()
            )));
        }
    })
}

/// What an executor is told, by an agent that is `own`.
pub fn event(container: &ContainerId, said: &ToExecutor, own: &Own) -> Event {
    let of = |kind: EventType| Event { r#type: Some(kind as i32), ..Event::default() };
    match said {
        ToExecutor::Subscribed { executor, .. } => {
            let subscribed = subscribed(container, executor, own);
            Event { subscribed: Some(subscribed), ..of(EventType::Subscribed) }
        }
        ToExecutor::Launch(task) => {
            let launch = Launch { task: given(task) };
            Event { launch: Some(launch), ..of(EventType::Launch) }
        }
        ToExecutor::LaunchGroup(tasks) => {
            let tasks = tasks.iter().map(|task| given(task)).collect();
            let task_group = TaskGroupInfo { tasks };
            Event { launch_group: Some(LaunchGroup { task_group }), ..of(EventType::LaunchGroup) }
        }
        ToExecutor::Kill { task, grace } => {
            let nanoseconds = |grace: &std::time::Duration| {
                let nanoseconds = i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
                KillPolicy { grace_period: Some(DurationInfo { nanoseconds }) }
            };
            let kill_policy = grace.as_ref().map(nanoseconds);
            let kill = Kill { task_id: task_id(task), kill_policy };
            Event { kill: Some(kill), ..of(EventType::Kill) }
        }
        ToExecutor::Acknowledged { task, uuid } => {
            let acknowledged = Acknowledged { task_id: task_id(task), uuid: uuid.0.to_vec() };
            Event { acknowledged: Some(acknowledged), ..of(EventType::Acknowledged) }
        }
        ToExecutor::Message(Given(data)) => {
            Event { message: Some(Message { data: data.to_vec() }), ..of(EventType::Message) }
        }
        ToExecutor::Shutdown => of(EventType::Shutdown),
    }
}

/// Nothing, for connections that would be cut in silence.
pub fn heartbeat() -> Event {
    Event { r#type: Some(EventType::Heartbeat as i32), ..Event::default() }
}

fn subscribed(container: &ContainerId, executor: &Executor, own: &Own) -> Subscribed {
    Subscribed {
        executor_info: executor_info(executor),
        framework_info: spelled::framework(&executor.framework),
        agent_info: spelled::agent(own),
        container_id: Some(spelled::container(container)),
    }
}

/// As its framework described it.
pub fn executor_info(executor: &Executor) -> ExecutorInfo {
    let program = executor.info.program.as_ref().expect("executors that are held are programs");
    let info = Encoding::Protobuf.decode(&program.given.0);
    let info: ExecutorInfo = info.expect("the master hands on only what it could read");
    let value = executor.framework().as_str().to_owned();
    ExecutorInfo { framework_id: Some(mesos_v1::FrameworkId { value }), ..info }
}

fn given(task: &model::task::TaskInfo) -> TaskInfo {
    let Given(bytes) = task.given.as_ref().expect("tasks for programs are handed on as given");
    Encoding::Protobuf.decode(bytes).expect("the master hands on only what it could read")
}

fn task_id(task: &TaskId) -> mesos_v1::TaskId {
    mesos_v1::TaskId { value: task.as_str().to_owned() }
}
