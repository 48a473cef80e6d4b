//! `/state`, `/slaves`, `/frameworks` and `/tasks`: spelled while they are written, because they may be large.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use kernel::view::View;
use model::task::Task;
use model::time::Time;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::agent::{self, is_registered, is_unreachable};
use super::framework;
use super::master::{self, MasterInfo, seconds};
use super::sums::{Sum, Sums, sums};
use super::task;
use super::written::to_writer;

#[derive(Debug, Serialize)]
struct State<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    external_log_file: Option<&'a str>,
    flags: BTreeMap<&'static str, String>,
    slaves: Agents<'a>,
    recovered_slaves: Recovered<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Value>,
    #[serde(flatten)]
    frameworks: Frameworks<'a>,
    orphan_tasks: [(); 0],
}

/// `/state`.
pub fn write_state<W: Write>(view: &View, info: &MasterInfo, out: W) -> io::Result<()> {
    to_writer(out, &state(view, info))
}

/// `/frameworks`: all of them, or one.
pub fn write_frameworks<W: Write>(view: &View, only: Option<&str>, out: W) -> io::Result<()> {
    to_writer(out, &frameworks(view, only))
}

fn state<'a>(view: &'a View, info: &'a MasterInfo) -> State<'a> {
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
        capabilities: master::CAPABILITIES,
        activated_slaves: active.len(),
        deactivated_slaves: inactive.len(),
        unreachable_slaves: view.agents.values().filter(|one| is_unreachable(one)).count(),
        leader: info.pid(),
        leader_info: master::leader(info, &view.cluster),
        cluster: &info.cluster,
        external_log_file: info.log(),
        flags: master::flags(info),
        slaves: Agents { view },
        recovered_slaves: Recovered { view, only: None },
        domain: info.domain.as_ref().map(agent::domain),
        frameworks: frameworks(view, None),
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

#[derive(Debug)]
struct Recovered<'a> {
    view: &'a View,
    only: Option<&'a str>,
}

impl Serialize for Recovered<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let wanted = self.view.agents.iter().filter(|(id, agent)| {
            agent::is_recovered(agent) && self.only.is_none_or(|only| id.as_str() == only)
        });
        out.collect_seq(wanted.map(|(id, view)| agent::recovered(id, view)))
    }
}

/// `/slaves`, or one of them.
#[derive(Debug, Serialize)]
pub struct Slaves<'a> {
    slaves: FullAgents<'a>,
    recovered_slaves: Recovered<'a>,
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
    Slaves { slaves: FullAgents { view, only }, recovered_slaves: Recovered { view, only } }
}

#[derive(Debug, Serialize)]
struct Frameworks<'a> {
    frameworks: FullFrameworks<'a>,
    completed_frameworks: FullFrameworks<'a>,
    unregistered_frameworks: [(); 0],
}

#[derive(Debug)]
struct FullFrameworks<'a> {
    view: &'a View,
    completed: bool,
    only: Option<&'a str>,
    /// Counted when they are needed: what comes before is sent meanwhile.
    sums: Rc<OnceCell<Sums<'a>>>,
}

impl Serialize for FullFrameworks<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let view = self.view;
        let all = if self.completed { &view.completed_frameworks } else { &view.frameworks };
        let wanted = all.iter().filter(|(id, _)| self.only.is_none_or(|only| id.as_str() == only));
        let (sums, nothing) = (self.sums.get_or_init(|| sums(view)), Sum::default());
        out.collect_seq(
            wanted
                .map(|(id, one)| framework::full(view, id, one, sums.get(id).unwrap_or(&nothing))),
        )
    }
}

fn frameworks<'a>(view: &'a View, only: Option<&'a str>) -> Frameworks<'a> {
    let sums = Rc::new(OnceCell::new());
    Frameworks {
        frameworks: FullFrameworks { view, completed: false, only, sums: sums.clone() },
        completed_frameworks: FullFrameworks { view, completed: true, only, sums },
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
    pub order: Order,
}

/// By the time of what was last heard of a task; one that nothing was heard of is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

#[derive(Debug, Serialize)]
pub struct Tasks<'a> {
    tasks: Vec<task::SpelledTask<'a>>,
}

/// Those that are over among them, as far as they are still known.
pub fn tasks<'a>(view: &'a View, page: Page<'_>) -> Tasks<'a> {
    let known = view.tasks.values().flat_map(|tasks| tasks.values());
    let completed = view.completed.values().flatten();
    let is_wanted = |task: &&Arc<Task>| {
        page.task.is_none_or(|id| task.id.as_str() == id)
            && page.framework.is_none_or(|id| task.framework.as_str() == id)
    };
    let mut wanted: Vec<&Arc<Task>> = known.chain(completed).filter(is_wanted).collect();
    let heard = |task: &&Arc<Task>| task.status.as_ref().map_or(Time(u64::MAX), |told| told.at);
    match page.order {
        Order::NewestFirst => wanted.sort_by_key(|task| Reverse(heard(task))),
        Order::OldestFirst => wanted.sort_by_key(heard),
    }
    let listed = wanted.into_iter().skip(page.offset).take(page.limit);
    Tasks { tasks: listed.map(|one| task::task(one)).collect() }
}
