//! When an app is scaled by its use: within its bounds, when that has been called for without a break for as long as it
//! asks, and no further than all of that time called for.

use std::collections::BTreeMap;

use model::resources::Scalar;
use model::time::{Duration, Time};
use services::Order;
use services::autoscale::{Autoscale, Decision, Metric};
use services::spec::AppId;
use services::state::App;
use services::view::View;

use super::Step;

/// Numbers from outside, as they were heard since this process leads: when, and how many instances they called for;
/// `None` while a deployment changed the app, or nothing of it ran.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<AppId, Vec<(Time, Option<Call>)>>);

#[derive(Debug, Clone, Copy)]
struct Call {
    count: u32,
    wanted: u32,
}

pub(super) fn is_within_bounds(id: &AppId, app: &App) {
    let count = app.spec.instances;
    if let Some(Autoscale { min, max, .. }) = app.spec.autoscale.as_ref().filter(|_| count > 0) {
        assert!((*min..=*max).contains(&count), "app {id} has {count}, not {min} to {max}");
    }
}

impl Calls {
    /// A report that was taken, before what follows from it.
    pub(super) fn hear(&mut self, step: &Step<'_>, view: &View) {
        let Some(Order::Report { app: id, value, .. }) = step.order else { return };
        let Some(app) = view.apps.get(id) else { return };
        let Some(autoscale) = &app.spec.autoscale else { return };
        let count = app.spec.instances;
        let is_judged = count > 0 && !view.locked.contains_key(id);
        let call = Call { count, wanted: wanted(autoscale, count, *value) };
        self.0.entry(id.clone()).or_default().push((step.now, is_judged.then_some(call)));
    }

    pub(super) fn judge(&mut self, step: &Step<'_>, first: &View) {
        for (id, decision) in &step.scaled {
            let autoscale = first.apps.get(id).and_then(|app| app.spec.autoscale.as_ref());
            let autoscale = autoscale.expect("only what says so is scaled by its use");
            let Decision { from, to, .. } = decision;
            assert!(from != to, "app {id} is scaled to what it is");
            assert!(!first.locked.contains_key(id), "app {id} is scaled while it is deployed");
            let delay = match from < to {
                true => autoscale.scale_up_delay,
                false => autoscale.scale_down_delay,
            };
            match autoscale.metric {
                Metric::RequestsPerInstance | Metric::Custom(_) => {
                    self.is_called_for(id, decision, step.now, delay);
                }
                Metric::Cpu | Metric::Mem => (),
            }
            self.0.remove(id);
        }
    }

    fn is_called_for(&self, id: &AppId, decision: &Decision, now: Time, delay: Duration) {
        let calls = self.0.get(id).map_or(&[][..], Vec::as_slice);
        let begin = calls.iter().rposition(|(at, _)| *at + delay <= now);
        let begin = begin.unwrap_or_else(|| panic!("app {id} is scaled early: {decision:?}"));
        // What was heard while a deployment changed the app is what it is judged by once that is over.
        let is_open =
            |(nth, (_, call)): &(usize, &(Time, Option<Call>))| *nth > 0 || call.is_some();
        for (_, (at, call)) in calls[begin..].iter().enumerate().filter(is_open) {
            let agrees = |call: &Call| match decision.from < decision.to {
                true => call.count == decision.from && decision.to <= call.wanted,
                false => call.count == decision.from && decision.to >= call.wanted,
            };
            assert!(
                call.as_ref().is_some_and(agrees),
                "app {id}: {decision:?}, and at {at:?} {call:?} was called for"
            );
        }
    }
}

/// What brings the metric to its target, once it is more than a tenth away from it.
fn wanted(autoscale: &Autoscale, count: u32, Scalar(value): Scalar) -> u32 {
    let Scalar(target) = autoscale.target;
    let is_near = value.abs_diff(target) * 10 <= target;
    let needed = (u64::from(count) * value).div_ceil(target);
    let needed = if is_near { count } else { u32::try_from(needed).expect("small") };
    needed.clamp(autoscale.min, autoscale.max)
}
