//! What a driver found: figures with their goals, and how busy the machine was meanwhile.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::usage;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    title: String,
    /// Runnable processes on the average of the last minute, before and after: what else the machine had to do.
    load_before: f64,
    load_after: f64,
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Goal::AtLeast(bound) => value >= bound,
            Goal::AtMost(bound) => value <= bound,
        }
    }
}

impl Report {
    pub(crate) fn new(title: impl Into<String>) -> Result<Self> {
        let load = usage::load()?;
        Ok(Self { title: title.into(), load_before: load, load_after: load, figures: Vec::new() })
    }

    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { what: what.into(), value, unit, goal: None });
    }

    pub(crate) fn promise(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: Goal,
    ) {
        self.figures.push(Figure { what: what.into(), value, unit, goal: Some(goal) });
    }

    /// Half, 99% and all of the samples took no longer than what is shown.
    pub(crate) fn times(&mut self, what: &str, samples: &Samples) {
        for (name, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
            self.add(format!("{what}, {name}"), samples.millis(percent), "ms");
        }
    }

    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    pub(crate) fn print(mut self, as_json: bool) -> Result<()> {
        self.load_after = usage::load()?;
        if as_json {
            println!("{}", serde_json::to_string(&self)?);
            return Ok(());
        }
        println!(
            "{} (load before {:.1}, after {:.1})",
            self.title, self.load_before, self.load_after
        );
        for figure in &self.figures {
            let goal = match figure.goal {
                None => String::new(),
                Some(goal) => {
                    let (sign, bound) = match goal {
                        Goal::AtLeast(bound) => (">=", bound),
                        Goal::AtMost(bound) => ("<=", bound),
                    };
                    let verdict = if goal.is_met(figure.value) { "met" } else { "MISSED" };
                    format!("  goal {sign} {bound}: {verdict}")
                }
            };
            println!("  {:<58} {:>12} {}{goal}", figure.what, shown(figure.value), figure.unit);
        }
        Ok(())
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// How long something took, many times.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, took: Duration) {
        let at = self.0.partition_point(|other| *other < took);
        self.0.insert(at, took);
    }

    pub(crate) fn millis(&self, percent: usize) -> f64 {
        let last = self.0.len().checked_sub(1).expect("something was measured");
        self.0[last * percent / 100].as_secs_f64() * 1e3
    }
}
