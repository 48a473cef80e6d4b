//! `/state`, `/slaves`, `/frameworks` and `/tasks`: spelled while they are written, because they may be large.

use std::sync::Arc;

use kernel::view::View;
use model::task::Task;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::agent::{self, is_registered};
use super::framework;
use super::master::{self, MasterInfo, seconds};
use super::task;

#[derive(Debug, Serialize)]
pub struct State<'a> {
    version: &'static str,
    build_date: &'static str,
    build_time: f64,
    build_user: &'static str,
    start_time: f64,
    elected_time: f64,
    id: &'a str,
    pid: String,
    hostname: &'a str,
    capabilities: [&'static str; 3],
    activated_slaves: usize,
    deactivated_slaves: usize,
    unreachable_slaves: usize,
    leader: String,
    leader_info: Value,
    cluster: &'a str,
    flags: Value,
    slaves: Agents<'a>,
    recovered_slaves: [(); 0],
    #[serde(flatten)]
    frameworks: Frameworks<'a>,
    orphan_tasks: [(); 0],
}

pub fn state<'a>(view: &'a View, info: &'a MasterInfo) -> State<'a> {
    let registered = view.agents.values().filter(|agent| is_registered(agent));
    let (active, inactive): (Vec<_>, Vec<_>) = registered.partition(|one| agent::is_active(one));
    State {
        version: master::VERSION,
        build_date: "",
        build_time: 0.0,
        build_user: "",
        start_time: seconds(info.started_at),
        elected_time: seconds(view.elected_at),
        id: &view.cluster,
        pid: info.pid(),
        hostname: &info.hostname,
        capabilities: ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"],
        activated_slaves: active.len(),
        deactivated_slaves: inactive.len(),
        unreachable_slaves: view.agents.len() - active.len() - inactive.len(),
        leader: info.pid(),
        leader_info: master::leader(info, &view.cluster),
        cluster: &info.cluster,
        flags: master::flags(info),
        slaves: Agents { view },
        recovered_slaves: [],
        frameworks: frameworks(view),
        orphan_tasks: [],
    }
}

#[derive(Debug)]
struct Agents<'a> {
    view: &'a View,
}

impl Serialize for Agents<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let registered = self.view.agents.iter().filter(|(_, agent)| is_registered(agent));
        let offered = self.view.offered();
        out.collect_seq(registered.map(|(id, view)| agent::agent(id, view, &offered)))
    }
}

/// `/slaves`, or one of them.
#[derive(Debug, Serialize)]
pub struct Slaves<'a> {
    slaves: FullAgents<'a>,
    recovered_slaves: [(); 0],
}

#[derive(Debug)]
struct FullAgents<'a> {
    view: &'a View,
    only: Option<&'a str>,
}

impl Serialize for FullAgents<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let wanted = self.view.agents.iter().filter(|(id, agent)| {
            is_registered(agent) && self.only.is_none_or(|only| id.as_str() == only)
        });
        let offered = self.view.offered();
        out.collect_seq(wanted.map(|(id, view)| agent::full(id, view, &offered)))
    }
}

pub fn slaves<'a>(view: &'a View, only: Option<&'a str>) -> Slaves<'a> {
    Slaves { slaves: FullAgents { view, only }, recovered_slaves: [] }
}

#[derive(Debug, Serialize)]
pub struct Frameworks<'a> {
    frameworks: FullFrameworks<'a>,
    completed_frameworks: FullFrameworks<'a>,
    unregistered_frameworks: [(); 0],
}

#[derive(Debug)]
struct FullFrameworks<'a> {
    view: &'a View,
    completed: bool,
}

impl Serialize for FullFrameworks<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let view = self.view;
        let all = if self.completed { &view.completed_frameworks } else { &view.frameworks };
        out.collect_seq(all.iter().map(|(id, one)| framework::full(view, id, one)))
    }
}

pub fn frameworks(view: &View) -> Frameworks<'_> {
    Frameworks {
        frameworks: FullFrameworks { view, completed: false },
        completed_frameworks: FullFrameworks { view, completed: true },
        unregistered_frameworks: [],
    }
}

/// Which tasks `/tasks` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<'a> {
    pub limit: usize,
    pub offset: usize,
    pub task: Option<&'a str>,
    pub framework: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub struct Tasks<'a> {
    tasks: Vec<task::SpelledTask<'a>>,
}

/// Those that are not over, then the completed ones, newest first.
pub fn tasks<'a>(view: &'a View, page: Page<'_>) -> Tasks<'a> {
    let running = view.tasks.values().flat_map(|tasks| tasks.values());
    let completed = view.completed.values().flat_map(|tasks| tasks.iter().rev());
    let is_wanted = |task: &&Arc<Task>| {
        page.task.is_none_or(|id| task.id.as_str() == id)
            && page.framework.is_none_or(|id| task.framework.as_str() == id)
    };
    let wanted = running.chain(completed).filter(is_wanted);
    let listed = wanted.skip(page.offset).take(page.limit);
    Tasks { tasks: listed.map(|one| task::task(one)).collect() }
}
