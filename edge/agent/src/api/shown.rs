//! What the agent says of itself and its containers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use model::id::ContainerId;
use node::{Executor, Held, View};
use serde_json::{Value, json};
use wire::agent_api::state::{
    AgentState, Executor as ShownExecutor, Known, Life, executor_name, name, named_source, source,
};
use wire::agent_api::statistics::{Entry, status};
use wire::agent_api::told;
use wire::mesos::help;
use wire::mesos::master::EXTERNAL_LOG_FILE;
use wire::mesos::metrics::agent::Own;
use wire::mesos::metrics::{self, Figures};

use super::Api;
use super::answer::{Asked, refuse};
use crate::board::Completed;
use crate::clock::wall;
use crate::collect;
use crate::sandbox::{Run, Sandboxes, Tenant};
use crate::usage::{self, Around};

pub(super) fn flags(api: &Api) -> BTreeMap<String, String> {
    let info = &api.0.info;
    let attributes = info.attributes.iter().map(|one| format!("{}:{}", one.name, one.value));
    [
        ("attributes", attributes.collect::<Vec<_>>().join(";")),
        ("gc_delay", format!("{}secs", api.0.gc.delay.as_secs())),
        ("hostname", info.hostname.clone()),
        ("ip", info.ip.clone()),
        ("port", info.port.to_string()),
        ("resources", info.resources.to_string()),
        ("sandbox_directory", "/mnt/mesos/sandbox".to_owned()),
        ("work_dir", info.work_dir.clone()),
    ]
    .into_iter()
    .chain(log(api).map(|file| (EXTERNAL_LOG_FILE, file)))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn log(api: &Api) -> Option<String> {
    Some(api.0.levels.file()?.display().to_string())
}

pub(super) fn state(api: &Api) -> Value {
    let (view, completed) = (api.0.board.view(), api.0.board.completed());
    let held = view.held.iter().map(|(container, held)| (container, held.as_ref(), Life::Held));
    let done = completed.iter().map(|one| (&one.container, one.held.as_ref(), Life::Completed));
    let programs = view.executors.keys().map(|container| (container, Vec::new()));
    let mut by_executor: BTreeMap<&ContainerId, Vec<(&Held, Life)>> = programs.collect();
    for (container, held, life) in held.chain(done) {
        let executor = held.group.as_ref().map_or(container, |group| &group.container);
        by_executor.entry(executor).or_default().push((held, life));
    }
    let sandboxes = Sandboxes::new(&api.0.dir);
    let run = |container, tasks: &[(&Held, Life)]| match view.executors.get(container) {
        Some(program) => sandboxes.run(Run::of_program(container, program)),
        None => sandboxes.run(Tenant::of(container, tasks[0].0).run()),
    };
    let all: Vec<_> = by_executor
        .into_iter()
        .map(|(container, tasks)| (container, shown(run(container, &tasks)), tasks))
        .collect();
    let executors = all.iter().map(|(container, directory, tasks)| ShownExecutor {
        container,
        directory,
        program: view.executors.get(*container).map(|one| one.as_ref()),
        tasks: tasks.clone(),
    });
    let state = AgentState {
        id: view.own.as_ref().and_then(|own| own.agent.as_ref()),
        info: &api.0.info,
        claims: &view.claims,
        brought: view.brought(),
        started_at: api.0.started_at,
        master: &api.0.master,
        flags: flags(api),
        executors: executors.collect(),
        frameworks: known(&view, &completed),
        providers: providers(&view),
    };
    state.json()
}

/// Where a container is reached. In a network of its own it has no address that others know.
fn address<'a>(api: &'a Api, container: &ContainerId) -> Option<&'a str> {
    (!api.0.containers.is_apart(container)).then_some(&api.0.info.ip)
}

/// As GET_RESOURCE_PROVIDERS tells of them.
fn providers(view: &View) -> Vec<Value> {
    let told = told::resource_providers(view).get_resource_providers.unwrap_or_default();
    let spell = |one| serde_json::from_slice(&mesos_v1::json::to_vec(one));
    let all = told.resource_providers.iter().map(spell);
    all.map(|one| one.expect("what is spelled is JSON")).collect()
}

pub(super) fn known<'a>(view: &'a View, completed: &'a [Completed]) -> Known<'a> {
    let gone =
        completed.iter().filter_map(|one| Some((&one.held.framework, one.framework.as_deref()?)));
    gone.chain(view.frameworks.iter().map(|(id, info)| (id, info.as_ref()))).collect()
}

/// The sandbox, as `/files/browse` takes it.
fn shown(path: anyhow::Result<PathBuf>) -> String {
    path.map_or_else(|_| String::new(), |path| path.display().to_string())
}

/// Which paths are shown, by the name under which they are asked for.
pub(super) fn attached(api: &Api) -> Value {
    let view = api.0.board.view();
    let sandboxes = Sandboxes::new(&api.0.dir);
    let path = |container, held| shown(sandboxes.path(Tenant::of(container, held)));
    let paths = view.held.iter().map(|(container, held)| path(container, held));
    let paths = paths.map(|path| (path.clone(), path));
    let log = log(api).map(|file| (super::attached::LOG.to_owned(), file));
    Value::Object(paths.chain(log).map(|(path, at)| (path, at.into())).collect())
}

pub(super) fn statistics(api: &Api) -> Value {
    json!(running(api, |entry| Entry { container_id: None, status: None, ..entry }))
}

/// All of them, or those of one container, framework or executor.
pub(super) fn containers(api: &Api, asked: &Asked) -> Response {
    let [container, framework, executor] =
        ["container_id", "framework_id", "executor_id"].map(|name| asked.get(name));
    let is_known = match (container, framework, executor) {
        (Some(_), None, None) | (None, Some(_), _) | (None, None, None) => true,
        (Some(_), _, _) | (None, None, Some(_)) => false,
    };
    if !is_known {
        let cause =
            "Ask by 'container_id', by 'framework_id', or by 'framework_id' and 'executor_id'.\n";
        return refuse(StatusCode::BAD_REQUEST, cause);
    }
    let mut all = running(api, |entry| entry);
    let is = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| wanted == name);
    all.retain(|entry| {
        is(container, entry.container_id.as_deref().unwrap_or_default())
            && is(framework, &entry.framework_id)
            && is(executor, &entry.executor_id)
    });
    asked.json(&all)
}

fn running(api: &Api, shape: impl Fn(Entry) -> Entry) -> Vec<Entry> {
    let view = api.0.board.view();
    let alive = view.held.iter().filter(|(_, held)| held.is_running() && !is_in_program(held));
    let tasks = alive.map(|(container, held)| entry(api, container, held));
    let programs = view.executors.iter().filter_map(|(container, executor)| {
        let status = executor.running.as_ref()?;
        Some(program(api, container, executor, status.pid))
    });
    tasks.chain(programs).map(shape).collect()
}

fn is_in_program(held: &Held) -> bool {
    held.group.as_ref().is_some_and(|group| group.executor.program.is_some())
}

/// Of an executor that is a program; its tasks have no containers that the agent knows.
fn program(api: &Api, container: &ContainerId, executor: &Executor, pid: Option<u32>) -> Entry {
    let info = &executor.info;
    let around = Around { resources: Some(&info.resources), pid, disk_bytes: None };
    Entry {
        container_id: Some(container.to_string()),
        executor_id: info.id.to_string(),
        executor_name: name(info),
        framework_id: executor.framework().to_string(),
        source: named_source(info),
        statistics: measured(api, container, around),
        status: Some(status(container.as_str(), pid, address(api, container))),
    }
}

/// As JSON. A container may end at any moment, or not be there yet.
fn measured(api: &Api, container: &ContainerId, around: Around<'_>) -> Option<Value> {
    let usage = api.0.containers.usage(container).ok()?;
    let statistics = mesos_v1::json::to_vec(&usage::statistics(&usage, around));
    Some(serde_json::from_slice(&statistics).expect("what is spelled is JSON"))
}

/// What the agent is about to start, as `/containerizer/debug` tells it.
pub(super) fn pending(api: &Api) -> Value {
    let view = api.0.board.view();
    let waits = |held: &Held| !held.is_running() && !held.is_ended() && !is_in_program(held);
    let tasks = view.held.iter().filter(|(_, held)| waits(held)).map(|(container, _)| container);
    let programs = view.executors.iter().filter(|(_, executor)| executor.running.is_none());
    let all = tasks.chain(programs.map(|(container, _)| container));
    let launch = |container: &ContainerId| json!({"operation": "launch", "args": {"containerId": container.as_str()}});
    json!({ "pending": all.map(launch).collect::<Vec<_>>() })
}

fn entry(api: &Api, container: &ContainerId, held: &Held) -> Entry {
    let around = around(api, container, held);
    Entry {
        container_id: Some(container.to_string()),
        executor_id: held.executor().to_string(),
        executor_name: executor_name(held),
        framework_id: held.framework.to_string(),
        source: source(held),
        statistics: measured(api, container, around),
        status: Some(status(container.as_str(), around.pid, address(api, container))),
    }
}

/// What there is to tell of a task's container besides its control groups.
pub(super) fn around<'a>(api: &Api, container: &ContainerId, held: &'a Held) -> Around<'a> {
    let sandbox = Sandboxes::new(&api.0.dir).path(Tenant::of(container, held)).ok();
    Around {
        resources: Some(&held.info.resources),
        pid: held.latest.as_ref().and_then(|status| status.container.as_ref()?.pid),
        disk_bytes: sandbox.and_then(|sandbox| {
            api.0.projects.used(&sandbox).or_else(|| api.0.disks.used(sandbox))
        }),
    }
}

/// `/metrics/snapshot`. Whatever time there is, it is enough.
pub(super) fn snapshot(api: &Api, asked: &Asked) -> Response {
    match asked.get("timeout").filter(|time| api.0.levels.time(time).is_none()) {
        Some(time) => {
            let cause = format!("Invalid timeout '{time}': one is like 10secs.\n");
            refuse(StatusCode::BAD_REQUEST, &cause)
        }
        None => asked.json(&figures(api)),
    }
}

/// `/help`, and what is below it.
pub(super) fn help(path: &str, asked: &Asked, headers: &HeaderMap) -> Response {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).skip(1).collect();
    if names.is_empty() && asked.get("format") == Some("json") {
        return asked.json(&help::json(&help::AGENT));
    }
    let Some(page) = help::page(&help::AGENT, &names) else {
        let cause = format!("No help available for '/{}'.\n", names.join("/"));
        return refuse(StatusCode::BAD_REQUEST, &cause);
    };
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    match agent.is_some_and(|agent| agent.starts_with("Mozilla")) {
        true => Html(help::html(&page)).into_response(),
        false => ([(header::CONTENT_TYPE, "text/x-markdown; charset=utf-8")], page).into_response(),
    }
}

pub(super) fn figures(api: &Api) -> Figures {
    let parts = &api.0;
    let own = Own { view: &parts.board.view(), info: &parts.info, started_at: parts.started_at };
    let cache = parts.fetcher.cache_bytes();
    let measured = parts.gauges.read(parts.gc, collect::used(&parts.dir), cache);
    metrics::agent::figures(own, wall(), &measured)
}
