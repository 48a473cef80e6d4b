//! `dcos marathon`: apps, their deployments and their tasks.

mod app;
mod app_list;
mod debug;
mod deployment;
pub(crate) mod tasks;
mod wait;

use anyhow::Result;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use crate::World;
use crate::failure::Failure;

/// Where the front door keeps the API.
const API: &str = "/service/marathon";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add, change, scale, look at and remove apps.
    #[command(subcommand)]
    App(app::Command),
    /// Follow, undo and stop deployments.
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// List and kill the tasks of apps.
    #[command(subcommand)]
    Task(tasks::Command),
    /// Find out why an app waits.
    #[command(subcommand)]
    Debug(debug::Command),
    /// Print what the service is and how it is set up.
    About,
    /// Ask whether the service answers.
    Ping,
    /// Who leads.
    #[command(subcommand)]
    Leader(Leader),
}

#[derive(Debug, Subcommand)]
pub enum Leader {
    /// Print the address of the leading master.
    Show {
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    match command {
        Command::App(command) => app::run(command, world).await,
        Command::Deployment(command) => deployment::run(command, world).await,
        Command::Task(command) => tasks::run(command, world).await,
        Command::Debug(command) => debug::run(command, world).await,
        Command::About => about(world).await,
        Command::Ping => ping(world).await,
        Command::Leader(Leader::Show { json }) => leader(world, json).await,
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

/// What a change of an app is answered with.
#[derive(Debug, Deserialize)]
struct Changed {
    #[serde(rename = "deploymentId")]
    deployment: String,
}

/// `/prod/web` for `prod/web`, as lists show it.
fn absolute(app: &str) -> String {
    let parts: Vec<&str> = app.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

fn app_path(app: &str) -> String {
    format!("{API}/v2/apps/{}", crate::client::segments(app))
}
