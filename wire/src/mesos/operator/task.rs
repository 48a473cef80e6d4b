//! Tasks as GET_TASKS and the events of tasks tell of them.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_v1::{DurationInfo, ExecutorId, KillPolicy, Task as Spelled, TaskId, value};
use model::limits::{Limit, Limits};
use model::task::Task;

use super::container::{container, discovery};
use super::labels;
use crate::mesos::v1::resource::shown;
use crate::mesos::v1::{agent_id, check, framework_id, status};

pub fn task(task: &Task) -> Spelled {
    let told = task.status.as_ref();
    let executor = task.executor.as_ref();
    let more = task.more.as_deref();
    Spelled {
        name: task.name.clone(),
        task_id: TaskId { value: task.id.as_str().to_owned() },
        framework_id: framework_id(&task.framework),
        executor_id: executor.map(|one| ExecutorId { value: one.id.as_str().to_owned() }),
        agent_id: agent_id(&task.agent),
        state: status::state(task.state) as i32,
        resources: shown(&task.resources, Some(&task.role)),
        statuses: task.statuses().map(|told| status::status(&told)).collect(),
        status_update_state: told.map(|told| status::state(told.state) as i32),
        status_update_uuid: told.and_then(|told| told.uuid).map(|uuid| uuid.0.to_vec()),
        labels: labels(&task.labels),
        discovery: task.discovery.as_ref().map(discovery),
        container: task.container.as_deref().map(container),
        user: task.user.clone(),
        limits: limits(&task.limits),
        health_check: more.and_then(|more| more.health_check.as_ref()).map(check::spell),
        kill_policy: more.and_then(|more| more.kill_grace).map(kill_policy),
    }
}

pub(super) fn kill_policy(grace: Duration) -> KillPolicy {
    let nanoseconds = i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
    KillPolicy { grace_period: Some(DurationInfo { nanoseconds }) }
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
