//! Logs go to standard error: plain text, or a JSON object a line.

use std::io::{self, IsTerminal, Write};

use anyhow::{Result, anyhow};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// `RUST_LOG` chooses what is told; the default is what a user would care about.
pub(crate) fn start(json: bool) -> Result<()> {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let started = if json { lines.json().try_init() } else { lines.try_init() };
    started.map_err(|error| anyhow!("starting the log: {error}"))
}

/// Why the program ends, with its causes.
pub(crate) fn last_word(error: &anyhow::Error) {
    // If standard error is closed, the exit code is all that is left.
    let _ = writeln!(io::stderr(), "Error: {error:#}");
}
