//! What a cluster costs that does nothing, what one container more costs, and whether a thousand of them disturb.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::Place;
use crate::events::Events;
use crate::processes::{self, Memory};
use crate::report::{Goal, Report, Samples};
use crate::up::{Binary, Up};

/// After a start, until nothing of it is left to do.
const SETTLE: Duration = Duration::from_secs(5);
const ASK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(600);
/// Reads that the latency of a full agent is taken from.
const READS: u32 = 200;
/// Nobody else sleeps so long.
const SLEEP_SECS: &str = "86399";

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// For the share of a core.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Tasks on one agent.
    #[arg(long, default_value_t = 1_000)]
    tasks: u32,
    #[command(flatten)]
    binary: Binary,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let mut report = Report::new("idle: `dcos up` on one machine")?;
    let dir = place.dir()?;
    let up = Up::start(&flags.binary, dir.path(), place).await?;
    let measured = measure(&mut report, &flags, &up).await;
    up.stop().await?;
    measured?;
    Ok(report)
}

async fn measure(report: &mut Report, flags: &Flags, up: &Up) -> Result<()> {
    sleep(SETTLE).await;
    let pids = processes::tree(up.pid)?;
    let pss = processes::pss(&pids)?;
    let what = format!("memory of its {} processes (PSS)", pids.len());
    report.promise(what, pss, "MiB", Goal::AtMost(50.0));
    let before = processes::cpu(&pids)?;
    sleep(Duration::from_secs(flags.seconds)).await;
    let spent = processes::cpu(&pids)? - before;
    let share = spent / Duration::from_secs(flags.seconds).as_secs_f64() * 100.0;
    report.promise(format!("of a core, over {} s", flags.seconds), share, "%", Goal::AtMost(0.5));
    one(report, up).await?;
    many(report, flags, up).await
}

/// The shim of a task that runs.
async fn one(report: &mut Report, up: &Up) -> Result<()> {
    let mut events = Events::open(&up.client).await?;
    let app =
        json!({"id": "/one", "cmd": format!("exec sleep {SLEEP_SECS}"), "cpus": 0.1, "mem": 32});
    up.client.send(Method::POST, "/v2/apps", &app).await?;
    events.until("/one", "TASK_RUNNING").await?;
    sleep(SETTLE).await;
    let pids = processes::tree(up.pid)?;
    let ours = processes::called(&["sleep", SLEEP_SECS])?;
    let task = *ours.iter().find(|pid| pids.contains(pid)).context("no task of ours sleeps")?;
    let init = processes::parent(task)?;
    let shim = processes::parent(init)?;
    let what = format!("private memory of a shim ({})", processes::name(shim)?);
    let dirty = Memory::of(shim)?.private_dirty / 1024.0;
    report.promise(what, dirty, "MiB", Goal::AtMost(2.0));
    let dirty = Memory::of(init)?.private_dirty / 1024.0;
    report.add("private memory of the first process inside", dirty, "MiB");
    up.client.send(Method::DELETE, "/v2/apps/one", &json!({})).await?;
    events.until("/one", "TASK_KILLED").await?;
    Ok(())
}

async fn many(report: &mut Report, flags: &Flags, up: &Up) -> Result<()> {
    let quiet = latency(up, "/v2/info").await?;
    let begun = Instant::now();
    let app = json!({
        "id": "/many", "cmd": format!("exec sleep {SLEEP_SECS}"), "cpus": 0.01, "mem": 32,
        "instances": flags.tasks,
    });
    up.client.send(Method::POST, "/v2/apps", &app).await?;
    until_running(up, flags.tasks).await?;
    let took = begun.elapsed().as_secs_f64();
    report.add(format!("{} tasks, until all run", flags.tasks), took, "s");
    sleep(SETTLE).await;
    let pids = processes::tree(up.pid)?;
    report.add("memory of everything, tasks included (PSS)", processes::pss(&pids)?, "MiB");
    let before = processes::cpu(&[up.pid])?;
    sleep(Duration::from_secs(flags.seconds)).await;
    let spent = processes::cpu(&[up.pid])? - before;
    let share = spent / Duration::from_secs(flags.seconds).as_secs_f64() * 100.0;
    report.add("of a core while they sleep", share, "%");
    report.times("GET /v2/info before", &quiet);
    report.times("GET /v2/info with all of them", &latency(up, "/v2/info").await?);
    report.times("GET /v2/apps/many with all of them", &latency(up, "/v2/apps/many").await?);
    let begun = Instant::now();
    let more = flags.tasks + 1;
    up.client.send(Method::PUT, "/v2/apps/many", &json!({"instances": more})).await?;
    until_running(up, more).await?;
    report.add("one task more, until it runs", begun.elapsed().as_secs_f64() * 1e3, "ms");
    Ok(())
}

async fn latency(up: &Up, path: &str) -> Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..READS {
        samples.add(up.client.read(path).await?.whole);
    }
    Ok(samples)
}

async fn until_running(up: &Up, count: u32) -> Result<()> {
    let begun = Instant::now();
    while up.client.get("/v2/apps/many").await?["app"]["tasksRunning"] != count {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {count} tasks");
        sleep(ASK / 10).await;
    }
    Ok(())
}
