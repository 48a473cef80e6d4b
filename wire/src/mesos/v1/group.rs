//! What is wrong with a group as such: its executor, and what its tasks have in common.

use mesos_v1::offer::operation::LaunchGroup;
use mesos_v1::{ExecutorInfo, LinuxInfo, TaskInfo};
use model::resources::Scalar;
use model::task::Cgroups;

use super::Fault;

/// What an executor needs at least, as Mesos has it.
const EXECUTOR_CPUS_MIN: Scalar = Scalar(10);
const EXECUTOR_MEM_MIB_MIN: Scalar = Scalar::whole(32);

pub(super) fn judge(group: &LaunchGroup) -> Result<(), Fault> {
    let LaunchGroup { executor, task_group } = group;
    for task in &task_group.tasks {
        judge_member(task, executor)?;
    }
    judge_share(&task_group.tasks)?;
    judge_least(executor)
}

fn judge_member(task: &TaskInfo, executor: &ExecutorInfo) -> Result<(), Fault> {
    // The master fills in whose it is.
    let nameless = |one: &ExecutorInfo| ExecutorInfo { framework_id: None, ..one.clone() };
    let other = task.executor.as_ref().filter(|own| nameless(own) != nameless(executor));
    if other.is_some() {
        return Err(Fault::new(format!(
            "The `ExecutorInfo` of task '{}' is different from executor '{}'",
            task.task_id.value, executor.executor_id.value
        )));
    }
    if !task.limits.is_empty() && share(task) != Some(false) {
        return Err(Fault::new(format!(
            "Task '{}' is invalid: Resource limits may only be set for tasks within a task group when the \
             'share_cgroups' field is set to 'false'.",
            task.task_id.value
        )));
    }
    Ok(())
}

fn share(task: &TaskInfo) -> Option<bool> {
    task.container.as_ref()?.linux_info.as_ref()?.share_cgroups
}

/// Whose control groups its tasks are in, of a group that was judged.
pub(super) fn cgroups(group: &LaunchGroup) -> Cgroups {
    match group.task_group.tasks.first().and_then(share) {
        Some(false) => Cgroups::Own,
        Some(true) | None => Cgroups::Shared,
    }
}

fn judge_share(tasks: &[TaskInfo]) -> Result<(), Fault> {
    let mut told = tasks.iter().map(|task| share(task).unwrap_or(true));
    let first = told.next();
    match told.all(|one| Some(one) == first) {
        true => Ok(()),
        false => Err(Fault::new(
            "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a \
             single executor",
        )),
    }
}

/// Of the container around others: its own group of resources is what theirs are in.
pub(super) fn judge_around(linux: Option<&LinuxInfo>) -> Result<(), Fault> {
    match linux.and_then(|linux| linux.share_cgroups) {
        Some(true) => Err(Fault::new(
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        )),
        Some(false) | None => Ok(()),
    }
}

fn judge_least(executor: &ExecutorInfo) -> Result<(), Fault> {
    let id = &executor.executor_id.value;
    let sum = |name: &str| {
        let all = executor.resources.iter().filter(|one| one.name == name);
        let amounts: Vec<f64> = all.filter_map(|one| Some(one.scalar?.value)).collect();
        (!amounts.is_empty()).then(|| amounts.iter().sum::<f64>())
    };
    let least = [("CPUs", "cpus", EXECUTOR_CPUS_MIN), ("memory", "mem", EXECUTOR_MEM_MIB_MIN)];
    for (what, name, least) in least {
        let given = sum(name);
        if given.and_then(Scalar::from_f64).is_none_or(|given| given < least) {
            let given = given.map_or("None".to_owned(), |given| given.to_string());
            return Err(Fault::new(format!(
                "Executor '{id}' uses less {what} ({given}) than the minimum required ({least})"
            )));
        }
    }
    match sum("disk") {
        Some(_) => Ok(()),
        None => Err(Fault::new(format!("Executor '{id}' uses no disk"))),
    }
}
