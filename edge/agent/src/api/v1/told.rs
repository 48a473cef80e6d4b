//! What the agent tells of its containers, and of files.

use axum::response::Response;
use mesos_v1::agent::Response as Answer;
use mesos_v1::agent::call::{GetContainers, ListFiles, ReadFile};
use mesos_v1::agent::response::get_containers::Container;
use mesos_v1::agent::response::{
    GetContainers as Containers, ListFiles as Listing, ReadFile as Content, Type,
};
use mesos_v1::network_info::IpAddress;
use mesos_v1::{ContainerStatus, ExecutorId, FileInfo, FrameworkId, NetworkInfo, TimeInfo};
use model::id::ContainerId;
use node::Held;
use wire::agent_api::state::executor_name;
use wire::agent_api::told::{Seen, of};

use super::Asker;
use crate::api::shown::{around, known};
use crate::api::{Api, files};
use crate::guests::{Found, Guest, Lineage, Refusal};
use crate::usage::{Around, statistics};

/// Made of what there is by now.
pub(super) fn seen(api: &Api, tell: impl FnOnce(Seen<'_>) -> Answer) -> Answer {
    let (view, completed) = (api.0.board.view(), api.0.board.completed());
    let known = known(&view, &completed);
    let completed: Vec<_> =
        completed.iter().map(|one| (&one.container, one.held.as_ref())).collect();
    tell(Seen { view: &view, completed: &completed, known: &known })
}

pub(super) fn containers(api: &Api, asked: &GetContainers) -> Answer {
    let mut containers = Vec::new();
    let view = api.0.board.view();
    for (container, held) in view.held.iter().filter(|(_, held)| held.is_running()) {
        let group = held.group.as_ref();
        if group.is_some_and(|group| group.executor.program.is_some()) {
            continue;
        }
        let lineage = Lineage::of_task(container, group.map(|group| &group.container));
        if lineage.parent().is_none() || asked.show_nested() {
            containers.push(of_task(api, &lineage, container, held));
        }
    }
    for (container, executor) in view.executors.iter().filter(|(_, one)| one.running.is_some()) {
        let pid = executor.running.as_ref().and_then(|status| status.pid);
        containers.push(Container {
            framework_id: Some(FrameworkId { value: executor.framework().to_string() }),
            executor_id: Some(ExecutorId { value: executor.info.id.to_string() }),
            ..bare(
                api,
                &Lineage::of_task(container, None),
                container,
                Around { pid, ..Around::default() },
            )
        });
    }
    let wanted = |guest: &Guest| match guest.lineage.parent() {
        Some(_) => asked.show_nested(),
        None => asked.show_standalone(),
    };
    let guests = api.0.guests.each().into_iter().filter(|guest| wanted(guest));
    containers.extend(guests.map(|guest| of_guest(api, &guest)));
    Answer { get_containers: Some(Containers { containers }), ..of(Type::GetContainers) }
}

fn of_task(api: &Api, lineage: &Lineage, container: &ContainerId, held: &Held) -> Container {
    Container {
        framework_id: Some(FrameworkId { value: held.framework.to_string() }),
        executor_id: Some(ExecutorId { value: held.executor().to_string() }),
        executor_name: Some(executor_name(held)),
        ..bare(api, lineage, container, around(api, container, held))
    }
}

/// Charged to whom the container is that it lies in.
fn of_guest(api: &Api, guest: &Guest) -> Container {
    let told = bare(api, &guest.lineage, &guest.container, Around::default());
    let mut above = guest.lineage.parent();
    while let Some(lineage) = above {
        match api.0.guests.find(&lineage) {
            Some(Found::Task(_, held)) => {
                return Container {
                    framework_id: Some(FrameworkId { value: held.framework.to_string() }),
                    executor_id: Some(ExecutorId { value: held.executor().to_string() }),
                    ..told
                };
            }
            Some(Found::Program(_, executor)) => {
                return Container {
                    framework_id: Some(FrameworkId { value: executor.framework().to_string() }),
                    executor_id: Some(ExecutorId { value: executor.info.id.to_string() }),
                    ..told
                };
            }
            Some(Found::Guest(_) | Found::Shared) | None => above = lineage.parent(),
        }
    }
    told
}

fn bare(api: &Api, lineage: &Lineage, container: &ContainerId, around: Around<'_>) -> Container {
    // In a network of its own it has no address that others know.
    let is_apart = api.0.containers.is_apart(container);
    let address = IpAddress { ip_address: Some(api.0.info.ip.clone()), ..IpAddress::default() };
    let network = NetworkInfo { ip_addresses: vec![address], ..NetworkInfo::default() };
    let status = ContainerStatus {
        container_id: Some(lineage.spelled()),
        network_infos: if is_apart { Vec::new() } else { vec![network] },
        executor_pid: around.pid,
        ..ContainerStatus::default()
    };
    // It may end at any moment, and sessions are counted with their containers.
    let usage = api.0.containers.usage(container).ok();
    Container {
        container_id: lineage.spelled(),
        container_status: Some(status),
        resource_statistics: usage.map(|usage| statistics(&usage, around)),
        ..Container::default()
    }
}

pub(super) async fn list(api: &Api, asked: ListFiles, asker: &Asker) -> Result<Response, Refusal> {
    let listed = files::listed(api, asked.path).await?;
    let file_infos = listed.into_iter().map(file).collect();
    let list_files = Some(Listing { file_infos });
    Ok(asker.tell(&Answer { list_files, ..of(Type::ListFiles) }))
}

fn file(info: files::Described) -> FileInfo {
    let files::Described { info, mode, modified_secs } = info;
    FileInfo {
        path: info.path,
        nlink: i32::try_from(info.nlink).ok(),
        size: Some(info.size),
        mtime: Some(TimeInfo { nanoseconds: modified_secs.saturating_mul(1_000_000_000) }),
        mode: Some(mode),
        uid: Some(info.uid),
        gid: Some(info.gid),
    }
}

pub(super) async fn read(api: &Api, asked: ReadFile, asker: &Asker) -> Result<Response, Refusal> {
    let (size, data) = files::part(api, asked.path, asked.offset, asked.length).await?;
    let read_file = Some(Content { size, data });
    Ok(asker.tell(&Answer { read_file, ..of(Type::ReadFile) }))
}
