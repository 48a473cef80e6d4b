//! The whole state of a large cluster through the master's API: how soon it begins, how fast it comes, and how long the
//! engine is stopped meanwhile.
//!
//! Agents are only what they have said: the engine is told of them, with the tasks that they hold, as if they spoke.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api::logging::{Levels, Logging};
use clap::Args;
use engine::{Engine, Handle};
use kernel::operator::Order;
use model::agent::{AgentInfo, Books, FromAgent, HeldTask, PROTOCOL};
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, Connection, FrameworkId, Role, TaskId, Uuid};
use model::resources::Scalar;
use model::task::{ContainerStatus, Source, Task, TaskState, TaskStatus};
use model::time::Time;
use model::wishes::Wishes;
use store::Embedded;
use tokio::net::TcpListener;
use tokio::time::sleep;
use wire::mesos::master::MasterInfo;

use crate::Place;
use crate::master::until;
use crate::report::{Goal, Report, Samples};

/// From one question to the engine to the next.
const ASK: Duration = Duration::from_millis(1);
const FRAMEWORK: &str = "bench-scheduler";

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 40_000)]
    agents: u32,
    /// Of all agents together.
    #[arg(long, default_value_t = 400_000)]
    tasks: u32,
    /// How often each answer is read.
    #[arg(long, default_value_t = 5)]
    count: u32,
}

/// An answer, and how it is asked for.
struct Asked {
    what: &'static str,
    path: &'static str,
    body: &'static str,
    accept: &'static str,
}

const JSON: &str = "application/json";
const ASKED: [Asked; 3] = [
    Asked { what: "GET /state", path: "/state", body: "", accept: JSON },
    Asked {
        what: "GET_STATE in JSON",
        path: "/api/v1",
        body: r#"{"type":"GET_STATE"}"#,
        accept: JSON,
    },
    Asked {
        what: "GET_STATE in protobuf",
        path: "/api/v1",
        body: r#"{"type":"GET_STATE"}"#,
        accept: "application/x-protobuf",
    },
];

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let title = format!("state: {} agents, {} tasks", flags.agents, flags.tasks);
    let mut report = Report::new(title)?;
    let dir = place.dir()?;
    let store = Embedded::open(dir.path()).context("opening the store")?;
    let config = engine::Config {
        cluster: "bench".to_owned(),
        // Nobody answers pings.
        kernel: kernel::Config { pings_missed_max: u32::MAX, ..kernel::Config::default() },
        services: services::Config::default(),
    };
    let engine = engine::start(Box::new(store), config).context("starting the engine")?;
    populate(&engine, &flags).await?;
    let address = serve(engine.handle(), place).await?;
    let idle = stops(&engine.handle(), Duration::from_secs(2)).await?;
    report.add("the engine answers, nobody reads, p50", idle.millis(50), "ms");
    report.add("... max", idle.millis(100), "ms");
    for asked in &ASKED {
        measure(&mut report, &engine.handle(), address, asked, flags.count).await?;
    }
    engine.stop().await;
    Ok(report)
}

async fn serve(handle: Handle, place: &Place) -> Result<SocketAddr> {
    let listener = TcpListener::bind((place.ip, 0)).await.context("listening")?;
    let address = listener.local_addr()?;
    let info = MasterInfo {
        ip: address.ip().to_string(),
        port: address.port(),
        hostname: address.ip().to_string(),
        cluster: "bench".to_owned(),
        started_at: Time(0),
        domain: None,
        flags: Vec::new(),
    };
    let logging = Logging::new(Levels::new(), Box::new(|_| ()));
    let router = api::mesos::router(handle, info, logging);
    // It ends with the program.
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn measure(
    report: &mut Report,
    handle: &Handle,
    address: SocketAddr,
    asked: &Asked,
    count: u32,
) -> Result<()> {
    let (mut firsts, mut best, mut bytes, mut stopped) = (Samples::default(), 0.0_f64, 0, f64::MAX);
    for _ in 0..count {
        let reading = tokio::spawn(read(address, asked.path, asked.body, asked.accept));
        let mut waits = Samples::default();
        while !reading.is_finished() {
            waits.add(ask(handle).await?);
            sleep(ASK).await;
        }
        let (first, whole, length) = reading.await??;
        firsts.add(first);
        bytes = length;
        best = best.max(length as f64 / whole.as_secs_f64() / 1e6);
        stopped = stopped.min(waits.millis(100));
    }
    let what = asked.what;
    report.promise(format!("{what}, first byte, p50"), firsts.millis(50), "ms", Goal::AtMost(20.0));
    report.add(format!("{what}, size"), bytes as f64 / 1e6, "MB");
    report.promise(format!("{what}, best of {count}"), best, "MB/s", Goal::AtLeast(300.0));
    report.promise(
        format!("{what}, the longest that the engine let wait meanwhile, best of {count}"),
        stopped,
        "ms",
        Goal::AtMost(5.0),
    );
    Ok(())
}

/// Until the first byte, until the last, and how many there were.
async fn read(
    address: SocketAddr,
    path: &'static str,
    body: &'static str,
    accept: &'static str,
) -> Result<(Duration, Duration, usize)> {
    let url = format!("http://{address}{path}");
    let client = reqwest::Client::new();
    let request = match body {
        "" => client.get(url),
        body => client.post(url).header("content-type", JSON).body(body),
    };
    let begun = Instant::now();
    let mut answer = request.header("accept", accept).send().await?.error_for_status()?;
    let mut bytes = answer.chunk().await?.context("an empty answer")?.len();
    let first = begun.elapsed();
    while let Some(chunk) = answer.chunk().await? {
        bytes += chunk.len();
    }
    Ok((first, begun.elapsed(), bytes))
}

/// How long the engine takes to say that nothing is to be done.
async fn ask(handle: &Handle) -> Result<Duration> {
    let begun = Instant::now();
    let weights = vec![(Role::new("bench"), Scalar::whole(2))];
    handle.order(Order::UpdateWeights(weights)).await?;
    Ok(begun.elapsed())
}

async fn stops(handle: &Handle, during: Duration) -> Result<Samples> {
    let (begun, mut waits) = (Instant::now(), Samples::default());
    ask(handle).await?;
    while begun.elapsed() < during {
        waits.add(ask(handle).await?);
        sleep(ASK).await;
    }
    Ok(waits)
}

async fn populate(engine: &Engine, flags: &Flags) -> Result<()> {
    let handle = engine.handle();
    let framework = FrameworkInfo {
        id: Some(FrameworkId::new(FRAMEWORK)),
        name: "bench".to_owned(),
        user: "root".to_owned(),
        roles: vec![Role::new("bench")],
        failover_timeout: Duration::from_secs(1_000_000),
        checkpoint: true,
        hostname: "scheduler.bench".to_owned(),
        principal: None,
        webui_url: None,
        capabilities: vec![Capability::MultiRole, Capability::PartitionAware],
        labels: vec![],
        offer_minima: std::collections::BTreeMap::new(),
    };
    let wishes = Wishes { suppressed: vec![Role::new("bench")], ..Wishes::default() };
    handle.post(cluster::Input::Subscribe { info: framework, wishes, seed: 1 }).await?;
    ensure!(flags.agents > 0, "a cluster has agents");
    let each = flags.tasks / flags.agents;
    for nth in 0..flags.agents {
        let message = registration(nth, each)?;
        let connection = Connection(1_000_000 + u64::from(nth));
        let seed = u64::from(nth) + 2;
        handle.post(cluster::Input::Agent { connection, message, seed }).await?;
    }
    let (agents, tasks) = (flags.agents as usize, (each * flags.agents) as usize);
    until(&format!("{agents} agents with {tasks} tasks"), || {
        let view = handle.read();
        let known: usize = view.kernel.tasks.values().map(imbl::OrdMap::len).sum();
        view.kernel.agents.len() == agents && known == tasks
    })
    .await
}

fn registration(nth: u32, tasks: u32) -> Result<FromAgent> {
    let id = AgentId::new(format!("bench-S{nth}"));
    let ip = format!("10.{}.{}.{}", nth >> 16, (nth >> 8) & 255, nth & 255);
    let info = AgentInfo {
        hostname: format!("agent-{nth}.bench"),
        ip,
        port: 5051,
        resources: "cpus:64;mem:262144;disk:1048576;ports:[1025-32000]".parse()?,
        attributes: model::attributes::parse(&format!("rack:r{};ssd:true", nth % 40))?,
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/var/lib/dcos".to_owned(),
    };
    let tasks = (0..tasks).map(|task| Ok(HeldTask { task: held(&id, nth, task)?, place: None }));
    Ok(FromAgent::Register {
        protocol: PROTOCOL,
        agent: Some(id.clone()),
        info,
        tasks: tasks.collect::<Result<_>>()?,
        books: Books::default(),
    })
}

fn held(agent: &AgentId, nth: u32, task: u32) -> Result<Task> {
    let id = TaskId::new(format!("prod_web_{nth}.instance-{nth:08x}-{task:04x}._app.1"));
    let status = TaskStatus {
        agent: Some(agent.clone()),
        uuid: Some(Uuid::derive(nth.into(), task.into())),
        healthy: Some(true),
        container: Some(ContainerStatus {
            id: model::id::ContainerId::new(format!("{nth:032x}")),
            addresses: vec![model::task::Address(std::net::Ipv4Addr::from(nth).into())],
            pid: Some(1_000 + task),
            parent: None,
        }),
        ..TaskStatus::plain(
            id.clone(),
            TaskState::Running,
            Source::Executor,
            Time(1_700_000_000_000),
        )
    };
    Ok(Task {
        id,
        name: format!("web-{task}.prod"),
        framework: FrameworkId::new(FRAMEWORK),
        agent: agent.clone(),
        resources: format!("cpus:0.5;mem:512;ports:[{0}-{0}]", 2_000 + task).parse()?,
        role: Role::new("bench"),
        state: TaskState::Running,
        status: Some(status),
        labels: vec![("team".to_owned(), "web".to_owned())],
        discovery: None,
        container: None,
        user: Some("nobody".to_owned()),
        executor: None,
        limits: model::limits::Limits::default(),
        earlier: Vec::new(),
        more: None,
    })
}
