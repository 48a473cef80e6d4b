//! Logs go to standard error: plain text, or a JSON object a line.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use api::logging::{Levels, Logging};
use api::mesos::logging::duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};
use wire::marathon::logging::ROOT;

/// What is told unless somebody asks otherwise: what a user would care about.
const LEVEL: LevelFilter = LevelFilter::INFO;

/// `RUST_LOG` chooses what is told at first; the answer changes it later.
pub(crate) fn start(json: bool) -> Result<Arc<Logging>> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let (levels, unknown) = levels(&wanted);
    let (filter, chosen) = reload::Layer::new(targets(&levels));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines: Box<dyn Layer<_> + Send + Sync> =
        if json { Box::new(lines.json()) } else { Box::new(lines) };
    let log = Registry::default().with(filter).with(lines);
    log.try_init().map_err(|error| anyhow!("starting the log: {error}"))?;
    for part in unknown {
        tracing::warn!(
            part,
            "RUST_LOG has a part that is not understood; say 'engine=debug', or a level"
        );
    }
    let apply = move |levels: &Levels| {
        chosen.reload(targets(levels)).expect("the log lives as long as the program");
    };
    Ok(Logging::kept_in(file(), levels, Box::new(apply)))
}

/// Into which standard error goes, if whoever started us sends it into one.
fn file() -> Option<PathBuf> {
    let path = fs::read_link("/proc/self/fd/2").ok()?;
    fs::metadata(&path).is_ok_and(|about| about.is_file()).then_some(path)
}

/// The levels that `engine=debug,info` speaks of, and the parts that speak of none.
fn levels(wanted: &str) -> (Levels, Vec<&str>) {
    let mut levels = Levels::from([(ROOT.to_owned(), LEVEL)]);
    let mut unknown = Vec::new();
    for part in wanted.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, level) =
            part.split_once('=').map_or((None, part), |(name, level)| (Some(name), level));
        match (name, level.parse::<LevelFilter>()) {
            (name, Ok(level)) => drop(levels.insert(name.unwrap_or(ROOT).to_owned(), level)),
            // A name alone asks for all that it says.
            (None, Err(_)) => drop(levels.insert(part.to_owned(), LevelFilter::TRACE)),
            (Some(_), Err(_)) => unknown.push(part),
        }
    }
    (levels, unknown)
}

fn targets(levels: &Levels) -> Targets {
    let root = levels.get(ROOT).copied().unwrap_or(LEVEL);
    let named = levels.iter().filter(|(name, _)| *name != ROOT);
    Targets::new()
        .with_default(root)
        .with_targets(named.map(|(name, level)| (name.clone(), *level)))
}

/// What agents are asked and told of the log.
#[derive(Debug, Clone)]
pub(crate) struct OfAgents(pub(crate) Arc<Logging>);

impl agent::Levels for OfAgents {
    fn level(&self) -> u32 {
        self.0.level()
    }

    fn change(&self, level: u32, time: Duration) -> Result<(), String> {
        self.0.change_level(level, time)
    }

    fn time(&self, text: &str) -> Option<Duration> {
        duration(text)
    }

    fn file(&self) -> Option<&Path> {
        self.0.file()
    }
}

/// Why the program ends, with its causes.
pub(crate) fn last_word(error: &anyhow::Error) {
    // If standard error is closed, the exit code is all that is left.
    let _ = writeln!(io::stderr(), "Error: {error:#}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_at_first_is_read_as_it_has_always_been() {
        let check = |wanted: &str, expected: &[(&str, LevelFilter)], not_understood: &[&str]| {
            let (levels, unknown) = levels(wanted);
            let expected = expected.iter().map(|(name, level)| ((*name).to_owned(), *level));
            assert_eq!(levels, expected.collect(), "{wanted}");
            assert_eq!(unknown, not_understood, "{wanted}");
        };
        let info = ("ROOT", LevelFilter::INFO);
        check("", &[info], &[]);
        check("debug", &[("ROOT", LevelFilter::DEBUG)], &[]);
        check("engine=debug, info", &[info, ("engine", LevelFilter::DEBUG)], &[]);
        check("off,store", &[("ROOT", LevelFilter::OFF), ("store", LevelFilter::TRACE)], &[]);
        check("engine=loud,images=WARN", &[info, ("images", LevelFilter::WARN)], &["engine=loud"]);
    }
}
