//! Many who follow the output of one task: how late a line is, and what a follower costs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::Place;
use crate::events::Events;
use crate::processes;
use crate::report::{Report, Samples};
use crate::up::{Binary, Up};

/// After the last follower has come, until nothing of it is left to do.
const SETTLE: Duration = Duration::from_secs(3);
/// A line is not so late unless something is broken.
const LINE_MAX: Duration = Duration::from_secs(30);
/// Writes the time five times a second.
const TASK: &str = "while :; do date +%s%N; sleep 0.2; done";

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 2_000)]
    count: u32,
    /// For the share of a core.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    binary: Binary,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let mut report = Report::new(format!("followers: {} of one task's output", flags.count))?;
    let dir = place.dir()?;
    let up = Up::start(&flags.binary, dir.path(), place).await?;
    let measured = measure(&mut report, &flags, &up, place).await;
    up.stop().await?;
    measured?;
    Ok(report)
}

async fn measure(report: &mut Report, flags: &Flags, up: &Up, place: &Place) -> Result<()> {
    let mut events = Events::open(&up.client).await?;
    let app = json!({"id": "/clock", "cmd": TASK, "cpus": 0.1, "mem": 32});
    up.client.send(Method::POST, "/v2/apps", &app).await?;
    events.until("/clock", "TASK_RUNNING").await?;
    let info = up.client.get("/v2/info").await?;
    let tasks = up.client.get("/v2/apps/clock/tasks").await?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).context("a text");
    let framework = text(&info["frameworkId"])?;
    let (task, agent) = (text(&tasks["tasks"][0]["id"])?, text(&tasks["tasks"][0]["slaveId"])?);
    let file = format!("/frameworks/{framework}/executors/{task}/runs/latest/stdout");
    let asked = format!("files/follow?path={file}");
    let direct = format!("http://{}:5051/{asked}", place.ip);
    let through = format!("http://{}/agent/{agent}/{asked}", place.ip);
    watched(report, flags, up, "at the agent", &direct).await?;
    watched(report, flags, up, "through the front door", &through).await
}

async fn watched(report: &mut Report, flags: &Flags, up: &Up, way: &str, url: &str) -> Result<()> {
    let before = processes::pss(&[up.pid])?;
    let (end, ended) = watch::channel(());
    let http = Arc::new(reqwest::Client::new());
    let follower = |_| tokio::spawn(follow(http.clone(), url.to_owned(), ended.clone()));
    let followers: Vec<_> = (0..flags.count).map(follower).collect();
    sleep(SETTLE).await;
    let cpu = processes::cpu(&[up.pid])?;
    sleep(Duration::from_secs(flags.seconds)).await;
    let spent = processes::cpu(&[up.pid])? - cpu;
    let grown = processes::pss(&[up.pid])? - before;
    drop(end);
    let mut late = Samples::default();
    for follower in followers {
        follower.await??.into_iter().for_each(|sample| late.add(sample));
    }
    report.times(&format!("{way}: a line at its reader"), &late);
    let share = spent / Duration::from_secs(flags.seconds).as_secs_f64() * 100.0;
    report.add(format!("{way}: of a core, 5 lines a second"), share, "%");
    report.add(format!("{way}: memory of each"), grown * 1024.0 / f64::from(flags.count), "KiB");
    Ok(())
}

/// How late each line was.
async fn follow(
    http: Arc<reqwest::Client>,
    url: String,
    mut ended: watch::Receiver<()>,
) -> Result<Vec<Duration>> {
    let mut response = http.get(url).send().await?.error_for_status()?;
    let mut late = Vec::new();
    loop {
        let piece = tokio::select! {
            piece = timeout(LINE_MAX, response.chunk()) => piece.context("no line for long")??,
            _ = ended.changed() => break,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let piece = piece.context("the stream has ended")?;
        let line = std::str::from_utf8(&piece)?.lines().next_back().context("a line")?;
        late.push(now.saturating_sub(Duration::from_nanos(line.parse()?)));
    }
    ensure!(!late.is_empty(), "a follower was told nothing");
    Ok(late)
}
