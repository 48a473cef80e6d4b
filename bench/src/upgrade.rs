//! A rolling upgrade of one large app, whose bounds are looked at after every event.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use services::spec::AppId;

use crate::Place;
use crate::client::Client;
use crate::crew::Crew;
use crate::master::{Master, PATIENCE};
use crate::report::{Goal, Report};

const APP: &str = "/upgraded";

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 10_000)]
    instances: u32,
    #[arg(long, default_value_t = 500)]
    agents: u32,
    /// `minimumHealthCapacity`.
    #[arg(long, default_value_t = 0.9)]
    minimum: f64,
    /// `maximumOverCapacity`.
    #[arg(long, default_value_t = 0.1)]
    maximum: f64,
    #[command(flatten)]
    crew: Crew,
}

/// The extremes of all that was seen.
#[derive(Debug, Default)]
struct Seen {
    events: u64,
    running_min: usize,
    instances_max: usize,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let mut report = Report::new(format!("upgrade: {} instances", flags.instances))?;
    let dir = place.dir()?;
    let master = Master::start(dir.path(), place.ip).await?;
    let crew = flags.crew.start(master.stream, flags.agents)?;
    master.until_agents(flags.agents as usize).await?;
    let client = Client::new(master.api);
    let app = |cmd: &str| {
        json!({
            "id": APP, "cmd": cmd, "cpus": 0.01, "mem": 16, "instances": flags.instances,
            "upgradeStrategy": {
                "minimumHealthCapacity": flags.minimum, "maximumOverCapacity": flags.maximum,
            },
        })
    };
    client.send(Method::POST, "/v2/apps", &app("sleep 1000")).await?;
    master.until_running(flags.instances as usize).await?;
    let begun = Instant::now();
    let new = app("sleep 2000");
    let (seen, put) = tokio::join!(
        watch(&master, flags.instances as usize),
        client.send(Method::PUT, "/v2/apps/upgraded", &new),
    );
    put?;
    let (seen, took) = (seen?, begun.elapsed().as_secs_f64());
    let wanted = f64::from(flags.instances);
    report.add("until all are of the new version", took, "s");
    report.add("events looked at", seen.events as f64, "");
    let (least, most) = (wanted * flags.minimum, wanted * (1.0 + flags.maximum));
    let running = seen.running_min as f64;
    report.promise("fewest that ran after any event", running, "", Goal::AtLeast(least));
    let instances = seen.instances_max as f64;
    report.promise("most that there were after any event", instances, "", Goal::AtMost(most));
    crew.stop().await?;
    master.stop().await;
    Ok(report)
}

/// Until the deployment that is about to begin is over.
async fn watch(master: &Master, wanted: usize) -> Result<Seen> {
    let app: AppId = APP.parse()?;
    let mut notices = master.handle.notices();
    let mut seen = Seen { running_min: wanted, ..Seen::default() };
    let (begun, mut is_under_way) = (Instant::now(), false);
    loop {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for the end of the upgrade");
        ensure!(notices.next().await.is_ok(), "the driver could not follow the events");
        let view = master.handle.read();
        let instances = view.services.instances.get(&app).map_or(0, imbl::OrdMap::len);
        let running = view.services.counts.get(&app).map_or(0, |counts| counts.running as usize);
        seen.events += 1;
        seen.running_min = seen.running_min.min(running);
        seen.instances_max = seen.instances_max.max(instances);
        let has_deployment = !view.services.deployments.is_empty();
        if is_under_way && !has_deployment {
            return Ok(seen);
        }
        is_under_way |= has_deployment;
    }
}
