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
    // What its framework said of a program is told word for word.
    let given = info.program.as_ref().map(|program| &program.given.0);
    let given = given.and_then(|given| Encoding::Protobuf.decode::<ExecutorInfo>(given).ok());
    let kind = if info.program.is_some() { Type::Custom } else { Type::Default };
    ExecutorInfo {
        r#type: Some(kind.into()),
        executor_id: ExecutorId { value: info.id.as_str().to_owned() },
        framework_id: Some(framework_id(framework)),
        resources: shown(&info.resources, Some(role)),
        labels: labels(&info.labels),
        ..given.unwrap_or_default()
    }
}
