//! `dcos marathon task`: the tasks of apps, as the service sees them.

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{API, absolute, app_path};
use crate::World;
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::table::Table;
use crate::task::find::one_of;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tasks of one app or of all.
    List {
        app: Option<String>,
        #[arg(long)]
        json: bool,
        /// Print ids only.
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
    },
    /// Print a task as JSON.
    Show {
        /// Id or unique beginning of it.
        task: String,
        /// It is JSON anyway.
        #[arg(long)]
        json: bool,
    },
    /// Kill tasks; they are replaced unless --scale is given.
    #[command(after_help = "Examples:
  dcos marathon task kill web.instance-5ed4c0c5
  dcos marathon task kill --scale web.instance-5ed4c0c5 web.instance-77aa")]
    Kill {
        /// Ids or unique beginnings of them.
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Run fewer instances from now on.
        #[arg(long)]
        scale: bool,
        /// Give up the resources that are kept for them, too.
        #[arg(long)]
        wipe: bool,
        #[arg(long)]
        json: bool,
    },
    /// Kill one task; it is replaced.
    Stop {
        /// Id or unique beginning of it.
        task: String,
        /// Give up the resources that are kept for it, too.
        #[arg(long)]
        wipe: bool,
    },
}

/// What the table shows of a task.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    id: String,
    app_id: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    health_check_results: Vec<Check>,
    #[serde(default)]
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Check {
    #[serde(default)]
    alive: bool,
}

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::List { app, json, quiet } => {
            list(screen, &client, app.as_deref(), json, quiet).await
        }
        Command::Show { task, json: _ } => {
            let task = find(&all(&client).await?, &task)?.clone();
            screen.json(&task)
        }
        Command::Kill { tasks, scale, wipe, json } => {
            let known = all(&client).await?;
            let ids: Result<Vec<String>> =
                tasks.iter().map(|wanted| Ok(text(find(&known, wanted)?, "id"))).collect();
            let answer = kill(&client, &ids?, Kill { scale, wipe }).await?;
            tell(screen, &answer, json)
        }
        Command::Stop { task, wipe } => {
            let known = all(&client).await?;
            let found = find(&known, &task)?;
            let path = format!(
                "{}/tasks/{}",
                app_path(&text(found, "appId")),
                segment(&text(found, "id"))
            );
            let request = client.request(Method::DELETE, &path);
            let answer: Value = client.json(request.query(&[("wipe", wipe)])).await?;
            screen.json(&answer["task"])
        }
    }
}

async fn all(client: &Client) -> Result<Vec<Value>> {
    let mut answer: Value = client.json(client.get(&format!("{API}/v2/tasks"))).await?;
    Ok(serde_json::from_value(answer["tasks"].take())?)
}

fn text(task: &Value, field: &str) -> String {
    task[field].as_str().unwrap_or_default().to_owned()
}

fn find<'a>(tasks: &'a [Value], wanted: &str) -> Result<&'a Value> {
    Ok(one_of(tasks, wanted, |task| task["id"].as_str().unwrap_or_default())?)
}

async fn list(
    screen: &mut Screen<'_>,
    client: &Client,
    app: Option<&str>,
    json: bool,
    quiet: bool,
) -> Result<()> {
    let mut tasks = all(client).await?;
    if let Some(app) = app.map(absolute) {
        tasks.retain(|task| task["appId"] == app.as_str());
    }
    if json {
        return screen.json(&tasks);
    }
    if quiet {
        return tasks.iter().try_for_each(|task| screen.line(text(task, "id")));
    }
    let mut table = Table::new(&["APP", "HEALTHY", "STARTED", "HOST", "ID", "ROLE"]);
    for task in tasks {
        let task: Task = serde_json::from_value(task)?;
        table.row([
            task.app_id,
            task.health_check_results.iter().all(|check| check.alive).to_string(),
            task.started_at.unwrap_or_else(|| "N/A".to_owned()),
            task.host.unwrap_or_default(),
            task.id,
            task.role.unwrap_or_default(),
        ]);
    }
    table.sort();
    screen.table(&table)
}

/// How tasks are killed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kill {
    pub scale: bool,
    pub wipe: bool,
}

pub(crate) async fn kill(client: &Client, ids: &[String], how: Kill) -> Result<Value> {
    let request = client
        .request(Method::POST, &format!("{API}/v2/tasks/delete"))
        .query(&[("scale", how.scale), ("wipe", how.wipe)])
        .json(&json!({"ids": ids}));
    client.json(request).await
}

pub(crate) fn tell(screen: &mut Screen<'_>, answer: &Value, json: bool) -> Result<()> {
    if json {
        return screen.json(answer);
    }
    if let Some(deployment) = answer["deploymentId"].as_str() {
        return screen.line(format_args!("Created deployment: {deployment}"));
    }
    let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
    if tasks.is_empty() {
        return Err(Failure::Other("no task was killed: they are gone already".into()).into());
    }
    let ids: Vec<&str> = tasks.iter().filter_map(|task| task["id"].as_str()).collect();
    screen.line(format_args!("Killed tasks: [{}]", ids.join(", ")))
}
