//! What readiness checks found: the RAML types `TaskReadinessCheckResult` and `ReadinessCheckHttpResponse`.

use model::check::PageAnswer;
use schemars::JsonSchema;
use serde::Serialize;
use services::spec::AppId;
use services::state::{self, Goal};
use services::view::View;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskReadiness {
    pub name: String,
    pub task_id: String,
    pub ready: bool,
    /// Only if the check preserves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_response: Option<LastResponse>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastResponse {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// Of the tasks of an app's current configuration, as far as anything was found.
pub fn results(view: &View, id: &AppId) -> Vec<TaskReadiness> {
    let (Some(app), Some(instances)) = (view.apps.get(id), view.instances.get(id)) else {
        return Vec::new();
    };
    let Some(check) = &app.spec.readiness else { return Vec::new() };
    let counts = instances
        .values()
        .filter(|one| one.goal == Goal::Running && app.last_config_change_at <= one.version);
    let result = |instance: &state::Instance| {
        let found = view.readiness.get(&instance.task);
        let is_known = instance.ready || found.is_some();
        is_known.then(|| TaskReadiness {
            name: check.name.clone(),
            task_id: instance.task.to_string(),
            ready: instance.ready,
            last_response: found.and_then(|found| found.answer.as_ref()).map(response),
        })
    };
    counts.filter_map(|instance| result(instance)).collect()
}

fn response(answer: &PageAnswer) -> LastResponse {
    let PageAnswer { status, content_type, body } = answer.clone();
    LastResponse { status, content_type, body }
}
