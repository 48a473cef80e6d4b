//! The master is killed with a full store, and started again: until it serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::Place;
use crate::client::Client;
use crate::master::{Master, Ports};
use crate::population::Population;
use crate::report::{Goal, Report};

const ASK_MS: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    population: Population,
    /// Kills and restarts.
    #[arg(long, default_value_t = 3)]
    count: u32,
}

/// Of the master's process.
#[derive(Debug, Clone, Args)]
pub(crate) struct HoldFlags {
    #[arg(long)]
    dir: PathBuf,
    /// Of the API and of the agents' stream; 0 takes free ones.
    #[arg(long, default_value_t = 0)]
    api_port: u16,
    #[arg(long, default_value_t = 0)]
    stream_port: u16,
}

/// A master until whoever started it lets go of its standard input. Says where it listens.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) async fn hold(flags: HoldFlags, ip: Ipv4Addr) -> Result<()> {
    let ports = Ports { api: flags.api_port, stream: flags.stream_port };
    let master = Master::start_at(&flags.dir, ip, ports).await?;
    println!("{} {} {}", master.api, master.mesos, master.stream);
    let (mut stdin, mut nothing) = (tokio::io::stdin(), Vec::new());
    stdin.read_to_end(&mut nothing).await?;
    master.stop().await;
    Ok(())
}

/// A master in a process that can be killed.
struct Held {
    child: Child,
    api: SocketAddr,
    mesos: SocketAddr,
    stream: SocketAddr,
}

impl Held {
    async fn start(dir: &Path, ip: Ipv4Addr, ports: Ports) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe().context("finding this program")?)
            .args(["hold", "--ip", &ip.to_string(), "--dir"])
            .arg(dir)
            .args(["--api-port", &ports.api.to_string()])
            .args(["--stream-port", &ports.stream.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the master")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the master's output")?;
        BufReader::new(stdout).read_line(&mut line).await?;
        let said: Vec<&str> = line.split_whitespace().collect();
        let [api, mesos, stream] = said[..] else { bail!("the master did not start") };
        Ok(Self { child, api: api.parse()?, mesos: mesos.parse()?, stream: stream.parse()? })
    }

    fn ports(&self) -> Ports {
        Ports { api: self.api.port(), stream: self.stream.port() }
    }
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let population = &flags.population;
    let title = format!("recovery: {} apps, {} tasks", population.apps, population.instances());
    let mut report = Report::new(title)?;
    let dir = place.dir()?;
    let mut held = Held::start(dir.path(), place.ip, Ports::default()).await?;
    let crew = population.agents(held.stream)?;
    let client = Client::new(held.api);
    population.post(&client).await?;
    until_running(&client, population.instances()).await?;
    let store = std::fs::metadata(dir.path().join("state.redb"))?;
    report.add("size of the store", store.len() as f64 / f64::from(1 << 20), "MiB");
    for number in 1..=flags.count {
        held.child.kill().await.context("killing the master")?;
        let ports = held.ports();
        let begun = Instant::now();
        held = Held::start(dir.path(), place.ip, ports).await?;
        let client = Client::new(held.api);
        until_read(&client).await?;
        let served = begun.elapsed().as_secs_f64();
        let what = format!("kill {number}: until an app is served");
        report.promise(what, served, "s", Goal::AtMost(5.0));
        accept(&client, number).await?;
        let accepted = begun.elapsed().as_secs_f64();
        let what = format!("kill {number}: until a change is accepted");
        report.promise(what, accepted, "s", Goal::AtMost(5.0));
        until_back(&Client::new(held.mesos), population.agents).await?;
        let back = begun.elapsed().as_secs_f64();
        report.add(format!("kill {number}: until all agents are back"), back, "s");
        let running = running(&client).await?;
        ensure!(running == population.instances(), "{running} instances run after kill {number}");
    }
    drop(held);
    crew.stop().await?;
    Ok(report)
}

async fn until_read(client: &Client) -> Result<()> {
    let begun = Instant::now();
    while client.get("/v2/apps/posted/app-0").await.is_err() {
        ensure!(begun.elapsed() < PATIENCE, "the master does not come back");
        sleep(Duration::from_millis(ASK_MS)).await;
    }
    Ok(())
}

async fn until_back(mesos: &Client, agents: u32) -> Result<()> {
    let begun = Instant::now();
    let connected = async || -> Result<f64> {
        let metrics = mesos.get("/metrics/snapshot").await?;
        metrics["master/slaves_connected"].as_f64().context("no such number in the metrics")
    };
    while connected().await? < f64::from(agents) {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {agents} agents");
        sleep(Duration::from_millis(ASK_MS)).await;
    }
    Ok(())
}

/// A new app without instances, and without a service port: 10,000 apps have taken all there are.
async fn accept(client: &Client, number: u32) -> Result<()> {
    let id = format!("/killed-{number}");
    let app = json!({"id": id, "cmd": "true", "instances": 0, "portDefinitions": []});
    client.send(Method::POST, "/v2/apps", &app).await
}

async fn running(client: &Client) -> Result<u32> {
    let list = client.get("/v2/apps").await?;
    let apps = list["apps"].as_array().context("no apps in GET /v2/apps")?;
    let counts = apps.iter().map(|app| app["tasksRunning"].as_u64().unwrap_or_default());
    Ok(u32::try_from(counts.sum::<u64>())?)
}

async fn until_running(client: &Client, count: u32) -> Result<()> {
    let begun = Instant::now();
    while running(client).await? < count {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {count} instances");
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
