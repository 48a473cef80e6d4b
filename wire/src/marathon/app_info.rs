//! The RAML type `AppInfo`: an app with what became of it.

use std::sync::Arc;
use std::time::Duration;

use model::task::TaskState;
use model::time::Time;
use schemars::JsonSchema;
use serde::Serialize;
use services::spec::AppId;
use services::state::{self, Instance, Version};
use services::view::View;

use super::app::App;
use super::autoscale::{Scaled, decision};
use super::print;
use super::readiness::{self, TaskReadiness};
use super::task::{self, Identifiable, Task, TaskFailure};

/// What an answer shows beside the app itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Embed {
    pub counts: bool,
    pub deployments: bool,
    pub tasks: bool,
    pub last_failure: bool,
    pub stats: bool,
    pub readiness: bool,
}

impl Embed {
    /// Reads `apps.tasks`, `app.tasks`, `group.apps.tasks` or `tasks`. Words that nobody knows ask for nothing.
    #[must_use]
    pub fn and(self, word: &str) -> Self {
        let prefixes = ["group.apps.", "apps.", "app."];
        let word = prefixes.iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(word);
        match word {
            "counts" | "count" => Self { counts: true, ..self },
            "deployments" => Self { deployments: true, ..self },
            "tasks" => Self { tasks: true, deployments: true, ..self },
            "lastTaskFailure" => Self { last_failure: true, ..self },
            "failures" => {
                Self { tasks: true, last_failure: true, deployments: true, counts: true, ..self }
            }
            "taskStats" => Self { stats: true, ..self },
            "readiness" => Self { readiness: true, ..self },
            _ => self,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo<'a> {
    #[serde(flatten)]
    pub app: App,
    #[serde(flatten)]
    pub counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployments: Option<Vec<Identifiable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_check_results: Option<Vec<TaskReadiness>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<Task<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_task_failure: Option<TaskFailure<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_stats: Option<StatsByVersion>,
    /// Of an app that is scaled by its use: when, how and why it lately was, the latest last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscale_decisions: Option<Vec<Scaled>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub tasks_staged: u32,
    pub tasks_running: u32,
    pub tasks_healthy: u32,
    pub tasks_unhealthy: u32,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsByVersion {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_after_last_scaling: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_latest_config: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_outdated_config: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_summary: Option<Stats>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Stats {
    pub stats: TaskStats,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStats {
    pub counts: TaskCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life_time: Option<LifeTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct TaskCounts {
    pub staged: u32,
    pub running: u32,
    pub healthy: u32,
    pub unhealthy: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifeTime {
    pub average_seconds: f64,
    pub median_seconds: f64,
}

/// The app as it is wanted, with what `embed` asks for. `now` is what life times are counted to.
pub fn app_info<'a>(view: &'a View, app: &'a state::App, embed: Embed, now: Time) -> AppInfo<'a> {
    let id = &app.spec.id;
    AppInfo {
        app: print::app(app),
        counts: embed.counts.then(|| counts(view, id)),
        deployments: embed.deployments.then(|| deployments(view, id)),
        readiness_check_results: embed.readiness.then(|| readiness_of(view, id)),
        tasks: embed.tasks.then(|| tasks(view, id)),
        last_task_failure: app
            .last_failure
            .as_ref()
            .filter(|_| embed.last_failure)
            .map(|failure| task::failure(id.as_str(), failure)),
        tasks_stats: embed.stats.then(|| stats(view, app, now)),
        autoscale_decisions: view
            .autoscaled
            .get(id)
            .map(|scaled| scaled.decisions.iter().map(decision).collect()),
    }
}

fn counts(view: &View, id: &AppId) -> Counts {
    let counts = view.counts.get(id).copied().unwrap_or_default();
    Counts {
        tasks_staged: counts.staged,
        tasks_running: counts.running,
        tasks_healthy: counts.healthy,
        tasks_unhealthy: counts.unhealthy,
    }
}

fn deployments(view: &View, id: &AppId) -> Vec<Identifiable> {
    let serials = view.locked.get(id).into_iter().flatten();
    let found = serials.filter_map(|serial| view.deployments.get(serial));
    found.map(|deployment| Identifiable { id: deployment.id.to_string() }).collect()
}

/// While a deployment changes the app.
fn readiness_of(view: &View, id: &AppId) -> Vec<TaskReadiness> {
    match view.locked.contains_key(id) {
        true => readiness::results(view, id),
        false => Vec::new(),
    }
}

fn instances<'a>(view: &'a View, id: &AppId) -> impl Iterator<Item = &'a Arc<Instance>> {
    view.instances.get(id).into_iter().flat_map(|all| all.values())
}

pub fn tasks<'a>(view: &'a View, id: &AppId) -> Vec<Task<'a>> {
    instances(view, id).map(|instance| task::task(view, instance)).collect()
}

fn stats(view: &View, app: &state::App, now: Time) -> StatsByVersion {
    let of = |wanted: &dyn Fn(Version) -> bool| {
        let all: Vec<&Instance> = instances(view, &app.spec.id)
            .map(AsRef::as_ref)
            .filter(|instance| wanted(instance.version))
            .collect();
        (!all.is_empty()).then(|| Stats { stats: stats_of(&all, now) })
    };
    StatsByVersion {
        started_after_last_scaling: of(&|version| version >= app.last_scaling_at),
        with_latest_config: of(&|version| version >= app.last_config_change_at),
        with_outdated_config: of(&|version| version < app.last_config_change_at),
        total_summary: of(&|_| true),
    }
}

fn stats_of(instances: &[&Instance], now: Time) -> TaskStats {
    let mut counts = TaskCounts::default();
    for instance in instances {
        counts.staged += u32::from(is_staged(instance.state));
        counts.running += u32::from(instance.state == TaskState::Running);
        counts.healthy += u32::from(instance.healthy == Some(true));
        counts.unhealthy += u32::from(instance.healthy == Some(false));
    }
    let started = instances.iter().filter_map(|instance| instance.started_at);
    TaskStats { counts, life_time: life_time(started.map(|at| now.since(at)).collect()) }
}

fn is_staged(state: TaskState) -> bool {
    matches!(state, TaskState::Staging | TaskState::Starting)
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer tasks than a float can count")]
fn life_time(mut spans: Vec<Duration>) -> Option<LifeTime> {
    spans.sort();
    let middle = spans.get(spans.len() / 2)?;
    let before = spans[(spans.len() - 1) / 2];
    let sum: f64 = spans.iter().map(Duration::as_secs_f64).sum();
    Some(LifeTime {
        average_seconds: sum / spans.len() as f64,
        median_seconds: f64::midpoint(middle.as_secs_f64(), before.as_secs_f64()),
    })
}
