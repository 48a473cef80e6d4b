//! What waits to be launched and why: the RAML type `Queue`.

use std::collections::BTreeMap;

use model::attributes::{Attribute, AttributeValue};
use model::resources::{Amount, Ranges, Resource};
use model::time::Time;
use placement::demand::Miss;
use schemars::JsonSchema;
use serde::Serialize;
use services::state;
use services::view::{Unused, Waiting};

use super::app::App;
use super::explain::{Account, Agents, Looks, account};
use super::pod::Pod;
use super::print;
use super::print_pod;
use super::version::Spelled;

/// In this order an offer is judged: of several misses, the first here is the one that counts.
const FUNNEL: [Miss; 10] = [
    Miss::UnfulfilledRole,
    Miss::UnfulfilledConstraint,
    Miss::NoCorrespondingReservationFound,
    Miss::AgentMaintenance,
    Miss::InsufficientCpus,
    Miss::InsufficientMemory,
    Miss::InsufficientDisk,
    Miss::InsufficientGpus,
    Miss::InsufficientPorts,
    Miss::DeclinedScarceResources,
];

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub count: u32,
    pub role: String,
    pub delay: Delay,
    pub since: Spelled,
    pub processed_offers_summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_unused_offers: Option<Vec<UnusedOffer>>,
    /// What it needs that is not there yet, in plain words; Marathon refused what it did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Vec<String>>,
    /// How far the agents' offers got; Marathon has no such thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<App>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delay {
    pub time_left_seconds: u64,
    /// It waits for offers, not for the delay to pass.
    pub overdue: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub processed_offers_count: u32,
    pub unused_offers_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_unused_offer_at: Option<Spelled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_offer_at: Option<Spelled>,
    pub reject_summary_last_offers: Vec<DeclinedStep>,
    pub reject_summary_launch_attempt: Vec<DeclinedStep>,
}

/// How many offers came as far as this reason, and how many of them it refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeclinedStep {
    pub reason: &'static str,
    pub declined: u32,
    pub processed: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct UnusedOffer {
    pub offer: Offer,
    pub reason: Vec<&'static str>,
    pub timestamp: Spelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    pub id: String,
    pub hostname: String,
    pub agent_id: String,
    pub resources: Vec<Quantity>,
    pub attributes: Vec<Quantity>,
}

/// A resource or an attribute of an agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Quantity {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalar: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<Range>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Range {
    pub begin: u64,
    pub end: u64,
}

/// What an answer shows beside what it always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Embed {
    pub last_unused_offers: bool,
    /// What is not Marathon's: its old clients insist on what they know.
    pub explain: bool,
}

impl Embed {
    /// Words that nobody knows ask for nothing.
    #[must_use]
    pub fn and(self, word: &str) -> Self {
        match word {
            "lastUnusedOffers" => Self { last_unused_offers: true, ..self },
            "explain" => Self { explain: true, ..self },
            _ => self,
        }
    }
}

pub fn item(
    app: &state::App,
    waiting: &Waiting,
    agents: Agents<'_>,
    now: Time,
    embed: Embed,
) -> Item {
    let looks = match embed.last_unused_offers {
        true => Looks::Shown,
        false => Looks::Hidden,
    };
    let left =
        waiting.delayed_until.map_or(0, |until| until.0.saturating_sub(now.0).div_ceil(1000));
    Item {
        count: waiting.count,
        role: waiting.role.to_string(),
        delay: Delay { time_left_seconds: left, overdue: left == 0 },
        since: Spelled(waiting.since),
        processed_offers_summary: summary(waiting),
        last_unused_offers: embed
            .last_unused_offers
            .then(|| waiting.last_unused.values().map(unused).collect()),
        lacks: (embed.explain && !waiting.lacks.is_empty()).then(|| waiting.lacks.to_vec()),
        explain: embed.explain.then(|| account(&waiting.explain, agents, looks)),
        app: app.spec.pod.is_none().then(|| print::app(app)),
        pod: print_pod::app(app),
    }
}

fn summary(waiting: &Waiting) -> Summary {
    let mut last: BTreeMap<Miss, u32> = BTreeMap::new();
    for unused in waiting.last_unused.values() {
        if let Some(miss) = FUNNEL.iter().find(|miss| unused.misses.contains(miss)) {
            *last.entry(*miss).or_default() += 1;
        }
    }
    let agents = u32::try_from(waiting.last_unused.len()).unwrap_or(u32::MAX);
    Summary {
        processed_offers_count: waiting.offers_processed,
        unused_offers_count: waiting.offers_unused,
        last_unused_offer_at: waiting.last_unused_at.map(Spelled),
        last_used_offer_at: waiting.last_used_at.map(Spelled),
        reject_summary_last_offers: funnel(agents, &last),
        reject_summary_launch_attempt: funnel(waiting.offers_processed, &waiting.misses),
    }
}

fn funnel(offers: u32, misses: &BTreeMap<Miss, u32>) -> Vec<DeclinedStep> {
    let mut processed = offers;
    let mut steps = Vec::with_capacity(FUNNEL.len());
    for miss in FUNNEL {
        let declined = misses.get(&miss).copied().unwrap_or(0);
        steps.push(DeclinedStep { reason: reason(miss), declined, processed });
        processed = processed.saturating_sub(declined);
    }
    steps
}

pub fn reason(miss: Miss) -> &'static str {
    match miss {
        Miss::InsufficientCpus => "InsufficientCpus",
        Miss::InsufficientMemory => "InsufficientMemory",
        Miss::InsufficientDisk => "InsufficientDisk",
        Miss::InsufficientGpus => "InsufficientGpus",
        Miss::InsufficientPorts => "InsufficientPorts",
        Miss::UnfulfilledRole => "UnfulfilledRole",
        Miss::UnfulfilledConstraint => "UnfulfilledConstraint",
        Miss::AgentMaintenance => "AgentMaintenance",
        Miss::NoCorrespondingReservationFound => "NoCorrespondingReservationFound",
        Miss::DeclinedScarceResources => "DeclinedScarceResources",
    }
}

fn unused(unused: &Unused) -> UnusedOffer {
    let offer = &unused.offer;
    UnusedOffer {
        offer: Offer {
            id: offer.id.to_string(),
            hostname: offer.agent.hostname.clone(),
            agent_id: offer.agent_id.to_string(),
            resources: offer.resources.iter().map(resource).collect(),
            attributes: offer.agent.attributes.iter().map(attribute).collect(),
        },
        reason: unused.misses.iter().map(|miss| reason(*miss)).collect(),
        timestamp: Spelled(unused.at),
    }
}

fn resource(resource: &Resource) -> Quantity {
    let role = resource.role().map_or("*".to_owned(), ToString::to_string);
    let plain =
        Quantity { name: resource.name.to_string(), role: Some(role), ..Default::default() };
    match &resource.amount {
        Amount::Scalar(scalar) => Quantity { scalar: Some(scalar.as_f64()), ..plain },
        Amount::Ranges(intervals) => Quantity { ranges: Some(ranges(intervals)), ..plain },
        Amount::Set(set) => Quantity { set: Some(set.iter().cloned().collect()), ..plain },
    }
}

pub(super) fn attribute(attribute: &Attribute) -> Quantity {
    let plain = Quantity { name: attribute.name.clone(), ..Quantity::default() };
    match &attribute.value {
        AttributeValue::Text(text) => Quantity { text: Some(text.clone()), ..plain },
        AttributeValue::Scalar(scalar) => Quantity { scalar: Some(scalar.as_f64()), ..plain },
        AttributeValue::Ranges(intervals) => Quantity { ranges: Some(ranges(intervals)), ..plain },
        AttributeValue::Set(items) => {
            Quantity { set: Some(items.iter().cloned().collect()), ..plain }
        }
    }
}

fn ranges(ranges: &Ranges) -> Vec<Range> {
    ranges.intervals().iter().map(|(begin, end)| Range { begin: *begin, end: *end }).collect()
}
