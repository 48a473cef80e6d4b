//! `/metrics`: the RAML type `NewMetrics`, and the same lines as Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::Write;

use model::time::Time;
use schemars::JsonSchema;
use serde::Serialize;
use services::group::GroupId;
use services::view::{Counts, View};

/// Of the form, not of the program.
const VERSION: &str = "5.0.0";

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    pub version: &'static str,
    pub gauges: BTreeMap<String, Gauge>,
    pub counters: BTreeMap<String, Counter>,
    pub histograms: BTreeMap<String, ()>,
    pub meters: BTreeMap<String, ()>,
    pub timers: BTreeMap<String, ()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Gauge {
    pub value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counter {
    pub count: u64,
}

/// What is counted where requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Served {
    pub started_at: Time,
    /// By the first digit of their status, from 1 to 5.
    pub responses: [u64; 5],
    pub event_streams: u64,
}

pub fn metrics(view: &View, served: &Served, now: Time) -> Metrics {
    let mut sum = Counts::default();
    for counts in view.counts.values() {
        sum.staged += counts.staged;
        sum.running += counts.running;
        sum.healthy += counts.healthy;
        sum.unhealthy += counts.unhealthy;
    }
    let apps = view.apps.len().saturating_sub(view.pods.len());
    let gauge = |name: &str, value: f64| (format!("marathon.{name}"), Gauge { value });
    let number = |name: &str, value: usize| gauge(name, as_float(value as u64));
    let gauges = [
        number("apps.active.gauge", apps),
        number("pods.active.gauge", view.pods.len()),
        number("groups.active.gauge", view.groups_in(&GroupId::Root).count() + 1),
        number("deployments.active.gauge", view.deployments.len()),
        number("launch-queue.active.gauge", view.queue.len()),
        gauge("instances.staged.gauge", sum.staged.into()),
        gauge("instances.running.gauge", sum.running.into()),
        gauge("instances.healthy.gauge", sum.healthy.into()),
        gauge("instances.unhealthy.gauge", sum.unhealthy.into()),
        gauge("http.event-streams.active.gauge", as_float(served.event_streams)),
        gauge("uptime.gauge.seconds", now.since(served.started_at).as_secs_f64()),
        gauge("leadership.duration.gauge.seconds", now.since(served.started_at).as_secs_f64()),
    ];
    let counter = |(n, count): (usize, u64)| {
        (format!("marathon.http.responses.{}xx.counter", n + 1), Counter { count })
    };
    Metrics {
        version: VERSION,
        gauges: gauges.into(),
        counters: served.responses.into_iter().enumerate().map(counter).collect(),
        histograms: BTreeMap::new(),
        meters: BTreeMap::new(),
        timers: BTreeMap::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts further than a float")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// Names with underscores, a type for each.
pub fn prometheus(metrics: &Metrics) -> String {
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, value: &dyn std::fmt::Display| {
        let name = name.replace(['.', '-'], "_");
        writeln!(text, "# TYPE {name} {kind}\n{name} {value}").expect("a string takes all");
    };
    for (name, gauge) in &metrics.gauges {
        line(name, "gauge", &gauge.value);
    }
    for (name, counter) in &metrics.counters {
        line(name, "counter", &counter.count);
    }
    text
}
