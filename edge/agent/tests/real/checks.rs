//! Probes of real tasks.

use std::fs::File;
use std::time::Duration;

use model::check::{CheckInfo, CheckStatus, ReadinessCheck};
use model::confinement::{Confinement, Sharing};
use model::container::{
    Apart, Bounds, ContainerInfo, ContainerKind, Family, HealthCheck, Probe, Run, Scheme,
};
use model::task::{Reason, TaskInfo, TaskState};
use nix::sched::{CloneFlags, setns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{World, shell};

/// In a network of a task's own.
const PORT: u16 = 8080;

fn checked(id: &str, probe: Probe) -> TaskInfo {
    let check = HealthCheck {
        probe,
        delay: Duration::ZERO,
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
        grace: Duration::ZERO,
        failures_max: 2,
    };
    TaskInfo { health_checks: vec![check], ..shell(id, "touch here; sleep 1000") }
}

/// Answers every request with `status`, on any port of ours.
async fn server(status: u16) -> u16 {
    let listener = TcpListener::bind("127.30.0.7:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(answer(listener, status));
    port
}

async fn answer(listener: TcpListener, status: u16) {
    loop {
        let (mut socket, _) = listener.accept().await.expect("a client");
        drop(socket.read(&mut [0; 1024]).await);
        let answer = format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n");
        // A TCP probe has gone by now.
        drop(socket.write_all(answer.as_bytes()).await);
    }
}

fn page(port: u16) -> Probe {
    Probe::Http {
        scheme: Scheme::Http,
        port,
        path: "/health".to_owned(),
        family: Family::Ipv4,
        ignore_1xx: false,
    }
}

/// Run by another user, who is told something.
fn another(text: &str) -> Probe {
    let environment = vec![("WORD".to_owned(), "yes".to_owned())];
    let apart = Apart { environment, user: Some("nobody".to_owned()) };
    Probe::Command(Run::Shell(text.to_owned()), apart)
}

pub(crate) async fn what_a_check_finds_is_told_and_readiness_once() {
    let mut world = World::open().await;
    let bad = server(500).await;
    let command = |text: &str| Probe::command(Run::Shell(text.to_owned()));
    for (id, probe, found) in [
        ("a", page(bad), CheckStatus::Http(Some(500))),
        ("b", Probe::Tcp { port: bad, family: Family::Ipv4 }, CheckStatus::Tcp(Some(true))),
        ("c", Probe::Tcp { port: 1, family: Family::Ipv4 }, CheckStatus::Tcp(Some(false))),
        ("d", command("exit 7"), CheckStatus::Command(Some(7))),
        (
            "f",
            another(r#"test "$(id -un) $WORD" = "nobody yes" && exit 9"#),
            CheckStatus::Command(Some(9)),
        ),
    ] {
        let (delay, second) = (Duration::ZERO, Duration::from_secs(1));
        let check = CheckInfo { probe, delay, interval: second, timeout: 5 * second };
        world.run(TaskInfo { check: Some(check), ..shell(id, "sleep 1000") }).await;
        world.expect(TaskState::Running).await;
        let status = world.expect(TaskState::Running).await;
        assert_eq!(status.check, Some(found), "{status:?}");
        assert_eq!(status.reason, Some(Reason::TaskCheckStatusUpdated));
        world.kill(id).await;
        world.expect(TaskState::Killed).await;
    }
    let check = ReadinessCheck {
        probe: page(bad),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        statuses: vec![500],
        keeps_answer: false,
    };
    world.run(TaskInfo { readiness: Some(check), ..shell("e", "sleep 1000") }).await;
    assert_eq!(world.expect(TaskState::Running).await.ready, Some(false));
    assert_eq!(world.expect(TaskState::Running).await.ready, Some(true));
    world.kill("e").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

/// Listens in the network of a process, on a port that nobody else can have there.
fn listen_in(process: u32) -> TcpListener {
    let listen = move || {
        let network = File::open(format!("/proc/{process}/ns/net")).expect("it runs");
        setns(network, CloneFlags::CLONE_NEWNET).expect("entered");
        std::net::TcpListener::bind(("127.0.0.1", PORT)).expect("the loopback is up")
    };
    let listener = std::thread::spawn(listen).join().expect("listening");
    listener.set_nonblocking(true).expect("set");
    TcpListener::from_std(listener).expect("ours to watch")
}

pub(crate) async fn checks_look_into_a_network_of_the_tasks_own() {
    let mut world = World::open().await;
    let confinement = Confinement { net: Some(Sharing::Private), ..Confinement::default() };
    let container = ContainerInfo {
        kind: ContainerKind::Mesos,
        image: None,
        volumes: Vec::new(),
        privileged: false,
        tty: false,
        parameters: Vec::new(),
        shared: Vec::new(),
        bounds: Some(Box::new(Bounds { confinement, ..Bounds::default() })),
    };
    for (id, probe) in [("a", page(PORT)), ("b", Probe::Tcp { port: PORT, family: Family::Ipv4 })] {
        let mut task = TaskInfo { container: Some(container.clone()), ..checked(id, probe) };
        task.health_checks[0].grace = Duration::from_secs(3600);
        world.run(task).await;
        let place = world.expect(TaskState::Running).await.container.expect("a place");
        assert_eq!(place.addresses, [], "nobody reaches it");
        let listener = listen_in(place.pid.expect("a process"));
        tokio::spawn(answer(listener, 200));
        let status = world.expect(TaskState::Running).await;
        assert_eq!(status.healthy, Some(true), "{status:?}");
        world.kill(id).await;
        world.expect(TaskState::Killed).await;
    }
    world.close().await;
}

pub(crate) async fn health_is_told_by_port_page_and_command() {
    let mut world = World::open().await;
    let (good, bad) = (server(200).await, server(500).await);
    let tcp = |port| Probe::Tcp { port, family: Family::Ipv4 };
    let command = |text: &str| Probe::command(Run::Shell(text.to_owned()));
    for (id, probe, healthy) in [
        ("a", page(good), true),
        ("b", page(bad), false),
        ("c", tcp(good), true),
        ("d", tcp(1), false),
        ("e", command("until test -e here; do sleep 0.05; done"), true),
        ("f", command("exit 7"), false),
    ] {
        world.run(checked(id, probe)).await;
        world.expect(TaskState::Running).await;
        let status = world.expect(TaskState::Running).await;
        assert_eq!(status.healthy, Some(healthy), "{status:?}");
        assert_eq!(status.reason, Some(Reason::TaskHealthCheckStatusUpdated));
        if healthy {
            world.kill(id).await;
        }
        let ended = world.expect(TaskState::Killed).await;
        assert_eq!(ended.healthy, (!healthy).then_some(false), "{ended:?}");
    }
    world.close().await;
}
