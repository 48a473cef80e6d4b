//! `dcos marathon app`: what runs, and how many of it.

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::change::{Change, changed, started};
use super::wait::Wait;
use super::{API, absolute, app_list, app_path, versions};
use crate::World;
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::input;
use crate::screen::Screen;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an app.
    #[command(after_help = "Examples:
  dcos marathon app add web.json --wait
  dcos marathon app add https://example.com/web.json
  echo '{\"id\": \"/sleeper\", \"cmd\": \"sleep 1000\"}' | dcos marathon app add")]
    Add {
        /// File or URL of its definition; standard input if left out or `-`.
        source: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// List the apps.
    List {
        #[arg(long)]
        json: bool,
        /// Print ids only.
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
    },
    /// Print an app's definition and state as JSON.
    #[command(after_help = "Examples:
  dcos marathon app show /web
  dcos marathon app show --app-version=-1 /web      # the version before this one")]
    Show {
        app: String,
        /// A version from `dcos marathon app version list`, or -1 for the one before the current, -2 ...
        #[arg(long, allow_hyphen_values = true)]
        app_version: Option<String>,
        /// It is JSON anyway.
        #[arg(long)]
        json: bool,
    },
    /// Change an app.
    #[command(after_help = "Examples:
  dcos marathon app update /web cpus=0.5 instances=3 --wait
  dcos marathon app update /web env='{\"COLOR\": \"blue\"}'
  dcos marathon app update /web < new.json")]
    Update {
        app: String,
        /// Fields as key=value; a JSON object on standard input if left out.
        properties: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Start an app that was stopped.
    #[command(after_help = "Example:\n  dcos marathon app start /web 3 --wait")]
    Start {
        app: String,
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        instances: u32,
        #[command(flatten)]
        change: Change,
    },
    /// Stop all tasks of an app and keep its definition.
    Stop {
        app: String,
        #[command(flatten)]
        change: Change,
    },
    /// Replace all tasks of an app by new ones.
    Restart {
        app: String,
        #[command(flatten)]
        change: Change,
    },
    /// Kill the tasks of an app; they are replaced unless --scale is given.
    #[command(after_help = "Examples:
  dcos marathon app kill /web --host 127.0.0.1
  dcos marathon app kill /web --scale")]
    Kill {
        app: String,
        /// Run fewer instances from now on.
        #[arg(long)]
        scale: bool,
        /// Only the tasks on this host.
        #[arg(long)]
        host: Option<String>,
    },
    /// Stop an app and forget it.
    Remove {
        app: String,
        #[command(flatten)]
        change: Change,
    },
    /// The history of an app's definition.
    #[command(subcommand)]
    Version(Version),
}

#[derive(Debug, Subcommand)]
pub enum Version {
    /// Print the versions of an app as JSON, the newest first.
    List {
        app: String,
        #[arg(long)]
        max_count: Option<usize>,
        /// It is JSON anyway.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::Add { source, wait } => add(screen, &client, source.as_deref(), &wait).await,
        Command::List { json, quiet } => app_list::run(screen, &client, json, quiet).await,
        Command::Show { app, app_version, json: _ } => {
            let shown = show(&client, &app, app_version.as_deref()).await?;
            screen.json(&shown)
        }
        Command::Update { app, properties, change } => {
            let update = match properties.is_empty() {
                true => input::definition(screen, None).await?,
                false => input::properties(&properties)?,
            };
            put(screen, &client, &app, &update, &change).await
        }
        Command::Start { app, instances, change } => {
            start(screen, &client, &app, instances, &change).await
        }
        Command::Stop { app, change } => stop(screen, &client, &app, &change).await,
        Command::Restart { app, change } => {
            let path = format!("{}/restart", app_path(&app));
            let request = client.request(Method::POST, &path);
            changed(screen, &client, &absolute(&app), request, &change).await
        }
        Command::Kill { app, scale, host } => {
            kill(screen, &client, &app, scale, host.as_deref()).await
        }
        Command::Remove { app, change } => {
            let request = client.request(Method::DELETE, &app_path(&app));
            changed(screen, &client, &absolute(&app), request, &change).await
        }
        Command::Version(Version::List { app, max_count, json: _ }) => {
            let mut versions = history(&client, &app).await?;
            versions.truncate(max_count.unwrap_or(versions.len()));
            screen.json(&versions)
        }
    }
}

async fn add(
    screen: &mut Screen<'_>,
    client: &Client,
    source: Option<&str>,
    wait: &Wait,
) -> Result<()> {
    let app = input::definition(screen, source).await?;
    let id = absolute(app["id"].as_str().unwrap_or_default());
    let request = client.request(Method::POST, &format!("{API}/v2/apps")).json(&app);
    started(screen, client, Some(&id), request, wait).await
}

async fn read(client: &Client, app: &str) -> Result<Value> {
    let mut answer: Value = client.json(client.get(&app_path(app))).await?;
    Ok(answer["app"].take())
}

async fn history(client: &Client, app: &str) -> Result<Vec<String>> {
    let path = format!("{}/versions", app_path(app));
    let mut answer: Value = client.json(client.get(&path)).await?;
    Ok(serde_json::from_value(answer["versions"].take())?)
}

async fn show(client: &Client, app: &str, version: Option<&str>) -> Result<Value> {
    let Some(version) = version else { return read(client, app).await };
    let version = match version.parse::<i64>() {
        Ok(back) => versions::relative(&history(client, app).await?, back)?,
        Err(_) => version.to_owned(),
    };
    let path = format!("{}/versions/{}", app_path(app), segment(&version));
    client.json(client.get(&path)).await
}

async fn put(
    screen: &mut Screen<'_>,
    client: &Client,
    app: &str,
    update: &Value,
    change: &Change,
) -> Result<()> {
    // PUT would create an app that does not exist.
    read(client, app).await?;
    let request = client.request(Method::PUT, &app_path(app)).json(update);
    changed(screen, client, &absolute(app), request, change).await
}

async fn start(
    screen: &mut Screen<'_>,
    client: &Client,
    app: &str,
    instances: u32,
    change: &Change,
) -> Result<()> {
    match read(client, app).await?["instances"].as_u64().unwrap_or_default() {
        0 => put(screen, client, app, &json!({"instances": instances}), change).await,
        running => Err(Failure::Other(format!(
            "Application {} already started: {running} instances. `dcos marathon app update {app} \
             instances={instances}` changes how many there are.",
            absolute(app)
        ))
        .into()),
    }
}

async fn stop(screen: &mut Screen<'_>, client: &Client, app: &str, change: &Change) -> Result<()> {
    if read(client, app).await?["instances"] == 0 {
        let message = format!("Application {} already stopped: 0 instances.", absolute(app));
        return Err(Failure::Other(message).into());
    }
    put(screen, client, app, &json!({"instances": 0}), change).await
}

async fn kill(
    screen: &mut Screen<'_>,
    client: &Client,
    app: &str,
    scale: bool,
    host: Option<&str>,
) -> Result<()> {
    let path = format!("{}/tasks", app_path(app));
    let mut request = client.request(Method::DELETE, &path).query(&[("scale", scale.to_string())]);
    if let Some(host) = host {
        request = request.query(&[("host", host)]);
    }
    let answer: Value = client.json(request).await?;
    if let Some(deployment) = answer["deploymentId"].as_str() {
        return screen.line(format_args!("Started deployment: {deployment}"));
    }
    let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
    let ids: Vec<&str> = tasks.iter().filter_map(|task| task["id"].as_str()).collect();
    screen.line(format_args!("Killed tasks: [{}]", ids.join(", ")))
}
