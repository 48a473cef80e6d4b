//! Load drivers: each subcommand measures one promise of BENCHMARKS.md and prints goal and result side by side.
//!
//! The control plane that is measured is the real one: engine, durable store, HTTP API, agents' stream. Only the agents
//! of the large clusters are simulated, and only below their brain: they speak the real protocol in a process of their own,
//! so that their share of the processors can be told apart.

mod agents;
mod apps;
mod client;
mod crew;
mod events;
mod followers;
mod group;
mod idle;
mod launch;
mod master;
mod own;
mod placement;
mod population;
mod processes;
mod pull;
mod reads;
mod recovery;
#[path = "../../edge/images/tests/support/mod.rs"]
mod registry;
mod report;
mod rivals;
mod rootfs;
mod state;
mod subscribers;
mod up;
mod updates;
mod upgrade;
mod usage;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use crate::report::Report;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures a cluster on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    version,
    after_help = "Examples:
  bench placement --agents 5000 --instances 100000
  bench apps --count 10000 --clients 100 --json

Measure with a release build on an idle machine; BENCHMARKS.md says what came out."
)]
struct Drivers {
    #[command(subcommand)]
    driver: Driver,
    #[command(flatten)]
    place: Place,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// Where a driver works.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// A loopback address of one's own; the next ones may be used too.
    #[arg(long, global = true, default_value = "127.90.0.1")]
    ip: Ipv4Addr,
    /// The disk that is measured: state goes to a temporary directory here.
    #[arg(long, global = true, default_value = "/var/tmp")]
    disk: PathBuf,
}

impl Place {
    pub(crate) fn dir(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix("dcos-bench").tempdir_in(&self.disk);
        made.with_context(|| format!("making a directory in {}", self.disk.display()))
    }
}

#[derive(Debug, Subcommand)]
enum Driver {
    /// One app is scaled up: instances a second until all run.
    Placement(placement::Flags),
    /// Many apps of one instance, posted in parallel.
    Apps(apps::Flags),
    /// A group of many apps in one request.
    Group(group::Flags),
    /// A rolling upgrade, and whether its bounds held after every event.
    Upgrade(upgrade::Flags),
    /// Many readers of the event stream, and one that does not read.
    Subscribers(subscribers::Flags),
    /// Status updates through schedulers' streams, each acknowledged over HTTP.
    Updates(updates::Flags),
    /// Long lists, idle and while instances are placed.
    Reads(reads::Flags),
    /// The whole state of a large cluster through the API of the Mesos master.
    State(state::Flags),
    /// Kills the master of a full cluster and waits until it serves again.
    Recovery(recovery::Flags),
    /// Containers through a real `dcos up`, beside crun, runc and docker. Needs root.
    Launch(launch::Flags),
    /// Many who follow a task's output, through a real `dcos up`. Needs root.
    Followers(followers::Flags),
    /// An image of many layers from a registry, beside skopeo and umoci. Needs root.
    Pull(pull::Flags),
    /// Memory and processor time of a real `dcos up`, with no task, with one, with a thousand. Needs root.
    Idle(idle::Flags),
    /// A runtime of the OCI; `launch` starts this.
    #[command(hide = true)]
    Oci(rivals::OciFlags),
    /// A master that can be killed; `recovery` starts this.
    #[command(hide = true)]
    Hold(recovery::HoldFlags),
    /// Simulated agents; the other drivers start this.
    #[command(hide = true)]
    Agents(agents::Flags),
}

fn main() -> Result<()> {
    // The containers that are measured without a cluster start from this program.
    if let Some(status) = containers::dispatch(std::env::args_os()) {
        std::process::exit(status);
    }
    let drivers = Drivers::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LOUDNESS).init();
    usage::raise_file_limit()?;
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    if let Driver::Agents(flags) = &drivers.driver {
        threads.worker_threads(flags.threads);
    }
    let runtime = threads.enable_all().build().context("starting threads")?;
    let report = runtime.block_on(run(drivers.driver, &drivers.place))?;
    if let Some(report) = report {
        report.print(drivers.json)?;
    }
    Ok(())
}

/// A measurement says what goes wrong and nothing else.
const LOUDNESS: tracing_subscriber::filter::LevelFilter =
    tracing_subscriber::filter::LevelFilter::WARN;

async fn run(driver: Driver, place: &Place) -> Result<Option<Report>> {
    match driver {
        Driver::Placement(flags) => placement::run(flags, place).await.map(Some),
        Driver::Apps(flags) => apps::run(flags, place).await.map(Some),
        Driver::Group(flags) => group::run(flags, place).await.map(Some),
        Driver::Upgrade(flags) => upgrade::run(flags, place).await.map(Some),
        Driver::Subscribers(flags) => subscribers::run(flags, place).await.map(Some),
        Driver::Updates(flags) => updates::run(flags, place).await.map(Some),
        Driver::Reads(flags) => reads::run(flags, place).await.map(Some),
        Driver::State(flags) => state::run(flags, place).await.map(Some),
        Driver::Recovery(flags) => recovery::run(flags, place).await.map(Some),
        Driver::Launch(flags) => launch::run(flags, place).await.map(Some),
        Driver::Followers(flags) => followers::run(flags, place).await.map(Some),
        Driver::Pull(flags) => pull::run(flags, place).await.map(Some),
        Driver::Idle(flags) => idle::run(flags, place).await.map(Some),
        Driver::Oci(flags) => rivals::run_oci(&flags).map(|()| None),
        Driver::Hold(flags) => recovery::hold(flags, place.ip).await.map(|()| None),
        Driver::Agents(flags) => agents::run(flags).await.map(|()| None),
    }
}
