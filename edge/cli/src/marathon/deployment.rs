//! `dcos marathon deployment`: changes that are under way.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::change::started;
use super::wait::Wait;
use super::{API, absolute};
use crate::World;
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the deployments that are under way.
    List {
        /// Only those that touch this app or pod.
        app: Option<String>,
        #[arg(long)]
        json: bool,
        /// Print ids only.
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
    },
    /// Follow a deployment until it is over.
    #[command(after_help = "Example:
  dcos marathon deployment watch --interval 2 5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43")]
    Watch {
        deployment: String,
        /// Seconds between two looks.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        interval: u64,
        /// Look so often at most.
        #[arg(long)]
        max_count: Option<u64>,
    },
    /// Undo a deployment: go back to what was before.
    Rollback {
        deployment: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Stop a deployment and leave everything as it is now.
    Stop { deployment: String },
}

/// What tables show of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deployment {
    pub id: String,
    #[serde(default)]
    pub affected_apps: Vec<String>,
    #[serde(default)]
    pub affected_pods: Vec<String>,
    #[serde(default)]
    pub current_actions: Vec<Action>,
    pub current_step: u64,
    pub total_steps: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Action {
    pub action: String,
    #[serde(default)]
    pub app: Option<String>,
    #[serde(default)]
    pub pod: Option<String>,
}

/// What an action is called in tables.
pub(super) fn verb(action: &str) -> &str {
    match action {
        "ResolveArtifacts" => "artifacts",
        "ScaleApplication" | "ScalePod" => "scale",
        "StartApplication" | "StartPod" => "start",
        "StopApplication" | "StopPod" => "stop",
        "RestartApplication" | "RestartPod" => "restart",
        "KillAllOldTasksOf" => "kill-tasks",
        other => other,
    }
}

pub(super) async fn deployments(client: &Client) -> Result<Vec<Deployment>> {
    client.json(client.get(&format!("{API}/v2/deployments"))).await
}

pub(super) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::List { app, json: true, .. } => {
            let answer: Vec<Value> =
                client.json(client.get(&format!("{API}/v2/deployments"))).await?;
            let touches = |deployment: &Value| match app.as_deref().map(absolute) {
                Some(id) => ["affectedApps", "affectedPods"]
                    .iter()
                    .filter_map(|field| deployment[field].as_array())
                    .any(|ids| ids.iter().any(|one| *one == id.as_str())),
                None => true,
            };
            screen.json(&answer.into_iter().filter(touches).collect::<Vec<_>>())
        }
        Command::List { app, quiet, .. } => list(screen, &client, app.as_deref(), quiet).await,
        Command::Watch { deployment, interval, max_count } => {
            let pause = Duration::from_secs(interval);
            watch(screen, &client, &deployment, pause, max_count.unwrap_or(u64::MAX)).await
        }
        Command::Rollback { deployment, wait } => {
            let path = format!("{API}/v2/deployments/{}", segment(&deployment));
            let request = client.request(Method::DELETE, &path);
            started(screen, &client, None, request, &wait).await
        }
        Command::Stop { deployment } => {
            let path = format!("{API}/v2/deployments/{}", segment(&deployment));
            let request = client.request(Method::DELETE, &path).query(&[("force", "true")]);
            client.open(request).await?;
            screen.line(format_args!("Stopped deployment {deployment}"))
        }
    }
}

async fn list(
    screen: &mut Screen<'_>,
    client: &Client,
    app: Option<&str>,
    quiet: bool,
) -> Result<()> {
    let mut found = deployments(client).await?;
    if let Some(app) = app.map(absolute) {
        found.retain(|deployment| {
            deployment.affected_apps.contains(&app) || deployment.affected_pods.contains(&app)
        });
        if found.is_empty() {
            return Err(Failure::Other(format!("There are no deployments for '{app}'")).into());
        }
    }
    if quiet {
        return found.iter().try_for_each(|deployment| screen.line(&deployment.id));
    }
    if found.is_empty() {
        return Err(Failure::Other("There are no deployments".into()).into());
    }
    screen.table(&table(&found))
}

fn table(deployments: &[Deployment]) -> Table {
    let mut table = Table::new(&["APP", "POD", "ACTION", "PROGRESS", "ID"]);
    for deployment in deployments {
        table.row([
            listed(&deployment.affected_apps),
            listed(&deployment.affected_pods),
            actions(deployment).join("\n"),
            format!("{}/{}", deployment.current_step.saturating_sub(1), deployment.total_steps),
            deployment.id.clone(),
        ]);
    }
    table.sort();
    table
}

fn listed(ids: &[String]) -> String {
    if ids.is_empty() { "-".to_owned() } else { ids.join("\n") }
}

/// With the app's id if there is more than one.
pub(super) fn actions(deployment: &Deployment) -> Vec<String> {
    let subject = |action: &Action| action.app.clone().or_else(|| action.pod.clone());
    let first = deployment.current_actions.first().and_then(subject);
    let several = deployment.current_actions.iter().any(|action| subject(action) != first);
    let spell = |action: &Action| match subject(action) {
        Some(subject) if several => format!("{} {subject}", verb(&action.action)),
        Some(_) | None => verb(&action.action).to_owned(),
    };
    deployment.current_actions.iter().map(spell).collect()
}

/// Prints the deployment whenever it has changed, until it is over.
async fn watch(
    screen: &mut Screen<'_>,
    client: &Client,
    id: &str,
    pause: Duration,
    looks_max: u64,
) -> Result<()> {
    let mut shown = None;
    for _ in 0..looks_max {
        let found = deployments(client).await?.into_iter().find(|deployment| deployment.id == id);
        let Some(deployment) = found else {
            return match shown {
                Some(_) => screen.line(format_args!("Deployment {id} is over")),
                None => Err(Failure::Other(format!(
                    "no deployment {id} is under way; `dcos marathon deployment list` shows those that are"
                ))
                .into()),
            };
        };
        if shown.as_ref() != Some(&deployment) {
            screen.table(&table(std::slice::from_ref(&deployment)))?;
            shown = Some(deployment);
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
