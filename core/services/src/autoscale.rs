//! Autoscaling: how many instances an app should have, from how much they are used.
//!
//! The count that brings the metric to its target is wanted once the metric is more than a tenth away from it; it is
//! carried out when that has lasted for the app's delay, by the least change that was called for meanwhile, as one
//! deployment. While a deployment holds the app nothing is judged, and after it everything is measured anew: so an app
//! does not flap.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::agent::Used;
use model::id::{Serial, TaskId, Uuid};
use model::resources::Scalar;
use model::time::Time;

use crate::deploy::Intent;
use crate::machine::{Services, Turn};
use crate::spec::pod::PodContainer;
use crate::spec::{AppId, AppSpec};
use crate::state::{App, Cause, Instance, Record};
use crate::{Refusal, Reply, What};

/// Between how many and by what an app is scaled. Marathon knows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Autoscale {
    /// At least 1.
    #[n(0)]
    pub min: u32,
    /// At least `min`.
    #[n(1)]
    pub max: u32,
    #[n(2)]
    pub metric: Metric,
    /// What the metric is to be on average over the instances, greater than 0: of `cpu` and `mem` the fraction of what
    /// an instance is allotted.
    #[n(3)]
    pub target: Scalar,
    /// The metric must call for more instances for so long before there are more.
    #[n(4)]
    pub scale_up_delay: Duration,
    /// The same for fewer.
    #[n(5)]
    pub scale_down_delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Metric {
    /// Measured by the agents.
    #[n(0)]
    Cpu,
    #[n(1)]
    Mem,
    /// Reported from outside, as the average over the instances.
    #[n(2)]
    RequestsPerInstance,
    /// Any other number, reported from outside by this name.
    #[n(3)]
    Custom(#[n(0)] String),
}

impl Metric {
    /// By the agents; the others are reported from outside.
    pub fn is_measured(&self) -> bool {
        matches!(self, Metric::Cpu | Metric::Mem)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Cpu => "cpu",
            Metric::Mem => "mem",
            Metric::RequestsPerInstance => "requestsPerInstance",
            Metric::Custom(name) => name,
        })
    }
}

/// How far the metric may be from its target without anything happening: a tenth. Else an app would flap between two
/// numbers that fit equally well.
const TOLERANCE_MILLI: u64 = 100;
/// A measurement older than this says nothing any more.
pub const SAMPLE_FRESH: Duration = Duration::from_secs(60);
/// The same of a number reported from outside.
pub const REPORT_FRESH: Duration = Duration::from_secs(300);
/// A decision that cannot be carried out now is made again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Decisions that are remembered of each app.
pub const DECISIONS_MAX: usize = 20;

/// The latest decisions for an app, the latest last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Autoscaled {
    #[n(0)]
    pub decisions: Vec<Decision>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Decision {
    #[n(0)]
    pub at: Time,
    #[n(1)]
    pub from: u32,
    #[n(2)]
    pub to: u32,
    #[n(3)]
    pub metric: Metric,
    /// On average over the instances, when it was decided.
    #[n(4)]
    pub value: Scalar,
    #[n(5)]
    pub target: Scalar,
    #[n(6)]
    pub deployment: Uuid,
}

/// What is known of an app's use. Volatile: after a restart the delays begin anew.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Of each instance what each of its tasks uses, as a part of what the instance is allotted.
    samples: BTreeMap<Serial, BTreeMap<TaskId, (Time, Scalar)>>,
    reported: Option<(Time, Scalar)>,
    pressure: Pressure,
}

/// Since when the metric calls for another number of instances without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pressure {
    #[default]
    None,
    /// `to` is the least that was called for in that time.
    Up { since: Time, to: u32 },
    /// `to` is the most.
    Down { since: Time, to: u32 },
}

/// What follows from a look at an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stay,
    /// It is looked at again then.
    Wait(Time),
    Scale(u32),
}

/// How many instances there should be, and the value that says so.
fn wanted(autoscale: &Autoscale, count: u32, value: Scalar) -> u32 {
    let Scalar(target) = autoscale.target;
    let tolerance = target.saturating_mul(TOLERANCE_MILLI) / 1000;
    if target == 0 || value.0.abs_diff(target) <= tolerance {
        return count.clamp(autoscale.min, autoscale.max);
    }
    let total = u64::from(count).saturating_mul(value.0);
    let wanted = u32::try_from(total.div_ceil(target)).unwrap_or(u32::MAX);
    wanted.clamp(autoscale.min, autoscale.max)
}

impl Pressure {
    /// It after another look, which wants `to` of now `count` instances.
    fn after(self, now: Time, count: u32, to: u32) -> Self {
        match (self, to.cmp(&count)) {
            (_, Ordering::Equal) => Pressure::None,
            (Pressure::Up { since, to: least }, Ordering::Greater) => {
                Pressure::Up { since, to: least.min(to) }
            }
            (Pressure::Down { since, to: most }, Ordering::Less) => {
                Pressure::Down { since, to: most.max(to) }
            }
            (Pressure::None | Pressure::Down { .. }, Ordering::Greater) => {
                Pressure::Up { since: now, to }
            }
            (Pressure::None | Pressure::Up { .. }, Ordering::Less) => {
                Pressure::Down { since: now, to }
            }
        }
    }

    fn verdict(self, now: Time, autoscale: &Autoscale) -> Verdict {
        let (at, to) = match self {
            Pressure::None => return Verdict::Stay,
            Pressure::Up { since, to } => (since + autoscale.scale_up_delay, to),
            Pressure::Down { since, to } => (since + autoscale.scale_down_delay, to),
        };
        if now < at { Verdict::Wait(at) } else { Verdict::Scale(to) }
    }
}

impl Watch {
    /// The metric's average over so many instances; `None` while nothing is known. Of an instance that says nothing the
    /// cautious is assumed: that it is idle when it comes to more, and as busy as it is to be when it comes to fewer.
    fn value(&self, autoscale: &Autoscale, count: u32, now: Time) -> Option<Scalar> {
        match autoscale.metric {
            Metric::RequestsPerInstance | Metric::Custom(_) => {
                let (at, value) = self.reported?;
                (now <= at + REPORT_FRESH).then_some(value)
            }
            Metric::Cpu | Metric::Mem => {
                let of_instance = |tasks: &BTreeMap<TaskId, (Time, Scalar)>| {
                    let fresh = tasks.values().filter(|(at, _)| now <= *at + SAMPLE_FRESH);
                    fresh.map(|(_, value)| value.0).reduce(u64::saturating_add)
                };
                let fresh = self.samples.values().filter_map(of_instance);
                let (known, sum) = fresh.fold((0_u64, 0_u64), |(known, sum), value| {
                    (known + 1, sum.saturating_add(value))
                });
                let all = u64::from(count).max(known);
                if known == 0 {
                    return None;
                }
                let at_least = sum / all;
                let filled = (all - known).saturating_mul(autoscale.target.0);
                let at_most = sum.saturating_add(filled) / all;
                let Scalar(target) = autoscale.target;
                Some(Scalar(target.clamp(at_least.min(at_most), at_most.max(at_least))))
            }
        }
    }
}

impl Services {
    /// What agents say of tasks whose apps are scaled by it.
    pub(crate) fn heard_usage(&mut self, samples: Vec<Used>, turn: &mut Turn<'_>) {
        let mut touched = BTreeSet::new();
        for sample in samples {
            let Some(instance) = self.memory.view.tasks.get(&sample.task) else { continue };
            let Some(app) = self.memory.view.apps.get(&instance.app) else { continue };
            let Some(autoscale) = &app.spec.autoscale else { continue };
            let value = match autoscale.metric {
                Metric::Cpu => sample.cpu,
                Metric::Mem => sample.mem,
                Metric::RequestsPerInstance | Metric::Custom(_) => continue,
            };
            let watch = self.desk.watches.entry(instance.app.clone()).or_default();
            let value = part_of_instance(&app.spec, instance, &sample.task, value);
            let tasks = watch.samples.entry(instance.serial).or_default();
            tasks.insert(sample.task, (turn.now, value));
            touched.insert(instance.app.clone());
        }
        touched.iter().for_each(|app| self.look_at_use(app, turn));
    }

    /// A number from outside, for an app that is scaled by it.
    pub(crate) fn report(
        &mut self,
        app: &AppId,
        metric: &Metric,
        value: Scalar,
        turn: &mut Turn<'_>,
    ) -> Result<Reply, Refusal> {
        let known = self.memory.view.apps.get(app);
        let known = known.ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
        let is_asked = known.spec.autoscale.as_ref().is_some_and(|one| one.metric == *metric);
        if !is_asked || metric.is_measured() {
            return Err(Refusal::NotScaledBy(app.clone(), metric.to_string()));
        }
        let watch = self.desk.watches.entry(app.clone()).or_default();
        watch.reported = Some((turn.now, value));
        self.look_at_use(app, turn);
        Ok(Reply::Done)
    }

    /// Apps whose delay is over.
    pub(crate) fn look_again(&mut self, turn: &mut Turn<'_>) {
        while turn.apps > 0 {
            let Some((at, app)) = self.desk.looks.first().cloned() else { return };
            if turn.now < at {
                return;
            }
            turn.apps -= 1;
            self.desk.looks.pop_first();
            self.look_at_use(&app, turn);
        }
    }

    fn look_at_use(&mut self, id: &AppId, turn: &mut Turn<'_>) {
        let Some(app) = self.memory.view.apps.get(id).cloned() else {
            return self.forget_use(id);
        };
        let Some(autoscale) = app.spec.autoscale.clone() else { return self.forget_use(id) };
        let Some(watch) = self.desk.watches.get_mut(id) else { return };
        let instances = self.memory.view.instances.get(id);
        watch.samples.retain(|serial, _| instances.is_some_and(|all| all.contains_key(serial)));
        let count = app.spec.instances;
        let is_held = self.memory.held.contains_key(id);
        let value = watch.value(&autoscale, count, turn.now);
        // While something else changes the app, its use says little; and what its user suspended stays so.
        let Some(value) = value.filter(|_| !is_held && count > 0) else {
            watch.pressure = Pressure::None;
            return;
        };
        let to = wanted(&autoscale, count, value);
        watch.pressure = watch.pressure.after(turn.now, count, to);
        match watch.pressure.verdict(turn.now, &autoscale) {
            Verdict::Stay => (),
            Verdict::Wait(at) => drop(self.desk.looks.insert((at, id.clone()))),
            Verdict::Scale(to) => self.scale(&app, Scale { to, value, autoscale }, turn),
        }
    }

    /// The app changes: what was measured was the use of another one, or of another number of instances.
    pub(crate) fn forget_use(&mut self, app: &AppId) {
        self.desk.watches.remove(app);
    }

    fn scale(&mut self, app: &App, scale: Scale, turn: &mut Turn<'_>) {
        let Scale { to, value, autoscale } = scale;
        let spec = AppSpec { instances: to, ..(*app.spec).clone() };
        let id = spec.id.clone();
        let intent = Intent { cause: Cause::Autoscale, ..Intent::order(false, None) };
        let Ok(plan) = self.plan_scaling(vec![spec], intent) else {
            // Too many deployments run already.
            self.desk.looks.insert((turn.now + RETRY_AFTER, id));
            return;
        };
        let (deployment, _) = self.carry_out(plan, turn);
        let decision = Decision {
            at: turn.now,
            from: app.spec.instances,
            to,
            metric: autoscale.metric,
            value,
            target: autoscale.target,
            deployment,
        };
        let known = self.memory.view.autoscaled.get(&id);
        let mut decisions = known.map_or_else(Vec::new, |known| known.decisions.clone());
        decisions.push(decision.clone());
        let surplus = decisions.len().saturating_sub(DECISIONS_MAX);
        decisions.drain(..surplus);
        let record = Record::Autoscaled(id.clone(), Some(Arc::new(Autoscaled { decisions })));
        self.commit(record, turn);
        turn.notice(What::Autoscaled { app: id, decision });
    }
}

/// What a task uses of its own as what its instance uses of all it is allotted: a container of a pod counts for as much
/// as it has of the pod.
fn part_of_instance(spec: &AppSpec, instance: &Instance, task: &TaskId, value: Scalar) -> Scalar {
    let (Some(pod), Some(autoscale)) = (&spec.pod, &spec.autoscale) else { return value };
    let allotted = |container: &PodContainer| match autoscale.metric {
        Metric::Mem => container.resources.mem.0,
        Metric::Cpu | Metric::RequestsPerInstance | Metric::Custom(_) => container.resources.cpus.0,
    };
    let whole: u64 = pod.containers.iter().map(allotted).sum();
    let member = instance.members.iter().find(|member| member.task == *task);
    let own =
        pod.containers.iter().find(|one| member.is_some_and(|member| member.name == one.name));
    Scalar(value.0.saturating_mul(own.map_or(0, allotted)) / whole.max(1))
}

/// A decision that is to be carried out.
struct Scale {
    to: u32,
    value: Scalar,
    autoscale: Autoscale,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autoscale(target: u64) -> Autoscale {
        Autoscale {
            min: 2,
            max: 10,
            metric: Metric::Cpu,
            target: Scalar(target),
            scale_up_delay: Duration::from_secs(60),
            scale_down_delay: Duration::from_secs(300),
        }
    }

    #[test]
    fn the_count_follows_the_metric_within_its_bounds() {
        let check = |count: u32, value: u64, expected: u32| {
            assert_eq!(
                wanted(&autoscale(500), count, Scalar(value)),
                expected,
                "{count} at {value}"
            );
        };
        check(4, 500, 4);
        check(4, 550, 4);
        check(4, 551, 5);
        check(4, 450, 4);
        check(4, 449, 4);
        check(4, 370, 3);
        check(4, 1000, 8);
        check(4, 9000, 10);
        check(4, 0, 2);
        check(1, 500, 2);
        check(20, 500, 10);
    }

    #[test]
    fn what_an_instance_does_not_say_is_assumed_with_caution() {
        let check = |samples: &[u64], count: u32, expected: Option<u64>| {
            let samples = (0..).zip(samples).map(|(n, value)| {
                let task = (TaskId::new("t"), (Time(0), Scalar(*value)));
                (Serial(n), BTreeMap::from([task]))
            });
            let watch = Watch { samples: samples.collect(), ..Watch::default() };
            let value = watch.value(&autoscale(500), count, Time(0));
            assert_eq!(value, expected.map(Scalar), "{count}");
            let late = Time(0) + SAMPLE_FRESH + Duration::from_millis(1);
            assert_eq!(watch.value(&autoscale(500), count, late), None);
        };
        check(&[], 2, None);
        check(&[900, 700], 2, Some(800));
        check(&[900, 900], 4, Some(500));
        check(&[2000, 2000], 4, Some(1000));
        check(&[100, 100], 4, Some(300));
        check(&[100, 100, 100, 100], 4, Some(100));
    }

    #[test]
    fn pressure_must_last_and_the_cautious_of_its_demands_counts() {
        let steps: &[(u64, u32, Verdict)] = &[
            (0, 8, Verdict::Wait(Time(60_000))),
            (30, 6, Verdict::Wait(Time(60_000))),
            (59, 9, Verdict::Wait(Time(60_000))),
            (60, 9, Verdict::Scale(6)),
            (61, 4, Verdict::Stay),
            (62, 5, Verdict::Wait(Time(122_000))),
            (63, 2, Verdict::Wait(Time(363_000))),
            (363, 3, Verdict::Scale(3)),
        ];
        let mut pressure = Pressure::None;
        for (secs, to, expected) in steps {
            let now = Time(secs * 1000);
            pressure = pressure.after(now, 4, *to);
            assert_eq!(pressure.verdict(now, &autoscale(500)), *expected, "at {secs} s");
        }
    }
}
