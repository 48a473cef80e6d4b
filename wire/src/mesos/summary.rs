//! `/state-summary`: agents and frameworks with how many tasks they have in each state, counted in one pass.

use std::collections::{BTreeMap, BTreeSet};

use kernel::view::View;
use model::id::{AgentId, FrameworkId};
use model::task::{Task, TaskState};
use serde::Serialize;

use super::agent::{self, Agent};
use super::framework::{self, Framework};
use super::master::MasterInfo;
use super::sums::{Sum, sums};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Counts {
    pub task_staging: u32,
    pub task_starting: u32,
    pub task_running: u32,
    pub task_killing: u32,
    pub task_finished: u32,
    pub task_killed: u32,
    pub task_failed: u32,
    pub task_lost: u32,
    pub task_error: u32,
    pub task_unreachable: u32,
}

impl Counts {
    fn add(&mut self, state: TaskState) {
        let count = match state {
            TaskState::Staging => &mut self.task_staging,
            TaskState::Starting => &mut self.task_starting,
            TaskState::Running => &mut self.task_running,
            TaskState::Killing => &mut self.task_killing,
            TaskState::Finished => &mut self.task_finished,
            TaskState::Killed => &mut self.task_killed,
            TaskState::Failed => &mut self.task_failed,
            TaskState::Error => &mut self.task_error,
            TaskState::Unreachable => &mut self.task_unreachable,
            TaskState::Lost
            | TaskState::Dropped
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => &mut self.task_lost,
        };
        *count += 1;
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary<'a> {
    pub hostname: &'a str,
    pub cluster: &'a str,
    pub slaves: Vec<AgentSummary<'a>>,
    pub frameworks: Vec<FrameworkSummary<'a>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentSummary<'a> {
    #[serde(flatten)]
    pub agent: Agent<'a>,
    #[serde(flatten)]
    pub counts: Counts,
    pub framework_ids: Vec<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrameworkSummary<'a> {
    #[serde(flatten)]
    pub framework: Framework<'a>,
    #[serde(flatten)]
    pub counts: Counts,
    pub slave_ids: Vec<&'a str>,
}

#[derive(Default)]
struct Tally<'a> {
    agents: BTreeMap<&'a AgentId, (Counts, BTreeSet<&'a FrameworkId>)>,
    frameworks: BTreeMap<&'a FrameworkId, (Counts, BTreeSet<&'a AgentId>)>,
}

impl<'a> Tally<'a> {
    fn of(view: &'a View) -> Self {
        let mut tally = Self::default();
        view.tasks.values().flat_map(|tasks| tasks.values()).for_each(|task| tally.add(task));
        view.completed.values().flatten().for_each(|task| tally.add(task));
        tally
    }

    fn add(&mut self, task: &'a Task) {
        let (counts, frameworks) = self.agents.entry(&task.agent).or_default();
        counts.add(task.state);
        frameworks.insert(&task.framework);
        let (counts, agents) = self.frameworks.entry(&task.framework).or_default();
        counts.add(task.state);
        agents.insert(&task.agent);
    }
}

pub fn summary<'a>(view: &'a View, info: &'a MasterInfo) -> Summary<'a> {
    let mut tally = Tally::of(view);
    let offered = view.offered();
    let registered = view.agents.iter().filter(|(_, one)| agent::is_registered(one));
    let slaves = registered.map(|(id, one)| {
        let (counts, frameworks) = tally.agents.remove(id).unwrap_or_default();
        let framework_ids = frameworks.into_iter().map(FrameworkId::as_str).collect();
        AgentSummary { agent: agent::agent(id, one, &offered), counts, framework_ids }
    });
    let slaves = slaves.collect();
    let (sums, nothing) = (sums(view), Sum::default());
    let frameworks = view.frameworks.iter().map(|(id, one)| {
        let (counts, agents) = tally.frameworks.remove(id).unwrap_or_default();
        let slave_ids = agents.into_iter().map(AgentId::as_str).collect();
        FrameworkSummary {
            framework: framework::framework(id, one, sums.get(id).unwrap_or(&nothing)),
            counts,
            slave_ids,
        }
    });
    let frameworks = frameworks.collect();
    Summary { hostname: &info.hostname, cluster: &info.cluster, slaves, frameworks }
}
