//! Deployments under way: the RAML types `DeploymentStepInfo`, `DeploymentPlan` and `DeploymentResult`.

use std::collections::BTreeMap;

use model::id::Uuid;
use schemars::JsonSchema;
use serde::Serialize;
use services::spec::AppId;
use services::state::{Action, Before, Deployment, Version};
use services::view::View;

use super::readiness::{self, TaskReadiness};
use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentResult {
    pub version: Spelled,
    pub deployment_id: String,
}

pub fn result(deployment: Uuid, version: Version) -> DeploymentResult {
    DeploymentResult { version: Spelled(version.0), deployment_id: deployment.to_string() }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepInfo {
    pub id: String,
    pub version: Spelled,
    pub affected_apps: Vec<String>,
    pub affected_pods: Vec<String>,
    pub steps: Vec<Step>,
    pub current_actions: Vec<ActionInfo>,
    /// From 1.
    pub current_step: usize,
    pub total_steps: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    pub actions: Vec<StepAction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepAction {
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionInfo {
    #[serde(flatten)]
    pub action: StepAction,
    pub readiness_check_results: Vec<TaskReadiness>,
}

/// As `/v2/deployments` lists it.
pub fn step_info(view: &View, deployment: &Deployment) -> StepInfo {
    let info = |action: &Action| ActionInfo {
        action: step_action(action),
        readiness_check_results: readiness::results(view, &action.app),
    };
    let current = current_step(deployment);
    let (affected_apps, affected_pods) = affected(deployment);
    StepInfo {
        id: deployment.id.to_string(),
        version: Spelled(deployment.version.0),
        affected_apps,
        affected_pods,
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

/// The apps that a deployment changes, and the pods. What it leaves as it is, is neither started nor stopped by it, and
/// what was there before says whether it was a pod.
fn affected(deployment: &Deployment) -> (Vec<String>, Vec<String>) {
    let acted_on = deployment.steps.iter().flatten().map(|action| (&action.app, action.pod));
    let was_pod = |before: &Before| before.was.as_ref().is_some_and(|was| was.spec.pod.is_some());
    let mut all: BTreeMap<&AppId, bool> =
        deployment.before.iter().map(|one| (&one.app, was_pod(one))).collect();
    for (id, pod) in acted_on {
        *all.entry(id).or_default() |= pod;
    }
    let of = |wanted: bool| {
        let those = all.iter().filter(|(_, pod)| **pod == wanted);
        those.map(|(id, _)| id.to_string()).collect()
    };
    (of(false), of(true))
}

fn step_action(action: &Action) -> StepAction {
    let id = action.app.to_string();
    let (app, pod) = if action.pod { (None, Some(id)) } else { (Some(id), None) };
    StepAction { action: action.name().to_owned(), app, pod }
}

fn step(actions: &[Action]) -> Step {
    Step { actions: actions.iter().map(step_action).collect() }
}

/// What a dry run answers: the RAML type `DeploymentSteps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Planned {
    pub steps: Vec<Step>,
}

pub fn planned(steps: &[Vec<Action>]) -> Planned {
    Planned { steps: steps.iter().map(|actions| step(actions)).collect() }
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Plan {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<RootGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<RootGroup>,
    pub steps: Vec<Step>,
    pub version: Spelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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
