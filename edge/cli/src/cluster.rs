//! `dcos cluster`: which clusters this user knows and which one commands talk to.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::json;

use crate::World;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::settings::Cluster;
use crate::table::{NOTHING, Table};

/// A cluster that has not answered by then is shown as unavailable.
const STATUS_SECS_MAX: u64 = 3;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect to a cluster and attach to it.
    #[command(after_help = "Examples:
  dcos cluster setup http://127.0.0.1
  dcos cluster setup http://127.0.0.1 --name lab")]
    Setup {
        /// Address of the cluster's front door.
        url: String,
        /// Call it so; otherwise it has the name that it gives itself.
        #[arg(long)]
        name: Option<String>,
        /// Accept any TLS certificate.
        #[arg(long)]
        insecure: bool,
    },
    /// List the clusters that are set up; a star marks the attached one.
    List {
        /// Only the attached one.
        #[arg(long)]
        attached: bool,
        #[arg(long)]
        json: bool,
    },
    /// Let commands talk to this cluster.
    Attach {
        /// Name, id or beginning of the id.
        cluster: String,
    },
    /// Forget a cluster.
    Remove {
        /// Name, id or beginning of the id.
        #[arg(required_unless_present = "all")]
        cluster: Option<String>,
        /// Forget all of them.
        #[arg(long, conflicts_with = "cluster")]
        all: bool,
    },
    /// Give a cluster another name on this machine.
    Rename {
        /// Name, id or beginning of the id.
        cluster: String,
        name: String,
    },
}

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    match command {
        Command::Setup { url, name, insecure } => setup(world, &url, name, insecure).await,
        Command::List { attached, json } => list(world, attached, json).await,
        Command::Attach { cluster } => {
            let cluster = world.env.find(&cluster)?;
            world.env.attach(&cluster)
        }
        Command::Remove { cluster, all: _ } => remove(world, cluster.as_deref()),
        Command::Rename { cluster, name } => {
            let mut cluster = world.env.find(&cluster)?;
            cluster.set("cluster.name", &name);
            cluster.save()
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "CLUSTER_ID")]
    cluster_id: String,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    cluster: Option<String>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

async fn setup(
    world: &mut World<'_>,
    url: &str,
    name: Option<String>,
    insecure: bool,
) -> Result<()> {
    let mut target = Target::plain(url)?;
    if insecure {
        target.verify = crate::client::Verify::Any;
    }
    let client = Client::new(&target)?;
    let metadata: Metadata = client.json(client.get("/metadata")).await?;
    let id = metadata.cluster_id;
    // The id becomes a directory's name.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let cause = format!("{id:?} is not a cluster id");
        return Err(Failure::Garbled { url: target.url, cause }.into());
    }
    let name = match name {
        Some(name) => name,
        None => {
            let summary: Summary = client.json(client.get("/mesos/state-summary")).await?;
            summary.cluster.unwrap_or_else(|| id.clone())
        }
    };
    let mut cluster = world.env.cluster_of_id(&id)?;
    cluster.set("core.dcos_url", &target.url);
    cluster.set("cluster.name", &name);
    match insecure {
        true => cluster.set("core.ssl_verify", "false"),
        false => drop(cluster.unset("core.ssl_verify")),
    }
    cluster.save()?;
    world.env.attach(&cluster)?;
    world.screen.line(format_args!("Attached to {name} ({id}) at {}", target.url))
}

/// What is known of a cluster right now: `Some` version if it answers.
async fn version(cluster: &Cluster) -> Option<String> {
    let target = Target { timeout_secs: STATUS_SECS_MAX, ..Target::plain(cluster.url()?).ok()? };
    let client = Client::new(&target).ok()?;
    let asked = client.json::<Version>(client.get("/dcos-metadata/dcos-version.json"));
    let answer = tokio::time::timeout(Duration::from_secs(STATUS_SECS_MAX), asked).await;
    answer.ok()?.ok().map(|version| version.version)
}

fn status(cluster: &Cluster, version: Option<&String>) -> &'static str {
    match (cluster.url(), version) {
        (None, _) => "UNCONFIGURED",
        (Some(_), None) => "UNAVAILABLE",
        (Some(_), Some(_)) => "AVAILABLE",
    }
}

async fn list(world: &mut World<'_>, attached: bool, json: bool) -> Result<()> {
    let current = world.env.attached().ok().map(|cluster| cluster.id);
    let is_current = |cluster: &Cluster| Some(&cluster.id) == current.as_ref();
    let mut clusters = world.env.clusters()?;
    clusters.retain(|cluster| !attached || is_current(cluster));
    let versions = join_all(clusters.iter().map(version)).await;
    let rows = clusters.iter().zip(&versions);
    if json {
        let rows: Vec<_> = rows
            .map(|(cluster, version)| {
                json!({
                    "attached": is_current(cluster), "name": cluster.name(), "id": cluster.id,
                    "status": status(cluster, version.as_ref()), "version": version, "url": cluster.url(),
                })
            })
            .collect();
        return world.screen.json(&rows);
    }
    let mut table = Table::new(&["", "NAME", "ID", "STATUS", "VERSION", "URL"]);
    for (cluster, version) in rows {
        table.row([
            if is_current(cluster) { "*" } else { "" }.to_owned(),
            cluster.name().to_owned(),
            cluster.id.clone(),
            status(cluster, version.as_ref()).to_owned(),
            version.clone().unwrap_or_else(|| NOTHING.to_owned()),
            cluster.url().unwrap_or(NOTHING).to_owned(),
        ]);
    }
    world.screen.table(&table)
}

fn remove(world: &mut World<'_>, cluster: Option<&str>) -> Result<()> {
    let clusters = match cluster {
        Some(wanted) => vec![world.env.find(wanted)?],
        None => world.env.clusters()?,
    };
    for cluster in clusters {
        cluster.delete()?;
        world.screen.line(format_args!("Removed {} ({})", cluster.name(), cluster.id))?;
    }
    Ok(())
}
