//! The command line: a client of our own API, with the names and tables that users of DC/OS know.
//!
//! One file per group of commands. Commands print through [`screen::Screen`], ask through [`client::Client`] and fail
//! with a [`failure::Failure`] that says what to do. Answers are read leniently, a field at a time and only what is
//! shown, so that this client works with clusters that are older or newer than itself.

pub mod client;
mod cluster;
mod config;
pub mod failure;
mod input;
mod marathon;
mod node;
mod quota;
pub mod screen;
mod service;
pub mod settings;
mod table;
mod task;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use clap_complete::Shell;

use crate::client::Client;
use crate::screen::Screen;
use crate::settings::Env;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect to clusters and choose between them.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Show and change the settings of the attached cluster.
    #[command(subcommand)]
    Config(config::Command),
    /// Deploy and manage apps.
    #[command(subcommand)]
    Marathon(marathon::Command),
    /// Look at the nodes of the cluster.
    #[command(subcommand)]
    Node(node::Command),
    /// Limit what groups may use of the cluster.
    #[command(subcommand)]
    Quota(quota::Command),
    /// Look at the frameworks of the cluster, and end them.
    #[command(subcommand)]
    Service(service::Command),
    /// Look into tasks: files, logs, commands inside.
    #[command(subcommand)]
    Task(task::Command),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:
  dcos completion bash > /etc/bash_completion.d/dcos
  dcos completion zsh > ~/.zfunc/_dcos
  dcos completion fish > ~/.config/fish/completions/dcos.fish")]
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        shell: Shell,
    },
}

/// What every command works with.
#[derive(Debug)]
pub struct World<'a> {
    pub screen: Screen<'a>,
    pub env: Env,
    /// The whole command line, for the completion script.
    pub binary: clap::Command,
}

impl World<'_> {
    fn client(&self) -> Result<Client> {
        Client::of(&self.env)
    }
}

/// Runs one command on the standard streams; its failure is told on standard error.
pub fn run(command: Command, binary: clap::Command) -> ExitCode {
    let (mut out, mut err, mut input) = (io::stdout(), io::stderr(), io::stdin());
    let typed = input.is_terminal();
    let screen = Screen { out: &mut out, err: &mut err, input: &mut input, typed };
    let mut world = World { screen, env: Env::of_process(), binary };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&mut world.screen, &error.into()),
    };
    let ended = runtime.block_on(execute(command, &mut world));
    // A read of standard input cannot be cancelled; nobody waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(error) => told(&mut world.screen, &error),
    }
}

fn told(screen: &mut Screen<'_>, error: &anyhow::Error) -> ExitCode {
    let Some(code) = failure::exit_code(error) else { return ExitCode::SUCCESS };
    // If standard error is closed as well, the exit code is all that is left.
    drop(screen.remark(format_args!("Error: {error:#}")));
    ExitCode::from(code)
}

/// The exit status is 0 unless the command passes on that of a process.
pub async fn execute(command: Command, world: &mut World<'_>) -> Result<u8> {
    match command {
        Command::Cluster(command) => cluster::run(command, world).await?,
        Command::Config(command) => config::run(command, world)?,
        Command::Marathon(command) => marathon::run(command, world).await?,
        Command::Node(command) => node::run(command, world).await?,
        Command::Quota(command) => quota::run(command, world).await?,
        Command::Service(command) => service::run(command, world).await?,
        Command::Task(command) => return task::run(command, world).await,
        Command::Completion { shell } => {
            let mut binary = world.binary.clone();
            clap_complete::generate(shell, &mut binary, "dcos", &mut world.screen.out);
        }
    }
    Ok(0)
}
