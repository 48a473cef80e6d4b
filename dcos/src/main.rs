//! The roof: one binary that is a whole cluster (`dcos up`), its command line, and a service for demos.

mod access;
mod allocator;
mod banner;
mod crew;
mod cross_site;
mod demo_web;
mod executors;
mod fault_domain;
mod fetching;
mod gone_agents;
mod image_gc;
mod isolation;
mod layer_sharing;
mod listen;
mod logs;
mod master;
mod placement;
mod preflight;
mod resources;
mod serve;
mod settings;
mod shares;
mod store_dump;
mod systemd;
mod task_logs;
mod up;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use api::logging::Logging;
use clap::{CommandFactory, Parser, Subcommand};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Threads that serve requests and streams; deciding has a thread of its own.
const WORKERS_MIN: usize = 2;
const WORKERS_MAX: usize = 4;

/// A cluster operating system in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "dcos",
    version,
    after_help = "Examples:
  sudo dcos up                               # a cluster of one machine
  dcos cluster setup http://127.0.0.1        # connect this user to it
  dcos marathon app add web.json --wait
  dcos task list

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no cluster or out of reach."
)]
struct Binary {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a cluster on this machine: master and agents in one process.
    #[command(after_help = "Examples:
  sudo dcos up
  sudo dcos up --data-dir /tmp/two --bind 127.0.0.2      # a second cluster beside the first
  sudo dcos up --agents 3 --attributes 'rack:a'          # to try out placement

RUST_LOG=debug tells more; Ctrl-C stops the cluster, twice stops it at once.")]
    Up {
        #[command(flatten)]
        flags: settings::Flags,
        /// Log one JSON object a line.
        #[arg(long)]
        log_json: bool,
    },
    /// A small web service for demos: says which task answers.
    DemoWeb(demo_web::Flags),
    /// Print a unit for systemd that runs the cluster as a service.
    #[command(after_help = "Examples:
  dcos systemd-unit | sudo tee /etc/systemd/system/dcos.service
  dcos systemd-unit -- --config /etc/dcos/config.yaml | sudo tee /etc/systemd/system/dcos.service
  sudo systemctl daemon-reload && sudo systemctl enable --now dcos

Tasks go on when the service is stopped, restarted or upgraded.")]
    SystemdUnit {
        /// What `dcos up` is started with.
        #[arg(last = true)]
        flags: Vec<String>,
    },
    /// Look into a data directory.
    #[command(subcommand)]
    Store(store_dump::Command),
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    // Before any thread: a shim must be born small and alone.
    let hidden =
        containers::dispatch(std::env::args_os()).or_else(|| agent::dispatch(std::env::args_os()));
    if let Some(status) = hidden {
        return ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX));
    }
    let ended = match Binary::parse().command {
        Command::Client(command) => return cli::run(command, Binary::command()),
        Command::Up { flags, log_json } => logs::start(log_json).and_then(|log| up(flags, log)),
        Command::DemoWeb(flags) => logs::start(false).and_then(|_| small(demo_web::run(flags))),
        Command::SystemdUnit { flags } => systemd::print_unit(&flags),
        Command::Store(command) => store_dump::run(command),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::last_word(&error);
            ExitCode::FAILURE
        }
    }
}

fn up(flags: settings::Flags, logging: Arc<Logging>) -> Result<()> {
    let settings = settings::Settings::read(flags)?;
    preflight::is_root()?;
    preflight::raise_open_files()?;
    let _lock = preflight::lock(&settings.data_dir)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(WORKERS_MIN, WORKERS_MAX))
        .enable_all()
        .build()
        .context("starting threads")?;
    runtime.block_on(up::run(settings, logging))
}

/// On one thread, for what does little.
fn small(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting the runtime")?.block_on(work)
}
