//! How many instances an app should have, decided by how much they are used. Marathon has no such field, so answers have
//! it only where it was asked for.

use model::resources::Scalar;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use services::Fault;
use services::autoscale::{Decision, Metric};

use super::number::{Number, Whole};
use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Autoscale {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Whole>,
    /// `cpu`, `mem`, `requestsPerInstance`, or the name of a metric of the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up_delay_seconds: Option<Whole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<Whole>,
}

/// A number from outside.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Report {
    pub value: Number,
}

/// The body of `POST /v2/apps/{id}/metrics/{metric}`, as exact as numbers are counted.
pub fn reported(report: &Report) -> Result<Scalar, Fault> {
    let Number(value) = report.value;
    let counted = Scalar::from_f64(value).filter(|_| value >= 0.0);
    counted.ok_or_else(|| Fault {
        path: "/value".to_owned(),
        message: "must be a number that is not negative".to_owned(),
    })
}

/// Which metric goes by this name.
pub fn metric(name: &str) -> Metric {
    match name {
        "cpu" => Metric::Cpu,
        "mem" => Metric::Mem,
        "requestsPerInstance" => Metric::RequestsPerInstance,
        name => Metric::Custom(name.to_owned()),
    }
}

/// One time that an app was scaled, in answers and in events.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaled {
    pub at: Spelled,
    pub from: u32,
    pub to: u32,
    pub metric: String,
    pub value: f64,
    pub target: f64,
    pub deployment_id: String,
}

pub fn decision(decision: &Decision) -> Scaled {
    Scaled {
        at: Spelled(decision.at),
        from: decision.from,
        to: decision.to,
        metric: decision.metric.to_string(),
        value: decision.value.as_f64(),
        target: decision.target.as_f64(),
        deployment_id: decision.deployment.to_string(),
    }
}
