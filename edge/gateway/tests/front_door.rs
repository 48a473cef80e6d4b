//! The front door as clients meet it: a real listener, a real engine, and a fake agent and service behind it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Redirect;
use axum::routing::{any, get};
use axum::{Json, Router};
use cluster::Input;
use engine::{Engine, Handle};
use gateway::GatewayConfig;
use http::{Method, StatusCode};
use model::agent::{AgentInfo, Books, FromAgent, PROTOCOL};
use model::id::{Connection, Role, Uuid};
use model::task::{Source, Task, TaskState, TaskStatus};
use model::time::Time;
use serde_json::{Value, json};
use services::{Change, Order};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::marathon::{judge, reading};

const PATIENCE: Duration = Duration::from_secs(20);
const AGENT: Connection = Connection(7);

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.70.0.1:0").await.expect("an address on loopback");
    let address = listener.local_addr().expect("bound");
    // Ends with the test's runtime.
    tokio::spawn(axum::serve(listener, router.into_make_service()).into_future());
    address
}

/// Tells what it was asked, redirects, and echoes on a WebSocket.
fn upstream() -> Router {
    let told = |request: Request| async move {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        Json(json!({
            "path": request.uri().to_string(),
            "connection": header("connection"),
            "x-secret": header("x-secret"),
            "proto": header("x-forwarded-proto"),
        }))
    };
    Router::new()
        .route("/redirect", get(|| async { Redirect::to("/elsewhere?a=1") }))
        .route("/ws", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/upload", any(|body: axum::body::Bytes| async move { body.len().to_string() }))
        .fallback(told)
        .layer(DefaultBodyLimit::disable())
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let done = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        };
        if done.is_err() {
            return;
        }
    }
}

/// Stands for the API's routers: tells the path it sees.
fn inner(name: &'static str) -> Router {
    Router::new()
        .fallback(move |request: Request| async move { format!("{name} {}", request.uri()) })
}

struct Front {
    engine: Engine,
    door: SocketAddr,
    client: reqwest::Client,
}

impl Front {
    /// With one agent at `agent`, whose only port is that of `service`.
    async fn open(agent: SocketAddr, service: SocketAddr) -> Self {
        let config = engine::Config {
            cluster: "c".into(),
            kernel: kernel::Config::default(),
            services: services::Config::default(),
        };
        let engine = engine::start(Box::new(store::Memory::default()), config).expect("an engine");
        let handle = engine.handle();
        let router = gateway::router(GatewayConfig {
            handle: handle.clone(),
            marathon: inner("marathon"),
            mesos: inner("mesos"),
            cluster_id: "the-id".into(),
            public_ip: IpAddr::from([127, 70, 0, 1]),
        });
        let redirect = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().redirect(redirect).build().expect("a client");
        register(&handle, agent, service).await;
        Self { engine, door: serve(router).await, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.door)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.expect("an answer")
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap_or_else(|cause| panic!("{path}: {cause}"))
    }

    fn agent_id(&self) -> String {
        let view = self.engine.handle().read();
        view.kernel.agents.keys().next().expect("it registered").to_string()
    }

    /// Deploys an app and has its task running.
    async fn run(&self, app: Value) {
        let handle = self.engine.handle();
        let before = tasks(&handle).len();
        let read = reading::app(app.to_string().as_bytes()).expect("readable");
        let rules =
            judge::Rules { default_role: Role::new("slave_public"), enforce_group_role: true };
        let spec = judge::read(read, &rules).expect("a valid app");
        let order =
            Order::Deploy { changes: vec![Change::Create(spec)], force: false, timeout: None };
        handle.call(order).await.expect("deployed");
        until("a task", || tasks(&handle).len() > before).await;
        for task in tasks(&handle) {
            handle.post(running(&task)).await.expect("told");
        }
        let all_run = || tasks(&handle).iter().all(|task| task.state == TaskState::Running);
        until("it runs", all_run).await;
    }
}

fn tasks(handle: &Handle) -> Vec<Task> {
    let view = handle.read();
    view.kernel
        .tasks
        .values()
        .flat_map(|tasks| tasks.values())
        .map(|task| (**task).clone())
        .collect()
}

fn running(task: &Task) -> Input {
    let status = TaskStatus {
        agent: Some(task.agent.clone()),
        uuid: Some(Uuid::derive(1, 2)),
        ..TaskStatus::plain(task.id.clone(), TaskState::Running, Source::Executor, Time(1))
    };
    let framework = task.framework.clone();
    let message = FromAgent::Update { framework, status, latest: TaskState::Running, place: None };
    Input::Agent { connection: AGENT, message, seed: 1 }
}

async fn register(handle: &Handle, agent: SocketAddr, service: SocketAddr) {
    let port = service.port();
    let resources = format!("cpus:4;mem:1024;disk:0;ports:[{port}-{port}]");
    let info = AgentInfo {
        hostname: "no-such-host.invalid".into(),
        ip: agent.ip().to_string(),
        port: agent.port(),
        resources: resources.parse().expect("resources"),
        attributes: Vec::new(),
        domain: None,
        version: "0".into(),
        work_dir: "/x".into(),
    };
    let message = FromAgent::Register {
        protocol: PROTOCOL,
        agent: None,
        info,
        tasks: Vec::new(),
        books: Books::default(),
    };
    handle.post(Input::Agent { connection: AGENT, message, seed: 1 }).await.expect("told");
    until("an agent", || handle.read().kernel.agents.len() == 1).await;
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn labelled(id: &str, labels: Value) -> Value {
    json!({ "id": id, "cmd": "x", "cpus": 0.1, "mem": 16, "labels": labels })
}

async fn front() -> Front {
    let service = serve(upstream()).await;
    Front::open(serve(upstream()).await, service).await
}

#[tokio::test]
async fn the_apis_answer_behind_their_doors_without_the_prefix() {
    let front = front().await;
    for (path, expected) in [
        ("/service/marathon/v2/apps?embed=a&embed=b", "marathon /v2/apps?embed=a&embed=b"),
        ("/service/marathon/v2/apps//a/b", "marathon /v2/apps//a/b"),
        ("/marathon/ping", "marathon /ping"),
        ("/mesos/master/state", "mesos /master/state"),
        ("/mesos/", "mesos /"),
    ] {
        assert_eq!(front.get(path).await.text().await.expect("text"), expected, "{path}");
    }
}

#[tokio::test]
async fn clients_that_set_themselves_up_find_what_they_ask_for() {
    let front = front().await;
    assert_eq!(
        front.json("/metadata").await,
        json!({ "CLUSTER_ID": "the-id", "PUBLIC_IPV4": "127.70.0.1" })
    );
    let version = front.json("/dcos-metadata/dcos-version.json").await;
    assert_eq!((&version["version"], &version["dcos-variant"]), (&json!("2.2.0"), &json!("open")));
    assert_eq!(front.json("/acs/api/v1/auth/providers").await, json!({}));
    for (asked, named) in [("leader.mesos", "leader.mesos."), ("master.mesos.", "master.mesos.")] {
        let hosts = front.json(&format!("/mesos_dns/v1/hosts/{asked}")).await;
        assert_eq!(hosts, json!([{ "host": named, "ip": "127.70.0.1" }]));
    }
    let build =
        front.client.request(Method::HEAD, front.url("/pkgpanda/active.buildinfo.full.json"));
    assert_eq!(build.send().await.expect("an answer").status(), StatusCode::OK);
    let home = front.client.request(Method::HEAD, front.url("/")).send().await.expect("an answer");
    assert_eq!(home.status(), StatusCode::OK);
    assert!(front.get("/").await.text().await.expect("text").contains("1 of 1 connected"));
}

#[tokio::test]
async fn what_is_not_served_says_so_and_where_to_look() {
    let front = front().await;
    for (path, status, says) in [
        ("/nowhere", 404, "/service/marathon/"),
        ("/ca/dcos-ca.crt", 404, "certificate"),
        ("/agent/nobody/files/browse", 404, "/mesos/slaves"),
        ("/service/nobody/x", 404, "DCOS_SERVICE_NAME"),
        ("/mesos_dns/v1/hosts/web.marathon.mesos", 404, "leader.mesos"),
    ] {
        let answer = front.get(path).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let body: Value = answer.json().await.expect("json");
        assert!(body["message"].as_str().expect("text").contains(says), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_missing_slash_is_added_by_redirect() {
    let front = front().await;
    for (path, expected) in [
        ("/mesos", "/mesos/"),
        ("/marathon?a=1", "/marathon/?a=1"),
        ("/service/kafka", "/service/kafka/"),
    ] {
        let answer = front.get(path).await;
        assert!(answer.status().is_redirection(), "{path}");
        assert_eq!(answer.headers()["location"], expected, "{path}");
    }
}

#[tokio::test]
async fn an_agent_is_reached_below_its_id() {
    let front = front().await;
    let id = front.agent_id();
    for door in ["agent", "slave"] {
        let told = front.json(&format!("/{door}/{id}/files/browse?path=/a%20b")).await;
        assert_eq!(told["path"], "/files/browse?path=/a%20b");
        assert_eq!((&told["proto"], &told["connection"]), (&json!("http"), &Value::Null));
    }
    let upload = front.client.post(front.url(&format!("/agent/{id}/upload")));
    let answer = upload.body(vec![1; 5 << 20]).send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), (5 << 20).to_string());
}

#[tokio::test]
async fn an_agent_that_does_not_listen_gives_502_with_its_address() {
    let free = TcpListener::bind("127.70.0.1:0").await.expect("an address");
    let nobody = free.local_addr().expect("bound");
    drop(free);
    let front = Front::open(nobody, nobody).await;
    let answer = front.get(&format!("/agent/{}/x", front.agent_id())).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(answer.text().await.expect("text").contains(&nobody.to_string()));
}

#[tokio::test]
async fn a_websocket_passes_through() {
    let front = front().await;
    let mut socket = TcpStream::connect(front.door).await.expect("a connection");
    let head = format!(
        "GET /agent/{}/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        front.agent_id()
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.expect("a head"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    // A text frame, masked with zeros as a client's must be.
    socket.write_all(b"\x81\x85\0\0\0\0hello").await.expect("sent");
    let mut frame = [0; 7];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut frame))
        .await
        .expect("in time")
        .expect("a frame");
    assert_eq!(&frame, b"\x81\x05hello");
}

#[tokio::test]
async fn a_labelled_app_is_shown_below_its_name() {
    let front = front().await;
    let labels = json!({
        "DCOS_SERVICE_NAME": "data/shop", "DCOS_SERVICE_SCHEME": "http", "DCOS_SERVICE_PORT_INDEX": "0"
    });
    front.run(labelled("/shop", labels)).await;
    assert_eq!(front.json("/service/data/shop/cart?x=1").await["path"], "/cart?x=1");
    assert_eq!(front.json("/service/data/shop/").await["path"], "/");
    let moved = front.get("/service/data/shop/redirect").await;
    assert_eq!(moved.headers()["location"], "/service/data/shop/elsewhere?a=1");
}

#[tokio::test]
async fn an_app_may_ask_to_see_the_whole_path() {
    let front = front().await;
    let labels = json!({
        "DCOS_SERVICE_NAME": "ui", "DCOS_SERVICE_SCHEME": "http", "DCOS_SERVICE_PORT_INDEX": "0",
        "DCOS_SERVICE_REWRITE_REQUEST_URLS": "false"
    });
    front.run(labelled("/ui", labels)).await;
    assert_eq!(front.json("/service/ui/a").await["path"], "/service/ui/a");
}

#[tokio::test]
async fn labels_that_lead_nowhere_are_named() {
    let front = front().await;
    let labels = |name: &str, scheme: &str, index: &str| json!({ "DCOS_SERVICE_NAME": name, "DCOS_SERVICE_SCHEME": scheme, "DCOS_SERVICE_PORT_INDEX": index });
    front.run(labelled("/far", labels("far", "http", "3"))).await;
    assert_eq!(front.get("/service/far/").await.status(), StatusCode::BAD_GATEWAY);
    let handle = front.engine.handle();
    let app = labelled("/late", labels("late", "http", "0")).to_string();
    let rules = judge::Rules { default_role: Role::new("slave_public"), enforce_group_role: true };
    let spec = judge::read(reading::app(app.as_bytes()).expect("readable"), &rules).expect("valid");
    let order = Order::Deploy { changes: vec![Change::Create(spec)], force: false, timeout: None };
    handle.call(order).await.expect("deployed");
    let answer = front.get("/service/late/").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().await.expect("text").contains("no running instance"));
}
