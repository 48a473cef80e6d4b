//! Probes of real tasks.

use std::time::Duration;

use model::container::{Family, HealthCheck, Probe, Run, Scheme};
use model::task::{Reason, TaskInfo, TaskState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{World, shell};

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
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("a client");
            drop(socket.read(&mut [0; 1024]).await);
            let answer = format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n");
            // A TCP probe has gone by now.
            drop(socket.write_all(answer.as_bytes()).await);
        }
    });
    port
}

pub(crate) async fn health_is_told_by_port_page_and_command() {
    let mut world = World::open().await;
    let (good, bad) = (server(200).await, server(500).await);
    let page = |port| Probe::Http {
        scheme: Scheme::Http,
        port,
        path: "/health".to_owned(),
        family: Family::Ipv4,
        ignore_1xx: false,
    };
    let tcp = |port| Probe::Tcp { port, family: Family::Ipv4 };
    let command = |text: &str| Probe::Command(Run::Shell(text.to_owned()));
    for (id, probe, healthy) in [
        ("a", page(good), true),
        ("b", page(bad), false),
        ("c", tcp(good), true),
        ("d", tcp(1), false),
        ("e", command("test -e here"), true),
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
