//! Which task is meant: users type the beginning of an id, or a part of it.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;

/// So many candidates are named if a beginning is not unique.
const CANDIDATES_MAX: usize = 10;

/// The master's state, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct State {
    #[serde(default)]
    pub slaves: Vec<Agent>,
    #[serde(default)]
    pub frameworks: Vec<Framework>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Agent {
    pub id: String,
    pub hostname: String,
    #[serde(default)]
    pub domain: Domain,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Domain {
    #[serde(default)]
    pub fault_domain: FaultDomain,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct FaultDomain {
    #[serde(default)]
    pub region: Named,
    #[serde(default)]
    pub zone: Named,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Framework {
    name: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    tasks: Vec<Value>,
    #[serde(default)]
    completed_tasks: Vec<Value>,
}

/// A task with the framework it belongs to and the JSON it came as.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Task {
    pub id: String,
    pub name: String,
    pub state: String,
    pub slave_id: String,
    pub framework_id: String,
    #[serde(default)]
    pub executor_id: String,
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    statuses: Vec<Status>,
    #[serde(skip)]
    pub framework_name: String,
    #[serde(skip)]
    pub raw: Value,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Status {
    #[serde(default)]
    container_status: ContainerStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    container_id: Option<ContainerId>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ContainerId {
    pub value: String,
    #[serde(default)]
    pub parent: Option<Box<ContainerId>>,
}

impl ContainerId {
    fn spelled(&self) -> mesos_v1::ContainerId {
        let parent = self.parent.as_ref().map(|parent| Box::new(parent.spelled()));
        mesos_v1::ContainerId { value: self.value.clone(), parent }
    }
}

impl Task {
    fn latest_container(&self) -> Option<&ContainerId> {
        self.statuses.iter().rev().find_map(|one| one.container_status.container_id.as_ref())
    }

    /// The container that the task's processes are in, with the one that it lies in.
    pub(crate) fn container(&self) -> Option<mesos_v1::ContainerId> {
        self.latest_container().map(ContainerId::spelled)
    }

    /// The innermost's name.
    pub(crate) fn inner_container(&self) -> Option<&str> {
        self.latest_container().map(|id| id.value.as_str())
    }

    /// The container of its executor, if the task was launched in a group.
    pub(crate) fn outer_container(&self) -> Option<&str> {
        let mut id = self.latest_container()?.parent.as_ref()?;
        while let Some(parent) = &id.parent {
            id = parent;
        }
        Some(&id.value)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Active,
    Completed,
    All,
}

impl Which {
    pub(crate) fn of(all: bool, completed: bool) -> Self {
        match (all, completed) {
            (true, _) => Self::All,
            (false, true) => Self::Completed,
            (false, false) => Self::Active,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub which: Which,
    pub agent: Option<String>,
    /// Of the id.
    pub part: Option<String>,
}

impl Filter {
    pub(crate) fn part(which: Which, part: &str) -> Self {
        Self { which, agent: None, part: Some(part.to_owned()) }
    }

    fn admits(&self, task: &Task) -> bool {
        let part = self.part.as_ref().is_none_or(|part| task.id.contains(part.as_str()));
        part && self.agent.as_ref().is_none_or(|agent| task.slave_id == *agent)
    }

    /// What to say if there is none.
    pub(crate) fn nothing(&self) -> anyhow::Error {
        let part = self.part.as_ref().map(|part| format!(" whose id contains '{part}'"));
        let agent = self.agent.as_ref().map(|agent| format!(" on agent '{agent}'"));
        let (part, agent) = (part.unwrap_or_default(), agent.unwrap_or_default());
        let what = match self.which {
            Which::Active => "no task runs",
            Which::Completed => "no task is known to have ended",
            Which::All => "no task is known",
        };
        let hint = match self.which {
            Which::Active => "; those that have ended are shown with --completed",
            Which::Completed | Which::All => "",
        };
        Failure::Other(format!("{what}{part}{agent}{hint}")).into()
    }
}

pub(crate) async fn state(client: &Client) -> Result<State> {
    client.json(client.get("/mesos/state")).await
}

pub(crate) async fn tasks(client: &Client, filter: &Filter) -> Result<Vec<Task>> {
    tasks_of(state(client).await?.frameworks, filter)
}

pub(crate) fn tasks_of(frameworks: Vec<Framework>, filter: &Filter) -> Result<Vec<Task>> {
    let mut found = Vec::new();
    for framework in frameworks {
        let (active, completed) = (framework.tasks, framework.completed_tasks);
        let wanted = match filter.which {
            Which::Active => active,
            Which::Completed => completed,
            Which::All => [active, completed].concat(),
        };
        for raw in wanted {
            let mut task = Task::deserialize(&raw)?;
            if task.user.is_empty() {
                task.user.clone_from(&framework.user);
            }
            task.framework_name.clone_from(&framework.name);
            task.raw = raw;
            if filter.admits(&task) {
                found.push(task);
            }
        }
    }
    found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(found)
}

/// The one with this id, else the only one whose id begins so, else the only one whose id contains it.
pub(crate) fn one_of<'a, T>(
    all: &'a [T],
    wanted: &str,
    id: impl Fn(&T) -> &str,
) -> Result<&'a T, Failure> {
    if let Some(exact) = all.iter().find(|one| id(one) == wanted) {
        return Ok(exact);
    }
    let begin: Vec<&T> = all.iter().filter(|one| id(one).starts_with(wanted)).collect();
    let found = match begin.is_empty() {
        true => all.iter().filter(|one| id(one).contains(wanted)).collect(),
        false => begin,
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            Err(Failure::Other(format!("there is no task {wanted}; `dcos task list` shows them")))
        }
        several => {
            let names: Vec<&str> = several.iter().take(CANDIDATES_MAX).map(|one| id(one)).collect();
            let more = match several.len() - names.len() {
                0 => String::new(),
                more => format!("\n    and {more} more"),
            };
            Err(Failure::Other(format!(
                "{wanted} may be any of\n    {}{more}\nType more of the id.",
                names.join("\n    ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str, expected: Option<&str>) {
        let ids = ["web.1", "web.10", "web.2", "my-web.3"];
        assert_eq!(one_of(&ids, wanted, |id| id).ok().copied(), expected, "{wanted}");
    }

    #[test]
    fn a_task_is_found_by_what_is_unique_in_its_id() {
        check("web.1", Some("web.1"));
        check("web.10", Some("web.10"));
        check("web.2", Some("web.2"));
        check("my", Some("my-web.3"));
        check("b.3", Some("my-web.3"));
        check("web", None);
        check("db", None);
    }

    #[test]
    fn an_ambiguous_id_names_the_candidates() {
        let ids: Vec<String> = (0..12).map(|n| format!("web.{n:02}")).collect();
        let error = one_of(&ids, "web", |id| id).expect_err("there are twelve").to_string();
        assert!(error.contains("web.00\n") && error.contains("web.09\n"), "{error}");
        assert!(error.contains("and 2 more") && !error.contains("web.10"), "{error}");
    }

    #[test]
    fn a_nested_task_is_inside_and_its_sandbox_is_of_the_outermost_container() {
        let raw = serde_json::json!({"id": "t", "name": "t", "state": "TASK_RUNNING", "slave_id": "a",
            "framework_id": "f", "statuses": [{}, {"container_status": {"container_id":
            {"value": "inner", "parent": {"value": "outer"}}}}]});
        let task: Task = serde_json::from_value(raw).expect("a task");
        let outer = mesos_v1::ContainerId { value: "outer".to_owned(), parent: None };
        let parent = Some(Box::new(outer));
        let inner = mesos_v1::ContainerId { value: "inner".to_owned(), parent };
        assert_eq!(task.container(), Some(inner));
        assert_eq!(task.outer_container(), Some("outer"));
    }
}
