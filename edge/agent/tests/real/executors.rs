//! Executors that are programs of their frameworks: one that speaks the API over HTTP, in JSON.

use std::sync::Arc;
use std::time::Duration;

use mesos_v1::codec::Encoding;
use model::agent::{FromAgent, RunIn, TellKilling, ToAgent};
use model::container::CommandInfo;
use model::executor::{Given, Program, Together};
use model::framework::FrameworkInfo;
use model::id::{ExecutorId, Role, TaskId};
use model::task::{ExecutorInfo, Reason, TaskInfo, TaskState};
use serde_json::{Value, json};

use crate::world::{World, framework, shell};

/// Subscribes until it is told to end, and says again what nobody has acknowledged.
const EXECUTOR: &str = r#"exec python3 -c '
import base64, http.client, json, os, socket, sys, time, uuid
json.dump(dict(os.environ), open("environment", "w"))
host, port = os.environ["MESOS_AGENT_ENDPOINT"].split(":")
own = {"framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
       "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]}}
tasks, updates = {}, {}
headers = {"Content-Type": "application/json", "Accept": "application/json"}
if "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" in os.environ:
    headers["Authorization"] = "Bearer " + os.environ["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
def post(call):
    connection = http.client.HTTPConnection(host, int(port))
    if "MESOS_DOMAIN_SOCKET" in os.environ:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(os.environ["MESOS_DOMAIN_SOCKET"])
    connection.request("POST", "/api/v1/executor", json.dumps({**own, **call}), headers)
    return connection.getresponse()
def update(task, state):
    one = uuid.uuid4().bytes
    status = {"task_id": {"value": task}, "state": state, "source": "SOURCE_EXECUTOR",
        "uuid": base64.b64encode(one).decode(), "data": base64.b64encode(b"said").decode()}
    updates[status["uuid"]] = {"status": status}
    answer = post({"type": "UPDATE", "update": {"status": status}})
    assert answer.status == 202, answer.read()
def hear(event):
    kind = event["type"]
    if kind == "LAUNCH":
        task = event["launch"]["task"]
        tasks[task["task_id"]["value"]] = task
        update(task["task_id"]["value"], "TASK_RUNNING")
    elif kind == "KILL":
        update(event["kill"]["task_id"]["value"], "TASK_KILLED")
    elif kind == "ACKNOWLEDGED":
        updates.pop(event["acknowledged"]["uuid"], None)
        tasks.pop(event["acknowledged"]["task_id"]["value"], None)
    elif kind == "MESSAGE":
        post({"type": "MESSAGE", "message": {"data": event["message"]["data"]}})
    elif kind == "SHUTDOWN":
        sys.exit(0)
while True:
    try:
        stream = post({"type": "SUBSCRIBE", "subscribe": {
            "unacknowledged_tasks": list(tasks.values()),
            "unacknowledged_updates": list(updates.values())}})
        assert stream.status == 200, stream.read()
        while True:
            length = stream.readline()
            if not length:
                break
            hear(json.loads(stream.read(int(length))))
    except (OSError, http.client.HTTPException) as cause:
        print(cause, file=sys.stderr)
    time.sleep(0.1)
'"#;

fn executor(id: &str, command: &str) -> ExecutorInfo {
    let command = CommandInfo::shell(command);
    let described = mesos_v1::ExecutorInfo {
        executor_id: mesos_v1::ExecutorId { value: id.to_owned() },
        ..Default::default()
    };
    let given = Given(Encoding::Protobuf.encode(&described).into());
    let program = Program { command, container: None, shutdown_grace: None, given };
    ExecutorInfo {
        program: Some(Arc::new(program)),
        ..ExecutorInfo::plain(ExecutorId::new(id), "cpus:0.1;mem:64".parse().expect("well formed"))
    }
}

fn task(id: &str) -> TaskInfo {
    let described = mesos_v1::TaskInfo {
        name: id.to_owned(),
        task_id: mesos_v1::TaskId { value: id.to_owned() },
        agent_id: mesos_v1::AgentId { value: "S0".to_owned() },
        ..Default::default()
    };
    let given = Some(Given(Encoding::Protobuf.encode(&described).into()));
    TaskInfo { given, ..shell(id, "") }
}

async fn run(world: &World, command: &str, ids: &[&str]) {
    run_in(world, "e", command, ids).await;
}

async fn run_in(world: &World, id: &str, command: &str, ids: &[&str]) {
    let framework = FrameworkInfo {
        id: Some(framework()),
        name: "f".to_owned(),
        user: "root".to_owned(),
        roles: vec![Role::star()],
        failover_timeout: Duration::ZERO,
        checkpoint: true,
        hostname: "h".to_owned(),
        principal: None,
        webui_url: None,
        capabilities: vec![],
        labels: vec![],
        offer_minima: Default::default(),
    };
    let (executor, tasks) = (executor(id, command), ids.iter().map(|id| task(id)).collect());
    let (together, killing) = (Together::No, TellKilling::No);
    let run = RunIn { framework, executor, tasks, together, killing };
    world.master.say(ToAgent::RunIn(Box::new(run))).await;
}

pub(crate) async fn an_executor_of_a_framework_runs_its_tasks_and_outlives_its_agent() {
    let mut world = World::open().await;
    run(&world, EXECUTOR, &["a"]).await;
    let running = world.expect(TaskState::Running).await;
    assert_eq!(running.executor, Some(ExecutorId::new("e")));
    let pid = running.container.expect("it runs in the executor's").pid;
    assert!(running.given.is_some_and(|given| given.0.windows(4).any(|part| part == b"said")));

    let held = {
        world.stop().await;
        world.start().await
    };
    assert_eq!(held[0].task.state, TaskState::Running);
    run(&world, EXECUTOR, &["b"]).await;
    let second = world.expect(TaskState::Running).await;
    assert_eq!(second.container.expect("it runs in the same").pid, pid);

    for id in ["a", "b"] {
        let (task, grace) = (TaskId::new(id), None);
        world
            .master
            .say(ToAgent::Kill { framework: framework(), task, grace, grace_max: None })
            .await;
        let killed = world.expect(TaskState::Killed).await;
        assert_eq!(killed.task, TaskId::new(id));
    }
    let (framework, executor) = (framework(), ExecutorId::new("e"));
    world.master.say(ToAgent::ShutdownExecutor { framework, executor }).await;
    let ended = world
        .hear(|message| {
            let FromAgent::ExecutorEnded { wait_status, .. } = message else { return None };
            Some(wait_status)
        })
        .await;
    assert_eq!(ended, Some(0));
    world.close().await;
}

pub(crate) async fn an_executor_that_dies_takes_its_tasks_with_it() {
    let mut world = World::open().await;
    run(&world, EXECUTOR, &["a"]).await;
    let running = world.expect(TaskState::Running).await;
    let pid = running.container.and_then(|container| container.pid).expect("it runs");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    let failed = world.expect(TaskState::Failed).await;
    assert_eq!(failed.reason, Some(Reason::ExecutorTerminated));
    world.close().await;
}

pub(crate) async fn messages_reach_an_executor_and_come_back() {
    let mut world = World::open().await;
    run(&world, EXECUTOR, &["a"]).await;
    world.expect(TaskState::Running).await;
    let (framework, executor) = (framework(), ExecutorId::new("e"));
    let data = Given(Arc::from(*b"hello"));
    world.master.say(ToAgent::Message { framework, executor, data: data.clone() }).await;
    let heard = world
        .hear(|message| {
            let FromAgent::Message { data, .. } = message else { return None };
            Some(data)
        })
        .await;
    assert_eq!(heard, data);
    world.close().await;
}

/// What the executor has found in its environment.
fn variable(world: &World, executor: &str, name: &str) -> String {
    let all =
        std::fs::read_to_string(world.sandbox(executor).join("environment")).expect("written");
    let all: Value = serde_json::from_str(&all).expect("JSON");
    all[name].as_str().expect(name).to_owned()
}

async fn call(world: &World, path: &str, token: Option<&str>, call: &Value) -> (u16, String) {
    let request = reqwest::Client::new().post(world.url(path));
    let request = request.header("content-type", "application/json").body(call.to_string());
    let request = token.map_or(request.try_clone(), |token| Some(request.bearer_auth(token)));
    let answer = request.expect("it can be sent").send().await.expect("an answer");
    let status = answer.status().as_u16();
    let realm = answer.headers().get("www-authenticate").cloned();
    let realm = realm.map(|realm| realm.to_str().expect("text").to_owned());
    (status, realm.unwrap_or_default())
}

pub(crate) async fn an_executor_reaches_its_agent_by_a_socket_and_proves_who_it_is() {
    let mut world = World::prepare().await;
    let socket = world.path().join("door/agent.sock");
    let key = agent::Key::own(&world.path().join("key")).expect("made");
    world.config.door = agent::Door { socket: Some(socket.clone()), key: Some(key) };
    world.start().await;
    run(&world, EXECUTOR, &["a"]).await;
    world.expect(TaskState::Running).await;
    assert_eq!(variable(&world, "e", "MESOS_DOMAIN_SOCKET"), socket.display().to_string());
    // A new socket in the place of the old one.
    world.stop().await;
    assert!(!socket.exists());
    world.start().await;
    run(&world, EXECUTOR, &["b"]).await;
    assert_eq!(world.expect(TaskState::Running).await.task, TaskId::new("b"));

    let token = variable(&world, "e", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN");
    let own = variable(&world, "e", "MESOS_CONTAINER_ID");
    run_in(&world, "other", EXECUTOR, &["c"]).await;
    assert_eq!(world.expect(TaskState::Running).await.task, TaskId::new("c"));
    let others = variable(&world, "other", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN");
    let beat =
        json!({"type": "HEARTBEAT", "framework_id": {"value": "f"}, "executor_id": {"value": "e"}});
    let nested = |parent: &str| {
        let id = json!({"value": "nested", "parent": {"value": parent}});
        let launch = json!({"container_id": id, "command": {"value": "sleep 1000"}});
        json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": launch})
    };
    let realm = r#"Bearer realm="mesos-agent-executor""#;
    let executor = "/api/v1/executor";
    for (path, token, said, status, challenge) in [
        (executor, Some(token.as_str()), &beat, 202, ""),
        (executor, Some(&others), &beat, 403, ""),
        (executor, None, &beat, 401, realm),
        (executor, Some("a.b.c"), &beat, 401, realm),
        ("/api/v1", Some(&token), &nested(&own), 200, ""),
        ("/api/v1", Some(&token), &nested("other"), 403, ""),
        ("/api/v1", Some(&others), &nested(&own), 403, ""),
        ("/api/v1", Some(&token), &json!({"type": "GET_STATE"}), 403, ""),
        ("/api/v1", Some("a.b.c"), &nested(&own), 401, realm),
        ("/api/v1", None, &json!({"type": "GET_STATE"}), 200, ""),
    ] {
        let answer = call(&world, path, token, said).await;
        assert_eq!(answer, (status, challenge.to_owned()), "{path} {token:?} {said}");
    }
    world.close().await;
}
