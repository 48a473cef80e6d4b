//! Many apps of one instance, posted by many clients at once: until all of them run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Place;
use crate::client::Client;
use crate::crew::Crew;
use crate::master::Master;
use crate::report::{Goal, Report};
use crate::usage::Cpu;

/// A client that is told that too many deployments run asks again after this.
const AGAIN_MS: u64 = 5;

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 10_000)]
    count: u32,
    #[arg(long, default_value_t = 100)]
    clients: u32,
    #[arg(long, default_value_t = 100)]
    agents: u32,
    #[command(flatten)]
    crew: Crew,
}

/// Clients that share the work.
#[derive(Debug)]
pub(crate) struct Posting {
    client: Client,
    next: AtomicU32,
    pub(crate) count: u32,
    pub(crate) instances: u32,
    /// Posts that were refused because a hundred deployments ran already, and were repeated.
    pub(crate) refused: AtomicU32,
}

impl Posting {
    pub(crate) fn new(client: Client, count: u32, instances: u32) -> Arc<Self> {
        let (next, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { client, next, count, instances, refused })
    }

    pub(crate) async fn run(self: &Arc<Self>, clients: u32) -> Result<()> {
        let mut working = JoinSet::new();
        for _ in 0..clients {
            working.spawn(self.clone().work());
        }
        while let Some(ended) = working.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn work(self: Arc<Self>) -> Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(());
            }
            self.post(number).await?;
        }
    }

    async fn post(&self, number: u32) -> Result<()> {
        let id = format!("/posted/app-{number}");
        let app = json!({
            "id": id, "cmd": "sleep 1000", "cpus": 0.01, "mem": 16, "instances": self.instances,
        });
        loop {
            let (status, text) = self.client.try_send(Method::POST, "/v2/apps", &app).await?;
            match status {
                StatusCode::CREATED => return Ok(()),
                StatusCode::FORBIDDEN => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(AGAIN_MS)).await;
                }
                status => bail!("POST {id}: {status}: {text}"),
            }
        }
    }
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let title = format!("apps: {} of one instance, {} clients", flags.count, flags.clients);
    let mut report = Report::new(title)?;
    let dir = place.dir()?;
    let master = Master::start(dir.path(), place.ip).await?;
    let crew = flags.crew.start(master.stream, flags.agents)?;
    master.until_agents(flags.agents as usize).await?;
    let before = (Cpu::own()?, crew.cpu()?);
    let begun = Instant::now();
    let posting = Posting::new(Client::new(master.api), flags.count, 1);
    posting.run(flags.clients).await?;
    let posted = begun.elapsed();
    master.until_running(flags.count as usize).await?;
    let took = begun.elapsed().as_secs_f64();
    report.promise("until all run", took, "s", Goal::AtMost(30.0));
    report.add("until the last one is accepted", posted.as_secs_f64(), "s");
    report.add("apps a second", f64::from(flags.count) / took, "/s");
    let refused = posting.refused.load(Ordering::Relaxed);
    report.add("posts repeated because 100 deployments ran", f64::from(refused), "");
    report.add("processor time of master and clients", Cpu::own()?.since(before.0), "s");
    report.add("processor time of the agents", crew.cpu()?.since(before.1), "s");
    crew.stop().await?;
    master.stop().await;
    Ok(report)
}
