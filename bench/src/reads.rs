//! Long lists: how soon their first byte comes, and what reading them costs those who place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::Place;
use crate::client::Client;
use crate::master::Master;
use crate::population::Population;
use crate::report::{Goal, Report, Samples};

const LISTS: [&str; 2] = ["/v2/apps", "/v2/tasks"];
/// From one long read to the next, while instances are placed.
const READ_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    population: Population,
    /// How often each list is read on the idle cluster.
    #[arg(long, default_value_t = 10)]
    count: u32,
    /// Instances placed to compare rates, three times.
    #[arg(long, default_value_t = 100_000)]
    placed: u32,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let population = &flags.population;
    let title = format!("reads: {} apps, {} tasks", population.apps, population.instances());
    let mut report = Report::new(title)?;
    let dir = place.dir()?;
    let master = Arc::new(Master::start(dir.path(), place.ip).await?);
    let crew = population.agents(master.stream)?;
    master.until_agents(population.agents as usize).await?;
    let client = Client::new(master.api);
    population.post(&client).await?;
    master.until_running(population.instances() as usize).await?;
    for list in LISTS {
        idle(&mut report, &client, list, flags.count).await?;
    }
    rates(&mut report, &master, &client, flags.placed).await?;
    crew.stop().await?;
    Ok(report)
}

async fn idle(report: &mut Report, client: &Client, list: &str, count: u32) -> Result<()> {
    let (mut firsts, mut wholes, mut bytes) = (Samples::default(), Samples::default(), 0);
    for _ in 0..count {
        let read = client.read(list).await?;
        firsts.add(read.first);
        wholes.add(read.whole);
        bytes = read.bytes;
    }
    let what = format!("GET {list}, first byte, p50");
    report.promise(what, firsts.millis(50), "ms", Goal::AtMost(50.0));
    report.add(format!("GET {list}, first byte, max"), firsts.millis(100), "ms");
    report.add(format!("GET {list}, whole, p50"), wholes.millis(50), "ms");
    report.add(format!("GET {list}, size"), bytes as f64 / f64::from(1 << 20), "MiB");
    Ok(())
}

/// The reads come between two undisturbed scalings, because the cluster grows all the time.
async fn rates(report: &mut Report, master: &Master, client: &Client, placed: u32) -> Result<()> {
    let before = scale(master, client, "/before", placed).await?;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let reader = client.clone();
    let reading = tokio::spawn(async move {
        let (mut firsts, mut ticks) = (Samples::default(), interval(READ_EVERY));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for list in LISTS.iter().cycle() {
            tokio::select! {
                _ = ticks.tick() => firsts.add(reader.read(list).await?.first),
                _ = stopped.changed() => break,
            }
        }
        anyhow::Ok(firsts)
    });
    let during = scale(master, client, "/during", placed).await?;
    stop.send_replace(true);
    let firsts = reading.await??;
    let after = scale(master, client, "/after", placed).await?;
    let undisturbed = (before + after) / 2.0;
    report.add("instances a second, nobody reads", undisturbed, "/s");
    report.add("instances a second, a long read every 2 s", during, "/s");
    let share = during / undisturbed * 100.0;
    report.promise("what is left of the rate", share, "%", Goal::AtLeast(80.0));
    report.add("first byte meanwhile, max", firsts.millis(100), "ms");
    Ok(())
}

/// Instances a second.
async fn scale(master: &Master, client: &Client, id: &str, instances: u32) -> Result<f64> {
    let there = master.running();
    let begun = Instant::now();
    let app = json!({
        "id": id, "cmd": "sleep 1000", "cpus": 0.01, "mem": 16, "instances": instances,
        // 10,000 apps have taken all service ports there are.
        "portDefinitions": [],
    });
    client.send(Method::POST, "/v2/apps", &app).await?;
    master.until_running(there + instances as usize).await?;
    Ok(f64::from(instances) / begun.elapsed().as_secs_f64())
}
