//! One app is scaled from one instance to very many: from `PUT` until the engine shows all of them running.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::json;

use crate::Place;
use crate::client::Client;
use crate::crew::Crew;
use crate::master::Master;
use crate::report::{Goal, Report};
use crate::usage::Cpu;

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 5_000)]
    agents: u32,
    #[arg(long, default_value_t = 100_000)]
    instances: u32,
    /// The smaller cluster that the time of an instance is compared with; 0 leaves it out.
    #[arg(long, default_value_t = 500)]
    fewer_agents: u32,
    /// The best of so many is told, because neighbours on the machine only make it slower.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    #[command(flatten)]
    crew: Crew,
}

/// What one scaling took, in seconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: f64,
    master: f64,
    agents: f64,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let instances = f64::from(flags.instances);
    let title = format!("placement: {} instances on {} agents", flags.instances, flags.agents);
    let mut report = Report::new(title)?;
    let took = best(&flags, place, flags.agents).await?;
    report.promise(
        "instances running a second",
        instances / took.wall,
        "/s",
        Goal::AtLeast(10_000.0),
    );
    told(&mut report, "", took, instances);
    if flags.fewer_agents > 0 {
        let fewer = best(&flags, place, flags.fewer_agents).await?;
        told(&mut report, &format!("{} agents: ", flags.fewer_agents), fewer, instances);
        let ratio = took.wall / fewer.wall;
        report.promise("time of an instance, as a multiple of that", ratio, "x", Goal::AtMost(1.5));
    }
    Ok(report)
}

fn told(report: &mut Report, of: &str, took: Took, instances: f64) {
    report.add(format!("{of}from PUT until all run"), took.wall, "s");
    report.add(format!("{of}time of an instance"), took.wall / instances * 1e6, "us");
    report.add(format!("{of}processor time of the master"), took.master, "s");
    report.add(format!("{of}processor time of the agents"), took.agents, "s");
}

async fn best(flags: &Flags, place: &Place, agents: u32) -> Result<Took> {
    let mut best = once(flags, place, agents).await?;
    for _ in 1..flags.runs {
        let took = once(flags, place, agents).await?;
        if took.wall < best.wall {
            best = took;
        }
    }
    Ok(best)
}

async fn once(flags: &Flags, place: &Place, agents: u32) -> Result<Took> {
    let dir = place.dir()?;
    let master = Master::start(dir.path(), place.ip).await?;
    let crew = flags.crew.start(master.stream, agents)?;
    master.until_agents(agents as usize).await?;
    let client = Client::new(master.api);
    let app =
        json!({"id": "/placed", "cmd": "sleep 1000", "cpus": 0.01, "mem": 16, "instances": 1});
    client.send(Method::POST, "/v2/apps", &app).await?;
    master.until_running(1).await?;
    let before = (Cpu::own()?, crew.cpu()?);
    let begun = Instant::now();
    client.send(Method::PUT, "/v2/apps/placed", &json!({"instances": flags.instances})).await?;
    master.until_running(flags.instances as usize).await?;
    let wall = begun.elapsed().as_secs_f64();
    let took =
        Took { wall, master: Cpu::own()?.since(before.0), agents: crew.cpu()?.since(before.1) };
    crew.stop().await?;
    master.stop().await;
    Ok(took)
}
