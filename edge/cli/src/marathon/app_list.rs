//! The table of apps.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::API;
use super::debug::{Queue, queue};
use super::deployment::{Deployment, deployments, verb};
use crate::client::Client;
use crate::screen::Screen;
use crate::table::{NOTHING, Table, shorten};

const CMD_CHARS_MAX: usize = 35;

#[derive(Debug, Deserialize)]
struct Apps {
    apps: Vec<App>,
}

/// What the table shows of an app.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct App {
    id: String,
    mem: f64,
    cpus: f64,
    instances: u64,
    #[serde(default)]
    tasks_running: u64,
    #[serde(default)]
    tasks_healthy: u64,
    #[serde(default)]
    health_checks: Vec<Value>,
    #[serde(default)]
    deployments: Vec<Reference>,
    #[serde(default)]
    container: Option<Container>,
    #[serde(default)]
    cmd: Option<String>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(rename = "type")]
    kind: String,
}

pub(super) async fn run(
    screen: &mut Screen<'_>,
    client: &Client,
    json: bool,
    quiet: bool,
) -> Result<()> {
    let request = client.get(&format!("{API}/v2/apps"));
    if json {
        let answer: Value = client.json(request).await?;
        return screen.json(&answer["apps"]);
    }
    let Apps { mut apps } = client.json(request).await?;
    if quiet {
        apps.sort_by(|a, b| a.id.cmp(&b.id));
        return apps.iter().try_for_each(|app| screen.line(&app.id));
    }
    let deployments = deployments(client).await?;
    let by_id = deployments.iter().map(|deployment| (deployment.id.as_str(), deployment)).collect();
    screen.table(&table(&apps, &by_id, &queue(client).await?))
}

fn table(apps: &[App], deployments: &BTreeMap<&str, &Deployment>, queue: &Queue) -> Table {
    let mut table = Table::new(&[
        "ID",
        "MEM",
        "CPUS",
        "TASKS",
        "HEALTH",
        "DEPLOYMENT",
        "WAITING",
        "CONTAINER",
        "CMD",
        "ROLE",
    ]);
    for app in apps {
        table.row([
            app.id.clone(),
            app.mem.to_string(),
            app.cpus.to_string(),
            format!("{}/{}", app.tasks_running, app.instances),
            health(app),
            actions(app, deployments),
            queue.is_waiting(&app.id).to_string(),
            app.container.as_ref().map_or("MESOS", |container| &container.kind).to_owned(),
            command(app),
            app.role.clone().unwrap_or_else(|| NOTHING.to_owned()),
        ]);
    }
    table.sort();
    table
}

fn health(app: &App) -> String {
    match app.health_checks.is_empty() {
        true => NOTHING.to_owned(),
        false => format!("{}/{}", app.tasks_healthy, app.tasks_running),
    }
}

/// What is being done to it right now.
fn actions(app: &App, deployments: &BTreeMap<&str, &Deployment>) -> String {
    let running = app.deployments.iter().filter_map(|one| deployments.get(one.id.as_str()));
    let actions: Vec<&str> = running
        .flat_map(|deployment| &deployment.current_actions)
        .filter(|action| action.app.as_deref() == Some(&app.id))
        .map(|action| verb(&action.action))
        .collect();
    match actions.as_slice() {
        [] => NOTHING.to_owned(),
        [one] => (*one).to_owned(),
        several => format!("({})", several.join(", ")),
    }
}

/// On one line.
fn command(app: &App) -> String {
    let text = match (&app.cmd, &app.args) {
        (Some(cmd), _) if !cmd.is_empty() => cmd.clone(),
        (_, Some(args)) if !args.is_empty() => format!("[{}]", args.join(", ")),
        _ => NOTHING.to_owned(),
    };
    shorten(&text.split_whitespace().collect::<Vec<_>>().join(" "), CMD_CHARS_MAX)
}
