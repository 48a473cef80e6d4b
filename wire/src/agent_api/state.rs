//! `/state`: the agent, its frameworks, their executors and tasks.
//!
//! A task has an executor of its own, named after it, as Mesos' command executor is, unless it was launched in a group.

use std::collections::{BTreeMap, BTreeSet};

use model::agent::AgentInfo;
use model::attributes::AttributeValue;
use model::container::Run;
use model::id::{AgentId, ContainerId, FrameworkId};
use model::resources::Resources;
use model::task::TaskState;
use model::time::Time;
use node::Held;
use serde_json::{Value, json};

use crate::mesos::master::{VERSION, seconds};
use crate::mesos::resource;
use crate::mesos::task::{self, SpelledTask};

/// What is told.
#[derive(Debug)]
pub struct AgentState<'a> {
    pub id: Option<&'a AgentId>,
    pub info: &'a AgentInfo,
    /// What was reserved while the cluster ran, and volumes.
    pub claims: &'a Resources,
    pub started_at: Time,
    pub flags: BTreeMap<String, String>,
    pub executors: Vec<Executor<'a>>,
}

/// One life of an executor.
#[derive(Debug, Clone)]
pub struct Executor<'a> {
    /// Its own, which is the task's unless it has a group.
    pub container: &'a ContainerId,
    /// The sandbox.
    pub directory: &'a str,
    /// At least one; in the order in which they are shown.
    pub tasks: Vec<(&'a Held, Life)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// The agent holds the task.
    Held,
    /// Its end is acknowledged.
    Completed,
}

impl<'a> Executor<'a> {
    /// What is the same for all of its tasks.
    fn any(&self) -> &'a Held {
        self.tasks.first().expect("an executor is shown for its tasks").0
    }

    fn life(&self) -> Life {
        match self.tasks.iter().any(|(_, life)| *life == Life::Held) {
            true => Life::Held,
            false => Life::Completed,
        }
    }
}

impl AgentState<'_> {
    pub fn json(&self) -> Value {
        let Self { info, executors, claims, .. } = self;
        let total = info.resources.with_claims(claims);
        let held = |executor: &&Executor<'_>| executor.life() == Life::Held;
        let active: BTreeSet<_> =
            executors.iter().filter(held).map(|executor| &executor.any().framework).collect();
        let all: BTreeSet<_> = executors.iter().map(|executor| &executor.any().framework).collect();
        let told = |ids: &BTreeSet<&FrameworkId>| -> Vec<_> {
            ids.iter().map(|id| self.framework(id)).collect()
        };
        let mut state = json!({
            "version": VERSION,
            "start_time": seconds(self.started_at),
            "id": self.id.map_or("", AgentId::as_str),
            "pid": format!("slave(1)@{}:{}", info.ip, info.port),
            "hostname": info.hostname,
            "resources": resource::sum(&total),
            "reserved_resources": resource::reserved(&total),
            "reserved_resources_full": resource::reserved_full(&total),
            "unreserved_resources": resource::sum(&total.unreserved()),
            "unreserved_resources_full": resource::full(&total.unreserved()),
            "attributes": attributes(info),
            "flags": self.flags,
            "frameworks": told(&active),
            "completed_frameworks": told(&all.difference(&active).copied().collect()),
        });
        if let Some(domain) = &info.domain {
            let (region, zone) = (&domain.region, &domain.zone);
            state["domain"] =
                json!({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}});
        }
        state
    }

    /// The agent knows no more of a framework than its id.
    fn framework(&self, id: &FrameworkId) -> Value {
        let told = |life: Life| -> Vec<_> {
            let of = self.executors.iter().filter(|executor| executor.any().framework == *id);
            of.filter(|executor| executor.life() == life).map(executor).collect()
        };
        json!({
            "id": id.as_str(),
            "name": "",
            "user": "",
            "failover_timeout": 0.0,
            "checkpoint": true,
            "hostname": "",
            "executors": told(Life::Held),
            "completed_executors": told(Life::Completed),
        })
    }
}

fn executor(executor: &Executor<'_>) -> Value {
    let any = executor.any();
    let of = |wanted: fn(&Held) -> bool| -> Vec<Value> {
        let tasks = executor.tasks.iter().map(|(held, _)| *held);
        tasks.filter(|held| wanted(held)).map(task).collect()
    };
    let mut spelled = json!({
        "id": any.executor().as_str(),
        "name": executor_name(any),
        "source": source(any),
        "container": executor.container.as_str(),
        "directory": executor.directory,
        "resources": resource::sum(&resources(executor)),
        "role": any.info.role.as_str(),
        "tasks": of(|held| !held.is_ended() && held.state() != TaskState::Staging),
        "queued_tasks": of(|held| held.state() == TaskState::Staging),
        "completed_tasks": of(Held::is_ended),
    });
    if any.group.is_some() {
        spelled["type"] = json!("DEFAULT");
    }
    spelled
}

/// Its own, and those of its tasks; of the last one, if none lives any more.
fn resources(executor: &Executor<'_>) -> Resources {
    let any = executor.any();
    let Some(group) = &any.group else { return any.info.resources.clone() };
    let mut sum = group.executor.resources.clone();
    let tasks = executor.tasks.iter().map(|(held, _)| *held);
    tasks.filter(|held| !held.is_ended()).for_each(|held| sum.add(&held.info.resources));
    sum
}

/// Older programs know a task by it.
pub fn source(held: &Held) -> &str {
    if held.group.is_some() { "" } else { held.info.id.as_str() }
}

/// As Mesos names the executor of a command; that of a group has no name.
pub fn executor_name(held: &Held) -> String {
    if held.group.is_some() {
        return String::new();
    }
    let id = &held.info.id;
    let command = match &held.info.command.run {
        Run::Shell(text) => format!("sh -c '{text}'"),
        Run::Exec(argv) => argv.join(" "),
        Run::Image(_) => return format!("Command Executor (Task: {id}) (Command: NO EXECUTABLE)"),
    };
    format!("Command Executor (Task: {id}) (Command: {command})")
}

/// As the master tells it; but here the executor has a name.
fn task(held: &Held) -> Value {
    let (told, executor) = (held.told().task, held.executor());
    let task = SpelledTask { executor_id: executor.as_str(), ..task::task(&told) };
    serde_json::to_value(task).expect("plain values have a JSON spelling")
}

fn attributes(info: &AgentInfo) -> Value {
    let all = info.attributes.iter().map(|attribute| {
        let value = match &attribute.value {
            AttributeValue::Scalar(scalar) => scalar.as_f64().into(),
            AttributeValue::Text(_) | AttributeValue::Ranges(_) | AttributeValue::Set(_) => {
                attribute.value.to_string().into()
            }
        };
        (attribute.name.clone(), value)
    });
    Value::Object(all.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::agent::TellKilling;
    use model::container::CommandInfo;
    use model::id::{ExecutorId, Role, TaskId, Uuid};
    use model::limits::Limits;
    use model::task::{ExecutorInfo, Source, TaskInfo, TaskStatus};
    use node::Group;

    use super::*;

    fn held() -> Held {
        let info = TaskInfo {
            completes_within: None,
            measured: false,
            limits: Limits::default(),
            check: None,
            readiness: None,
            given: None,
            id: TaskId::new("t"),
            name: "web".to_owned(),
            agent: AgentId::new("S0"),
            resources: "cpus:0.5;mem:64".parse().expect("well formed"),
            role: Role::star(),
            command: CommandInfo {
                run: Run::Shell("sleep 1".to_owned()),
                environment: vec![],
                uris: vec![],
                user: None,
            },
            container: None,
            health_checks: vec![],
            kill_grace: None,
            labels: vec![],
            discovery: None,
        };
        let status = TaskStatus {
            task: info.id.clone(),
            state: TaskState::Running,
            agent: Some(info.agent.clone()),
            source: Source::Executor,
            reason: None,
            message: None,
            at: Time(1_500),
            uuid: None,
            healthy: None,
            container: None,
            executor: None,
            wait_status: None,
            check: None,
            ready: None,
            given: None,
        };
        Held {
            seen: vec![],
            complete_by: None,
            framework: FrameworkId::new("f"),
            info: Arc::new(info),
            accepted_at: Time(1_000),
            pending: vec![],
            latest: Some(status),
            killed: None,
            abandoned: false,
            killing: TellKilling::No,
            group: None,
        }
    }

    fn told(life: Life) -> Value {
        told_of(&[(held(), life)])
    }

    fn told_of(tasks: &[(Held, Life)]) -> Value {
        let info = AgentInfo {
            hostname: "h".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 5051,
            resources: "cpus:4;mem:1024;ports:[31000-32000]".parse().expect("well formed"),
            attributes: model::attributes::parse("rack:a;level:3.5").expect("well formed"),
            domain: None,
            version: "0.1.0".to_owned(),
            work_dir: "/d".to_owned(),
        };
        let container = ContainerId::new("c");
        let tasks = tasks.iter().map(|(held, life)| (held, *life)).collect();
        let executor = Executor { container: &container, directory: "/d/c", tasks };
        AgentState {
            id: Some(&AgentId::new("S0")),
            info: &info,
            claims: &Resources::default(),
            started_at: Time(1_000),
            flags: BTreeMap::new(),
            executors: vec![executor],
        }
        .json()
    }

    #[test]
    fn the_state_has_mesos_words() {
        let state = told(Life::Held);
        assert_eq!(state["pid"], "slave(1)@127.0.0.1:5051");
        assert_eq!(state["attributes"], json!({"rack": "a", "level": 3.5}));
        assert_eq!(state["resources"]["ports"], "[31000-32000]");
        let executor = &state["frameworks"][0]["executors"][0];
        assert_eq!(executor["directory"], "/d/c");
        assert_eq!(executor["name"], "Command Executor (Task: t) (Command: sh -c 'sleep 1')");
        assert_eq!(executor["tasks"][0]["state"], "TASK_RUNNING");
        assert_eq!(executor["tasks"][0]["executor_id"], "t");
        assert_eq!(state["completed_frameworks"], json!([]));
    }

    #[test]
    fn a_group_has_one_executor() {
        let executor = ExecutorInfo {
            program: None,
            id: ExecutorId::new("pod"),
            resources: "cpus:0.1;mem:32".parse().expect("well formed"),
            labels: vec![],
        };
        let (container, launch) = (ContainerId::new("c"), Uuid::derive(1, 1));
        let together = model::executor::Together::Yes;
        let group = Group { executor: Arc::new(executor), container, launch, together };
        let grouped = Held { group: Some(group), ..held() };
        let ended =
            TaskStatus { state: TaskState::Finished, ..grouped.latest.clone().expect("told") };
        let done = Held { latest: Some(ended), ..grouped.clone() };
        let state = told_of(&[(grouped, Life::Held), (done, Life::Completed)]);
        let executor = &state["frameworks"][0]["executors"][0];
        assert_eq!(executor["id"], "pod");
        assert_eq!(executor["type"], "DEFAULT");
        assert_eq!(executor["name"], "");
        assert_eq!(executor["resources"]["cpus"], 0.6);
        assert_eq!(executor["tasks"][0]["executor_id"], "pod");
        assert_eq!(executor["completed_tasks"][0]["state"], "TASK_FINISHED");
    }

    #[test]
    fn a_framework_without_tasks_is_completed() {
        let state = told(Life::Completed);
        assert_eq!(state["frameworks"], json!([]));
        let executors = &state["completed_frameworks"][0]["completed_executors"];
        assert_eq!(executors[0]["container"], "c");
    }
}
