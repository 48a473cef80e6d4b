//! How much is logged, of whom: levels that are changed while the program runs, for good or for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tracing::level_filters::LevelFilter;
use wire::marathon::logging::{LoggerChange, LoggerLevel, ROOT};

/// Those who log without being told to.
const LOGGERS: [&str; 8] =
    ["agent", "api", "containers", "dcos", "engine", "gateway", "images", "store"];

/// By the name of who logs, [`ROOT`] among them.
pub type Levels = BTreeMap<String, LevelFilter>;

/// Makes the levels those of the program.
pub type Apply = Box<dyn Fn(&Levels) + Send + Sync>;

/// The levels of the program. To be shared by all doors through which they are changed.
pub struct Logging {
    apply: Apply,
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    levels: Levels,
    /// Changes that are for a while.
    passing: BTreeMap<String, Passing>,
}

#[derive(Debug)]
struct Passing {
    /// What it goes back to; `None` inherits.
    before: Option<LevelFilter>,
    timer: AbortHandle,
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logging").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Logging {
    /// As the program logs already.
    pub fn new(levels: Levels, apply: Apply) -> Arc<Self> {
        Self::kept_in(None, levels, apply)
    }

    /// The same, if it is known into which file it goes.
    pub fn kept_in(file: Option<PathBuf>, mut levels: Levels, apply: Apply) -> Arc<Self> {
        levels.entry(ROOT.to_owned()).or_insert(LevelFilter::INFO);
        let state = State { levels, passing: BTreeMap::new() };
        Arc::new(Self { apply, file, state: Mutex::new(state) })
    }

    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Each with its level, and whether that is inherited.
    pub(crate) fn shown(&self) -> BTreeMap<String, String> {
        let root = self.root();
        let state = self.lock();
        let upper = |level: LevelFilter| level.to_string().to_uppercase();
        let inherited = format!("{} (inherited)", upper(root));
        let known = LOGGERS.iter().map(|name| ((*name).to_owned(), inherited.clone()));
        let set = state.levels.iter().map(|(name, level)| (name.clone(), upper(*level)));
        known.chain(set).collect()
    }

    /// Of all who have none of their own.
    pub(crate) fn root(&self) -> LevelFilter {
        self.lock().levels.get(ROOT).copied().unwrap_or(LevelFilter::INFO)
    }

    pub(crate) fn change(self: &Arc<Self>, change: &LoggerChange) {
        let name = &change.logger;
        let mut state = self.lock();
        let current = state.levels.get(name).copied();
        // A change for a while that another follows has not been what the program is to go back to.
        let before = state.passing.remove(name).map_or(current, |passing| {
            passing.timer.abort();
            passing.before
        });
        state.levels.insert(name.clone(), filter(change.level));
        (self.apply)(&state.levels);
        if let Some(seconds) = change.duration_seconds {
            let seconds = u64::from(seconds.get());
            let ended = self.clone().end(name.clone(), Duration::from_secs(seconds));
            // Ends by itself, or with the program.
            let timer = tokio::spawn(ended).abort_handle();
            state.passing.insert(name.clone(), Passing { before, timer });
        }
        drop(state);
        tracing::info!(logger = name, level = ?change.level, seconds = ?change.duration_seconds, "the log changes");
    }

    async fn end(self: Arc<Self>, name: String, after: Duration) {
        tokio::time::sleep(after).await;
        let mut state = self.lock();
        let Some(passing) = state.passing.remove(&name) else { return };
        match passing.before {
            Some(level) => state.levels.insert(name.clone(), level),
            None => state.levels.remove(&name),
        };
        (self.apply)(&state.levels);
        drop(state);
        tracing::info!(logger = name, "the log is as it was before");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn filter(level: LoggerLevel) -> LevelFilter {
    match level {
        LoggerLevel::Trace => LevelFilter::TRACE,
        LoggerLevel::Debug => LevelFilter::DEBUG,
        LoggerLevel::Info => LevelFilter::INFO,
        LoggerLevel::Warn => LevelFilter::WARN,
        LoggerLevel::Error => LevelFilter::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(logger: &str, level: LoggerLevel, seconds: u32) -> LoggerChange {
        let duration_seconds = std::num::NonZeroU32::new(seconds);
        LoggerChange { level, logger: logger.to_owned(), duration_seconds }
    }

    #[tokio::test]
    async fn levels_go_back_to_what_they_were_before_they_were_changed_for_a_while() {
        let applied = Arc::new(Mutex::new(Levels::new()));
        let seen = applied.clone();
        let apply = move |levels: &Levels| *seen.lock().expect("unpoisoned") = levels.clone();
        let logging = Logging::new(Levels::new(), Box::new(apply));
        let check = |logger: &str, expected: &str| {
            assert_eq!(logging.shown()[logger], expected);
            let level = applied.lock().expect("unpoisoned").get(logger).map(ToString::to_string);
            let own = Some(expected.to_lowercase()).filter(|_| !expected.ends_with("(inherited)"));
            assert_eq!(level, own);
        };
        let is_over =
            async |logger: &str| logging.clone().end(logger.to_owned(), Duration::ZERO).await;
        logging.change(&change("engine", LoggerLevel::Debug, 1_000));
        check("engine", "DEBUG");
        logging.change(&change("engine", LoggerLevel::Trace, 1_000));
        check("engine", "TRACE");
        is_over("engine").await;
        check("engine", "INFO (inherited)");
        logging.change(&change("engine", LoggerLevel::Warn, 0));
        logging.change(&change("ROOT", LoggerLevel::Error, 1_000));
        check("ROOT", "ERROR");
        check("engine", "WARN");
        assert_eq!(logging.shown()["store"], "ERROR (inherited)");
        is_over("ROOT").await;
        check("ROOT", "INFO");
        logging.change(&change("engine", LoggerLevel::Debug, 1));
        let back = async {
            while logging.shown()["engine"] != "WARN" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), back).await.expect("its time is over");
    }
}
