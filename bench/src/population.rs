//! A cluster that is full already: 10,000 apps, 100,000 tasks.

use anyhow::Result;
use clap::Args;

use crate::agents::Agents;
use crate::apps::Posting;
use crate::client::Client;
use crate::crew::Crew;

/// Posting is not what is measured here.
const CLIENTS: u32 = 100;

#[derive(Debug, Clone, Args)]
pub(crate) struct Population {
    #[arg(long, default_value_t = 10_000)]
    pub(crate) apps: u32,
    /// Of all apps together.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) tasks: u32,
    #[arg(long, default_value_t = 1_000)]
    pub(crate) agents: u32,
    #[command(flatten)]
    crew: Crew,
}

impl Population {
    /// Agents that the master knows after a while.
    pub(crate) fn agents(&self, stream: std::net::SocketAddr) -> Result<Agents> {
        self.crew.start(stream, self.agents)
    }

    /// How many instances will run once all apps are there.
    pub(crate) fn instances(&self) -> u32 {
        self.apps * self.instances_each()
    }

    pub(crate) async fn post(&self, client: &Client) -> Result<()> {
        Posting::new(client.clone(), self.apps, self.instances_each()).run(CLIENTS).await
    }

    fn instances_each(&self) -> u32 {
        (self.tasks / self.apps.max(1)).max(1)
    }
}
