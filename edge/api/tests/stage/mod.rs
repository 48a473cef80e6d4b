//! A real engine on a store of its own, an agent that does as it is told, and the API in front.

#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use engine::{Engine, Handle};
use http_body_util::BodyExt;
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL};
use model::id::{Connection, TaskId, Uuid};
use model::task::{Source, Task, TaskState, TaskStatus};
use model::time::Time;
use serde_json::Value;
use store::Embedded;
use tempfile::TempDir;
use tower::ServiceExt;

/// Long enough for the slowest machine, short enough for a person.
const PATIENCE: Duration = Duration::from_secs(20);
const AGENT: Connection = Connection(1_000_000);

pub(crate) struct Stage {
    engine: Engine,
    pub(crate) marathon: Router,
    pub(crate) mesos: Router,
    seed: u64,
    _dir: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Of a log that nobody writes.
fn logging() -> Arc<api::logging::Logging> {
    api::logging::Logging::new(api::logging::Levels::new(), Box::new(|_| ()))
}

impl Stage {
    /// Without any agent.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = engine::Config {
            cluster: "c".to_owned(),
            kernel: kernel::Config::default(),
            services: services::Config::default(),
        };
        let engine = engine::start(Box::new(Embedded::open(dir.path())?), config.clone())?;
        let marathon = api::marathon::MarathonInfo {
            address: "127.60.0.1:8080".to_owned(),
            hostname: "127.60.0.1".to_owned(),
            http_port: 8080,
            mesos_master: "127.60.0.1:5050".to_owned(),
            config: config.services,
        };
        let mesos = wire::mesos::master::MasterInfo {
            ip: "127.60.0.1".to_owned(),
            port: 5050,
            hostname: "127.60.0.1".to_owned(),
            cluster: "test".to_owned(),
            started_at: Time(1_700_000_000_000),
            domain: None,
            flags: vec![("offer_timeout", "120secs".to_owned())],
        };
        Ok(Self {
            marathon: api::marathon::router(engine.handle(), marathon, logging()),
            mesos: api::mesos::router(engine.handle(), mesos, logging()),
            engine,
            seed: 0,
            _dir: dir,
        })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// An agent of 16 processors joins.
    pub(crate) async fn with_agent(mut self) -> anyhow::Result<Self> {
        let resources = "cpus:16;mem:16384;disk:16384;ports:[31000-32000]";
        let info = AgentInfo {
            hostname: "agent.test".to_owned(),
            ip: "127.60.0.2".to_owned(),
            port: 5051,
            resources: resources.parse()?,
            attributes: model::attributes::parse("rack:a;ssd:true")?,
            domain: None,
            version: "0.1.0".to_owned(),
            work_dir: "/var/lib/agent".to_owned(),
        };
        let message = FromAgent::Register {
            protocol: PROTOCOL,
            agent: None,
            info,
            tasks: Vec::new(),
            books: Books::default(),
        };
        self.says(message).await?;
        self.until("an agent", |view| !view.kernel.agents.is_empty()).await;
        Ok(self)
    }

    async fn says(&mut self, message: FromAgent) -> anyhow::Result<()> {
        self.seed += 1;
        let input = cluster::Input::Agent { connection: AGENT, message, seed: self.seed };
        Ok(self.handle().post(input).await?)
    }

    /// Waits until `count` tasks are there, and has the agent say that they are in `state`.
    pub(crate) async fn tasks_become(
        &mut self,
        count: usize,
        state: TaskState,
    ) -> anyhow::Result<()> {
        let tasks = |view: &cluster::View| -> Vec<Task> {
            let all = view.kernel.tasks.values().flat_map(|tasks| tasks.values());
            all.map(|task| task.as_ref().clone()).collect()
        };
        self.until("the tasks", |view| tasks(view).len() == count).await;
        for task in tasks(&self.handle().read()) {
            self.task_becomes(&task, state).await?;
        }
        let all_are = |view: &cluster::View| {
            let mut instances = view.services.tasks.values();
            state.is_terminal() || instances.all(|instance| instance.state == state)
        };
        self.until("the states", all_are).await;
        Ok(())
    }

    async fn task_becomes(&mut self, task: &Task, state: TaskState) -> anyhow::Result<()> {
        let status = TaskStatus {
            agent: Some(task.agent.clone()),
            message: Some("as told".to_owned()),
            uuid: Some(Uuid::derive(self.seed, 7)),
            ..TaskStatus::plain(task.id.clone(), state, Source::Executor, Time(1_700_000_001_000))
        };
        let framework = task.framework.clone();
        self.says(FromAgent::Update { framework, status, latest: state, place: None }).await
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&cluster::View) -> bool) {
        let waiting = async {
            while !holds(&self.handle().read()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        ask(&self.marathon, method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, Body::empty()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }

    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        self.handle().read().services.tasks.keys().cloned().collect()
    }
}

pub(crate) async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    body: impl Into<Body>,
) -> Answer {
    let request = Request::builder().method(method).uri(path).body(body.into()).expect("valid");
    send(router, request).await
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let answered = async {
        let response = router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answer { status: parts.status, headers: parts.headers, text }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time")
}
