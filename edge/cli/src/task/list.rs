//! The table of tasks.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use crate::client::Client;
use crate::screen::Screen;
use crate::table::Table;
use crate::task::find::{Agent, Filter, Task, state, tasks_of};

/// For a region or zone that was not set up.
const UNKNOWN: &str = "N/A";

#[derive(Debug, Clone, Copy)]
pub(super) enum Show {
    Table,
    Json,
    Ids,
}

impl Show {
    pub(super) fn of(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (false, true) => Self::Ids,
            (false, false) => Self::Table,
        }
    }
}

pub(super) async fn run(
    screen: &mut Screen<'_>,
    client: &Client,
    filter: &Filter,
    show: Show,
) -> Result<()> {
    let state = state(client).await?;
    let tasks = tasks_of(state.frameworks, filter)?;
    match show {
        Show::Json => screen.json(&tasks.iter().map(|task| &task.raw).collect::<Vec<&Value>>()),
        Show::Ids => tasks.iter().try_for_each(|task| screen.line(&task.id)),
        Show::Table if tasks.is_empty() && (filter.part.is_some() || filter.agent.is_some()) => {
            Err(filter.nothing())
        }
        Show::Table => screen.table(&table(&tasks, &state.slaves)),
    }
}

fn table(tasks: &[Task], agents: &[Agent]) -> Table {
    let agents: BTreeMap<&str, &Agent> =
        agents.iter().map(|agent| (agent.id.as_str(), agent)).collect();
    let or_unknown = |name: Option<&String>| match name {
        Some(name) if !name.is_empty() => name.clone(),
        Some(_) | None => UNKNOWN.to_owned(),
    };
    let header = ["NAME", "HOST", "USER", "STATE", "ID", "AGENT ID", "REGION", "ZONE"];
    let mut table = Table::new(&header);
    for task in tasks {
        let agent = agents.get(task.slave_id.as_str());
        let domain = agent.map(|agent| &agent.domain.fault_domain);
        table.row([
            task.name.clone(),
            agent.map_or_else(String::new, |agent| agent.hostname.clone()),
            task.user.clone(),
            task.state.clone(),
            task.id.clone(),
            task.slave_id.clone(),
            or_unknown(domain.map(|domain| &domain.region.name)),
            or_unknown(domain.map(|domain| &domain.zone.name)),
        ]);
    }
    table
}
