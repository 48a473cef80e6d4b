//! Executors as GET_EXECUTORS tells of them.

use mesos_v1::codec::Encoding;
use mesos_v1::executor_info::Type;
use mesos_v1::master::response::get_executors::Executor as Spelled;
use mesos_v1::{ExecutorId, ExecutorInfo};
use model::id::{FrameworkId, Role};
use model::task::ExecutorInfo as Info;

use super::labels;
use crate::mesos::sums::Executor;
use crate::mesos::v1::resource::shown;
use crate::mesos::v1::{agent_id, framework_id};

pub(super) fn executor(executor: &Executor<'_>) -> Spelled {
    let Executor { framework, info, role, .. } = executor;
    Spelled { executor_info: spelled(framework, info, role), agent_id: agent_id(executor.agent) }
}

pub(crate) fn spelled(framework: &FrameworkId, info: &Info, role: &Role) -> ExecutorInfo {
    let kind = if info.program.is_some() { Type::Custom } else { Type::Default };
    ExecutorInfo {
        r#type: Some(kind.into()),
        executor_id: ExecutorId { value: info.id.as_str().to_owned() },
        framework_id: Some(framework_id(framework)),
        resources: shown(&info.resources, Some(role)),
        labels: labels(&info.labels),
        ..described(info)
    }
}

/// What its framework said of it is told word for word.
pub(crate) fn described(info: &Info) -> ExecutorInfo {
    let given = info.described();
    let given = given.and_then(|given| Encoding::Protobuf.decode::<ExecutorInfo>(&given.0).ok());
    given.unwrap_or_default()
}

/// As its framework says it; older programs know an executor by it.
#[expect(deprecated, reason = "who wrote for older versions of Mesos still sets it")]
pub(crate) fn source(info: &Info) -> String {
    described(info).source.unwrap_or_default()
}
