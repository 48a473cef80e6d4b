//! A group of many apps in one request: until all its instances run, and how long it takes to be read.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Place;
use crate::client::Client;
use crate::crew::Crew;
use crate::master::Master;
use crate::report::{Goal, Report, Samples};
use crate::usage::Cpu;

/// Apps of one subgroup.
const APPS_EACH: u32 = 50;
/// How often the group is read.
const READS: u32 = 10;
/// What a client that wants the whole tree asks for.
const TREE: &str = "/v2/groups/many?embed=group.groups&embed=group.apps&embed=group.apps.counts";

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 1_000)]
    apps: u32,
    /// Of each app.
    #[arg(long, default_value_t = 10)]
    instances: u32,
    #[arg(long, default_value_t = 500)]
    agents: u32,
    #[command(flatten)]
    crew: Crew,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let title = format!("group: {} apps of {} instances", flags.apps, flags.instances);
    let mut report = Report::new(title)?;
    let dir = place.dir()?;
    let master = Master::start(dir.path(), place.ip).await?;
    let crew = flags.crew.start(master.stream, flags.agents)?;
    master.until_agents(flags.agents as usize).await?;
    let client = Client::new(master.api);
    let before = (Cpu::own()?, crew.cpu()?);
    let begun = Instant::now();
    client.send(Method::PUT, "/v2/groups/many", &group(&flags)).await?;
    let accepted = begun.elapsed();
    master.until_running((flags.apps * flags.instances) as usize).await?;
    let took = begun.elapsed();
    report.promise("until all run", took.as_secs_f64(), "s", Goal::AtMost(30.0));
    report.add("until it is accepted", accepted.as_secs_f64() * 1e3, "ms");
    report.add("processor time of master and client", Cpu::own()?.since(before.0), "s");
    report.add("processor time of the agents", crew.cpu()?.since(before.1), "s");
    let (mut wholes, mut bytes) = (Samples::default(), 0);
    for _ in 0..READS {
        let read = client.read(TREE).await?;
        wholes.add(read.whole);
        bytes = read.bytes;
    }
    report.promise("GET of the group, whole, p50", wholes.millis(50), "ms", Goal::AtMost(100.0));
    report.add("GET of the group, whole, max", wholes.millis(100), "ms");
    report.add("GET of the group, size", bytes as f64 / f64::from(1 << 20), "MiB");
    crew.stop().await?;
    master.stop().await;
    Ok(report)
}

fn group(flags: &Flags) -> Value {
    let app = |number: u32| {
        json!({
            "id": format!("app-{number}"), "cmd": "sleep 1000", "cpus": 0.01, "mem": 16,
            "instances": flags.instances,
        })
    };
    let numbers: Vec<u32> = (0..flags.apps).collect();
    let groups = numbers.chunks(APPS_EACH as usize).enumerate().map(|(n, numbers)| {
        let apps: Vec<Value> = numbers.iter().map(|number| app(*number)).collect();
        json!({"id": format!("part-{n}"), "apps": apps})
    });
    json!({"groups": groups.collect::<Vec<_>>()})
}
