//! Tasks as GET_TASKS and the events of tasks tell of them.

use std::collections::BTreeMap;

use mesos_v1::{ExecutorId, Task as Spelled, TaskId, value};
use model::limits::{Limit, Limits};
use model::task::Task;

use super::container::{container, discovery};
use super::labels;
use crate::mesos::v1::resource::shown;
use crate::mesos::v1::{agent_id, framework_id, status};

pub fn task(task: &Task) -> Spelled {
    let told = task.status.as_ref();
    let executor = task.executor.as_ref();
    Spelled {
        name: task.name.clone(),
        task_id: TaskId { value: task.id.as_str().to_owned() },
        framework_id: framework_id(&task.framework),
        executor_id: executor.map(|one| ExecutorId { value: one.id.as_str().to_owned() }),
        agent_id: agent_id(&task.agent),
        state: status::state(task.state) as i32,
        resources: shown(&task.resources, Some(&task.role)),
        statuses: told.map(status::status).into_iter().collect(),
        status_update_state: told.map(|told| status::state(told.state) as i32),
        status_update_uuid: told.and_then(|told| told.uuid).map(|uuid| uuid.0.to_vec()),
        labels: labels(&task.labels),
        discovery: task.discovery.as_ref().map(discovery),
        container: task.container.as_deref().map(container),
        user: task.user.clone(),
        limits: limits(&task.limits),
        ..Spelled::default()
    }
}

pub(super) fn limits(limits: &Limits) -> BTreeMap<String, value::Scalar> {
    let named = [("cpus", limits.cpus), ("mem", limits.mem)];
    let spell = |limit| match limit {
        Limit::Unlimited => f64::INFINITY,
        Limit::Amount(most) => most.as_f64(),
    };
    let one = |(name, limit): (&str, Option<Limit>)| {
        Some((name.to_owned(), value::Scalar { value: spell(limit?) }))
    };
    named.into_iter().filter_map(one).collect()
}
