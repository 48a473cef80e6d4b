//! The long answers, written while they are sent: agents, frameworks, executors, tasks, operations, and all of it.

use std::io::{self, Write};
use std::sync::Arc;

use kernel::view::{FrameworkView, View};
use mesos_v1::codec::Encoding;
use mesos_v1::lists::{Field, Lists};
use mesos_v1::master::response::Type;
use model::id::FrameworkId;
use model::resources::Resources;
use model::task::{Task, TaskState};

use super::{agent, direct, executor, framework, master, operation, task};
use crate::mesos::agent::{is_recovered, is_registered};
use crate::mesos::sums::{self, Sum};

/// Which of the long answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    State,
    Agents,
    Frameworks,
    Executors,
    Operations,
    Tasks,
}

/// The fields of a response, or of the state within one, that hold lists.
const GET_STATE: Field = Field("get_state", 9);
const GET_OPERATIONS: Field = Field("get_operations", 20);

/// Where the four lists of the state are: in a response of their own, and within the state.
struct Places {
    tasks: Vec<Field>,
    executors: Vec<Field>,
    frameworks: Vec<Field>,
    agents: Vec<Field>,
}

impl Places {
    fn alone() -> Self {
        let at = |name, number| vec![Field(name, number)];
        Self {
            tasks: at("get_tasks", 13),
            executors: at("get_executors", 12),
            frameworks: at("get_frameworks", 11),
            agents: at("get_agents", 10),
        }
    }

    /// Within the message at `path`, which is a state.
    fn within(path: &[Field]) -> Self {
        let at = |name, number| [path, &[Field(name, number)]].concat();
        Self {
            tasks: at("get_tasks", 1),
            executors: at("get_executors", 2),
            frameworks: at("get_frameworks", 3),
            agents: at("get_agents", 4),
        }
    }
}

/// Writes a whole response.
pub fn write<W: Write>(listing: Listing, view: &View, encoding: Encoding, out: W) -> io::Result<W> {
    let mut out = Lists::new(out, encoding)?;
    let places = Places::alone();
    let mut head = |kind: Type| out.fields(&[], &master::of(kind));
    match listing {
        Listing::State => {
            head(Type::GetState)?;
            state(&mut out, &[GET_STATE], view)?;
        }
        Listing::Agents => {
            head(Type::GetAgents)?;
            agents(&mut out, &places.agents, view)?;
        }
        Listing::Frameworks => {
            head(Type::GetFrameworks)?;
            frameworks(&mut out, &places.frameworks, view)?;
        }
        Listing::Executors => {
            head(Type::GetExecutors)?;
            executors(&mut out, &places.executors, view)?;
        }
        Listing::Operations => {
            head(Type::GetOperations)?;
            operations(&mut out, view)?;
        }
        Listing::Tasks => {
            head(Type::GetTasks)?;
            tasks(&mut out, &places.tasks, view)?;
        }
    }
    out.end()
}

/// All of it, in the message at `path`.
pub(super) fn state<W: Write>(out: &mut Lists<W>, path: &[Field], view: &View) -> io::Result<()> {
    let places = Places::within(path);
    tasks(out, &places.tasks, view)?;
    executors(out, &places.executors, view)?;
    frameworks(out, &places.frameworks, view)?;
    agents(out, &places.agents, view)
}

fn at(path: &[Field], name: &'static str, number: u32) -> Vec<Field> {
    [path, &[Field(name, number)]].concat()
}

fn tasks<W: Write>(out: &mut Lists<W>, path: &[Field], view: &View) -> io::Result<()> {
    let all = || view.tasks.values().flat_map(|tasks| tasks.values());
    let is_unreachable = |one: &&Arc<Task>| one.state == TaskState::Unreachable;
    some_tasks(out, &at(path, "tasks", 2), all().filter(|one| !is_unreachable(one)))?;
    some_tasks(out, &at(path, "unreachable_tasks", 5), all().filter(is_unreachable))?;
    let completed = view.completed.values().flatten();
    some_tasks(out, &at(path, "completed_tasks", 3), completed)
}

fn some_tasks<'a, W: Write>(
    out: &mut Lists<W>,
    path: &[Field],
    some: impl Iterator<Item = &'a Arc<Task>>,
) -> io::Result<()> {
    out.long_list(path, some.map(Arc::as_ref), task::task, direct::task)
}

fn executors<W: Write>(out: &mut Lists<W>, path: &[Field], view: &View) -> io::Result<()> {
    let all = sums::executors(view);
    out.list(&at(path, "executors", 1), all.map(|one| executor::executor(&one)))
}

fn frameworks<W: Write>(out: &mut Lists<W>, path: &[Field], view: &View) -> io::Result<()> {
    let (sums, nothing) = (sums::sums(view), Sum::default());
    let spell = |(id, seen): (&FrameworkId, &Arc<FrameworkView>)| {
        framework::framework(id, seen, sums.get(id).unwrap_or(&nothing))
    };
    out.list(&at(path, "frameworks", 1), view.frameworks.iter().map(spell))?;
    out.list(&at(path, "completed_frameworks", 2), view.completed_frameworks.iter().map(spell))
}

fn agents<W: Write>(out: &mut Lists<W>, path: &[Field], view: &View) -> io::Result<()> {
    let (offered, none) = (view.offered(), Resources::default());
    let registered = view.agents.iter().filter(|(_, seen)| is_registered(seen));
    let all = registered.map(|(id, seen)| agent::agent(id, seen, offered.get(id).unwrap_or(&none)));
    out.list(&at(path, "agents", 1), all)?;
    let recovered = view.agents.iter().filter(|(_, seen)| is_recovered(seen));
    out.list(&at(path, "recovered_agents", 2), recovered.map(|(id, seen)| agent::info(id, seen)))
}

fn operations<W: Write>(out: &mut Lists<W>, view: &View) -> io::Result<()> {
    let all = view.operations.iter();
    let all = all.map(|((agent, _), operated)| operation::operation(agent, operated));
    out.list(&at(&[GET_OPERATIONS], "operations", 1), all)
}
