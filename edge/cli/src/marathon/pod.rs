//! `dcos marathon pod`: groups of containers that live and die together.

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::change::{Change, changed, started};
use super::debug::{Queue, queue};
use super::wait::Wait;
use super::{API, absolute, versions};
use crate::World;
use crate::client::{Client, segment, segments};
use crate::failure::Failure;
use crate::input;
use crate::screen::Screen;
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a pod.
    #[command(after_help = "Examples:
  dcos marathon pod add shop.json --wait
  dcos marathon pod add < shop.json")]
    Add {
        /// File or URL of its definition; standard input if left out or `-`.
        source: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// List the pods with their containers.
    List {
        #[arg(long)]
        json: bool,
        /// Print ids only.
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
    },
    /// Print how a pod does, its definition and its instances as JSON.
    #[command(after_help = "Examples:
  dcos marathon pod show /shop
  dcos marathon pod show --pod-version=-1 /shop      # the definition before this one")]
    Show {
        pod: String,
        /// Of which version the definition: one from the history, or -1 for the one before the current, -2 ...
        #[arg(long, allow_hyphen_values = true)]
        pod_version: Option<String>,
        /// It is JSON anyway.
        #[arg(long)]
        json: bool,
    },
    /// Replace a pod's definition by the one on standard input.
    #[command(after_help = "Examples:
  dcos marathon pod update /shop --wait < shop.json
  dcos marathon pod show /shop | jq '.spec | .scaling.instances = 3' | dcos marathon pod update /shop")]
    Update {
        pod: String,
        #[command(flatten)]
        change: Change,
    },
    /// Stop a pod and forget it.
    Remove {
        pod: String,
        #[command(flatten)]
        change: Change,
    },
    /// Kill instances of a pod; they are replaced.
    #[command(after_help = "Example:
  dcos marathon pod kill /shop shop.instance-5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43")]
    Kill {
        pod: String,
        /// Their ids, as `dcos marathon pod show` prints them.
        #[arg(required = true)]
        instances: Vec<String>,
    },
}

/// What the table shows of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    id: String,
    #[serde(default)]
    instances: Vec<Value>,
    status: String,
    #[serde(default)]
    status_since: String,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
struct Spec {
    #[serde(default)]
    containers: Vec<Named>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

pub(super) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::Add { source, wait } => {
            let pod = input::definition(screen, source.as_deref()).await?;
            let id = absolute(pod["id"].as_str().unwrap_or_default());
            let request = client.request(Method::POST, &format!("{API}/v2/pods")).json(&pod);
            started(screen, &client, Some(&id), request, &wait).await
        }
        Command::List { json, quiet } => list(screen, &client, json, quiet).await,
        Command::Show { pod, pod_version, json: _ } => {
            let shown = show(&client, &pod, pod_version.as_deref()).await?;
            screen.json(&shown)
        }
        Command::Update { pod, change } => {
            // PUT would create a pod that does not exist.
            client.open(client.get(&path(&pod))).await?;
            let definition = input::definition(screen, None).await?;
            let request = client.request(Method::PUT, &path(&pod)).json(&definition);
            changed(screen, &client, &absolute(&pod), request, &change).await
        }
        Command::Remove { pod, change } => {
            let request = client.request(Method::DELETE, &path(&pod));
            changed(screen, &client, &absolute(&pod), request, &change).await
        }
        Command::Kill { pod, instances } => kill(screen, &client, &pod, &instances).await,
    }
}

fn path(pod: &str) -> String {
    format!("{API}/v2/pods/{}", segments(pod))
}

async fn show(client: &Client, pod: &str, version: Option<&str>) -> Result<Value> {
    let Some(version) = version else {
        return client.json(client.get(&format!("{}::status", path(pod)))).await;
    };
    let all = format!("{}::versions", path(pod));
    let version = match version.parse::<i64>() {
        Ok(back) => {
            // In the order in which they were made.
            let mut known: Vec<String> = client.json(client.get(&all)).await?;
            known.sort_by(|a, b| b.cmp(a));
            versions::relative(&known, back)?
        }
        Err(_) => version.to_owned(),
    };
    client.json(client.get(&format!("{all}/{}", segment(&version)))).await
}

async fn kill(
    screen: &mut Screen<'_>,
    client: &Client,
    pod: &str,
    instances: &[String],
) -> Result<()> {
    let request = client.request(Method::DELETE, &format!("{}::instances", path(pod)));
    let answer: Value = client.json(request.json(&instances)).await?;
    let killed = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if killed.is_empty() {
        return Err(Failure::Other(format!(
            "{} has no such instance; `dcos marathon pod show {}` names those that it has",
            absolute(pod),
            absolute(pod)
        ))
        .into());
    }
    let ids: Vec<&str> = killed.iter().filter_map(|one| one["instanceId"].as_str()).collect();
    screen.line(format_args!("Killed instances: [{}]", ids.join(", ")))
}

async fn list(screen: &mut Screen<'_>, client: &Client, json: bool, quiet: bool) -> Result<()> {
    let request = client.get(&format!("{API}/v2/pods::status"));
    if json {
        let answer: Value = client.json(request).await?;
        return screen.json(&answer);
    }
    let mut pods: Vec<Pod> = client.json(request).await?;
    pods.sort_by(|a, b| a.id.cmp(&b.id));
    if quiet {
        return pods.iter().try_for_each(|pod| screen.line(&pod.id));
    }
    screen.table(&table(&pods, &queue(client).await?))
}

fn table(pods: &[Pod], queue: &Queue) -> Table {
    let mut table = Table::new(&[
        "ID+TASKS",
        "INSTANCES",
        "VERSION",
        "STATUS",
        "STATUS SINCE",
        "WAITING",
        "ROLE",
    ]);
    for pod in pods {
        let mut names: Vec<&str> =
            pod.spec.containers.iter().map(|container| container.name.as_str()).collect();
        names.sort_unstable();
        let lines: Vec<String> = names.iter().map(|name| format!("\n |-{name}")).collect();
        table.row([
            format!("{}{}", pod.id, lines.concat()),
            pod.instances.len().to_string(),
            pod.spec.version.clone().unwrap_or_else(|| "-".to_owned()),
            pod.status.clone(),
            pod.status_since.clone(),
            queue.is_waiting(&pod.id).to_string(),
            pod.spec.role.clone().unwrap_or_else(|| "N/A".to_owned()),
        ]);
    }
    table
}
