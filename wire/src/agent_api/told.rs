//! What an agent tells in the messages of `mesos.v1.agent`.

use std::collections::{BTreeMap, BTreeSet};

use mesos_v1::agent::Response;
use mesos_v1::agent::response::get_resource_providers::ResourceProvider;
use mesos_v1::agent::response::{
    GetAgent, GetExecutors, GetFlags, GetFrameworks, GetHealth, GetLoggingLevel, GetMetrics,
    GetOperations, GetResourceProviders, GetState, GetTasks, GetVersion, Type, get_executors,
    get_frameworks,
};
use mesos_v1::{
    ExecutorId, ExecutorInfo, Flag, FrameworkInfo, Metric, Task, VersionInfo, executor_info,
};
use model::id::{ContainerId, FrameworkId};
use model::task::TaskState;
use node::{Held, View};

use super::spelled;
use super::state::{Known, executor_name};
use crate::mesos::master::VERSION;
use crate::mesos::operator;
use crate::mesos::v1::framework_id;
use crate::mesos::v1::resource::shown;

/// What an agent knows of tasks.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub view: &'a View,
    /// Those whose end is acknowledged.
    pub completed: &'a [(&'a ContainerId, &'a Held)],
    pub known: &'a Known<'a>,
}

pub fn of(kind: Type) -> Response {
    Response { r#type: Some(kind.into()), ..Response::default() }
}

pub fn health() -> Response {
    Response { get_health: Some(GetHealth { healthy: true }), ..of(Type::GetHealth) }
}

pub fn version() -> Response {
    let version = VersionInfo { version: VERSION.to_owned(), ..VersionInfo::default() };
    Response { get_version: Some(GetVersion { version_info: version }), ..of(Type::GetVersion) }
}

pub fn flags(flags: BTreeMap<String, String>) -> Response {
    let flag = |(name, value)| Flag { name, value: Some(value) };
    let flags = flags.into_iter().map(flag).collect();
    Response { get_flags: Some(GetFlags { flags }), ..of(Type::GetFlags) }
}

pub fn metrics(figures: BTreeMap<String, f64>) -> Response {
    let metric = |(name, value)| Metric { name, value: Some(value) };
    let metrics = figures.into_iter().map(metric).collect();
    Response { get_metrics: Some(GetMetrics { metrics }), ..of(Type::GetMetrics) }
}

pub fn logging_level(level: u32) -> Response {
    let get_logging_level = Some(GetLoggingLevel { level });
    Response { get_logging_level, ..of(Type::GetLoggingLevel) }
}

pub fn agent(view: &View) -> Response {
    let agent_info = view.own.as_ref().map(|own| spelled::agent(own));
    let get_agent = Some(GetAgent { agent_info, ..GetAgent::default() });
    Response { get_agent, ..of(Type::GetAgent) }
}

/// Those that listen.
pub fn resource_providers(view: &View) -> Response {
    let one = |provider: &node::Subscribed| ResourceProvider {
        resource_provider_info: super::provider::info(&provider.id, &provider.info),
        total_resources: shown(&provider.total, None),
    };
    let resource_providers = view.providers.iter().map(one).collect();
    let get_resource_providers = Some(GetResourceProviders { resource_providers });
    Response { get_resource_providers, ..of(Type::GetResourceProviders) }
}

pub fn operations(view: &View) -> Response {
    let agent = view.own.as_ref().and_then(|own| own.agent.as_ref());
    let all = agent.map(|agent| {
        let operated = view.operations.values();
        operated.map(|one| operator::operation::operation(agent, one)).collect()
    });
    let get_operations = Some(GetOperations { operations: all.unwrap_or_default() });
    Response { get_operations, ..of(Type::GetOperations) }
}

pub fn tasks(seen: Seen<'_>) -> Response {
    Response { get_tasks: Some(seen.tasks()), ..of(Type::GetTasks) }
}

pub fn executors(seen: Seen<'_>) -> Response {
    Response { get_executors: Some(seen.executors()), ..of(Type::GetExecutors) }
}

pub fn frameworks(seen: Seen<'_>) -> Response {
    Response { get_frameworks: Some(seen.frameworks()), ..of(Type::GetFrameworks) }
}

pub fn state(seen: Seen<'_>) -> Response {
    let get_state = Some(GetState {
        get_tasks: Some(seen.tasks()),
        get_executors: Some(seen.executors()),
        get_frameworks: Some(seen.frameworks()),
    });
    Response { get_state, ..of(Type::GetState) }
}

impl Seen<'_> {
    fn tasks(self) -> GetTasks {
        let held = |wanted: fn(&Held) -> bool| -> Vec<Task> {
            let all = self.view.held.values().filter(|held| wanted(held));
            all.map(|held| task(held)).collect()
        };
        GetTasks {
            pending_tasks: Vec::new(),
            queued_tasks: held(|held| held.state() == TaskState::Staging),
            launched_tasks: held(|held| held.state() != TaskState::Staging && !held.is_ended()),
            terminated_tasks: held(Held::is_ended),
            completed_tasks: self.completed.iter().map(|(_, held)| task(held)).collect(),
        }
    }

    fn executors(self) -> GetExecutors {
        let mut told = BTreeSet::new();
        let mut executors = Vec::new();
        for (container, executor) in &self.view.executors {
            told.insert(container);
            executors.push(operator::executor::spelled(
                executor.framework(),
                &executor.info,
                &executor.role,
            ));
        }
        for (container, held) in &self.view.held {
            if told.insert(executor_container(container, held)) {
                executors.push(executor(held));
            }
        }
        let mut completed = Vec::new();
        for (container, held) in self.completed {
            if told.insert(executor_container(container, held)) {
                completed.push(executor(held));
            }
        }
        let one = |executor_info| get_executors::Executor { executor_info };
        GetExecutors {
            executors: executors.into_iter().map(one).collect(),
            completed_executors: completed.into_iter().map(one).collect(),
        }
    }

    /// Of those of which only an earlier release was told an agent knows no more than the id.
    fn frameworks(self) -> GetFrameworks {
        let programs = || self.view.executors.values();
        let mut known: BTreeMap<_, _> = programs()
            .map(|executor| (executor.framework(), spelled::framework(&executor.framework)))
            .collect();
        known.extend(self.known.iter().map(|(id, info)| (*id, spelled::framework(info))));
        let info = |id: &FrameworkId| get_frameworks::Framework {
            framework_info: known.get(id).cloned().unwrap_or_else(|| FrameworkInfo {
                id: Some(framework_id(id)),
                ..FrameworkInfo::default()
            }),
        };
        let held = self.view.held.values().map(|held| &held.framework);
        let active: BTreeSet<_> = held.chain(programs().map(|one| one.framework())).collect();
        let done: BTreeSet<_> = self.completed.iter().map(|(_, held)| &held.framework).collect();
        GetFrameworks {
            frameworks: active.iter().map(|id| info(id)).collect(),
            completed_frameworks: done.difference(&active).map(|id| info(id)).collect(),
        }
    }
}

fn executor_container<'a>(container: &'a ContainerId, held: &'a Held) -> &'a ContainerId {
    held.group.as_ref().map_or(container, |group| &group.container)
}

fn task(held: &Held) -> Task {
    let executor_id = Some(ExecutorId { value: held.executor().to_string() });
    Task { executor_id, ..operator::task::task(&held.told().task) }
}

/// A task without a group has one of its own, as Mesos' command executor is.
fn executor(held: &Held) -> ExecutorInfo {
    let role = &held.info.role;
    match &held.group {
        Some(group) => operator::executor::spelled(&held.framework, &group.executor, role),
        None => ExecutorInfo {
            r#type: Some(executor_info::Type::Custom.into()),
            executor_id: ExecutorId { value: held.executor().to_string() },
            framework_id: Some(framework_id(&held.framework)),
            name: Some(executor_name(held)),
            resources: shown(&held.info.resources, Some(role)),
            ..ExecutorInfo::default()
        },
    }
}
