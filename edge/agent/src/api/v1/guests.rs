//! Starts containers that no task is, waits for them, ends and removes them.

use axum::response::Response;
use containers::Exited;
use mesos_v1::agent::Response as Answer;
use mesos_v1::agent::call::LaunchContainer;
use mesos_v1::agent::response::{Type, WaitContainer, WaitNestedContainer};
use mesos_v1::{ContainerId, TaskResourceLimitation, TaskState};
use model::resources::Resources;
use model::told::exceeded;
use rustix::process::Signal;
use wire::mesos::v1::{command, container, resource, status, task};

use super::attach::{SIZE, found, no_process, size};
use super::{Asker, done};
use crate::api::Api;
use crate::guests::{Found, Kind, Lineage, Refusal, Wanted};

type Told = Result<Response, Refusal>;

pub(super) async fn wait(api: &Api, id: &ContainerId, asker: &Asker) -> Told {
    let wait_container = Some(ended(api, id).await?);
    let kind = Some(Type::WaitContainer as i32);
    Ok(asker.tell(&Answer { r#type: kind, wait_container, ..Answer::default() }))
}

/// The same in the words of older clients.
#[expect(deprecated, reason = "clients of the first versions of Mesos v1 still ask it so")]
pub(super) async fn wait_nested(api: &Api, id: &ContainerId, asker: &Asker) -> Told {
    let told = ended(api, id).await?;
    let wait_nested_container = Some(WaitNestedContainer {
        exit_status: told.exit_status,
        state: told.state,
        reason: told.reason,
        limitation: told.limitation,
        message: told.message,
    });
    let kind = Some(Type::WaitNestedContainer as i32);
    Ok(asker.tell(&Answer { r#type: kind, wait_nested_container, ..Answer::default() }))
}

async fn ended(api: &Api, id: &ContainerId) -> Result<WaitContainer, Refusal> {
    let guests = &api.0.guests;
    let lineage = Lineage::read(id).map_err(Refusal::Bad)?;
    let mut changes = api.0.board.changes();
    loop {
        let found = guests.find(&lineage);
        let used = found.as_ref().map(used).unwrap_or_default();
        // Who has just ended may be gone from where it was found, but how it ended is known.
        if let Some(exited) = guests.ended(&lineage) {
            return Ok(spelled(exited, &used));
        }
        let found = found.ok_or_else(|| Refusal::Unknown(lineage.clone()))?;
        let container = found.container().ok_or_else(|| no_process(&lineage))?;
        tokio::select! {
            exited = guests.exits().of(container) => return Ok(spelled(exited, &used)),
            changed = changes.changed() => changed.map_err(|_| {
                Refusal::Mishap("The agent is ending".to_owned())
            })?,
        }
    }
}

/// What it was started with, as far as that is known.
fn used(found: &Found) -> Resources {
    let text = match found {
        Found::Task(_, held) => return held.info.resources.clone(),
        Found::Program(_, executor) => return executor.info.resources.clone(),
        Found::Shared => None,
        Found::Guest(guest) => match &guest.kind {
            Kind::Session { .. } => None,
            Kind::Container { entry, .. } => entry.resources.as_ref(),
        },
    };
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn spelled(exited: Exited, used: &Resources) -> WaitContainer {
    let told = WaitContainer { exit_status: Some(exited.wait_status), ..WaitContainer::default() };
    match exited.limitation {
        None => told,
        Some((reason, cause)) => WaitContainer {
            state: Some(TaskState::TaskFailed as i32),
            reason: Some(status::reason(reason) as i32),
            limitation: Some(exceeded(Some(reason), used))
                .filter(|all| !all.is_empty())
                .map(|all| TaskResourceLimitation { resources: resource::shown(&all, None) }),
            message: Some(cause),
            ..told
        },
    }
}

pub(super) async fn kill(api: &Api, id: &ContainerId, signal: Option<i32>) -> Told {
    let number = signal.unwrap_or(Signal::KILL.as_raw());
    if Signal::from_named_raw(number).is_none() {
        return Err(Refusal::Bad(format!("There is no signal {number}")));
    }
    let (lineage, found) = found(api, id)?;
    if let Found::Guest(guest) = &found
        && let Kind::Session { signals, .. } = &guest.kind
    {
        // It may have ended just now.
        let _ = signals.send(number);
        return Ok(done());
    }
    let container = found.container().ok_or_else(|| no_process(&lineage))?;
    let sent = api.0.containers.signal(container, number).await;
    sent.map_err(|cause| Refusal::Bad(format!("{cause:#}")))?;
    Ok(done())
}

pub(super) async fn launch(api: &Api, wanted: &LaunchContainer) -> Told {
    let fault = |fault: wire::mesos::v1::Fault| Refusal::Bad(fault.0);
    let lineage = Lineage::read(&wanted.container_id).map_err(Refusal::Bad)?;
    let resources = wanted.resources.iter().map(resource::read_one);
    let resources = resources.collect::<Result<Vec<_>, _>>().map_err(fault)?;
    let resources = Resources::new(resources);
    if lineage.parent().is_some() && !resources.gpus().is_zero() {
        let cause = "A container with a parent has the GPUs of its parent: leave 'gpus' out";
        return Err(Refusal::Bad(cause.to_owned()));
    }
    let limits = task::limits(&wanted.limits, &resources).map_err(fault)?;
    let around = container::around(wanted.container.as_ref());
    let command = wanted.command.as_ref().map(|command| command::read(command, around));
    let mut spelled = wanted.container.clone();
    let tty = spelled.as_mut().and_then(|spelled| spelled.tty_info.take());
    let surroundings = spelled.as_ref().map(container::read).transpose().map_err(fault)?;
    let launched = api.0.guests.launch(Wanted {
        lineage,
        command: command.transpose().map_err(fault)?,
        surroundings,
        terminal: tty.map(|tty| size(&tty).unwrap_or(SIZE)),
        resources,
        limits,
    });
    launched.await?;
    Ok(done())
}

pub(super) async fn remove(api: &Api, id: &ContainerId) -> Told {
    let lineage = Lineage::read(id).map_err(Refusal::Bad)?;
    api.0.guests.remove(&lineage).await?;
    Ok(done())
}
