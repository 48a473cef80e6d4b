//! Deployments under way: the RAML types `DeploymentStepInfo`, `DeploymentPlan` and `DeploymentResult`.

use std::collections::BTreeSet;

use model::id::Uuid;
use serde::Serialize;
use services::state::{Action, Deployment, Version};

use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentResult {
    pub version: Spelled,
    pub deployment_id: String,
}

pub fn result(deployment: Uuid, version: Version) -> DeploymentResult {
    DeploymentResult { version: Spelled(version.0), deployment_id: deployment.to_string() }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepInfo {
    pub id: String,
    pub version: Spelled,
    pub affected_apps: Vec<String>,
    pub affected_pods: [(); 0],
    pub steps: Vec<Step>,
    pub current_actions: Vec<ActionInfo>,
    /// From 1.
    pub current_step: usize,
    pub total_steps: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub actions: Vec<StepAction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepAction {
    pub action: String,
    pub app: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionInfo {
    pub action: String,
    pub app: String,
    pub readiness_check_results: [(); 0],
}

/// As `/v2/deployments` lists it.
pub fn step_info(deployment: &Deployment) -> StepInfo {
    let info = |action: &Action| ActionInfo {
        action: action.name().to_owned(),
        app: action.app.to_string(),
        readiness_check_results: [],
    };
    let current = current_step(deployment);
    StepInfo {
        id: deployment.id.to_string(),
        version: Spelled(deployment.version.0),
        affected_apps: affected(deployment),
        affected_pods: [],
        steps: steps(deployment),
        current_actions: current.iter().map(info).collect(),
        current_step: (step_index(deployment) + 1).min(deployment.steps.len().max(1)),
        total_steps: deployment.steps.len(),
    }
}

fn step_index(deployment: &Deployment) -> usize {
    usize::try_from(deployment.step).unwrap_or(usize::MAX - 1)
}

/// The actions under way; those of the last step once it is over.
fn current_step(deployment: &Deployment) -> &[Action] {
    let step = deployment.steps.get(step_index(deployment)).or(deployment.steps.last());
    step.map_or(&[], Vec::as_slice)
}

fn affected(deployment: &Deployment) -> Vec<String> {
    let acted_on = deployment.steps.iter().flatten().map(|action| &action.app);
    let apps: BTreeSet<_> = deployment.before.iter().map(|one| &one.app).chain(acted_on).collect();
    apps.into_iter().map(ToString::to_string).collect()
}

fn step(actions: &[Action]) -> Step {
    let spell = |action: &Action| StepAction {
        action: action.name().to_owned(),
        app: action.app.to_string(),
    };
    Step { actions: actions.iter().map(spell).collect() }
}

fn steps(deployment: &Deployment) -> Vec<Step> {
    deployment.steps.iter().map(|actions| step(actions)).collect()
}

/// Which form of the plan an event stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanFormat {
    Light,
    /// With the root groups that old clients insist on reading, without their apps.
    Heavy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<RootGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<RootGroup>,
    pub steps: Vec<Step>,
    pub version: Spelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootGroup {
    pub id: &'static str,
    pub apps: [(); 0],
    pub dependencies: [(); 0],
    pub groups: [(); 0],
    pub pods: [(); 0],
    pub version: Spelled,
}

/// As events carry it.
pub fn plan(deployment: &Deployment, format: PlanFormat) -> Plan {
    let version = Spelled(deployment.version.0);
    let root = || RootGroup { id: "/", apps: [], dependencies: [], groups: [], pods: [], version };
    let heavy = format == PlanFormat::Heavy;
    Plan {
        id: deployment.id.to_string(),
        original: heavy.then(root),
        target: heavy.then(root),
        steps: steps(deployment),
        version,
    }
}

/// The step under way, as events carry it.
pub fn current(deployment: &Deployment) -> Step {
    step(current_step(deployment))
}
