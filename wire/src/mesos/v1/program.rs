//! Executors that are programs of their frameworks, and their tasks.

use std::sync::Arc;

use mesos_v1::codec::Encoding;
use mesos_v1::executor_info::Type;
use mesos_v1::{ExecutorInfo as Spelled, TaskInfo as SpelledTask};
use model::executor::{Given, Program};
use model::task::{ExecutorInfo, TaskInfo};

use super::task::{self, Launch, common};
use super::{Fault, command, container, group, nanoseconds};

/// What framework and executor tell each other by way of the agent; a letter to an agent has room for several.
const GIVEN_BYTES_MAX: usize = 1 << 20;

/// Whether it is one, or is meant to be.
pub(super) fn is_program(spelled: &Spelled) -> bool {
    match spelled.r#type() {
        Type::Custom => true,
        // Before there were types, whoever had a command was one.
        Type::Unknown => spelled.command.is_some(),
        Type::Default => false,
    }
}

/// A task that brings its executor along.
pub(super) fn read(
    spelled: &SpelledTask,
    executor: &Spelled,
    launch: Launch<'_>,
) -> Result<(ExecutorInfo, TaskInfo), Fault> {
    if !is_program(executor) {
        return Err(Fault::new("'ExecutorInfo.command' must be set for 'CUSTOM' executor"));
    }
    let task = read_member(spelled, launch)?;
    Ok((read_executor(executor, launch)?, task))
}

/// A task of a program, handed on as it is.
pub(super) fn read_member(spelled: &SpelledTask, launch: Launch<'_>) -> Result<TaskInfo, Fault> {
    Ok(TaskInfo { given: Some(given("TaskInfo", spelled)?), ..common(spelled, launch)? })
}

pub(super) fn read_executor(spelled: &Spelled, launch: Launch<'_>) -> Result<ExecutorInfo, Fault> {
    let absent = || Fault::new("'ExecutorInfo.command' must be set for 'CUSTOM' executor");
    let run = spelled.command.as_ref().ok_or_else(absent)?;
    let around = container::around(spelled.container.as_ref());
    let invalid =
        |fault: Fault| Fault::new(format!("Executor's `CommandInfo` is invalid: {}", fault.0));
    let run = command::read(run, around).map_err(invalid)?;
    let invalid =
        |fault: Fault| Fault::new(format!("Executor's `ContainerInfo` is invalid: {}", fault.0));
    let container = spelled.container.as_ref().map(container::read).transpose().map_err(invalid)?;
    let linux = spelled.container.as_ref().and_then(|container| container.linux_info.as_ref());
    group::judge_around(linux)?;
    let grace = spelled.shutdown_grace_period.as_ref();
    let shutdown_grace = grace
        .map(|grace| nanoseconds("ExecutorInfo.shutdown_grace_period", grace.nanoseconds))
        .transpose()?;
    let given = given("ExecutorInfo", spelled)?;
    let program = Program { command: run, container, shutdown_grace, given };
    let shared = task::read_shared(spelled, launch)?;
    Ok(ExecutorInfo { program: Some(Arc::new(program)), ..shared })
}

pub(super) fn given(name: &str, message: &impl mesos_v1::json::Message) -> Result<Given, Fault> {
    let bytes = Encoding::Protobuf.encode(message);
    if bytes.len() > GIVEN_BYTES_MAX {
        let size = bytes.len();
        return Err(Fault::new(format!(
            "{name} has {size} bytes, and at most {GIVEN_BYTES_MAX} are handed on to an executor"
        )));
    }
    Ok(Given(bytes.into()))
}

/// What is told to an executor, or to its framework by it.
pub(super) fn message(data: &[u8]) -> Result<Given, Fault> {
    if data.len() > GIVEN_BYTES_MAX {
        return Err(Fault::new(format!("a message has at most {GIVEN_BYTES_MAX} bytes")));
    }
    Ok(Given(data.into()))
}
