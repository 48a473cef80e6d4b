//! A container's launch: from the accepted request until the kernel reports the task as running, beside other runtimes.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::Place;
use crate::events::Events;
use crate::own;
use crate::registry::{Image, Registry};
use crate::report::{Goal, Report, Samples};
use crate::rivals::{self, Docker};
use crate::rootfs::Rootfs;
use crate::up::{Binary, Up};

/// Between two launches, so that the ends of one do not lie in the start of the next.
const REST: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 200)]
    count: u32,
    /// `docker run`s; each takes long.
    #[arg(long, default_value_t = 20)]
    docker_count: u32,
    #[command(flatten)]
    binary: Binary,
}

/// Of all launches through the cluster.
#[derive(Debug, Default)]
struct Launches {
    /// From the moment at which the request is sent.
    asked: Samples,
    /// From the moment at which the client knows that it is accepted.
    accepted: Samples,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let mut report = Report::new(format!("launch: {} containers one by one", flags.count))?;
    let dir = place.dir()?;
    let rootfs = Rootfs::make(dir.path().join("rootfs"))?;
    let ours = ours(&flags, place, &rootfs).await?;
    let own = own::measure(dir.path(), &rootfs, flags.count).await?;
    let (path, count, docker_count) = (dir.path().to_owned(), flags.count, flags.docker_count);
    let others = spawn_blocking(move || {
        let crun = rivals::oci("crun", &path, &rootfs, count)?;
        let runc = rivals::oci("runc", &path, &rootfs, count)?;
        let docker = Docker::start(&path, &rootfs)?.measure(docker_count)?;
        let floor = own::sync_floor(&path, count)?;
        anyhow::Ok((crun, runc, docker, floor))
    });
    let (crun, runc, docker, floor) = others.await??;
    let (p50, p99) = (ours.accepted.millis(50), ours.accepted.millis(99));
    report.promise("API accepted -> TASK_RUNNING, p50", p50, "ms", Goal::AtMost(20.0));
    report.promise("API accepted -> TASK_RUNNING, p99", p99, "ms", Goal::AtMost(100.0));
    report.times("request sent -> TASK_RUNNING", &ours.asked);
    report.times("runtime alone, until the program is executed", &own.started);
    report.times("runtime alone, until the end of `true`", &own.ended);
    report.times("crun run, until the end of `true`", &crun);
    report.times("runc run, until the end of `true`", &runc);
    report.times("docker run --detach", &docker.started);
    report.times("docker run, until the end of `true`", &docker.ended);
    report.times("floor: a durable write of 4 KiB", &floor);
    let ratio = docker.started.millis(50) / ours.asked.millis(50);
    let what = "docker run --detach : request sent -> TASK_RUNNING";
    report.promise(what, ratio, "x", Goal::AtLeast(5.0));
    let ratio = own.ended.millis(50) / runc.millis(50);
    report.promise("runtime alone : runc run", ratio, "x", Goal::AtMost(1.0));
    Ok(report)
}

async fn ours(flags: &Flags, place: &Place, rootfs: &Rootfs) -> Result<Launches> {
    let registry = Registry::start(&place.ip.to_string()).await;
    let config = json!({"Cmd": ["/bin/sleep", "1000"]});
    let image = Image { layers: vec![rootfs.layer()?], config };
    registry.push("bench", "latest", &image).await;
    let image = format!("{}/bench:latest", registry.address);
    let dir = place.dir()?;
    let up = Up::start(&flags.binary, dir.path(), place).await?;
    let measured = launches(&up, &image, flags.count).await;
    up.stop().await?;
    measured
}

async fn launches(up: &Up, image: &str, count: u32) -> Result<Launches> {
    let mut events = Events::open(&up.client).await?;
    let mut launches = Launches::default();
    // The first one pulls the image and is not counted.
    for number in 0..=count {
        let id = format!("/launched-{number}");
        let app = json!({
            "id": id, "cpus": 1, "mem": 64, "instances": 1,
            "container": {"type": "MESOS", "docker": {"image": image}},
        });
        let asked = Instant::now();
        up.client.send(Method::POST, "/v2/apps", &app).await?;
        let accepted = Instant::now();
        let running = events.until(&id, "TASK_RUNNING").await?;
        if number > 0 {
            launches.asked.add(running - asked);
            launches.accepted.add(running.saturating_duration_since(accepted));
        }
        up.client.send(Method::DELETE, &format!("/v2/apps{id}?force=true"), &json!({})).await?;
        events.until(&id, "TASK_KILLED").await?;
        sleep(REST).await;
    }
    Ok(launches)
}
