//! `dcos marathon`: apps, pods and groups, their deployments and their tasks.

mod app;
mod app_list;
mod change;
mod debug;
mod deployment;
mod group;
mod pod;
pub(crate) mod tasks;
mod versions;
mod wait;

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::Value;

use crate::World;
use crate::failure::Failure;
use crate::table::Table;

/// Where the front door keeps the API.
const API: &str = "/service/marathon";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add, change, scale, look at and remove apps.
    #[command(subcommand)]
    App(app::Command),
    /// Add, change, look at and remove pods: containers that live and die together.
    #[command(subcommand)]
    Pod(pod::Command),
    /// Add, change, scale, look at and remove groups of apps and pods.
    #[command(subcommand)]
    Group(group::Command),
    /// Follow, undo and stop deployments.
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// List and kill the tasks of apps.
    #[command(subcommand)]
    Task(tasks::Command),
    /// Find out why an app or a pod waits.
    #[command(subcommand)]
    Debug(debug::Command),
    /// Do not wait any longer before what failed is started again.
    #[command(subcommand)]
    Delay(Delay),
    /// Print what the service is and how it is set up.
    About,
    /// Ask whether the service answers.
    Ping {
        /// It is asked once anyway.
        #[arg(long)]
        once: bool,
    },
    /// What extends the service.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Who leads.
    #[command(subcommand)]
    Leader(Leader),
}

#[derive(Debug, Subcommand)]
pub enum Delay {
    /// Start what failed again at once.
    #[command(after_help = "Example:\n  dcos marathon delay reset /web")]
    Reset {
        /// An app or a pod.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List the plugins.
    List {
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Leader {
    /// Let the leading master give up leadership.
    Delete,
    /// Print the address of the leading master.
    Show {
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    match command {
        Command::App(command) => app::run(command, world).await,
        Command::Pod(command) => pod::run(command, world).await,
        Command::Group(command) => group::run(command, world).await,
        Command::Deployment(command) => deployment::run(command, world).await,
        Command::Task(command) => tasks::run(command, world).await,
        Command::Debug(command) => debug::run(command, world).await,
        Command::About => about(world).await,
        Command::Ping { once: _ } => ping(world).await,
        Command::Delay(Delay::Reset { id }) => reset(world, &id).await,
        Command::Plugin(Plugin::List { json }) => plugins(world, json).await,
        Command::Leader(Leader::Show { json }) => leader(world, json).await,
        Command::Leader(Leader::Delete) => abdicate(world).await,
    }
}

async fn about(world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let info: Value = client.json(client.get(&format!("{API}/v2/info"))).await?;
    world.screen.json(&info)
}

async fn ping(world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let answer = client.text(client.get(&format!("{API}/ping"))).await?;
    match answer.trim() {
        "pong" => world.screen.line("Marathon ping response[1x]: \"pong\""),
        other => {
            let cause = format!("it said {other:?} instead of pong");
            Err(Failure::Garbled { url: client.base().to_owned(), cause }.into())
        }
    }
}

async fn leader(world: &mut World<'_>, json: bool) -> Result<()> {
    let client = world.client()?;
    let answer: Value = client.json(client.get(&format!("{API}/v2/leader"))).await?;
    match answer["leader"].as_str() {
        Some(leader) if !json => world.screen.line(leader),
        Some(_) | None => world.screen.json(&answer),
    }
}

async fn abdicate(world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let request = client.request(Method::DELETE, &format!("{API}/v2/leader"));
    let answer: Value = client.json(request).await?;
    world.screen.line(answer["message"].as_str().unwrap_or("Leadership abdicated"))
}

async fn reset(world: &mut World<'_>, id: &str) -> Result<()> {
    let client = world.client()?;
    let path = format!("{API}/v2/queue/{}/delay", crate::client::segments(id));
    client.open(client.request(Method::DELETE, &path)).await?;
    world.screen.line(format_args!("{} is started again at once", absolute(id)))
}

async fn plugins(world: &mut World<'_>, json: bool) -> Result<()> {
    let client = world.client()?;
    let mut answer: Value = client.json(client.get(&format!("{API}/v2/plugins"))).await?;
    let plugins = answer["plugins"].take();
    if json {
        return world.screen.json(&plugins);
    }
    let mut table = Table::new(&["ID", "IMPLEMENTATION", "TYPE"]);
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    for one in plugins.as_array().into_iter().flatten() {
        table.row([text(one, "id"), text(one, "implementation"), text(one, "plugin")]);
    }
    world.screen.table(&table)
}

/// `/prod/web` for `prod/web`, as lists show it.
fn absolute(app: &str) -> String {
    let parts: Vec<&str> = app.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

fn app_path(app: &str) -> String {
    format!("{API}/v2/apps/{}", crate::client::segments(app))
}
