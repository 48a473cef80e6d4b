//! `/state`: the agent, its frameworks, their executors and tasks.
//!
//! A task has an executor of its own, named after it, as Mesos' command executor is, unless it was launched in a group.

use std::collections::{BTreeMap, BTreeSet};

use model::agent::AgentInfo;
use model::attributes::AttributeValue;
use model::container::Run;
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, ContainerId, FrameworkId, Role};
use model::resources::Resources;
use model::task::{ExecutorInfo, TaskState};
use model::time::Time;
use node::Held;
use serde_json::{Value, json};

use crate::mesos::agent::CAPABILITIES;
use crate::mesos::command::command;
use crate::mesos::master::{EXTERNAL_LOG_FILE, VERSION, seconds};
use crate::mesos::operator::executor::{self, described};
use crate::mesos::resource;
use crate::mesos::task::{self, SpelledTask, labels};

/// What is told.
#[derive(Debug)]
pub struct AgentState<'a> {
    pub id: Option<&'a AgentId>,
    pub info: &'a AgentInfo,
    /// What was reserved while the cluster ran, and volumes.
    pub claims: &'a Resources,
    /// By resource providers.
    pub brought: Resources,
    pub started_at: Time,
    /// Where its master is.
    pub master: &'a str,
    pub flags: BTreeMap<String, String>,
    pub executors: Vec<Executor<'a>>,
    pub frameworks: Known<'a>,
    pub providers: Vec<Value>,
}

/// What masters have said of frameworks, those among them that have nothing here any more.
pub type Known<'a> = BTreeMap<&'a FrameworkId, &'a FrameworkInfo>;

/// One life of an executor.
#[derive(Debug, Clone)]
pub struct Executor<'a> {
    /// Its own, which is the task's unless it has a group.
    pub container: &'a ContainerId,
    /// The sandbox.
    pub directory: &'a str,
    /// Set if it is its framework's own program and has not ended.
    pub program: Option<&'a node::Executor>,
    /// At least one unless it is a program; in the order in which they are shown.
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
    /// Any of its tasks, for what is the same for all of them.
    fn any(&self) -> &'a Held {
        self.tasks.first().expect("all but programs are shown for their tasks").0
    }

    fn framework(&self) -> &'a FrameworkId {
        self.program.map_or_else(|| &self.any().framework, node::Executor::framework)
    }

    /// Unset if it runs a task by itself.
    fn info(&self) -> Option<&'a ExecutorInfo> {
        let own = self.program.map(|program| &program.info);
        let shared = || self.any().group.as_ref().map(|group| &group.executor);
        own.or_else(shared).map(|info| info.as_ref())
    }

    fn role(&self) -> &'a Role {
        self.program.map_or_else(|| &self.any().info.role, |program| &program.role)
    }

    fn life(&self) -> Life {
        let held = || self.tasks.iter().any(|(_, life)| *life == Life::Held);
        match self.program.is_some() || held() {
            true => Life::Held,
            false => Life::Completed,
        }
    }
}

impl AgentState<'_> {
    pub fn json(&self) -> Value {
        let Self { info, executors, claims, brought, .. } = self;
        let mut total = info.resources.with_claims(claims);
        total.add(brought);
        let held = |executor: &&Executor<'_>| executor.life() == Life::Held;
        let mut allocated = Resources::default();
        executors.iter().filter(held).for_each(|one| allocated.add(&resources(one)));
        let active: BTreeSet<_> = executors.iter().filter(held).map(Executor::framework).collect();
        let all: BTreeSet<_> = executors.iter().map(Executor::framework).collect();
        let told = |ids: &BTreeSet<&FrameworkId>| -> Vec<_> {
            ids.iter().map(|id| self.framework(id)).collect()
        };
        let mut state = json!({
            "version": VERSION,
            "build_date": "",
            "build_time": 0.0,
            "build_user": "",
            "start_time": seconds(self.started_at),
            "id": self.id.map_or("", AgentId::as_str),
            "pid": format!("slave(1)@{}:{}", info.ip, info.port),
            "hostname": info.hostname,
            "master_hostname": self.master,
            "capabilities": CAPABILITIES,
            "resources": resource::sum(&total),
            "reserved_resources": resource::reserved(&total),
            "reserved_resources_full": resource::reserved_full(&total),
            "unreserved_resources": resource::sum(&total.unreserved()),
            "unreserved_resources_full": resource::full(&total.unreserved()),
            "reserved_resources_allocated": resource::reserved(&allocated),
            "unreserved_resources_allocated": resource::sum(&allocated.unreserved()),
            "resource_providers": self.providers,
            "attributes": attributes(info),
            "flags": self.flags,
            "frameworks": told(&active),
            "completed_frameworks": told(&all.difference(&active).copied().collect()),
        });
        if let Some(file) = self.flags.get(EXTERNAL_LOG_FILE) {
            state[EXTERNAL_LOG_FILE] = json!(file);
        }
        if let Some(domain) = &info.domain {
            let (region, zone) = (&domain.region, &domain.zone);
            state["domain"] =
                json!({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}});
        }
        state
    }

    /// Of a framework of which only an earlier release was told the agent knows no more than the id.
    fn framework(&self, id: &FrameworkId) -> Value {
        let of: Vec<_> =
            self.executors.iter().filter(|executor| executor.framework() == id).collect();
        let told = |life: Life| -> Vec<_> {
            of.iter().filter(|one| one.life() == life).map(|one| executor(one)).collect()
        };
        let program = of.iter().find_map(|one| one.program);
        let info = self.frameworks.get(id).copied();
        let info = info.or_else(|| Some(program?.framework.as_ref()));
        let mut spelled = json!({
            "id": id.as_str(),
            "name": info.map_or("", |info| &info.name),
            "user": info.map_or("", |info| &info.user),
            "failover_timeout": info.map_or(0.0, |info| info.failover_timeout.as_secs_f64()),
            "checkpoint": info.is_none_or(|info| info.checkpoint),
            "hostname": info.map_or("", |info| &info.hostname),
            "executors": told(Life::Held),
            "completed_executors": told(Life::Completed),
        });
        if let Some(principal) = info.and_then(|info| info.principal.as_deref()) {
            spelled["principal"] = principal.into();
        }
        if let Some(info) = info {
            let mut roles = info.roles.iter().map(Role::as_str);
            match info.can(Capability::MultiRole) {
                true => spelled["roles"] = roles.collect(),
                false => spelled["role"] = roles.next().unwrap_or("*").into(),
            }
        }
        spelled
    }
}

fn executor(executor: &Executor<'_>) -> Value {
    let of = |wanted: fn(&Held) -> bool, spell: fn(&Held) -> Value| -> Vec<Value> {
        let tasks = executor.tasks.iter().map(|(held, _)| *held);
        tasks.filter(|held| wanted(held)).map(spell).collect()
    };
    let info = executor.info();
    let id = info.map_or_else(|| executor.any().executor().to_string(), |info| info.id.to_string());
    let mut spelled = json!({
        "id": id,
        "name": info.map_or_else(|| executor_name(executor.any()), name),
        "source": info.map_or_else(|| source(executor.any()), executor::source),
        "container": executor.container.as_str(),
        "directory": executor.directory,
        "resources": resource::sum(&resources(executor)),
        "role": executor.role().as_str(),
        "tasks": of(|held| !held.is_ended() && held.state() != TaskState::Staging, task),
        "queued_tasks": of(|held| held.state() == TaskState::Staging, queued),
        "completed_tasks": of(Held::is_ended, task),
    });
    if let Some(info) = info {
        spelled["type"] = json!(if info.program.is_some() { "CUSTOM" } else { "DEFAULT" });
        spelled["labels"] = json!(labels(&info.labels));
    }
    spelled
}

/// Its own, and those of its tasks; of the last one, if none lives any more.
fn resources(executor: &Executor<'_>) -> Resources {
    let Some(info) = executor.info() else { return executor.any().info.resources.clone() };
    let mut sum = info.resources.clone();
    let tasks = executor.tasks.iter().map(|(held, _)| *held);
    tasks.filter(|held| !held.is_ended()).for_each(|held| sum.add(&held.info.resources));
    sum
}

/// Older programs know a task by it.
pub fn source(held: &Held) -> String {
    let shared = held.group.as_ref().map(|group| executor::source(&group.executor));
    shared.unwrap_or_else(|| held.info.id.to_string())
}

/// As its framework says it.
pub fn named_source(info: &ExecutorInfo) -> String {
    executor::source(info)
}

/// As its framework says it.
pub fn name(info: &ExecutorInfo) -> String {
    described(info).name.unwrap_or_default()
}

/// As its framework names it that of a group, as Mesos does that of a command.
pub fn executor_name(held: &Held) -> String {
    if let Some(group) = &held.group {
        return name(&group.executor);
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

/// What it will run is told only of a task that does not run yet.
fn queued(held: &Held) -> Value {
    let mut spelled = task(held);
    spelled["command"] = command(&held.info.command);
    spelled
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
    use model::executor::Given;
    use model::id::{ExecutorId, TaskId, Uuid};
    use model::task::{Source, TaskInfo, TaskStatus};
    use node::Group;

    use super::*;

    fn held() -> Held {
        let info = TaskInfo {
            name: "web".to_owned(),
            ..TaskInfo::plain(
                TaskId::new("t"),
                AgentId::new("S0"),
                Role::star(),
                "cpus:0.5;mem:64".parse().expect("well formed"),
                CommandInfo::shell("sleep 1"),
            )
        };
        let status = TaskStatus {
            agent: Some(info.agent.clone()),
            ..TaskStatus::plain(info.id.clone(), TaskState::Running, Source::Executor, Time(1_500))
        };
        Held {
            seen: vec![],
            complete_by: None,
            acknowledged: 0,
            earlier: Vec::new(),
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
        let container = ContainerId::new("c");
        let tasks = tasks.iter().map(|(held, life)| (held, *life)).collect();
        of(vec![Executor { container: &container, directory: "/d/c", program: None, tasks }])
    }

    fn of(executors: Vec<Executor<'_>>) -> Value {
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
        AgentState {
            id: Some(&AgentId::new("S0")),
            info: &info,
            claims: &Resources::default(),
            brought: Resources::default(),
            started_at: Time(1_000),
            master: "m.example",
            flags: BTreeMap::new(),
            executors,
            frameworks: BTreeMap::new(),
            providers: vec![],
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
        assert_eq!(state["unreserved_resources_allocated"]["cpus"], 0.5);
        assert_eq!(state["reserved_resources_allocated"], json!({}));
        assert_eq!(state["master_hostname"], "m.example");
    }

    #[test]
    fn a_task_that_waits_tells_what_it_will_run() {
        let waits = Held { latest: None, ..held() };
        let state = told_of(&[(waits, Life::Held)]);
        let executor = &state["frameworks"][0]["executors"][0];
        assert_eq!(executor["queued_tasks"][0]["command"]["value"], "sleep 1", "{executor}");
        assert_eq!(executor["tasks"], json!([]));
    }

    #[test]
    #[expect(deprecated, reason = "of older programs")]
    fn a_group_has_one_executor() {
        let described = mesos_v1::ExecutorInfo {
            name: Some("a pod".to_owned()),
            source: Some("a test".to_owned()),
            ..mesos_v1::ExecutorInfo::default()
        };
        let given = mesos_v1::codec::Encoding::Protobuf.encode(&described);
        let executor = ExecutorInfo {
            given: Some(Given(given.into())),
            ..ExecutorInfo::plain(
                ExecutorId::new("pod"),
                "cpus:0.1;mem:32".parse().expect("well formed"),
            )
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
        assert_eq!(executor["name"], "a pod");
        assert_eq!(executor["source"], "a test");
        assert_eq!(executor["resources"]["cpus"], 0.6);
        assert_eq!(executor["tasks"][0]["executor_id"], "pod");
        assert_eq!(executor["completed_tasks"][0]["state"], "TASK_FINISHED");
    }

    #[test]
    fn a_program_is_shown_without_tasks() {
        let framework = model::framework::FrameworkInfo {
            id: Some(FrameworkId::new("f")),
            name: "kafka".to_owned(),
            user: "root".to_owned(),
            roles: vec![Role::star()],
            failover_timeout: std::time::Duration::ZERO,
            checkpoint: true,
            hostname: "h".to_owned(),
            principal: Some("ops".to_owned()),
            webui_url: None,
            capabilities: vec![],
            labels: vec![],
            offer_minima: BTreeMap::new(),
        };
        let described = mesos_v1::ExecutorInfo {
            name: Some("broker".to_owned()),
            ..mesos_v1::ExecutorInfo::default()
        };
        let given = mesos_v1::codec::Encoding::Protobuf.encode(&described);
        let program = model::executor::Program {
            command: held().info.command.clone(),
            container: None,
            shutdown_grace: None,
            given: Given(given.into()),
        };
        let info = ExecutorInfo {
            program: Some(Arc::new(program)),
            ..ExecutorInfo::plain(
                ExecutorId::new("e"),
                "cpus:0.1;mem:32".parse().expect("well formed"),
            )
        };
        let executor = node::Executor {
            framework: Arc::new(framework),
            info: Arc::new(info),
            agent: AgentId::new("S0"),
            role: Role::star(),
            accepted_at: Time(1_000),
            running: None,
            subscribed: true,
            ending: None,
        };
        let container = ContainerId::new("c");
        let shown = Executor {
            container: &container,
            directory: "/d/c",
            program: Some(&executor),
            tasks: vec![],
        };
        let state = of(vec![shown]);
        let framework = &state["frameworks"][0];
        assert_eq!((&framework["name"], &framework["role"]), (&json!("kafka"), &json!("*")));
        assert_eq!(framework["principal"], "ops");
        let executor = &state["frameworks"][0]["executors"][0];
        assert_eq!(executor["name"], "broker");
        assert_eq!(executor["type"], "CUSTOM");
        assert_eq!(executor["resources"]["cpus"], 0.1);
        assert_eq!(executor["tasks"], json!([]));
    }

    #[test]
    fn a_framework_without_tasks_is_completed() {
        let state = told(Life::Completed);
        assert_eq!(state["frameworks"], json!([]));
        let executors = &state["completed_frameworks"][0]["completed_executors"];
        assert_eq!(executors[0]["container"], "c");
    }
}
