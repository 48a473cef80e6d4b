//! What becomes of the output of tasks that do not say it themselves.

use std::path::PathBuf;

use agent::LogPolicy;
use anyhow::{Context, Result};
use serde::Deserialize;

/// As a task would say it in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TaskLogs {
    destination_type: Option<String>,
    logrotate_max_stdout_size: Option<String>,
    logrotate_stdout_options: Option<String>,
    logrotate_max_stderr_size: Option<String>,
    logrotate_stderr_options: Option<String>,
    /// Where the journal listens, if elsewhere than systemd's.
    journal_socket: Option<PathBuf>,
}

impl TaskLogs {
    pub(crate) fn policy(&self) -> Result<LogPolicy> {
        let said = [
            ("DESTINATION_TYPE", &self.destination_type),
            ("LOGROTATE_MAX_STDOUT_SIZE", &self.logrotate_max_stdout_size),
            ("LOGROTATE_STDOUT_OPTIONS", &self.logrotate_stdout_options),
            ("LOGROTATE_MAX_STDERR_SIZE", &self.logrotate_max_stderr_size),
            ("LOGROTATE_STDERR_OPTIONS", &self.logrotate_stderr_options),
        ];
        let said = said
            .into_iter()
            .filter_map(|(name, value)| Some((format!("CONTAINER_LOGGER_{name}"), value.clone()?)));
        let said: Vec<_> = said.collect();
        let mut policy = LogPolicy::default().changed_by(&said).context("task_logs")?;
        if let Some(socket) = &self.journal_socket {
            policy.journal.clone_from(socket);
        }
        Ok(policy)
    }
}
